/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * The fan-out of a job: what processes tried that ended without being told of and had no parent in
 * their job to leave it to, such as a worm whose every process starts the next one and ends, or the
 * commands that a container is given from outside.
 *
 * Nothing tells when a job ends, so its subject lies at a place that its name hashes to, or one of the
 * next few, and a job that was quiet for the longest window makes room.
 */
#ifndef PROCWIRE_JOB_BPF_H
#define PROCWIRE_JOB_BPF_H

#include "subject.bpf.h"

#define JOB_TRIES 4

static __always_inline struct cgroup *cgroup_of(struct task_struct *task)
{
	return BPF_CORE_READ(task, cgroups, dfl_cgrp);
}

/* Its cgroup if that is not the root, which a container or a service has to itself, or else its
 * session. */
static __always_inline void job_of(struct job *job, struct task_struct *task)
{
	struct cgroup *group = cgroup_of(task);

	if (BPF_CORE_READ(group, level) > 0) {
		job->kind = SUBJECT_CGROUP;
		job->number = BPF_CORE_READ(group, kn, id);
	} else {
		job->kind = SUBJECT_SESSION;
		job->number = BPF_CORE_READ(task, signal, pids[PIDTYPE_SID], numbers[0].nr);
	}
}

static __always_inline int is_job(const struct subject *subject, const struct job *job)
{
	return subject->job.number == job->number && subject->job.kind == job->kind;
}

static __always_inline int is_quiet(const struct subject *subject, __u64 now)
{
	return now - subject->now_ns > settings.window_ns[FANOUT_WINDOWS - 1];
}

/* The job's subject at this place, made if the place is free. NULL: it is another's. */
SUBPROGRAM struct subject *job_at(const struct subject_key *key, const struct job *job, __u64 now)
{
	__u32 zero = 0;
	struct new_subject *fresh = bpf_map_lookup_elem(&new_subject, &zero);
	struct subject *subject = bpf_map_lookup_elem(&subjects, key);
	int is_left = subject && subject->job.kind && !is_job(subject, job) && is_quiet(subject, now);

	if (!fresh)
		return NULL;
	if (is_left && claim(key)) {
		bpf_map_delete_elem(&subjects, key);
		release(key);
	}
	/* Another process may be first; then its entry is the one. */
	if (!subject || is_left)
		bpf_map_update_elem(&subjects, key, fresh, BPF_NOEXIST);
	subject = bpf_map_lookup_elem(&subjects, key);
	if (!subject)
		return NULL;
	if (!subject->job.kind) {
		subject->state.kind = kind_of(key->slot);
		subject->job = *job;
	}
	if (!is_job(subject, job))
		return NULL;
	subject->now_ns = now;
	return subject;
}

/* Finds the job's subject, or makes one, and its key. NULL: no room. */
static __always_inline struct subject *subject_of_job(struct subject_key *key,
						      const struct job *job, __u64 now)
{
	__u64 name = mix64(job->number ^ job->kind << 62 ^ (__u64)key->slot << 56);
	struct subject *subject = NULL;

	key->slot += SLOT_JOB;
	for (__u32 try = 0; try < JOB_TRIES && !subject; try++) {
		key->pid = (name + try) % MAX_JOBS;
		subject = job_at(key, job, now);
	}
	return subject;
}

/* Enters what a process leaves under the program that it ran. Where there are more programs than
 * places, the one with the fewest attempts is forgotten. */
SUBPROGRAM int enter_program(struct subject *job, const struct subject *left)
{
	__u64 attempts = left->state.totals.attempts;
	struct job_program *place = &job->program[0];
	int is_leading = 1;
	int is_known = 0;

	UNROLLED
	for (int i = 0; i < JOB_PROGRAMS; i++) {
		struct job_program *program = &job->program[i];

		if (is_known)
			break;
		is_known = program->processes && is_same_name(program->comm, left->owner.comm);
		if (is_known || program->attempts < place->attempts)
			place = program;
	}
	if (!is_known) {
		__builtin_memcpy(place->comm, left->owner.comm, sizeof(place->comm));
		place->processes = 0;
		place->attempts = 0;
	}
	place->process = left->owner.process;
	place->processes++;
	place->attempts += attempts;
	UNROLLED
	for (int i = 0; i < JOB_PROGRAMS; i++)
		is_leading &= job->program[i].attempts <= place->attempts;
	if (is_leading)
		job->owner = left->owner;
	return 0;
}

#endif
