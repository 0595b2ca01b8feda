/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * The event ABI: what the sensor programs put into the ring buffer and the fan-out map, and what
 * user space reads. The only definition of it: cffi parses this file, NumPy dtypes and the object's
 * BTF are derived and compared with it.
 *
 * Written in the intersection of C, BPF and cffi: fixed-width integers, fixed arrays, enums,
 * integer #defines, explicit padding, largest field first. No attribute, union, bitfield, pointer
 * or 128-bit integer.
 *
 * Byte order: every integer, ports included, is in host order. Addresses are 16 bytes as on the
 * wire, IPv4 mapped (::ffff:a.b.c.d). Times are nanoseconds of CLOCK_BOOTTIME. Strings end in NUL
 * unless they fill their array.
 */
#ifndef PROCWIRE_EVENT_H
#define PROCWIRE_EVENT_H

#ifndef PROCWIRE_KERNEL_TYPES
#include <linux/types.h>
#endif

#include "counter.h"

#define EVENT_ABI_VERSION 7

#define ADDRESS_SIZE 16
#define COMM_SIZE 16
#define EXE_SIZE 256
#define ARGV_SIZE 4096
#define SAMPLE_TARGETS 8
#define FANOUT_WINDOWS 3
#define JOB_PROGRAMS 4

enum event_kind {
	EVENT_EXEC = 1,
	EVENT_FORK = 2,
	EVENT_EXIT = 3,
	EVENT_SOCKET = 4,
	EVENT_CONNECTION = 5,
	EVENT_FANOUT = 6,
	EVENT_FLOW = 7,
};

/* How user space learned of an attempt to reach a peer. The kernel writes the first three. */
enum connection_origin {
	ORIGIN_CONNECT = 1,
	ORIGIN_SENDMSG = 2,
	ORIGIN_RAW = 3,
	ORIGIN_WIRE = 4,
	ORIGIN_IMPORT = 5,
};

enum connection_outcome {
	OUTCOME_PENDING = 0,
	OUTCOME_ESTABLISHED = 1,
	OUTCOME_REFUSED = 2,
	OUTCOME_TIMED_OUT = 3,
	OUTCOME_UNREACHABLE = 4,
	OUTCOME_DENIED = 5,
	OUTCOME_SENT = 6,
	OUTCOME_ABORTED = 7,
};

/* What a process was seen to hold. CONNECTS: one flow, from its end to the peer's; SENDS: whatever
 * leaves from and comes to its end; LISTENS: connections that its end accepts, which another process
 * may have been handed; ENDS: it sends or listens no more; WRITES: packets that name the end as their
 * source, headers and all, so that it may be another host's. */
enum flow_role {
	FLOW_CONNECTS = 1,
	FLOW_SENDS = 2,
	FLOW_LISTENS = 3,
	FLOW_ENDS = 4,
	FLOW_WRITES = 5,
};

/* What an attempt is made with. Kinds are counted apart, and so are packets of raw sockets: nothing
 * tells how these are answered. NULL to ACK: a TCP segment without SYN, by its flags (XMAS: FIN,
 * PSH and URG; MAIMON: FIN and ACK); NEIGHBOUR: an ARP request or a neighbour solicitation. */
enum attempt_kind {
	ATTEMPT_CONNECT = 0,
	ATTEMPT_NULL = 1,
	ATTEMPT_FIN = 2,
	ATTEMPT_XMAS = 3,
	ATTEMPT_MAIMON = 4,
	ATTEMPT_ACK = 5,
	ATTEMPT_DATAGRAM = 6,
	ATTEMPT_ECHO = 7,
	ATTEMPT_NEIGHBOUR = 8,
};

#define ATTEMPT_KINDS 9

/* The measure whose threshold a fan-out window crossed. */
enum fanout_measure {
	MEASURE_HOSTS = 1,
	MEASURE_HOST_PORTS = 2,
	MEASURE_FAILURES = 3,
	MEASURE_SEQUENTIAL_RUN = 4,
};

/* Whose attempts a fan-out tells: a process's, or those of a job, of whose processes each stays below
 * the thresholds. A cgroup is the job of what runs in a container or a service, a session of the
 * rest. */
enum fanout_subject {
	SUBJECT_PROCESS = 0,
	SUBJECT_SESSION = 1,
	SUBJECT_CGROUP = 2,
};

#define EVENT_FLAG_ARGV_TRUNCATED 1
#define EVENT_FLAG_ARGV_UNREADABLE 2
#define EVENT_FLAG_EXE_TRUNCATED 4
#define EVENT_FLAG_UNSEEN_PACKETS 8
#define EVENT_FLAG_ANY_ADDRESS 16
#define EVENT_FLAG_OLDER 32

/* A program's execution. exec_count is the kernel's self_exec_id: it rises at every exec, and fork
 * inherits it. With the boot id, which user space adds, the key is unique for the machine's life.
 * All zero: unknown. */
struct process_key {
	__u64 started_ns;
	__u32 pid;
	__u32 exec_count;
};

/* EVENT_EXEC, EVENT_FORK and EVENT_EXIT. Only argv_size bytes of argv are sent and valid; a fork
 * has none, its child inherits exe and argv. argv is the NUL-separated vector as the kernel holds
 * it. */
struct process_event {
	__u64 time_ns;
	__u64 cgroup;
	struct process_key process;
	struct process_key parent;
	__u32 kind;
	__u32 flags;
	__u32 uid;
	__u32 gid;
	__u32 login_uid;
	__u32 session;
	__u32 net_namespace;
	__u32 namespace_pid;
	__u32 exit_code;
	__u32 argv_size;
	char comm[COMM_SIZE];
	char exe[EXE_SIZE];
	char argv[ARGV_SIZE];
};

