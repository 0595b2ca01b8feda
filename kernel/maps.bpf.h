/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * Every map but those of sockets (socket_maps.bpf.h), with who inserts, who deletes and what happens
 * when it is full; and the two ways to change one that must never be done by hand: counting, and
 * sending an event.
 */
#ifndef PROCWIRE_MAPS_BPF_H
#define PROCWIRE_MAPS_BPF_H

#include "types.bpf.h"

#include <bpf/bpf_core_read.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

#include "subject.h"
#include "write.h"

#define MAX_SUBJECTS 8192
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

/* As much as ten thousand datagram sockets a second tell in a second and a half, for which a reader
 * may be kept from reading. The loader leaves a page of it where nobody asks for flows, and half of
 * the ring of processes. */
struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 4 << 20);
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

/*
 * The fan-out of each process and job.
 * Inserted by: a process's first attempt of a kind, and the end of a child that made some. Deleted
 * by: the process's exit, and the exec of another program; what is left, by the fork of the next process
 * of that number. A job's is never deleted, but given to
 * another job when it was quiet for the longest window.
 * Full: the process's attempts are reported one by one but not aggregated, each counted in
 * LOST_PROCESS_MAP_FULL; what its job or its parent is not told of in LOST_JOB_MAP_FULL and
 * LOST_HEIR_MAP_FULL. Not LRU: an eviction would look like a process that stopped scanning.
 * Not preallocated: an entry has 7 KB and few processes connect.
 */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, MAX_SUBJECTS + MAX_JOBS);
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
 * be done is done by the next attempt. The value is 0 once it is released: whoever waits too long for
 * a map's lock (Linux 6.15), or interrupts who holds it, cannot delete.
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

static __always_inline void count_many(__u32 counter, __u64 number)
{
	__u64 *value = bpf_map_lookup_elem(&counters, &counter);

	/* A softirq may interrupt the program that runs on this CPU. */
	if (value)
		__sync_fetch_and_add(value, number);
}

static __always_inline void count(__u32 counter)
{
	count_many(counter, 1);
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
