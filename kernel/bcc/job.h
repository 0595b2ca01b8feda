/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * The fan-out of a job, as job.bpf.h, whose comments hold.
 */

static __always_inline struct subject *make_job(struct subject_key *key, struct subject *subject,
						struct fanout_settings *known, u64 now,
						u32 *is_full)
{
	struct subject *job = subjects.lookup(key);
	struct subject *fresh;
	u32 zero = 0;

	if (job && job->job.kind && !is_quiet(job, known, now))
		return is_job_of(job, subject) ? job : 0;
	fresh = new_subject.lookup(&zero);
	if (!fresh)
		return 0;
	if (job && job->job.kind && claim(key)) {
		subjects.delete(key);
		release(key);
	}
	/* Another process may be first; then its entry is the one. */
	subjects.insert(key, fresh);
	job = subjects.lookup(key);
	if (!job) {
		*is_full = 1;
		return 0;
	}
	if (!job->job.kind) {
		job->slot = subject->slot;
		job->state.kind = subject->state.kind;
		job->job = subject->job;
	}
	return is_job_of(job, subject) ? job : 0;
}

/* Finds the subject of a process's job, or makes one, turns it, and gives its key. 0: the process has
 * none, or there is no room. */
static __always_inline struct subject *subject_of_job(struct subject_key *key,
						      struct subject *subject,
						      struct fanout_settings *known, u64 now)
{
	u64 name = name_of_job(subject);
	struct subject *job = 0;
	u32 is_full = 0;

	if (!subject->job.kind)
		return 0;
	key->slot = SLOT_JOB;
	FIXED_ROUNDS
	for (u32 try = 0; try < JOB_TRIES && !job; try++) {
		key->pid = (name + try) % MAX_JOBS;
		job = subjects.lookup(key);
		if (job && !is_job_of(job, subject))
			job = 0;
	}
	FIXED_ROUNDS
	for (u32 try = 0; try < JOB_TRIES && !job && !is_full; try++) {
		key->pid = (name + try) % MAX_JOBS;
		job = make_job(key, subject, known, now, &is_full);
	}
	if (!job) {
		if (!subject->is_told)
			count_many(LOST_JOB_MAP_FULL,
				   fanout_share(&subject->from, &subject->state, &subject->shared));
		return 0;
	}
	job->now_ns = now;
	turn(key, job, known, now);
	return job;
}

/* Adds to the job what the process has counted since it last did. */
static __always_inline void share_counts(struct subject *job, struct subject *subject)
{
	u64 more = fanout_share(&job->state.totals, &subject->state, &subject->shared);

	if (more && more < NEVER)
		enter_program(job, subject, more);
	subject->is_part = 1;
}

/* The job gives back what it had of a process that is told of itself. */
static __always_inline void withdraw(struct subject_key *key, struct subject *job,
				     struct subject *subject)
{
	if (!claim(key))
		return;
	fanout_take_back(&job->state, &subject->state, &subject->from, &subject->shared);
	leave_program(job, subject, subject->shared.attempts - subject->from.attempts);
	/* Another thread may share once more, and be told of as well. */
	subject->from = subject->shared;
	subject->is_part = 0;
	release(key);
}

/* What the process has just counted is its job's, too, unless it is told of itself: then the job has
 * nothing of it. target: of an attempt that begins, or 0; is_new: of it. */
static __always_inline void share(struct subject *subject, struct fanout_target *target, int is_new,
				  struct fanout_settings *known, u64 now)
{
	struct subject_key key = {};
	struct subject *job;

	if (subject->is_told ? !subject->is_part : !is_new && now == subject->shared_ns)
		return;
	job = subject_of_job(&key, subject, known, now);
	if (!job)
		return;
	if (subject->is_told) {
		withdraw(&key, job, subject);
		return;
	}
	if (target)
		look(&key, job, known, now);
	subject->shared_ns = now;
	share_counts(job, subject);
	if (is_new)
		fanout_reach(&job->state, target, now);
}

/* Counts an attempt for its process and its job; returns whether more may be told of it. NULL: no
 * room. */
static __always_inline int count_attempt(struct subject_key *key, struct subject *subject,
					 struct fanout_target *target,
					 struct fanout_settings *known, u64 now)
{
	int is_new;

	if (!subject) {
		count(LOST_PROCESS_MAP_FULL);
		return 1;
	}
	turn(key, subject, known, now);
	if (subject->skipped) {
		count(SKIPPED_PROGRAM);
		return 0;
	}
	is_new = fanout_attempt(&subject->state, target, now);
	look(key, subject, known, now);
	share(subject, target, is_new, known, now);
	return 1;
}

/* Whether an attempt may be sent as an event of its own. */
static __always_inline int is_detailed(struct subject *subject, struct fanout_settings *known)
{
	if (!subject || fanout_detail(&subject->state, known->detail_limit))
		return 1;
	count(SKIPPED_CONNECTION_DETAIL);
	return 0;
}
