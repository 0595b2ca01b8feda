/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * What becomes of a process's fan-out when it ends or executes another program, as heir.bpf.h, whose
 * comments hold.
 */

/* Leaves what was counted to the parent, if that is part of the same job. */
static __always_inline void bequeath(struct subject *subject, struct subject_key *key,
				     struct fanout_settings *known, u64 now)
{
	struct known_process *process = processes.lookup(&key->pid);
	struct subject_key heir_key = { .slot = key->slot };
	struct subject_key job_key = {};
	struct known_process *parent;
	struct owner owner = {};
	struct subject *heir, *job;

	if (!process || !subject->state.totals.attempts)
		return;
	job = subject_of_job(&job_key, subject, known, now);
	if (job)
		share_counts(job, subject);
	heir_key.pid = process->parent.pid;
	parent = processes.lookup(&heir_key.pid);
	if (!parent || heir_key.pid <= 1 || !is_same_job(&parent->job, &subject->job))
		return;
	owner.process = parent->key;
	owner.uid = subject->owner.uid;
	__builtin_memcpy(owner.comm, parent->comm, sizeof(owner.comm));
	heir = subject_of(&heir_key, &owner);
	if (!heir) {
		count_many(LOST_HEIR_MAP_FULL, subject->state.totals.attempts);
		return;
	}
	turn(&heir_key, heir, known, now);
	if (!heir->is_told) {
		add_totals(&heir->from, &subject->from);
		add_totals(&heir->shared, &subject->shared);
		heir->is_part |= subject->is_part;
	} else if (job) {
		withdraw(&job_key, job, subject);
	}
	fanout_inherit(&heir->state, &subject->state, now);
	look(&heir_key, heir, known, now);
	if (job && heir->is_told && heir->is_part)
		withdraw(&job_key, job, heir);
}

/* A program that executes itself goes on with what it has counted. Of any other that ends, its
 * totals are sent if anything of it was reported before, or else left to the parent. */
static __always_inline void end_subject(u32 pid, u32 slot, struct owner *successor, u64 now)
{
	struct subject_key key = { .pid = pid, .slot = slot };
	struct subject *subject = subjects.lookup(&key);
	struct fanout_crossing crossing;
	struct fanout_settings *known;
	u32 zero = 0;

	known = settings.lookup(&zero);
	if (!subject || !known)
		return;
	if (successor->process.pid && is_same_program(&subject->owner, successor)) {
		subject->owner = *successor;
		return;
	}
	turn(&key, subject, known, now);
	if (!fanout_was_told(&subject->state))
		bequeath(subject, &key, known, now);
	else if (fanout_final(&subject->state, known, &crossing))
		send_crossing(subject, slot, &crossing, now);
	subjects.delete(&key);
}

/* One slot a run, as the verifier would walk through all of them for each path of the first. At an exit
 * the process is forgotten last, since what it leaves goes to its parent. */
int on_end(void *context)
{
	u32 pid = bpf_get_current_pid_tgid() >> 32, zero = 0;
	u64 now = bpf_ktime_get_boot_ns();
	struct known_process *process = processes.lookup(&pid);
	struct work *work = works.lookup(&zero);
	struct owner successor = {};

	if (!process || !work)
		return 0;
	if (work->slot > SLOT_DATAGRAM) {
		if (!process->threads)
			processes.delete(&pid);
		return 0;
	}
	if (process->threads)
		describe_current(&successor);
	end_subject(pid, work->slot, &successor, now);
	work->slot++;
	counting.call(context, COUNT_END);
	return 0;
}