/* EVENT_SOCKET: a socket that can send what connect never sees: SOCK_RAW when it is made, AF_PACKET
 * with its process's first packet. EVENT_FLAG_UNSEEN_PACKETS: what it sends passes no hook, so
 * nobody knows where to (PACKET_QDISC_BYPASS). */
struct socket_event {
	__u64 time_ns;
	struct process_key process;
	__u32 kind;
	__u32 family;
	__u32 type;
	__u32 protocol;
	__u32 uid;
	__u32 net_namespace;
	__u32 flags;
	__u32 padding;
	char comm[COMM_SIZE];
};

/* EVENT_CONNECTION: one attempt, sent when its outcome is known (or at once where none will be: a
 * datagram is sent; if one of a socket with a peer comes back refused, a second event says so).
 * time_ns is the attempt's, duration_ns leads to the outcome; error is the socket's errno, 0 where
 * the kernel gave none; family is 4 or 6, after unmapping. */
struct connection_event {
	__u64 time_ns;
	__u64 duration_ns;
	struct process_key process;
	__u32 kind;
	__u32 error;
	__u32 uid;
	__u32 net_namespace;
	__u8 source[ADDRESS_SIZE];
	__u8 destination[ADDRESS_SIZE];
	__u16 source_port;
	__u16 destination_port;
	__u8 protocol;
	__u8 origin;
	__u8 outcome;
	__u8 family;
	char comm[COMM_SIZE];
};

/* EVENT_FLOW: whose the packets are that leave a socket or come to it, sent before the first of them
 * passes any capture. The source is the socket's end, zero for what it does not have; protocol 0 is
 * ARP; ICMP has no ports. EVENT_FLAG_ANY_ADDRESS: the socket has the port on every address of its
 * network namespace; EVENT_FLAG_OLDER: it was open already when the sensor started. socket is a
 * number that no other open one has, but for chance: ENDS ends all that was told with it. */
struct flow_event {
	__u64 time_ns;
	struct process_key process;
	__u32 kind;
	__u32 flags;
	__u32 net_namespace;
	__u8 role;
	__u8 protocol;
	__u16 padding;
	__u8 source[ADDRESS_SIZE];
	__u8 destination[ADDRESS_SIZE];
	__u16 source_port;
	__u16 destination_port;
	__u32 socket;
};

struct target {
	__u8 address[ADDRESS_SIZE];
	__u16 port;
	__u8 protocol;
	__u8 padding[5];
};

/* A program's part in a job: how many processes that ran it made so many of the job's attempts, all in
 * all, and the last of them. */
struct job_program {
	struct process_key process;
	__u32 processes;
	__u32 attempts;
	char comm[COMM_SIZE];
};

/* EVENT_FANOUT: a window of one subject crossed a threshold. The subject is a process; a job (enum
 * fanout_subject, with the number of its session or cgroup), then programs are those with the most
 * attempts and process is the last of the first among them; or, when user space counts packets in the
 * same way, a source address (process is then zero). All attempts of a window are of one kind (enum
 * attempt_kind) and one origin. hosts and host_ports are estimates, see subject.bpf.h for their
 * error; every other count is exact. failures = refused + timed out + unreachable + denied; unrouted:
 * attempts for which there was no route, so that no packet left, which are no failures; what is
 * none of these nor established is still pending. by_children is the part of attempts that children
 * of the process made which ended before they were reported themselves; of the targets of each, the
 * last eight new ones are known. Of a process, job and job_kind name the job that it is part of, where
 * that is known. first_ns is the time of the window's first attempt. sample holds the most recent new
 * targets. measure is enum fanout_measure, or 0 in the last report of a subject, and of a job at the
 * end of each of its longest windows: the figures of that window. */
struct fanout_event {
	__u64 time_ns;
	__u64 window_ns;
	__u64 window_start_ns;
	__u64 first_ns;
	__u64 job;
	struct process_key process;
	__u32 kind;
	__u32 subject;
	__u32 measure;
	__u32 threshold;
	__u32 attempts;
	__u32 established;
	__u32 refused;
	__u32 failures;
	__u32 hosts;
	__u32 host_ports;
	__u32 sequential_run;
	__u32 uid;
	__u32 samples;
	__u32 attempt;
	__u32 origin;
	__u32 by_children;
	__u32 net_namespace;
	__u32 unrouted;
	__u32 job_kind;
	__u32 padding;
	__u8 source[ADDRESS_SIZE];
	char comm[COMM_SIZE];
	struct target first;
	struct target last;
	struct target sample[SAMPLE_TARGETS];
	struct job_program program[JOB_PROGRAMS];
};

/* Settings, written into the programs' read-only data before load. A threshold of 0 is off.
 * probe_targets: hosts, pairs or failures at which windows of the kinds NULL to ACK are looked at.
 * detail_limit: how many connection events one process may send per longest window; beyond it
 * connections are only counted. skip_programs: how many executables the sensor holds open whose
 * processes are not counted; skip_children: nor are those of other programs that they start.
 * flows: whether flow events are sent; only packets need them. hash_seed: a number that nobody
 * guesses, so that nobody chooses targets whose hashes a sketch takes for one. */
struct fanout_settings {
	__u64 window_ns[FANOUT_WINDOWS];
	__u64 hash_seed;
	__u32 hosts;
	__u32 host_ports;
	__u32 failures;
	__u32 sequential_run;
	__u32 probe_targets;
	__u32 detail_limit;
	__u32 skip_programs;
	__u32 skip_children;
	__u32 flows;
	__u32 padding;
};

#endif
