/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * Every map, with who inserts, who deletes and what happens when it is full; and the two ways to
 * change one that must never be done by hand: counting, and sending an event.
 */
#ifndef PROCWIRE_MAPS_BPF_H
#define PROCWIRE_MAPS_BPF_H

#include "types.bpf.h"
#include "window.h"

#include <bpf/bpf_core_read.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

#define MAX_SUBJECTS 8192
#define MAX_PENDING 65536

/* Settings of the loader; read-only once loaded, so the verifier knows the values. */
const volatile struct fanout_settings settings SEC(".rodata.settings");

/*
 * One ring for each kind of event, so that a flood of one cannot push out another: a scan's
 * connection details never cost an exec or the report of the scan.
 * Inserted by: send and send_process below. Deleted by: user space reading.
 * Full: the new event is dropped and counted in LOST_*_RING_FULL.
 */
struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 4 << 20);
} process_ring SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 64 << 10);
} socket_ring SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 2 << 20);
} connection_ring SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 512 << 10);
} fanout_ring SEC(".maps");

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

/* A process that connects, by its key. The lock is held without a helper call in between, so an
 * outcome in softirq waits only for arithmetic. */
struct subject {
	struct bpf_spin_lock lock;
	__u32 padding;
	struct fanout_state state;
};

/*
 * The fan-out of each process.
 * Inserted by: a process's first connect. Deleted by: its exit, and its next exec.
 * Full: the process's connections are reported one by one but not aggregated, each counted in
 * LOST_PROCESS_MAP_FULL. Not LRU: an eviction would look like a process that stopped scanning.
 * Not preallocated: an entry has 7 KB and few processes connect.
 */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, MAX_SUBJECTS);
	__type(key, struct process_key);
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

/* An attempt whose outcome is not known yet, with what only its own process context can tell. */
struct pending {
	__u64 time_ns;
	struct process_key process;
	struct fanout_target target;
	__u32 uid;
	__u32 net_namespace;
	__u32 family;
	__u16 detailed;
	__u16 syn_sent;
	char comm[COMM_SIZE];
};

/*
 * TCP attempts under way, by socket. Kernel addresses of sockets serve as keys: an entry never
 * outlives its socket.
 * Inserted by: connect, or SYN_SENT where the connect hook does not run (MPTCP subflows).
 * Deleted by: the outcome; a further connect, or the release, of a socket that never sent its SYN.
 * Full: the attempt is counted, its outcome is not; counted in LOST_CONNECTION_MAP_FULL.
 */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, MAX_PENDING);
	__type(key, __u64);
	__type(value, struct pending);
} pending_connections SEC(".maps");

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
