/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * Every map, with who inserts, who deletes and what happens when it is full; and the two ways to
 * change one that must never be done by hand: counting, and sending an event.
 */
#ifndef PROCWIRE_MAPS_BPF_H
#define PROCWIRE_MAPS_BPF_H

#include "types.bpf.h"

#include <bpf/bpf_core_read.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

#include "write.h"

#define MAX_SUBJECTS 8192
#define PENDING_BITS 16
#define MAX_PENDING (1 << PENDING_BITS)
#define MAX_RAW_SOCKETS 4096
#define MAX_DATAGRAM_SOCKETS 65536
#define MAX_SKIPPED_PROGRAMS 1024
#define MAX_SKIPPED_PROCESSES 65536

/* Settings of the loader; read-only once loaded, so the verifier knows the values. */
const volatile struct fanout_settings settings SEC(".rodata.settings");

/*
 * One ring for each kind of event, so that a flood of one cannot push out another: a scan's
 * connection details never cost an exec or the report of the scan.
 * Inserted by: send and send_process below. Deleted by: user space reading.
 * Full: the new event is dropped and counted in LOST_*_RING_FULL. Each counts twice towards the
 * reader's memory, which maps its pages twice, so that an event never wraps around.
 */
struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 2 << 20);
} process_ring SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 64 << 10);
} socket_ring SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 512 << 10);
} connection_ring SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 256 << 10);
} fanout_ring SEC(".maps");

/* As much as a reader that looks twenty times a second needs for a hundred thousand flows. */
struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 1 << 20);
} flow_ring SEC(".maps");

/* enum sensor_counter. Fixed size; nothing is inserted or deleted. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, SENSOR_COUNTERS);
	__type(key, __u32);
	__type(value, __u64);
} counters SEC(".maps");

/* A process event is larger than the stack. Only tracepoint programs in process context use it;
 * those run with preemption off and do not nest. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct process_event);
} process_scratch SEC(".maps");

/* What is counted apart of one process: its connects, its datagrams, and by kind (enum
 * attempt_kind) what it sends through raw sockets. */
#define SLOT_CONNECT 0
#define SLOT_DATAGRAM 1
#define SLOT_RAW 2
#define SLOTS (SLOT_RAW + ATTEMPT_KINDS)

/* A pid is enough while its process lives: entries go with the process's last thread. */
struct subject_key {
	__u32 pid;
	__u32 slot;
};

/* now_ns was the time when the tick began to be this one; skipped: what the process tries is not
 * counted, because of what it runs. */
struct subject {
	struct owner owner;
	__u64 tick;
	__u64 now_ns;
	__u64 skipped;
	struct fanout_state state;
};

/*
 * The fan-out of each process.
 * Inserted by: a process's first attempt of a kind, and the end of a child that made some. Deleted
 * by: the process's exit, and the exec of another program.
 * Full: the process's attempts are reported one by one but not aggregated, each counted in
 * LOST_PROCESS_MAP_FULL. Not LRU: an eviction would look like a process that stopped scanning.
 * Not preallocated: an entry has 7 KB and few processes connect.
 */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, MAX_SUBJECTS);
	__type(key, struct subject_key);
	__type(value, struct subject);
} subjects SEC(".maps");

/* What a new subject starts from: zeros, which nobody writes. It is per CPU to be read locally. */
struct new_subject {
	__u8 zero[sizeof(struct subject)];
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct new_subject);
} new_subject SEC(".maps");

/*
 * Which slots of a process have a subject, so that an exit that has none costs one look-up.
 * Inserted and deleted with its subjects. Full: no subject is made either.
 */
struct slots {
	__u8 used[SLOTS];
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, MAX_SUBJECTS);
	__type(key, __u32);
	__type(value, struct slots);
} subject_slots SEC(".maps");

/*
 * Subjects that somebody turns or reports just now. 5.10 gives tracing programs neither a lock nor
 * a compare-and-exchange, but a key can be inserted by one of two only.
 * Inserted and deleted by: claim and release in subject.bpf.h, around arithmetic. Full: what would
 * be done is done by the next attempt.
 */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1024);
	__type(key, struct subject_key);
	__type(value, __u8);
} claims SEC(".maps");

/*
 * The programs whose processes are not counted, by the address of their inode: the one name of a
 * file that no other has while it is open, on every file system.
 * Inserted by: the walk over open files, for those that the sensor holds. Deleted by: nobody; the
 * sensor holds them as long as the map lives. Full: the rest is counted.
 */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, MAX_SKIPPED_PROGRAMS);
	__type(key, __u64);
	__type(value, __u8);
} skipped_programs SEC(".maps");

