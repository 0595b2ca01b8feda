/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * Every map, with who inserts, who deletes and what happens when it is full.
 */

#define MAX_SUBJECTS 8192
#define MAX_CLAIMS 1024
#define PENDING_BITS 16
#define MAX_PENDING (1 << PENDING_BITS)
#define MAX_RAW_SOCKETS 4096
#define MAX_PEERS 65536
#define MAX_DATAGRAM_SOCKETS 65536
#define MAX_BOUND_SOCKETS 4096
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
BPF_RINGBUF_OUTPUT(process_ring, 512);
BPF_RINGBUF_OUTPUT(socket_ring, 16);
BPF_RINGBUF_OUTPUT(connection_ring, 128);
BPF_RINGBUF_OUTPUT(fanout_ring, 64);
/* Readers open every ring, even where nobody asks for flows. */
BPF_RINGBUF_OUTPUT(flow_ring, FLOWS ? 1024 : 1);

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
 * TCP attempts under way, and those whose place was taken; see socket_maps.bpf.h.
 * Deleted by: the outcome; a further connect, or the release, of a socket without one.
 */
BPF_ARRAY(pending_connections, struct pending_place, MAX_PENDING);
BPF_TABLE("hash", u64, struct pending, crowded_connections, MAX_PENDING);

static __always_inline struct pending_place *pending_place(u32 place)
{
	return pending_connections.lookup(&place);
}

static __always_inline struct pending *find_crowded(u64 *socket)
{
	return crowded_connections.lookup(socket);
}

static __always_inline long keep_crowded(u64 *socket, const struct pending *pending)
{
	return crowded_connections.insert(socket, (struct pending *)pending);
}

static __always_inline long forget_crowded(u64 *socket)
{
	return crowded_connections.delete(socket);
}

/*
 * The socket that a thread is connecting, at the place that its number has.
 * Taken by: connect. Freed by: the return of the system call. Taken already: the one before is
 * forgotten; a connect without route is then settled when its socket is released.
 */
BPF_ARRAY(connecting, struct connecting, MAX_CONNECTING);

/*
 * A failed connect closes its socket and reports an error, in an order that differs between
 * kernels: the half that came first waits here for the other, at the place that its flow hashes to.
 * Taken and freed by: the two halves. Taken already, as by an error of an established connection, which
 * has no other half: that one is forgotten, and if it waited, counts as aborted once its socket is
 * released.
 */
BPF_ARRAY(failures, struct failure, MAX_FAILURES);

/*
 * Raw IP sockets with their owners, and datagram sockets with a peer, by the socket's cookie.
 * Inserted by: their creation, or user space, for those that are older; connect. Deleted by: their
 * release. Full: their packets name nobody, counted in LOST_SOCKET_MAP_FULL and
 * LOST_CONNECTION_MAP_FULL.
 */
BPF_TABLE("hash", u64, struct sending_socket, raw_sockets, MAX_RAW_SOCKETS);
BPF_F_TABLE("hash", u64, struct pending, peers, MAX_PEERS, NO_PREALLOC);

/*
 * Sockets of datagrams with their owners, by cookie; as in socket_maps.bpf.h.
 */
BPF_F_TABLE("hash", u64, struct datagram_socket, datagram_sockets,
	    FLOWS ? MAX_DATAGRAM_SOCKETS : 1, NO_PREALLOC);

/*
 * TCP sockets that have a port and may listen, by address.
 * Inserted by: bind, or listen. Deleted by: age; LRU. Evicted: the end of one that listens is told as it
 * is released, by its cookie.
 */
BPF_TABLE("lru_hash", u64, struct bound_socket, bound_sockets, FLOWS ? MAX_BOUND_SOCKETS : 1);

/*
 * Flows to a peer that has been sent to, for what comes back.
 * Inserted by: the first packet. Deleted by: the refusal; age. LRU, as most peers do not refuse.
 * Evicted: its refusal is not told.
 */
BPF_TABLE("lru_hash", struct flow, struct pending, asked, MAX_FAILURES);

/* The windows are a large program and bcc has no function calls: all that counts at tracepoints goes
 * through tail calls. The work lies per CPU, where programs on tracepoints do not nest. */
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

static __always_inline struct known_process *current_process(void)
{
	u32 pid = bpf_get_current_pid_tgid() >> 32;

	return processes.lookup(&pid);
}
