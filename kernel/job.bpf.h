/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * The fan-out of a job, a session or a container: what all its processes try together of which each
 * stays below the thresholds, such as many workers of a few hosts each. Once a process is told of
 * itself, its job gives back what it had of it, so that one scan is not told twice.
 *
 * Strategy: buckets of all subjects lie on one grid, and a job has seen whatever its processes have. So
 * a target that is new to no bucket of its process is new to none of the job, and most attempts of a
 * busy process do not come here. Its counts follow as often as time is read for it: exactly as long as
 * it may send events of its own, and then with the clock's tick.
 *
 * A job is looked at before an attempt enters, not after, so that a child that ends with what it tried
 * leaves it to its parent first: the parent's name says more.
 *
 * Nothing tells when a job ends, so its subject lies at a place that its name hashes to, or one of the
 * next few, and a job that was quiet for the longest window makes room.
 */
#ifndef PROCWIRE_JOB_BPF_H
#define PROCWIRE_JOB_BPF_H

#include "subject.bpf.h"

/* Beside the port and protocol of a target: there is one, or there is no attempt. */
#define SHARES_TARGET (1ULL << 63)
#define SHARES_COUNTS (1ULL << 62)

/* The subject of the process's job, made at this place if that is free. NULL: it is another's, or there
 * is no memory, which is_full tells apart. */
SUBPROGRAM struct subject *make_job(const struct subject_key *key, const struct subject *subject,
				    __u64 now, __u32 *is_full)
{
	__u32 zero = 0;
	struct new_subject *fresh;
	struct subject *job = bpf_map_lookup_elem(&subjects, key);

	if (job && job->job.kind && !is_quiet(job, &settings, now))
		return is_job_of(job, subject) ? job : NULL;
	fresh = bpf_map_lookup_elem(&new_subject, &zero);
	if (!fresh)
		return NULL;
	if (job && job->job.kind && claim(key)) {
		bpf_map_delete_elem(&subjects, key);
		release(key);
	}
	/* Another process may be first; then its entry is the one. */
	bpf_map_update_elem(&subjects, key, fresh, BPF_NOEXIST);
	job = bpf_map_lookup_elem(&subjects, key);
	if (!job) {
		*is_full = 1;
		return NULL;
	}
	if (!job->job.kind) {
		job->slot = subject->slot;
		job->state.kind = subject->state.kind;
		job->job = subject->job;
	}
	return is_job_of(job, subject) ? job : NULL;
}

/* Finds the subject of a process's job, or makes one, and its key. NULL: no room. It is looked for at
 * all places before one is taken: that of a job gone quiet may come before its own. */
static __always_inline struct subject *subject_of_job(struct subject_key *key,
						      const struct subject *subject, __u64 now)
{
	__u64 name = name_of_job(subject);
	struct subject *job = NULL;
	__u32 is_full = 0;

	key->slot = SLOT_JOB;
	for (__u32 try = 0; try < JOB_TRIES && !job; try++) {
		key->pid = (name + try) % MAX_JOBS;
		job = bpf_map_lookup_elem(&subjects, key);
		if (job && !is_job_of(job, subject))
			job = NULL;
	}
	for (__u32 try = 0; try < JOB_TRIES && !job && !is_full; try++) {
		key->pid = (name + try) % MAX_JOBS;
		job = make_job(key, subject, now, &is_full);
	}
	if (job)
		job->now_ns = now;
	return job;
}

/* A key as a number: the verifier of 5.10 gives no pointer to a global function. */
union whose {
	__u64 number;
	struct subject_key key;
};

static __always_inline __u64 whose_is(const struct subject_key *key)
{
	union whose whose = { .key = *key };

	return whose.number;
}

/* Adds to the job what the process has counted since it last did, and the target, if there is one. */
GLOBAL_SUBPROGRAM int share_subject(__u64 whose, __u64 hi, __u64 lo, __u64 end, __u64 now)
{
	struct subject_key key = ((union whose){ .number = whose }).key;
	struct subject *subject = bpf_map_lookup_elem(&subjects, &key);
	struct subject_key job_key = {};
	struct subject *job;
	__u64 more;

	if (!subject)
		return 0;
	if (!subject->job.kind && key.pid == current_pid())
		job_of(&subject->job, (struct task_struct *)bpf_get_current_task());
	if (!subject->job.kind)
		return 0;
	job = subject_of_job(&job_key, subject, now);
	if (!job) {
		/* A job that finds room later begins with what comes then. */
		count_many(LOST_JOB_MAP_FULL,
			   fanout_share(&subject->from, &subject->state, &subject->shared));
		return 0;
	}
	turn(&job_key, job, now);
	if (!(end & SHARES_COUNTS))
		look(&job_key, job, now);
	subject->shared_ns = now;
	more = fanout_share(&job->state.totals, &subject->state, &subject->shared);
	if (more && more < NEVER)
		enter_program(job, subject, more);
	subject->is_part = 1;
	if (end & SHARES_TARGET) {
		struct fanout_target target = {
			.hi = hi, .lo = lo, .port = end & 0xffff, .protocol = end >> 16 & 0xff
		};

		fanout_reach(&job->state, &target, now);
	}
	return 0;
}

/* The job gives back what it had of a process that is told of itself. */
GLOBAL_SUBPROGRAM int withdraw_subject(__u64 whose, __u64 now)
{
	struct subject_key key = ((union whose){ .number = whose }).key;
	struct subject *subject = bpf_map_lookup_elem(&subjects, &key);
	struct subject_key job_key = {};
	struct subject *job = subject ? subject_of_job(&job_key, subject, now) : NULL;

	if (!job)
		return 0;
	turn(&job_key, job, now);
	if (!claim(&job_key))
		return 0;
	fanout_take_back(&job->state, &subject->state, &subject->from, &subject->shared);
	leave_program(job, subject, subject->shared.attempts - subject->from.attempts);
	/* Another thread may share once more, and be told of as well. */
	subject->from = subject->shared;
	subject->is_part = 0;
	release(&job_key);
	return 0;
}

/* Whether the process is told of itself; then its job has nothing of it. */
static __always_inline int is_alone(const struct subject_key *key, const struct subject *subject,
				    __u64 now)
{
	if (subject->is_told && subject->is_part)
		withdraw_subject(whose_is(key), now);
	return subject->is_told;
}

static __always_inline void share_attempt(const struct subject_key *key,
					  const struct subject *subject,
					  const struct fanout_target *target, int is_new, __u64 now)
{
	__u64 end = (__u64)target->protocol << 16 | target->port;

	if (is_alone(key, subject, now) || (!is_new && now == subject->shared_ns))
		return;
	share_subject(whose_is(key), target->hi, target->lo, is_new ? end | SHARES_TARGET : 0, now);
}

static __always_inline void share_counts(const struct subject_key *key, __u64 now)
{
	share_subject(whose_is(key), 0, 0, SHARES_COUNTS, now);
}

static __always_inline void share_outcome(const struct subject_key *key,
					  const struct subject *subject, __u64 now)
{
	if (!is_alone(key, subject, now) && now != subject->shared_ns)
		share_counts(key, now);
}

#endif
