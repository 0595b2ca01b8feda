/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * The arithmetic of fan-out windows, without one BPF helper, so that the sensor and a test compile
 * the same text.
 *
 * A window of length W is two buckets, each covering W on a fixed grid, the second shifted by W/2.
 * An attempt belongs to both; the bucket that started earlier is the one reported, so a figure
 * always covers between W/2 and W. Distinct hosts and host:port pairs are sketches (distinct.h).
 *
 * Strategy: an attempt costs the same however many windows there are. Counts are totals, of which a
 * bucket remembers what they were when it began. A bucket has seen all that any younger one has, so
 * what raises no register of the youngest raises none at all. Figures are looked at only after one
 * of them rose. Nothing is locked: totals change by atomic additions and are exact; of two threads
 * that raise one register at the same moment the lesser may win, which is far below the sketches'
 * error; buckets turn and thresholds move under the caller's claim.
 */
#ifndef PROCWIRE_WINDOW_H
#define PROCWIRE_WINDOW_H

#include "distinct.h"
#include "event.h"

#define MEASURES 4
#define BUCKETS (2 * FANOUT_WINDOWS)

/* Time zero of the grid is boot, so the second bucket of a young machine may start before it: the
 * subtraction wraps, and so does every later one, which makes ages right again. */
static __always_inline __u64 bucket_grid_start(__u64 now, __u64 length, __u32 bucket)
{
	return now - (now + bucket * (length / 2)) % length;
}

struct fanout_target {
	__u64 hi;
	__u64 lo;
	__u32 port;
	__u32 protocol;
};

/* failures: refused, timed out, unreachable and denied. */
struct fanout_totals {
	__u64 attempts;
	__u64 established;
	__u64 refused;
	__u64 failures;
	__u64 by_children;
};

/* first_ns: of the first attempt, 0 before it; before: the totals when the bucket began. */
struct fanout_bucket {
	__u64 start_ns;
	__u64 first_ns;
	struct fanout_totals before;
	__u32 sequential_run;
	__u32 padding;
	struct distinct hosts;
	struct distinct host_ports;
};

/* One step of a sequential run: the address or the port moved by one. */
enum fanout_step {
	STEP_NONE = 0,
	STEP_ADDRESS_UP = 1,
	STEP_ADDRESS_DOWN = 2,
	STEP_PORT_UP = 3,
	STEP_PORT_DOWN = 4,
};

/* Whether figures have to be looked at: after a register rose they need not be while there were too
 * few attempts; after a turn they must, since a figure may have fallen below its threshold. */
enum fanout_look {
	LOOK_NOT = 0,
	LOOK_IF_MANY = 1,
	LOOK_SURELY = 2,
};

/* turn_ns: when a bucket's place on the grid is over, 0 for a new state. look_from: total of
 * attempts below which no threshold can have been reached; failures_due: total of failures at which
 * one is; sample_until: total of attempts up to which every target is sampled. older, by window:
 * which of its buckets is reported. bucket 2 w and 2 w + 1 are those of window w. threshold: by
 * measure, for this kind; next: the figure at which each window's each measure is reported next,
 * its threshold or above. */
struct fanout_state {
	__u64 turn_ns;
	__u64 look_from;
	__u64 failures_due;
	__u64 sample_until;
	struct fanout_totals totals;
	struct fanout_target first;
	struct fanout_target last;
	__u32 kind;
	__u32 look;
	__u32 run;
	__u32 step;
	__u32 youngest;
	__u32 without_first;
	__u32 sampled;
	__u32 details;
	__u32 older[FANOUT_WINDOWS];
	__u32 padding;
	__u64 threshold[MEASURES];
	__u64 next[FANOUT_WINDOWS * MEASURES];
	struct fanout_target sample[SAMPLE_TARGETS];
	struct fanout_bucket bucket[BUCKETS];
};

/* A crossing: which measure of which window, the figure it had to reach, all figures of that
 * window, and how to undo it (next[place] = previous_next). measure is 0: nothing crossed. */
