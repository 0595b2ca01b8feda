/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * Fan-out per process, counted where the connects happen, so that a scan of a million targets costs
 * user space a handful of events. The arithmetic is window.h; here are the map, the lock and the
 * event.
 *
 * Error: hosts and host_ports have a standard error of 1.04 / sqrt(512) = 4.6 %; below about 100
 * distinct values linear counting is off by one or two. All other figures are exact. Memory: 7 KB
 * for each process that connects, at most MAX_SUBJECTS of them.
 */
#ifndef PROCWIRE_FANOUT_BPF_H
#define PROCWIRE_FANOUT_BPF_H

#include "maps.bpf.h"

static __always_inline struct subject *subject_of(const struct process_key *process)
{
	struct subject *subject = bpf_map_lookup_elem(&subjects, process);
	struct new_subject *fresh;
	__u32 zero = 0;

	if (subject)
		return subject;
	fresh = bpf_map_lookup_elem(&new_subject, &zero);
	if (!fresh)
		return NULL;
	/* Another thread may have been first; then its entry is the one. */
	bpf_map_update_elem(&subjects, process, fresh, BPF_NOEXIST);
	return bpf_map_lookup_elem(&subjects, process);
}

static __always_inline void write_address(__u8 *address, __u64 hi, __u64 lo)
{
	__u64 words[2] = { bpf_cpu_to_be64(hi), bpf_cpu_to_be64(lo) };

	__builtin_memcpy(address, words, sizeof(words));
}

static __always_inline void write_target(struct target *target, const struct fanout_target *from)
{
	__builtin_memset(target, 0, sizeof(*target));
	write_address(target->address, from->hi, from->lo);
	target->port = from->port;
	target->protocol = from->protocol;
}

/* Sends the crossing; where the ring is full, the next attempt may send it. */
static __always_inline void send_crossing(struct subject *subject, const struct pending *pending,
					  const struct fanout_crossing *crossing, __u64 now)
{
	struct fanout_event *event = room(&fanout_ring, sizeof(*event), LOST_FANOUT_RING_FULL);
	struct fanout_state *state = &subject->state;

	if (!event) {
		if (crossing->place < FANOUT_WINDOWS * MEASURES)
			state->next[crossing->place] = crossing->previous_next;
		return;
	}
	event->time_ns = now;
	event->window_ns = crossing->window_ns;
	event->window_start_ns = crossing->window_start_ns;
	event->first_ns = crossing->first_ns;
	event->process = pending->process;
	event->kind = EVENT_FANOUT;
	event->measure = crossing->measure;
	event->threshold = crossing->threshold;
	event->attempts = crossing->attempts;
	event->established = crossing->established;
	event->refused = crossing->refused;
	event->failures = crossing->failures;
	event->hosts = crossing->hosts;
	event->host_ports = crossing->host_ports;
	event->sequential_run = crossing->sequential_run;
	event->uid = pending->uid;
	__builtin_memset(event->source, 0, sizeof(event->source));
	__builtin_memcpy(event->comm, pending->comm, sizeof(event->comm));

	bpf_spin_lock(&subject->lock);
	event->samples = state->sampled < SAMPLE_TARGETS ? state->sampled : SAMPLE_TARGETS;
	write_target(&event->first, &state->first);
	write_target(&event->last, &state->last);
	UNROLLED
	for (int i = 0; i < SAMPLE_TARGETS; i++)
		write_target(&event->sample[i], &state->sample[i]);
	bpf_spin_unlock(&subject->lock);

	bpf_ringbuf_submit(event, 0);
	count(COUNT_FANOUTS);
}

/* Sends what a process ends with, if anything of it was reported before, and forgets it. */
static __always_inline void end_subject(const struct process_key *process, __u32 uid,
					const char *comm, __u64 now)
{
	struct subject *subject = bpf_map_lookup_elem(&subjects, process);
	struct pending last = { .process = *process, .uid = uid };
	struct fanout_crossing crossing;
	int reported;

	if (!subject)
		return;
	bpf_spin_lock(&subject->lock);
	fanout_turn(&subject->state, &settings, now);
	reported = fanout_final(&subject->state, &settings, now, &crossing);
	bpf_spin_unlock(&subject->lock);
	if (reported) {
		__builtin_memcpy(last.comm, comm, sizeof(last.comm));
		send_crossing(subject, &last, &crossing, now);
	}
	bpf_map_delete_elem(&subjects, process);
}

/* Counts a TCP attempt; returns whether the connection may be sent as an event of its own. */
static __always_inline int count_attempt(const struct pending *pending)
{
	struct subject *subject = subject_of(&pending->process);
	struct fanout_places places = fanout_places(&pending->target);
	struct fanout_crossing crossing;
	__u64 now = pending->time_ns;
	int detailed;

	count(COUNT_ATTEMPTS);
	if (!subject) {
		count(LOST_PROCESS_MAP_FULL);
		return 1;
	}
	bpf_spin_lock(&subject->lock);
	fanout_turn(&subject->state, &settings, now);
	fanout_attempt(&subject->state, &pending->target, &places, now);
	fanout_crossed(&subject->state, &settings, now, &crossing);
	detailed = fanout_detail(&subject->state, settings.detail_limit);
	bpf_spin_unlock(&subject->lock);
	if (crossing.measure)
		send_crossing(subject, pending, &crossing, now);
	return detailed;
}

/* As count_attempt, for a protocol whose connect says nothing of a scan. */
static __always_inline int count_detail(const struct pending *pending)
{
	struct subject *subject = subject_of(&pending->process);
	int detailed;

	if (!subject) {
		count(LOST_PROCESS_MAP_FULL);
		return 1;
	}
	bpf_spin_lock(&subject->lock);
	fanout_turn(&subject->state, &settings, pending->time_ns);
	detailed = fanout_detail(&subject->state, settings.detail_limit);
	bpf_spin_unlock(&subject->lock);
	return detailed;
}

/* A process that is gone by now has no counts left to add to. */
static __always_inline void count_outcome(const struct pending *pending, __u32 outcome, __u64 now)
{
	struct subject *subject = bpf_map_lookup_elem(&subjects, &pending->process);
	struct fanout_crossing crossing;

	count(COUNT_OUTCOMES);
	if (!subject)
		return;
	bpf_spin_lock(&subject->lock);
	fanout_turn(&subject->state, &settings, now);
	fanout_outcome(&subject->state, outcome);
	fanout_crossed(&subject->state, &settings, now, &crossing);
	bpf_spin_unlock(&subject->lock);
	if (crossing.measure)
		send_crossing(subject, pending, &crossing, now);
}

#endif
