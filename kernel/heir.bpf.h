/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * What becomes of a process's fan-out when it ends or executes another program.
 *
 * A process that ends, and was not reported itself, leaves its counts to its parent if that is part
 * of the same job: so a loop that makes a process for each probe is seen as what its shell does. If it
 * has no such parent, or none any more, they fall to the job.
 */
#ifndef PROCWIRE_HEIR_BPF_H
#define PROCWIRE_HEIR_BPF_H

#include "job.bpf.h"

/* Whether a process and its parent belong to one job: a session, or else a cgroup that is not the
 * root. */
static __always_inline int is_one_job(struct task_struct *task, struct task_struct *parent)
{
	struct cgroup *group = cgroup_of(task);

	if (BPF_CORE_READ(parent, signal, pids[PIDTYPE_SID]) ==
	    BPF_CORE_READ(task, signal, pids[PIDTYPE_SID]))
		return 1;
	return cgroup_of(parent) == group && BPF_CORE_READ(group, level) > 0;
}

/* The process to which the current one's counts fall: its parent in the same job, which has not ended
 * just now. NULL: none. */
static __always_inline struct task_struct *heir_of(struct task_struct *task)
{
	struct task_struct *parent = BPF_CORE_READ(task, group_leader, real_parent);

	if (BPF_CORE_READ(parent, tgid) <= 1 || !BPF_CORE_READ(parent, signal, live.counter) ||
	    !is_one_job(task, parent))
		return NULL;
	return parent;
}

/* The subject to which the current process's counts of a slot fall, with its key. NULL: no room. */
SUBPROGRAM struct subject *inheriting(struct subject_key *key, const struct subject *left, __u64 now)
{
	struct task_struct *task = (struct task_struct *)bpf_get_current_task();
	struct task_struct *parent = heir_of(task);
	struct subject *heir;
	struct owner owner;
	struct job job;

	if (parent) {
		describe(&owner, parent);
		key->pid = owner.process.pid;
		return subject_of(key, &owner);
	}
	job_of(&job, task);
	heir = subject_of_job(key, &job, now);
	if (heir)
		enter_program(heir, left);
	return heir;
}

static __always_inline void bequeath(const struct subject *subject, __u32 slot, __u64 now)
{
	struct subject_key key = { .slot = slot };
	struct subject *heir;

	if (!subject->state.totals.attempts)
		return;
	heir = inheriting(&key, subject, now);
	if (!heir) {
		count(LOST_PROCESS_MAP_FULL);
		return;
	}
	turn(&key, heir, now);
	if (heir->skipped) {
		count(SKIPPED_PROGRAM);
		return;
	}
	fanout_inherit(&heir->state, &subject->state, now);
	look(&key, heir, now);
}

/* Of the current process. Sends what a subject ends with, if anything of it was reported before, or
 * else leaves it to the parent; and forgets it. */
GLOBAL_SUBPROGRAM int end_subject(__u32 pid, __u32 slot, __u64 now)
{
	struct subject_key key = { .pid = pid, .slot = slot };
	struct subject *subject = bpf_map_lookup_elem(&subjects, &key);
	struct fanout_crossing crossing;

	if (!subject)
		return 0;
	turn(&key, subject, now);
	if (!fanout_was_told(&subject->state))
		bequeath(subject, slot, now);
	else if (fanout_final(&subject->state, &settings, &crossing))
		send_crossing(subject, slot, &crossing, now);
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