struct fanout_crossing {
	__u64 window_ns;
	__u64 window_start_ns;
	__u64 first_ns;
	__u64 previous_next;
	__u32 place;
	__u32 measure;
	__u32 threshold;
	__u32 attempts;
	__u32 established;
	__u32 refused;
	__u32 failures;
	__u32 by_children;
	__u32 hosts;
	__u32 host_ports;
	__u32 sequential_run;
	__u32 padding;
};

/* The window whose new targets are kept as a sample: long enough to span an episode, short enough
 * that the sample is recent. */
#define SAMPLE_WINDOW 1

/* A figure that none reaches. */
#define NEVER (1ULL << 62)

static __always_inline __u64 or_never(__u32 threshold)
{
	return threshold ? threshold : NEVER;
}

static __always_inline void fanout_thresholds(struct fanout_state *state,
					      const volatile struct fanout_settings *settings)
{
	int probe = state->kind >= ATTEMPT_NULL && state->kind <= ATTEMPT_ACK;

	state->threshold[0] = or_never(probe ? settings->probe_targets : settings->hosts);
	state->threshold[1] = or_never(probe ? settings->probe_targets : settings->host_ports);
	/* What is judged by its ends is looked at when they are as many as the targets must be. */
	state->threshold[2] = state->kind == ATTEMPT_CONNECT ? or_never(settings->failures) :
							       state->threshold[0];
	state->threshold[3] = or_never(settings->sequential_run);
	UNROLLED
	for (int place = 0; place < FANOUT_WINDOWS * MEASURES; place++)
		state->next[place] = state->threshold[place % MEASURES];
}

static __always_inline const struct fanout_bucket *fanout_reported(const struct fanout_state *state,
								   int window)
{
	return &state->bucket[2 * window + (state->older[window] & 1)];
}

/* Adds up what each reported bucket has to tell from now on; see fanout_state. */
static __always_inline void fanout_schedule(struct fanout_state *state)
{
	__u64 least = NEVER;
	__u64 due = NEVER;
	__u64 earliest = NEVER;

	UNROLLED
	for (int m = 0; m < MEASURES; m++)
		least = lesser(least, state->threshold[m]);
	UNROLLED
	for (int w = 0; w < FANOUT_WINDOWS; w++) {
		const struct fanout_totals *before = &fanout_reported(state, w)->before;

		due = lesser(due, before->failures +
					  state->next[w * MEASURES + MEASURE_FAILURES - MEASURE_HOSTS]);
		earliest = lesser(earliest, before->attempts);
	}
	state->failures_due = due;
	state->sample_until = fanout_reported(state, SAMPLE_WINDOW)->before.attempts + SAMPLE_TARGETS;
	/* Estimates of small sets are too high by a tenth at most, of large ones never twofold. */
	state->look_from = earliest + least / 2;
}

static __always_inline void fanout_begin(struct fanout_bucket *bucket,
					 const struct fanout_state *state, __u64 start)
{
	bucket->start_ns = start;
	bucket->first_ns = 0;
	bucket->sequential_run = 0;
	/* Whatever was counted before a new state's first turn belongs to its buckets. */
	if (state->turn_ns)
		bucket->before = state->totals;
	distinct_reset(&bucket->hosts);
	distinct_reset(&bucket->host_ports);
}

/* Starts every bucket afresh whose place on the grid has passed. Only for who holds the claim. */
SUBPROGRAM void fanout_turn(struct fanout_state *state,
			    const volatile struct fanout_settings *settings, __u64 now)
{
	__u64 turn_in = NEVER;
	__u64 least_age = NEVER;
	__u64 youngest = 0;

	if (!state->turn_ns)
		fanout_thresholds(state, settings);
	UNROLLED
	for (int b = 0; b < BUCKETS; b++) {
		struct fanout_bucket *bucket = &state->bucket[b];
		__u64 length = settings->window_ns[b / 2];
		__u64 start = bucket_grid_start(now, length, b % 2);
		__u64 age = now - start;

		if (!state->turn_ns || bucket->start_ns != start) {
			fanout_begin(bucket, state, start);
			if (b == BUCKETS - 1)
				state->details = 0;
		}
		turn_in = lesser(turn_in, length - age);
		youngest += -is_below(age, least_age) & (b - youngest);
		least_age = lesser(age, least_age);
	}
	UNROLLED
	for (int w = 0; w < FANOUT_WINDOWS; w++)
		state->older[w] = is_below(now - state->bucket[2 * w].start_ns,
					   now - state->bucket[2 * w + 1].start_ns);
	state->youngest = youngest;
	state->without_first = 1;
	fanout_schedule(state);
	state->look = LOOK_SURELY;
	state->turn_ns = now + turn_in;
}

