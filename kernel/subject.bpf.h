/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * Fan-out per process and job, counted where the attempts happen, so that a scan of a million targets
 * costs user space a handful of events. The arithmetic is window*.h; here are making a subject, the
 * claim and the event.
 *
 * Error: hosts and host_ports have a standard error of 1.04 / sqrt(512) = 4.6 %; below about 100
 * distinct values linear counting is off by one or two. All other figures are exact, but a sequence
 * that several threads step through at once breaks. Memory: 7 KB for each kind of attempts of each
 * process, at most MAX_SUBJECTS of them.
 */
#ifndef PROCWIRE_SUBJECT_BPF_H
#define PROCWIRE_SUBJECT_BPF_H

#include "skip.bpf.h"

/* Whether it is for us to turn or report the subject; otherwise somebody else is about to. */
static __always_inline int claim(const struct subject_key *key)
{
	__u8 held = 1;
	__u8 *left;

	if (bpf_map_update_elem(&claims, key, &held, BPF_NOEXIST) == 0)
		return 1;
	/* One that could not be deleted, which the next attempt will not find. */
	left = bpf_map_lookup_elem(&claims, key);
	if (left && !*left)
		bpf_map_delete_elem(&claims, key);
	return 0;
}

static __always_inline void release(const struct subject_key *key)
{
	__u8 *held;

	if (bpf_map_delete_elem(&claims, key) == 0)
		return;
	held = bpf_map_lookup_elem(&claims, key);
	if (held)
		*held = 0;
}

/* A subject for the owner, which is the current process if NULL. */
SUBPROGRAM struct subject *make_subject(const struct subject_key *key, const struct owner *owner)
{
	struct slots none = {};
	struct slots *slots;
	struct new_subject *fresh;
	struct subject *subject;
	__u32 pid = key->pid;
	__u32 slot = key->slot;
	__u32 zero = 0;

	bpf_map_update_elem(&subject_slots, &pid, &none, BPF_NOEXIST);
	slots = bpf_map_lookup_elem(&subject_slots, &pid);
	fresh = bpf_map_lookup_elem(&new_subject, &zero);
	if (!slots || !fresh || slot >= SLOTS)
		return NULL;
	/* Another thread may have been first; then its entry is the one. */
	bpf_map_update_elem(&subjects, key, fresh, BPF_NOEXIST);
	subject = bpf_map_lookup_elem(&subjects, key);
	if (!subject)
		return NULL;
	slots->used[slot] = 1;
	subject->slot = slot;
	subject->state.kind = kind_of(slot);
	/* Its packet may leave under a foreign current; then the next attempt may tell. */
	if (pid == current_pid())
		job_of(&subject->job, (struct task_struct *)bpf_get_current_task());
	if (owner)
		subject->owner = *owner;
	else
		describe_current(&subject->owner);
	return subject;
}

static __always_inline struct subject *subject_of(const struct subject_key *key,
						  const struct owner *owner)
{
	struct subject *subject = bpf_map_lookup_elem(&subjects, key);

	return subject ? subject : make_subject(key, owner);
}

/* Whose the attempts of a subject are; the current process's, if there is none, or if another thread
 * has made it just now and has not come to its owner's name, which is written last. */
static __always_inline void owner_of(const struct subject *subject, struct owner *owner)
{
	if (subject && subject->owner.comm[0])
		*owner = subject->owner;
	else
		describe_current(owner);
}

