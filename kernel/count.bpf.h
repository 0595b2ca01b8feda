/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * Attempts and outcomes enter the windows of their process, and of its job.
 */
#ifndef PROCWIRE_COUNT_BPF_H
#define PROCWIRE_COUNT_BPF_H

#include "job.bpf.h"

/* Counts an attempt; returns whether more may be told of it. NULL: no room. */
static __always_inline int count_attempt(const struct subject_key *key, struct subject *subject,
					 const struct fanout_target *target, __u64 now)
{
	int is_new;

	if (!subject) {
		count(LOST_PROCESS_MAP_FULL);
		return 1;
	}
	turn(key, subject, now);
	if (subject->skipped) {
		count(SKIPPED_PROGRAM);
		return 0;
	}
	is_new = fanout_attempt(&subject->state, target, now);
	look(key, subject, now);
	share_attempt(key, subject, target, is_new, now);
	return 1;
}

/* Whether an attempt may be sent as an event of its own. */
static __always_inline int is_detailed(struct subject *subject)
{
	if (!subject || fanout_detail(&subject->state, settings.detail_limit))
		return 1;
	count(SKIPPED_CONNECTION_DETAIL);
	return 0;
}

/* A process that is gone by now has no counts left to add to. */
static __always_inline void count_outcome(const struct process_key *process, __u32 slot,
					  __u32 outcome)
{
	struct subject_key key = { .pid = process->pid, .slot = slot };
	struct subject *subject = bpf_map_lookup_elem(&subjects, &key);
	__u64 now;

	if (!subject || subject->skipped || !is_same_process(&subject->owner.process, process))
		return;
	now = time_of(subject);
	turn(&key, subject, now);
	fanout_outcome(&subject->state, outcome);
	look(&key, subject, now);
	share_outcome(&key, subject, now);
}

#endif