static __always_inline __u32 fanout_step(const struct fanout_target *from,
					 const struct fanout_target *to)
{
	int same_host = from->hi == to->hi && from->lo == to->lo;

	if (from->port == to->port) {
		if (to->lo == from->lo + 1 && to->hi == from->hi + (to->lo == 0))
			return STEP_ADDRESS_UP;
		if (from->lo == to->lo + 1 && from->hi == to->hi + (from->lo == 0))
			return STEP_ADDRESS_DOWN;
	} else if (same_host && to->port == from->port + 1) {
		return STEP_PORT_UP;
	} else if (same_host && from->port == to->port + 1) {
		return STEP_PORT_DOWN;
	}
	return STEP_NONE;
}

/* The run of targets that each lie one step on from the one before; a repeated target is neither a
 * step nor a break. */
static __always_inline void fanout_advance(struct fanout_state *state,
					   const struct fanout_target *target)
{
	__u32 step;

	if (state->run == 0) {
		state->first = *target;
		state->run = 1;
	} else if (state->last.hi != target->hi || state->last.lo != target->lo ||
		   state->last.port != target->port) {
		step = fanout_step(&state->last, target);
		if (step == STEP_NONE)
			state->run = 1;
		else if (step == state->step)
			state->run++;
		else
			state->run = 2;
		state->step = step;
	} else {
		return;
	}
	state->last = *target;
}

SUBPROGRAM void fanout_raise_hosts(struct fanout_state *state, __u64 hash)
{
	__u32 rank = distinct_rank(hash);

	UNROLLED
	for (int b = 0; b < BUCKETS; b++)
		distinct_add(&state->bucket[b].hosts, hash, rank);
}

/* Returns whether the pair is new to the window that is sampled. */
SUBPROGRAM int fanout_raise_pairs(struct fanout_state *state, __u64 hash)
{
	__u32 rank = distinct_rank(hash);
	__u64 raised[BUCKETS];

	UNROLLED
	for (int b = 0; b < BUCKETS; b++)
		raised[b] = distinct_add(&state->bucket[b].host_ports, hash, rank);
	return state->older[SAMPLE_WINDOW] ? raised[2 * SAMPLE_WINDOW + 1] :
					     raised[2 * SAMPLE_WINDOW];
}

/* Enters the target of an attempt that is counted already. A state that has not turned yet has no
 * place for it. */
static __always_inline void fanout_reach(struct fanout_state *state,
					 const volatile struct fanout_settings *settings,
					 const struct fanout_target *target, __u64 now)
{
	__u64 host = mix64(mix64(target->hi + GOLDEN_RATIO) ^ target->lo);
	__u64 pair = mix64(host ^ (target->port + GOLDEN_RATIO));
	__u32 youngest = state->youngest;
	struct fanout_bucket *bucket;
	int is_new;

	if (state->turn_ns == 0 || youngest >= BUCKETS)
		return;
	bucket = &state->bucket[youngest];
	VISIBLE(bucket);
	fanout_advance(state, target);
	if (state->without_first) {
		state->without_first = 0;
		UNROLLED
		for (int b = 0; b < BUCKETS; b++)
			if (state->bucket[b].first_ns == 0)
				state->bucket[b].first_ns = now;
	}
	is_new = state->totals.attempts <= state->sample_until;
	if (state->run > bucket->sequential_run) {
		UNROLLED
		for (int b = 0; b < BUCKETS; b++)
			if (state->run > state->bucket[b].sequential_run)
				state->bucket[b].sequential_run = state->run;
		if (state->run >= settings->sequential_run)
			state->look = LOOK_SURELY;
	}
	if (distinct_is_new(&bucket->hosts, host)) {
		fanout_raise_hosts(state, host);
		state->look |= LOOK_IF_MANY;
	}
	if (distinct_is_new(&bucket->host_ports, pair)) {
		is_new |= fanout_raise_pairs(state, pair);
		state->look |= LOOK_IF_MANY;
	}
	if (is_new) {
		state->sample[state->sampled & (SAMPLE_TARGETS - 1)] = *target;
		state->sampled++;
	}
}

