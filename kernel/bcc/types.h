/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * What the maps hold, and the part of the work that touches none.
 */

/* bcc has no function calls and compiles for the host first. */
#define SUBPROGRAM static inline __attribute__((always_inline))
#define GLOBAL_SUBPROGRAM SUBPROGRAM
#define UNROLLED _Pragma("clang loop unroll(full)")

#include "subject.h"
#include "write.h"

#define CLONE_PARENT 0x00008000
#define CLONE_THREAD 0x00010000
#define NO_LOGIN_UID 0xffffffff

/* A process, its job as it was seen last, its session, and how many of its threads run. */
struct known_process {
	struct process_key key;
	struct process_key parent;
	struct job job;
	__u32 threads;
	__u32 session;
	char comm[COMM_SIZE];
};

/* The arguments of an exec under way. */
struct arguments {
	__u32 size;
	__u32 flags;
	char text[ARGV_SIZE];
};

/* Room to read them into: the last one that starts inside may end outside. */
struct arguments_scratch {
	struct arguments arguments;
	char overrun[ARGV_SIZE];
};

/* An attempt whose outcome is not known yet. closed: its socket is, and the reason is missing;
 * released: its process gave it up; detailed: its outcome is to be sent. */
struct pending {
	__u64 time_ns;
	struct owner owner;
	struct fanout_target target;
	__u64 source_hi;
	__u64 source_lo;
	__u16 source_port;
	__u8 detailed;
	__u8 syn_sent;
	__u8 released;
	__u8 closed;
	__u16 padding;
};

/* Programs that others end in, by their place in the map; the last place is empty. */
enum counting_program {
	COUNT_ATTEMPT = 0,
	COUNT_OUTCOME = 1,
	COUNT_END = 2,
	COUNT_NOTHING = 3,
};

/* What they are to count. slot: of a process that ends, the next to go; ends: the attempt ends with its
 * beginning. */
struct work {
	__u64 socket;
	__u32 slot;
	__u32 ends;
	__u32 outcome;
	__u32 error;
	struct pending pending;
};

/* What both tracepoints of a failure say of its socket. */
struct flow {
	__u64 hi;
	__u64 lo;
	__u16 source_port;
	__u16 destination_port;
	__u32 padding;
};

/* Half of a failure: the socket that closed, or the error that was reported. */
struct failure {
	__u64 time_ns;
	__u64 socket;
	__u32 error;
	__u32 padding;
};

/* Both halves come from one call chain. */
#define SAME_FAILURE_NS 100000000

static __always_inline __u64 big_endian(const __u8 *bytes)
{
	__u64 value = 0;

	UNROLLED
	for (int i = 0; i < 8; i++)
		value = value << 8 | bytes[i];
	return value;
}

static __always_inline __u64 mapped(const __u8 *bytes)
{
	return IPV4_MAPPED | (__u64)bytes[0] << 24 | (__u64)bytes[1] << 16 | (__u64)bytes[2] << 8 |
	       bytes[3];
}
