/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * What enters a window: attempts with their targets, outcomes, and what a child leaves.
 */
#ifndef PROCWIRE_WINDOW_COUNT_H
#define PROCWIRE_WINDOW_COUNT_H

#include "window.h"

/* The run of targets that each lie one stride on from the one before, whatever the stride: in
 * addresses, as numbers of 128 bits, in ports, or in both. A repeated target is neither a step nor a
 * break. */
static __always_inline void fanout_advance(struct fanout_state *state,
					   const struct fanout_target *target)
{
	const struct fanout_target *last = &state->last;
	__u64 lo = target->lo - last->lo;
	__u64 hi = target->hi - last->hi - (target->lo < last->lo);
	__u32 port = target->port - last->port;

	if (state->run == 0) {
		state->first = *target;
		state->run = 1;
	} else if (lo | hi | port) {
		int goes_on = lo == state->stride_lo && hi == state->stride_hi &&
			      port == state->stride_port;

		state->run = goes_on ? state->run + 1 : 2;
		state->stride_lo = lo;
		state->stride_hi = hi;
		state->stride_port = port;
	} else {
		return;
	}
	state->last = *target;
}

SUBPROGRAM void fanout_raise_hosts(struct fanout_state *state, __u64 hash)
{
	__u32 rank = distinct_rank(hash);

	FIXED_ROUNDS
	for (int b = 0; b < BUCKETS; b++)
		distinct_add(&state->bucket[b].hosts, hash, rank);
}

/* Returns whether the pair is new to the window that is sampled. */
SUBPROGRAM int fanout_raise_pairs(struct fanout_state *state, __u64 hash)
{
	__u32 rank = distinct_rank(hash);
	__u64 raised[BUCKETS];

	FIXED_ROUNDS
	for (int b = 0; b < BUCKETS; b++)
		raised[b] = distinct_add(&state->bucket[b].host_ports, hash, rank);
	return state->older[SAMPLE_WINDOW] ? raised[2 * SAMPLE_WINDOW + 1] :
					     raised[2 * SAMPLE_WINDOW];
}

/* Enters the target of an attempt that is counted already; returns whether it is new to the youngest
 * bucket. A state that has not turned yet has no place for it. */
static __always_inline int fanout_reach(struct fanout_state *state,
					 const struct fanout_target *target, __u64 now)
{
	__u64 host = mix64(mix64(target->hi + state->hash_seed) ^ target->lo);
	__u64 pair = mix64(host ^ (target->port + GOLDEN_RATIO));
	__u32 youngest = state->youngest;
	struct fanout_bucket *bucket;
	int is_new_host, is_new_pair, is_sampled;

	if (state->turn_ns == 0 || youngest >= BUCKETS)
		return 0;
	bucket = &state->bucket[youngest];
	VISIBLE(bucket);
	fanout_advance(state, target);
	if (state->without_first) {
		state->without_first = 0;
		FIXED_ROUNDS
		for (int b = 0; b < BUCKETS; b++)
			if (state->bucket[b].first_ns == 0)
				state->bucket[b].first_ns = now;
	}
	is_sampled = state->totals.attempts <= state->sample_until;
	if (state->run > state->longest) {
		state->longest = state->run;
		if (state->run >= state->run_due)
			state->look = LOOK_SURELY;
	}
	is_new_host = distinct_is_new(&bucket->hosts, host);
	if (is_new_host) {
		fanout_raise_hosts(state, host);
		state->look |= LOOK_IF_MANY;
	}
	is_new_pair = distinct_is_new(&bucket->host_ports, pair);
	if (is_new_pair) {
		is_sampled |= fanout_raise_pairs(state, pair);
		state->look |= LOOK_IF_MANY;
	}
	if (is_sampled) {
		state->sample[state->sampled & (SAMPLE_TARGETS - 1)] = *target;
		state->sampled++;
	}
	return is_new_host | is_new_pair;
}

static __always_inline int fanout_attempt(struct fanout_state *state,
					   const struct fanout_target *target, __u64 now)
{
	__sync_fetch_and_add(&state->totals.attempts, 1);
	return fanout_reach(state, target, now);
}

static __always_inline void fanout_outcome(struct fanout_state *state, __u32 outcome)
{
	switch (outcome) {
	case OUTCOME_ESTABLISHED:
		__sync_fetch_and_add(&state->totals.established, 1);
		return;
	case OUTCOME_REFUSED:
		__sync_fetch_and_add(&state->totals.refused, 1);
		__sync_fetch_and_add(&state->totals.failures, 1);
		return;
	case OUTCOME_TIMED_OUT:
	case OUTCOME_UNREACHABLE:
	case OUTCOME_DENIED:
		__sync_fetch_and_add(&state->totals.failures, 1);
		return;
	case OUTCOME_UNROUTED:
		__sync_fetch_and_add(&state->totals.unrouted, 1);
		return;
	default:
		return;
	}
}

SUBPROGRAM void fanout_reach_sampled(struct fanout_state *state,
				     const struct fanout_state *child, __u32 place, __u64 now)
{
	struct fanout_target target = child->sample[place & (SAMPLE_TARGETS - 1)];

	fanout_reach(state, &target, now);
}

