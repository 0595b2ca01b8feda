/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * A process or a job whose attempts are counted, as both kinds of programs keep it: those for libbpf and
 * those for bcc. Here is what touches no map.
 */
#ifndef PROCWIRE_SUBJECT_H
#define PROCWIRE_SUBJECT_H

#include "owner.h"
#include "window_count.h"
#include "window_report.h"

#define MAX_JOBS 2048
/* At how many places a job may lie. */
#define JOB_TRIES 8

/* What is counted apart of one process: its connects, its datagrams, and by kind (enum
 * attempt_kind) what it sends through raw sockets. */
#define SLOT_CONNECT 0
#define SLOT_DATAGRAM 1
#define SLOT_RAW 2
#define SLOTS (SLOT_RAW + ATTEMPT_KINDS)
/* That of all jobs' subjects, whose pid is a place of MAX_JOBS. */
#define SLOT_JOB SLOTS

/* Of a program in a job, as many as its event has room for. */
#define MOST_ATTEMPTS 0xffffffffULL

/* A pid is enough while its process lives: entries go with the process's last thread. */
struct subject_key {
	__u32 pid;
	__u32 slot;
};

/* now_ns was the time when the tick began to be this one, of a job the time of its last attempt;
 * slot: what is counted; skipped: what the process tries is not counted, because of what it runs.
 * Of a process, job is that to which it adds what it counts, as long as it is not told of itself:
 * it did so last at shared_ns; is_part: the job has something of it, which is what was counted
 * between the totals `from` and `shared`. Of a job, owner is the last process of its leading program.
 * crossing: what is told just now, for who holds the claim; the stack is too short for it. */
struct subject {
	struct owner owner;
	struct job job;
	__u64 tick;
	__u64 now_ns;
	__u64 shared_ns;
	__u32 slot;
	__u32 skipped;
	__u32 is_told;
	__u32 is_part;
	struct fanout_totals from;
	struct fanout_totals shared;
	struct job_program program[JOB_PROGRAMS];
	struct fanout_crossing crossing;
	struct fanout_state state;
};

static __always_inline __u32 kind_of(__u32 slot)
{
	if (slot >= SLOT_RAW)
		return slot - SLOT_RAW;
	return slot == SLOT_DATAGRAM ? ATTEMPT_DATAGRAM : ATTEMPT_CONNECT;
}

static __always_inline __u32 origin_of(__u32 slot)
{
	if (slot >= SLOT_RAW)
		return ORIGIN_RAW;
	return slot == SLOT_DATAGRAM ? ORIGIN_SENDMSG : ORIGIN_CONNECT;
}

/* Nothing tells when a job ends: its totals are those of each longest window in which it was told of. */
static __always_inline int is_over(const struct subject *job,
				   const volatile struct fanout_settings *settings, __u64 now)
{
	return now - fanout_reported(&job->state, FANOUT_WINDOWS - 1)->start_ns >=
	       settings->window_ns[FANOUT_WINDOWS - 1];
}

static __always_inline int is_same_job(const struct job *one, const struct job *other)
{
	return one->number == other->number && one->kind == other->kind;
}

static __always_inline int is_job_of(const struct subject *job, const struct subject *subject)
{
	return is_same_job(&job->job, &subject->job) && job->slot == subject->slot;
}

/* Who comes with an older time than the last one, as time is not read for each attempt, finds it
 * alive. */
static __always_inline int is_quiet(const struct subject *subject,
				    const volatile struct fanout_settings *settings, __u64 now)
{
	return now > subject->now_ns &&
	       now - subject->now_ns > settings->window_ns[FANOUT_WINDOWS - 1];
}

/* Where a job lies, modulo the number of places. */
static __always_inline __u64 name_of_job(const struct subject *subject)
{
	return mix64(subject->job.number ^ subject->job.kind << 62 ^ (__u64)subject->slot << 56);
}

/* Enters attempts under the program that made them. Where there are more programs than places, the one
 * with the fewest attempts is forgotten. */
SUBPROGRAM int enter_program(struct subject *job, const struct subject *subject, __u64 attempts)
{
	struct job_program *place = &job->program[0];
	int is_leading = 1;
	int is_known = 0;

	FIXED_ROUNDS
	for (int i = 0; i < JOB_PROGRAMS; i++) {
		struct job_program *program = &job->program[i];

		if (is_known)
			break;
		is_known = program->processes && is_same_name(program->comm, subject->owner.comm);
		if (is_known || program->attempts < place->attempts)
			place = program;
	}
	if (!is_known) {
		__builtin_memcpy(place->comm, subject->owner.comm, sizeof(place->comm));
		place->processes = 0;
		place->attempts = 0;
	}
	place->process = subject->owner.process;
	if (!subject->is_part || !place->processes)
		place->processes++;
	/* A job lasts as long as it tries, and its leader is known by these. */
	place->attempts = lesser(place->attempts + attempts, MOST_ATTEMPTS);
	FIXED_ROUNDS
	for (int i = 0; i < JOB_PROGRAMS; i++)
		is_leading &= job->program[i].attempts <= place->attempts;
	if (is_leading || !job->owner.process.pid)
		job->owner = subject->owner;
	return 0;
}

/* A process takes its attempts with it. */
static __always_inline void leave_program(struct subject *job, const struct subject *subject,
					  __u64 attempts)
{
	FIXED_ROUNDS
	for (int i = 0; i < JOB_PROGRAMS; i++) {
		struct job_program *program = &job->program[i];

		if (!program->processes || !is_same_name(program->comm, subject->owner.comm))
			continue;
		program->attempts -= lesser(attempts, program->attempts);
		program->processes--;
	}
	/* Whoever leads now says so with its next attempt. */
	if (is_same_name(job->owner.comm, subject->owner.comm))
		job->owner.process.pid = 0;
}

#endif