static __always_inline void fanout_attempt(struct fanout_state *state,
					   const volatile struct fanout_settings *settings,
					   const struct fanout_target *target, __u64 now)
{
	__sync_fetch_and_add(&state->totals.attempts, 1);
	fanout_reach(state, settings, target, now);
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
	default:
		return;
	}
}

SUBPROGRAM void fanout_reach_sampled(struct fanout_state *state,
				     const volatile struct fanout_settings *settings,
				     const struct fanout_state *child, __u32 place, __u64 now)
{
	struct fanout_target target = child->sample[place & (SAMPLE_TARGETS - 1)];

	fanout_reach(state, settings, &target, now);
}

/* Adds to a process what its child counted in all its life, and the targets the child sampled. */
static __always_inline void fanout_inherit(struct fanout_state *state,
					   const volatile struct fanout_settings *settings,
					   const struct fanout_state *child, __u64 now)
{
	__u32 oldest = child->sampled > SAMPLE_TARGETS ? child->sampled : 0;

	__sync_fetch_and_add(&state->totals.attempts, child->totals.attempts);
	__sync_fetch_and_add(&state->totals.by_children, child->totals.attempts);
	__sync_fetch_and_add(&state->totals.established, child->totals.established);
	__sync_fetch_and_add(&state->totals.refused, child->totals.refused);
	__sync_fetch_and_add(&state->totals.failures, child->totals.failures);
	UNROLLED
	for (__u32 i = 0; i < SAMPLE_TARGETS; i++)
		if (i < child->sampled)
			fanout_reach_sampled(state, settings, child, oldest + i, now);
}

/* Whether this process may send one more connection event in this longest window. */
static __always_inline int fanout_detail(struct fanout_state *state, __u32 limit)
{
	if (state->details >= limit)
		return 0;
	state->details++;
	return 1;
}

/* Whether anything was reported of the state in one of its windows. */
static __always_inline int fanout_was_told(const struct fanout_state *state)
{
	__u64 told = 0;

	UNROLLED
	for (int place = 0; place < FANOUT_WINDOWS * MEASURES; place++)
		told |= is_below(state->threshold[place % MEASURES], state->next[place]);
	return told;
}

static __always_inline void fanout_figures(const struct fanout_state *state,
					   const struct fanout_bucket *bucket, __u64 window_ns,
					   struct fanout_crossing *crossing)
{
	crossing->window_ns = window_ns;
	crossing->window_start_ns = bucket->start_ns;
	crossing->first_ns = bucket->first_ns ? bucket->first_ns : bucket->start_ns;
	crossing->attempts = state->totals.attempts - bucket->before.attempts;
	crossing->established = state->totals.established - bucket->before.established;
	crossing->refused = state->totals.refused - bucket->before.refused;
	crossing->failures = state->totals.failures - bucket->before.failures;
	crossing->by_children = state->totals.by_children - bucket->before.by_children;
	crossing->hosts = distinct_estimate(&bucket->hosts);
	crossing->host_ports = distinct_estimate(&bucket->host_ports);
	crossing->sequential_run = bucket->sequential_run;
}

/* The figures of the longest window, for the last report of a subject. Returns whether there is
 * one to send: only those of which something was reported before have totals to tell. */
static __always_inline int fanout_final(const struct fanout_state *state,
					const volatile struct fanout_settings *settings,
					struct fanout_crossing *crossing)
{
	const struct fanout_bucket *bucket = fanout_reported(state, FANOUT_WINDOWS - 1);