/* Adds to a process what its child counted in all its life. */
static __always_inline void fanout_inherit_counts(struct fanout_state *state,
						  const struct fanout_state *child)
{
	__sync_fetch_and_add(&state->totals.attempts, child->totals.attempts);
	__sync_fetch_and_add(&state->totals.by_children, child->totals.attempts);
	__sync_fetch_and_add(&state->totals.established, child->totals.established);
	__sync_fetch_and_add(&state->totals.refused, child->totals.refused);
	__sync_fetch_and_add(&state->totals.failures, child->totals.failures);
	__sync_fetch_and_add(&state->totals.unrouted, child->totals.unrouted);
}

#define HALF_OF_SAMPLE (SAMPLE_TARGETS / 2)

/* And half of the targets that it sampled, from this one on. */
static __always_inline void fanout_inherit_targets(struct fanout_state *state,
						   const struct fanout_state *child, __u32 from,
						   __u64 now)
{
	__u32 oldest = -is_below(SAMPLE_TARGETS, child->sampled) & child->sampled;

	FIXED_ROUNDS
	for (__u32 i = 0; i < HALF_OF_SAMPLE; i++)
		if (from + i < child->sampled)
			fanout_reach_sampled(state, child, oldest + from + i, now);
}

static __always_inline void fanout_inherit(struct fanout_state *state,
					   const struct fanout_state *child, __u64 now)
{
	fanout_inherit_counts(state, child);
	fanout_inherit_targets(state, child, 0, now);
	fanout_inherit_targets(state, child, HALF_OF_SAMPLE, now);
}

static __always_inline void add_totals(struct fanout_totals *totals,
				       const struct fanout_totals *more)
{
	totals->attempts += more->attempts;
	totals->established += more->established;
	totals->refused += more->refused;
	totals->failures += more->failures;
	totals->unrouted += more->unrouted;
}

/* What a part has counted more than was given of it already. */
static __always_inline __u64 fanout_give(__u64 *to, __u64 *given, __u64 total)
{
	__u64 more = total - *given;

	if (more) {
		__sync_fetch_and_add(given, more);
		__sync_fetch_and_add(to, more);
	}
	return more;
}

/* Adds to `to` what a process has counted since it was last asked; returns how many attempts. If two threads of the process ask at the same moment both may give the same: then the next
 * to ask gives so much less, a number below zero. A claim would cost more than all the rest. */
static __always_inline __u64 fanout_share(struct fanout_totals *to, const struct fanout_state *state,
					  struct fanout_totals *given)
{
	fanout_give(&to->established, &given->established, state->totals.established);
	fanout_give(&to->refused, &given->refused, state->totals.refused);
	fanout_give(&to->failures, &given->failures, state->totals.failures);
	fanout_give(&to->unrouted, &given->unrouted, state->totals.unrouted);
	return fanout_give(&to->attempts, &given->attempts, state->totals.attempts);
}

/* Takes a count back from one that began at before and has come to total. */
static __always_inline void fanout_return(__u64 *before, __u64 total, __u64 given, __u64 part_before,
					  __u64 from)
{
	__u64 begun = from + (-is_below(from, part_before) & (part_before - from));

	*before = lesser(*before + given - lesser(begun, given), total);
}

static __always_inline void fanout_return_bucket(struct fanout_state *job,
						 const struct fanout_state *state, int b,
						 const struct fanout_totals *from,
						 const struct fanout_totals *given)
{
	const struct fanout_bucket *part = &state->bucket[b];
	struct fanout_bucket *bucket = &job->bucket[b];
	struct fanout_totals *before = &bucket->before;

	/* What turned meanwhile has nothing of it. */
	if (bucket->start_ns != part->start_ns)
		return;
	fanout_return(&before->attempts, job->totals.attempts, given->attempts,
		      part->before.attempts, from->attempts);
	fanout_return(&before->established, job->totals.established, given->established,
		      part->before.established, from->established);
	fanout_return(&before->refused, job->totals.refused, given->refused, part->before.refused,
		      from->refused);
	fanout_return(&before->failures, job->totals.failures, given->failures,
		      part->before.failures, from->failures);
	fanout_return(&before->unrouted, job->totals.unrouted, given->unrouted,
		      part->before.unrouted, from->unrouted);
	bucket->hosts.excused += distinct_estimate(&part->hosts);
	bucket->host_ports.excused += distinct_estimate(&part->host_ports);
	bucket->run = 0;
}

/* Takes back from a job what it was given of a process since `from`, as far as its buckets hold it:
 * counts exactly, of distinct targets as many as the process had at the most. A run of the job begins
 * anew. Only for who holds the job's claim. */
SUBPROGRAM void fanout_take_back(struct fanout_state *job, const struct fanout_state *state,
				 const struct fanout_totals *from,
				 const struct fanout_totals *given)
{
	FIXED_ROUNDS
	for (int b = 0; b < BUCKETS; b++)
		fanout_return_bucket(job, state, b, from, given);
	job->run = 0;
	job->longest = 0;
	fanout_schedule(job);
	job->look = LOOK_SURELY;
}

/* Whether this process may send one more connection event in this longest window. */
static __always_inline int fanout_detail(struct fanout_state *state, __u32 limit)
{
	if (state->details >= limit)
		return 0;
	state->details++;
	return 1;
}

#endif
