/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * What becomes of a process's fan-out when it ends or executes another program.
 *
 * A process that ends, and was not reported itself, leaves its counts to its parent if that is part
 * of the same job: so a loop that makes a process for each probe is seen as what its shell does. The
 * job has them already, and whoever is reported takes them back from it.
 */
#ifndef PROCWIRE_HEIR_BPF_H
#define PROCWIRE_HEIR_BPF_H

#include "count.bpf.h"

/* The process to which the current one's counts fall: its parent in the same job, which has not ended
 * just now. NULL: none. */
static __always_inline struct task_struct *heir_of(struct task_struct *task)
{
	struct task_struct *parent = BPF_CORE_READ(task, group_leader, real_parent);
	struct job job, of_parent;

	if (BPF_CORE_READ(parent, tgid) <= 1 || !BPF_CORE_READ(parent, signal, live.counter))
		return NULL;
	job_of(&job, task);
	job_of(&of_parent, parent);
	return is_same_job(&job, &of_parent) ? parent : NULL;
}

/* The parent's subject, to which the counts of a slot fall. NULL: no room. */
SUBPROGRAM struct subject *inheriting(struct subject_key *key, struct task_struct *parent,
				      const struct job *job)
{
	struct subject *heir;
	struct owner owner;

	describe(&owner, parent);
	key->pid = owner.process.pid;
	heir = subject_of(key, &owner);
	if (heir && !heir->job.kind)
		heir->job = *job;
	return heir;
}

static __always_inline void bequeath(const struct subject_key *key, const struct subject *subject,
				     __u64 now)
{
	struct task_struct *parent = heir_of((struct task_struct *)bpf_get_current_task());
	struct subject_key heir_key = { .slot = key->slot };
	struct subject *heir;

	if (!subject->state.totals.attempts)
		return;
	share_counts(key, now);
	if (!parent)
		return;
	heir = inheriting(&heir_key, parent, &subject->job);
	if (!heir) {
		count_many(LOST_HEIR_MAP_FULL, subject->state.totals.attempts);
		return;
	}
	turn(&heir_key, heir, now);
	if (heir->skipped) {
		count(SKIPPED_PROGRAM);
		return;
	}
	if (heir->is_told) {
		withdraw_subject(whose_is(key), now);
	} else {
		add_totals(&heir->from, &subject->from);
		add_totals(&heir->shared, &subject->shared);
		heir->is_part |= subject->is_part;
	}
	fanout_inherit(&heir->state, &subject->state, now);
	look(&heir_key, heir, now);
	is_alone(&heir_key, heir, now);
}

/* Of the current process. Sends what a subject ends with, if anything of it was reported before, or
 * else leaves it to the parent; and forgets it. */
GLOBAL_SUBPROGRAM int end_subject(__u32 pid, __u32 slot, __u64 now)
{
	struct subject_key key = { .pid = pid, .slot = slot };
	struct subject *subject = bpf_map_lookup_elem(&subjects, &key);

	if (!subject)
		return 0;
	turn(&key, subject, now);
	if (fanout_was_told(&subject->state))
		tell_totals(subject, slot, now);
	else
		bequeath(&key, subject, now);
	bpf_map_delete_elem(&subjects, &key);
	return 0;
}

static __always_inline void end_subjects(__u32 pid, __u64 now)
{
	struct slots *slots = bpf_map_lookup_elem(&subject_slots, &pid);

	if (!slots)
		return;
	for (__u32 slot = 0; slot < SLOTS; slot++)
		if (slots->used[slot])
			end_subject(pid, slot, now);
	bpf_map_delete_elem(&subject_slots, &pid);
}

/* Of a process that had this number before: what left its socket after its end, or what could not be
 * deleted then, as whoever waits too long for a map's lock (Linux 6.15) cannot. */
static __always_inline void forget_subjects(__u32 pid)
{
	struct slots *slots = bpf_map_lookup_elem(&subject_slots, &pid);
	struct subject_key key = { .pid = pid };

	if (!slots)
		return;
	for (__u32 slot = 0; slot < SLOTS; slot++) {
		key.slot = slot;
		if (slots->used[slot])
			bpf_map_delete_elem(&subjects, &key);
	}
	bpf_map_delete_elem(&subject_slots, &pid);
}

/* At an exec of the current process. A program that executes itself goes on with what it has counted;
 * what another program did before is ended. */
static __always_inline void succeed_subjects(__u32 pid, __u64 now)
{
	struct slots *slots = bpf_map_lookup_elem(&subject_slots, &pid);
	struct subject_key key = { .pid = pid };
	struct owner successor;

	if (!slots)
		return;
	describe_current(&successor);
	for (__u32 slot = 0; slot < SLOTS; slot++) {
		struct subject *subject;

		key.slot = slot;
		subject = slots->used[slot] ? bpf_map_lookup_elem(&subjects, &key) : NULL;
		if (!subject)
			continue;
		if (!is_same_program(&subject->owner, &successor)) {
			end_subjects(pid, now);
			return;
		}
		subject->owner = successor;
	}
}

#endif