/* Sends the crossing; where the ring is full, the next attempt may send it. */
SUBPROGRAM void send_crossing(struct subject *subject, __u32 slot,
			      const struct fanout_crossing *crossing, __u64 now)
{
	struct fanout_event *event = room(&fanout_ring, sizeof(*event), LOST_FANOUT_RING_FULL);
	struct fanout_state *state = &subject->state;

	if (!event) {
		if (crossing->place < FANOUT_WINDOWS * MEASURES)
			state->next[crossing->place] = crossing->previous_next;
		state->look = LOOK_SURELY;
		return;
	}
	event->time_ns = now;
	write_fanout(event, &subject->owner, state, crossing, origin_of(subject->slot));
	event->job = subject->job.number;
	event->job_kind = subject->job.kind;
	event->subject = slot == SLOT_JOB ? subject->job.kind : SUBJECT_PROCESS;
	__builtin_memcpy(event->program, subject->program, sizeof(event->program));
	bpf_ringbuf_submit(event, 0);
	count(COUNT_FANOUTS);
}

/* The last report of a subject, of its longest window, if anything of it was reported before. */
SUBPROGRAM void tell_totals(struct subject *subject, __u32 slot, __u64 now)
{
	if (fanout_final(&subject->state, &settings, &subject->crossing))
		send_crossing(subject, slot, &subject->crossing, now);
}

SUBPROGRAM void tell_crossing(const struct subject_key *key, struct subject *subject, __u64 crossed,
			      __u64 now)
{
	if (!claim(key)) {
		subject->state.look = LOOK_SURELY;
		return;
	}
	fanout_cross(&subject->state, &settings, crossed, &subject->crossing);
	if (subject->crossing.measure)
		send_crossing(subject, key->slot, &subject->crossing, now);
	release(key);
}

/* Both of these are seldom called, and look the subject up again: with numbers alone for arguments
 * the verifier walks them once for a program. */
GLOBAL_SUBPROGRAM int turn_subject(__u32 pid, __u32 slot, __u64 now)
{
	struct subject_key key = { .pid = pid, .slot = slot };
	struct subject *subject = bpf_map_lookup_elem(&subjects, &key);

	if (!subject || !claim(&key))
		return 0;
	if (slot != SLOT_JOB)
		subject->skipped = is_skipped(pid);
	else if (is_over(subject, &settings, now))
		tell_totals(subject, slot, now);
	fanout_turn(&subject->state, &settings, now);
	release(&key);
	return 0;
}

GLOBAL_SUBPROGRAM int report_subject(__u32 pid, __u32 slot, __u64 now)
{
	struct subject_key key = { .pid = pid, .slot = slot };
	struct subject *subject = bpf_map_lookup_elem(&subjects, &key);
	__u64 crossed;
	int is_told;

	if (!subject)
		return 0;
	/* First, so that what rises from here on is looked at again. */
	subject->state.look = LOOK_NOT;
	crossed = fanout_crossed(&subject->state);
	if (crossed)
		tell_crossing(&key, subject, crossed, now);
	is_told = fanout_was_told(&subject->state);
	/* What it tried as long as it was told of itself is not its job's. */
	if (subject->is_told && !is_told)
		subject->from = subject->shared = subject->state.totals;
	subject->is_told = is_told;
	return 0;
}

/* To the clock's tick, which is 10 ms at most and enough for windows: reading the time costs as much
 * as counting. Exact as long as the subject may send events of its own. NULL: exact. */
static __always_inline __u64 time_of(struct subject *subject)
{
	__u64 tick = bpf_jiffies64();

	if (!subject)
		return bpf_ktime_get_boot_ns();
	if (subject->tick != tick || subject->state.details < settings.detail_limit) {
		subject->now_ns = bpf_ktime_get_boot_ns();
		subject->tick = tick;
	}
	return subject->now_ns;
}

/* Before anything is counted: whether a bucket is over. */
static __always_inline void turn(const struct subject_key *key, const struct subject *subject,
				 __u64 now)
{
	if (now >= subject->state.turn_ns)
		turn_subject(key->pid, key->slot, now);
}

/* After something was counted: whether that has to be told. */
static __always_inline void look(const struct subject_key *key, const struct subject *subject,
				 __u64 now)
{
	if (fanout_is_due(&subject->state))
		report_subject(key->pid, key->slot, now);
}

#endif
