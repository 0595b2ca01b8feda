/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * Who did something, as both kinds of programs keep it: those for libbpf and those for bcc.
 */
#ifndef PROCWIRE_OWNER_H
#define PROCWIRE_OWNER_H

#include "compiler.h"
#include "event.h"

/* /proc/PID/stat gives start times in ticks of 10 ms, rounded down; keys follow, so that both
 * sources name a process alike. */
#define CLOCK_TICK_NS 10000000

/* What only the process's own context can tell. */
struct owner {
	struct process_key process;
	__u32 uid;
	__u32 net_namespace;
	char comm[COMM_SIZE];
};

/* An end by the headers of a packet: zero for what they do not have. */
struct packet_end {
	__u64 hi;
	__u64 lo;
	__u32 port;
	__u32 protocol;
};

/* Who sends through a socket. told: the end that the last flow event named, mixed into one number; 0
 * for none. */
struct sending_socket {
	struct owner owner;
	__u64 told;
};

static __always_inline int is_same_process(const struct process_key *one,
					   const struct process_key *other)
{
	return one->pid == other->pid && one->exec_count == other->exec_count &&
	       one->started_ns == other->started_ns;
}

/* As two words each; the compiler would call a memcmp that BPF does not have. */
static __always_inline int is_same_name(const char *one, const char *other)
{
	const __u64 *words = (const __u64 *)one;
	const __u64 *other_words = (const __u64 *)other;

	return words[0] == other_words[0] && words[1] == other_words[1];
}

static __always_inline int is_same_program(const struct owner *one, const struct owner *other)
{
	return is_same_name(one->comm, other->comm);
}

/* What a process belongs to beside its parent; kind: enum fanout_subject. */
struct job {
	__u64 number;
	__u64 kind;
};

#endif