	fanout_figures(state, bucket, settings->window_ns[FANOUT_WINDOWS - 1], crossing);
	crossing->place = FANOUT_WINDOWS * MEASURES;
	crossing->previous_next = 0;
	crossing->measure = 0;
	crossing->threshold = 0;
	return crossing->attempts != 0 && fanout_was_told(state);
}

/* Whether a figure may have reached what is due: cheap, asked after every change. */
static __always_inline int fanout_is_due(const struct fanout_state *state)
{
	if (state->totals.failures >= state->failures_due || state->look & LOOK_SURELY)
		return 1;
	return state->look && state->totals.attempts >= state->look_from;
}

static __always_inline __u64 fanout_figure(const struct fanout_state *state,
					   const struct fanout_bucket *bucket, int measure)
{
	switch (MEASURE_HOSTS + measure) {
	case MEASURE_HOSTS:
		return distinct_estimate(&bucket->hosts);
	case MEASURE_HOST_PORTS:
		return distinct_estimate(&bucket->host_ports);
	case MEASURE_FAILURES:
		return state->totals.failures - bucket->before.failures;
	default:
		return bucket->sequential_run;
	}
}

/* Which places' figures have reached what is due, as bits. A figure below its threshold starts over,
 * and with it what is due next. */
SUBPROGRAM __u64 fanout_crossed(struct fanout_state *state)
{
	__u64 crossed = 0;

	UNROLLED
	for (int w = 0; w < FANOUT_WINDOWS; w++) {
		const struct fanout_bucket *bucket = fanout_reported(state, w);

		UNROLLED
		for (int m = 0; m < MEASURES; m++) {
			__u64 figure = fanout_figure(state, bucket, m);
			__u64 *next = &state->next[w * MEASURES + m];
			__u64 threshold = state->threshold[m];

			*next += -is_below(figure, threshold) & (threshold - *next);
			if (MEASURE_HOSTS + m == MEASURE_FAILURES)
				state->failures_due = lesser(state->failures_due,
							     bucket->before.failures + *next);
			crossed |= (1 - is_below(figure, *next)) << (w * MEASURES + m);
		}
	}
	return crossed;
}

/* Takes the first of what crossed, shortest window first, and raises what is due there tenfold until
 * it lies above the figure. The others are found by the calls that follow. Only for who holds the
 * claim. */
SUBPROGRAM void fanout_cross(struct fanout_state *state,
			     const volatile struct fanout_settings *settings, __u64 crossed,
			     struct fanout_crossing *crossing)
{
	__u64 due, figure;
	__u64 place = 0;
	__u64 window, measure, reported;

	crossing->measure = 0;
	UNROLLED
	for (int i = FANOUT_WINDOWS * MEASURES; i > 0; i--)
		place += -(crossed >> (i - 1) & 1) & (i - place);
	place--;
	VISIBLE(place);
	if (place >= FANOUT_WINDOWS * MEASURES)
		return;
	window = place / MEASURES;
	measure = place % MEASURES;
	VISIBLE(window);
	if (window >= FANOUT_WINDOWS)
		return;
	reported = 2 * window + (state->older[window] & 1);
	VISIBLE(reported);
	if (reported >= BUCKETS)
		return;
	fanout_figures(state, &state->bucket[reported], settings->window_ns[window], crossing);
	figure = measure == 0 ? crossing->hosts :
		 measure == 1 ? crossing->host_ports :
		 measure == 2 ? crossing->failures :
				crossing->sequential_run;
	due = state->next[place];
	crossing->measure = MEASURE_HOSTS + measure;
	crossing->place = place;
	crossing->previous_next = due;
	crossing->threshold = due;
	/* A figure has at most ten decimal digits. */
	for (int digit = 0; digit < 10 && due <= figure; digit++)
		due *= 10;
	state->next[place] = due;
	if (crossed & (crossed - 1))
		state->look = LOOK_SURELY;
	fanout_schedule(state);
}

#endif
