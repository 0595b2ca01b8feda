/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * What becomes of a process's fan-out when it ends or executes another program, as heir.bpf.h, whose
 * comments hold.
 */

/* The parent's subject to which what was counted falls, and its key; 0: nobody's, as the parent is not
 * part of the same job, or there is no room. */
static __always_inline struct subject *heir_of(struct subject_key *heir_key,
					       struct subject *subject, struct known_process *process)
{
	struct known_process *parent;
	struct owner owner = {};
	struct subject *heir;

	heir_key->pid = process->parent.pid;
	parent = processes.lookup(&heir_key->pid);
	if (!parent || heir_key->pid <= 1 || !is_same_job(&parent->job, &subject->job))
		return 0;
	owner.process = parent->key;
	owner.uid = subject->owner.uid;
	/* Sockets' names are known, and what a process has that just entered may be its own. */
	owner.net_namespace = parent->network == process->network ? subject->owner.net_namespace :
								    parent->network;
	__builtin_memcpy(owner.comm, parent->comm, sizeof(owner.comm));
	heir = subject_of(heir_key, &owner, CURRENT);
	if (!heir)
		count_many(LOST_HEIR_MAP_FULL, subject->state.totals.attempts);
	return heir;
}

/* What the current process leaves in a slot, which its job has by now, goes to its parent's subject, which
 * has turned. A program of its own, as its targets have one, since the verifier walks through all of that
 * once for each path that leads there, and through each target. */
int on_heir(void *context)
{
	u32 zero = 0;
	struct known_process *process = current_process();
	struct work *work = works.lookup(&zero);
	struct subject_key key = {};
	struct subject_key heir_key = {};
	struct subject *subject, *heir = 0;

	if (!process || !work)
		return 0;
	key.pid = process->key.pid;
	key.slot = heir_key.slot = work->slot;
	subject = subjects.lookup(&key);
	if (subject)
		heir = heir_of(&heir_key, subject, process);
	if (heir && heir->skipped) {
		count(SKIPPED_PROGRAM);
	} else if (heir) {
		if (!heir->is_told) {
			add_totals(&heir->from, &subject->from);
			add_totals(&heir->shared, &subject->shared);
			heir->is_part |= subject->is_part;
		}
		fanout_inherit_counts(&heir->state, &subject->state);
		work->target = 0;
		counting.call(context, COUNT_TARGETS);
	}
	subjects.delete(&key);
	work->slot++;
	counting.call(context, COUNT_END);
	return 0;
}

/* With all of it. Once the parent is told of, the job has nothing of it. */
static __always_inline void tell_heir(struct subject_key *key, struct subject *heir,
					 struct subject *subject, struct fanout_settings *known,
					 u64 now)
{
	struct subject_key job_key = {};
	struct subject *job;
	u64 was_told = opaque(heir->is_told);

	look(key, heir, known, now);
	if (!was_told && !(heir->is_told && heir->is_part))
		return;
	job = subject_of_job(&job_key, subject, known, now);
	if (job)
		withdraw(&job_key, job, was_told ? subject : heir);
}

/* Half of the targets a run. */
int on_targets(void *context)
{
	u32 zero = 0;
	u64 now = bpf_ktime_get_boot_ns();
	struct known_process *process = current_process();
	struct fanout_settings *known = settings.lookup(&zero);
	struct work *work = works.lookup(&zero);
	struct subject_key key = {};
	struct subject_key heir_key = {};
	struct subject *subject, *heir;

	if (!process || !work || !known)
		return 0;
	key.pid = process->key.pid;
	heir_key.pid = process->parent.pid;
	key.slot = heir_key.slot = work->slot;
	subject = subjects.lookup(&key);
	heir = subjects.lookup(&heir_key);
	if (subject && heir) {
		fanout_inherit_targets(&heir->state, &subject->state, work->target, now);
		work->target += HALF_OF_SAMPLE;
		if (work->target < SAMPLE_TARGETS && work->target < subject->state.sampled)
			counting.call(context, COUNT_TARGETS);
		tell_heir(&heir_key, heir, subject, known, now);
	}
	subjects.delete(&key);
	work->slot++;
	counting.call(context, COUNT_END);
	return 0;
}

/* Of the process's slots from this one on the first that has a subject; SLOTS: none. */
static __always_inline u32 used_slot(struct known_process *process, u32 from)
{
	u32 found = SLOTS;

	FIXED_ROUNDS
	for (u32 slot = SLOTS; slot > 0; slot--)
		if (slot > from && process->used[slot - 1])
			found = slot - 1;
	return found;
}

/* Ends a slot of the current process. A program that executes itself goes on with what it has counted.
 * Of any other that ends, its totals are sent if anything of it was reported before, or else left to the
 * parent. Returns which program goes on. */
static __always_inline int end_slot(struct subject_key *key, struct known_process *process,
				    struct owner *successor, u64 now)
{
	struct subject *subject = subjects.lookup(key);
	struct subject_key job_key = {}, heir_key = { .slot = key->slot };
	struct fanout_settings *known;
	struct subject *job, *heir;
	u32 zero = 0;

	known = settings.lookup(&zero);
	if (!subject || !known)
		return COUNT_END;
	if (successor->process.pid && is_same_program(&subject->owner, successor)) {
		subject->owner = *successor;
		return COUNT_END;
	}
	turn(key, subject, known, now);
	if (!fanout_was_told(&subject->state) && subject->state.totals.attempts) {
		job = subject_of_job(&job_key, subject, known, now);
		if (job)
			share_counts(job, subject);
		heir = heir_of(&heir_key, subject, process);
		if (heir)
			turn(&heir_key, heir, known, now);
		return COUNT_HEIR;
	}
	if (fanout_final(&subject->state, known, &subject->crossing))
		send_crossing(subject, key->slot, &subject->crossing, now);
	subjects.delete(key);
	return COUNT_END;
}

/* One slot a run, as the verifier would walk through all of them for each path of the first. At an exit
 * the process is forgotten last, since what it leaves goes to its parent. */
int on_end(void *context)
{
	u32 pid = bpf_get_current_pid_tgid() >> 32, zero = 0;
	struct known_process *process = processes.lookup(&pid);
	struct work *work = works.lookup(&zero);
	struct subject_key key = { .pid = pid };
	struct owner successor = {};
	int next;

	if (!process || !work)
		return 0;
	key.slot = used_slot(process, work->slot);
	if (key.slot == SLOTS) {
		if (!process->threads)
			processes.delete(&pid);
		return 0;
	}
	if (process->threads)
		describe_current(&successor);
	next = end_slot(&key, process, &successor, bpf_ktime_get_boot_ns());
	work->slot = next == COUNT_HEIR ? key.slot : key.slot + 1;
	counting.call(context, next);
	return 0;
}
