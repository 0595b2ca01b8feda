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

static __always_inline int is_same_process(const struct process_key *one,
					   const struct process_key *other)
{
	return one->pid == other->pid && one->exec_count == other->exec_count &&
	       one->started_ns == other->started_ns;
}

/* As two words each; the compiler would call a memcmp that BPF does not have. */
static __always_inline int is_same_program(const struct owner *one, const struct owner *other)
{
	const __u64 *name = (const __u64 *)one->comm;
	const __u64 *other_name = (const __u64 *)other->comm;

	return name[0] == other_name[0] && name[1] == other_name[1];
}

#endif