/*
 * The processes that run them, by pid.
 * Inserted by: exec, a fork of such a process, the walk over processes. Deleted by: the exit of the
 * process; the exec of another program, unless children are skipped as well. Full: it is counted.
 */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, MAX_SKIPPED_PROCESSES);
	__type(key, __u32);
	__type(value, __u8);
} skipped_processes SEC(".maps");

/* An attempt whose outcome is not known yet. sent: a SYN, or of a datagram socket with a peer the
 * first packet (SYN_TOLD: and a flow event told whose it is); denied: another cgroup program forbids it; ended: of datagrams, the refusal is told. */
struct pending {
	__u64 time_ns;
	struct owner owner;
	struct fanout_target target;
	__u8 detailed;
	__u8 sent;
	__u8 denied;
	__u8 ended;
	__u32 padding;
};

#define SYN_TOLD 2

/* socket: 0 where the place is free; seal: over what is written with it, so that of two who take a
 * place at the same moment neither is given the other's name; crowd: attempts of this place that
 * are in crowded_connections. */
struct pending_place {
	__u64 socket;
	__u64 seal;
	__u64 crowd;
	struct pending pending;
};

/*
 * TCP attempts under way, and datagram sockets with a peer, each at the place that its socket's
 * address hashes to. An insertion into a hash map and its deletion would cost more than all the rest
 * of a connect.
 * Taken by: connect, or SYN_SENT where the connect hook does not run (MPTCP subflows), and the walk
 * over the sockets that are older than the sensor. Freed by: the outcome; a further connect, or the
 * release, of a socket that never sent its SYN or has no outcome. An entry never outlives its socket.
 * Taken already: the attempt goes to crowded_connections.
 */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, MAX_PENDING);
	__type(key, __u32);
	__type(value, struct pending_place);
} pending_connections SEC(".maps");

/* Where a socket's address is written as a pointer and read back as a number, with which the verifier
 * lets us calculate. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u64);
} address_scratch SEC(".maps");

/*
 * Attempts whose place was taken, by socket. Inserted and deleted as above.
 * Full: the attempt is counted, its outcome is not; counted in LOST_CONNECTION_MAP_FULL.
 */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, MAX_PENDING);
	__type(key, __u64);
	__type(value, struct pending);
} crowded_connections SEC(".maps");

/* told: the end that the last flow event named, mixed into one number; 0 for none. */
struct sending_socket {
	struct owner owner;
	__u64 told;
};

/*
 * Raw IP sockets with their owners: a packet may leave in softirq, under a foreign current.
 * Inserted by: their creation; the walk over older sockets. Deleted by: their release.
 * Full: their packets name nobody, counted in LOST_SOCKET_MAP_FULL and SKIPPED_UNKNOWN_SOCKET.
 */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, MAX_RAW_SOCKETS);
	__type(key, __u64);
	__type(value, struct sending_socket);
} raw_sockets SEC(".maps");

/*
 * Sockets of datagrams with their owners, where flow events are wanted.
 * Inserted by: their creation; the walk over older sockets. Deleted by: their release.
 * Full: their flows name nobody, counted in LOST_SOCKET_MAP_FULL.
 */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, MAX_DATAGRAM_SOCKETS);
	__type(key, __u64);
	__type(value, struct sending_socket);
} datagram_sockets SEC(".maps");

/* queued: the send that is under way has passed the egress hook; unseen: sends that did not; told: as
 * of a sending_socket. */
struct packet_socket {
	__u64 told;
	__u32 pid;
	__u32 queued;
	__u32 unseen;
	__u32 padding;
};

/*
 * AF_PACKET sockets that send. No hook tells of their release, and their owner is whoever sends.
 * Inserted by: the first packet. Deleted by: age; LRU, as an entry lost only announces its socket
 * once more.
 */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, MAX_RAW_SOCKETS);
	__type(key, __u64);
	__type(value, struct packet_socket);
} packet_sockets SEC(".maps");

/* The packet that passed the egress hook last on this CPU: it passes again on each device below
 * the first (VLAN, bond), within the same call. */
struct passed {
	__u64 packet;
	__u64 socket;
	__u64 device;
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct passed);
} last_passed SEC(".maps");

static __always_inline void count(__u32 counter)
{
	__u64 *value = bpf_map_lookup_elem(&counters, &counter);

	/* A softirq may interrupt the program that runs on this CPU. */
	if (value)
		__sync_fetch_and_add(value, 1);
}

/* Room for one event in a ring, or NULL, counted. */
static __always_inline void *room(void *ring, __u64 size, __u32 lost)
{
	void *event = bpf_ringbuf_reserve(ring, size, 0);

	if (!event)
		count(lost);
	return event;
}

#endif
