/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * Every map, with who inserts, who deletes and what happens when it is full.
 */

#define MAX_SUBJECTS 8192
#define MAX_CLAIMS 1024
#define MAX_PENDING 65536
#define MAX_PROCESSES 65536
#define MAX_EXECS 1024
#define MAX_FAILURES 4096
#define MAX_CONNECTING 4096
#define MAX_ARGUMENTS 512
#define NO_PREALLOC 1

/* Written by user space before any hook is attached. */
BPF_ARRAY(settings, struct fanout_settings, 1);

BPF_PERCPU_ARRAY(counters, u64, SENSOR_COUNTERS);

/* One ring for each kind of event, sized and used as in maps.bpf.h; bcc counts in pages. */
BPF_RINGBUF_OUTPUT(process_ring, 1024);
BPF_RINGBUF_OUTPUT(socket_ring, 16);
BPF_RINGBUF_OUTPUT(connection_ring, 512);
BPF_RINGBUF_OUTPUT(fanout_ring, 128);
/* Of what these programs do not see; readers open every ring. */
BPF_RINGBUF_OUTPUT(flow_ring, 1);

/*
 * Every process, by pid.
 * Inserted by: its fork; user space, for those that ran before. Deleted by: the exit of its last
 * thread. Full: it stays unknown; its connections have no process, each counted in
 * LOST_PROCESS_MAP_FULL.
 */
BPF_F_TABLE("hash", u32, struct known_process, processes, MAX_PROCESSES, NO_PREALLOC);

/*
 * The arguments of an exec under way, by thread.
 * Inserted by: the entry of the system call. Deleted by: the exec; the return of a call that
 * failed. Full: the exec has no arguments, counted in LOST_ARGV_UNREADABLE.
 */
BPF_F_TABLE("hash", u32, struct arguments, execs, MAX_EXECS, NO_PREALLOC);

/* Larger than the stack; used with preemption off and by programs that do not nest. */
BPF_PERCPU_ARRAY(arguments_scratch, struct arguments_scratch, 1);
BPF_PERCPU_ARRAY(process_scratch, struct process_event, 1);

/* The fan-out of each process and job, and who turns or reports it just now; see maps.bpf.h. */
BPF_F_TABLE("hash", struct subject_key, struct subject, subjects, MAX_SUBJECTS + MAX_JOBS,
	    NO_PREALLOC);
BPF_PERCPU_ARRAY(new_subject, struct subject, 1);
BPF_TABLE("hash", struct subject_key, u8, claims, MAX_CLAIMS);

/*
 * TCP attempts under way, by socket; see socket_maps.bpf.h.
 * Deleted by: the outcome; a further connect, or the release, of a socket without one.
 */
BPF_TABLE("hash", u64, struct pending, attempts, MAX_PENDING);

/*
 * The socket that a thread is connecting.
 * Inserted by: connect. Deleted by: the return of the system call. LRU, because io_uring connects
 * without one. Evicted: a connect without route is settled when its socket is released.
 */
BPF_TABLE("lru_hash", u32, u64, connecting, MAX_CONNECTING);

/*
 * A failed connect closes its socket and reports an error, in an order that differs between
 * kernels: the half that came first waits here for the other.
 * Inserted and deleted by: the two halves. LRU, because an error of an established connection has
 * no other half. Evicted: the attempt counts as aborted once its socket is released.
 */
BPF_TABLE("lru_hash", struct flow, struct failure, failures, MAX_FAILURES);

/* The windows are a large program and bcc has no function calls: all that counts goes through one
 * tail call. The work lies per CPU, where programs on tracepoints do not nest. */
BPF_PERCPU_ARRAY(works, struct work, 1);
BPF_PROG_ARRAY(counting, COUNT_NOTHING);

static __always_inline void count_many(u32 counter, u64 number)
{
	u64 *value = counters.lookup(&counter);

	/* A softirq may interrupt the program that runs on this CPU. */
	if (value)
		__sync_fetch_and_add(value, number);
}

static __always_inline void count(u32 counter)
{
	count_many(counter, 1);
}
