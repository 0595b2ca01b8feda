/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * The arithmetic of fan-out windows, without one BPF helper, so that the sensor and a test compile
 * the same text. Here is what a window is and how it turns; window_count.h enters attempts,
 * window_report.h reads figures.
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

/* To windows, the outcome of an attempt that reached nobody because there was no route, and that
 * others are told of as unreachable. Clients that prefer IPv6 make one for each host where it has no
 * route (RFC 8305). */
#define OUTCOME_UNROUTED 100

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

/* failures: refused, timed out, unreachable and denied; unrouted: see OUTCOME_UNROUTED. */
struct fanout_totals {
	__u64 attempts;
	__u64 established;
	__u64 refused;
	__u64 failures;
	__u64 by_children;
	__u64 unrouted;
};

/* first_ns: of the first attempt, 0 before it; before: the totals when the bucket began; run: the
 * longest of its attempts up to the last turn. */
struct fanout_bucket {
	__u64 start_ns;
	__u64 first_ns;
	struct fanout_totals before;
	__u32 run;
	__u32 padding;
	struct distinct hosts;
	struct distinct host_ports;
};

/* Whether figures have to be looked at: after a register rose they need not be while there were too
 * few attempts; after a turn they must, since a figure may have fallen below its threshold. */
enum fanout_look {
	LOOK_NOT = 0,
	LOOK_IF_MANY = 1,
	LOOK_SURELY = 2,
};

/* turn_ns: when a bucket's place on the grid is over, 0 for a new state. look_from: total of
 * attempts below which no estimate can have reached what is due next; failures_due: total of failures
 * at which they have; run_due: a run that has; sample_until: total of attempts up to which every
 * target is sampled. hash_seed: as of fanout_settings. stride: from the target before the last to the
 * last. run: of the last target; longest: since the last turn. older, by window: which of its buckets
 * is reported. bucket 2 w and 2 w + 1 are those of window w. threshold: by measure, for this kind;
 * next: the figure at which each window's each measure is reported next, its threshold or above. */
struct fanout_state {
	__u64 turn_ns;
	__u64 look_from;
	__u64 failures_due;
	__u64 run_due;
	__u64 sample_until;
	__u64 hash_seed;
	struct fanout_totals totals;
	struct fanout_target first;
	struct fanout_target last;
	__u64 stride_hi;
	__u64 stride_lo;
	__u32 kind;
	__u32 look;
	__u32 run;
	__u32 longest;
	__u32 stride_port;
	__u32 youngest;
	__u32 without_first;
	__u32 sampled;
	__u32 details;
	__u32 older[FANOUT_WINDOWS];
	__u64 threshold[MEASURES];
	__u64 next[FANOUT_WINDOWS * MEASURES];
	struct fanout_target sample[SAMPLE_TARGETS];
	struct fanout_bucket bucket[BUCKETS];
};

/* The part of a window's distinct values that is told: of no more than were tried, since an estimate
 * less another one may err by more than there are. */
static __always_inline __u32 fanout_distinct(const struct distinct *set, __u64 attempts)
{
	__u64 estimate = distinct_estimate(set);

	return set->excused ? lesser(estimate, attempts) : estimate;
}

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

	state->hash_seed = settings->hash_seed;
	state->threshold[0] = or_never(probe ? settings->probe_targets : settings->hosts);
	state->threshold[1] = or_never(probe ? settings->probe_targets : settings->host_ports);
	/* What is judged by its ends is looked at when they are as many as the targets must be. */
	state->threshold[2] = state->kind == ATTEMPT_CONNECT ? or_never(settings->failures) :
							       state->threshold[0];
	state->threshold[3] = or_never(settings->sequential_run);
	FIXED_ROUNDS
	for (int place = 0; place < FANOUT_WINDOWS * MEASURES; place++)
		state->next[place] = state->threshold[place % MEASURES];
}

static __always_inline const struct fanout_bucket *fanout_reported(const struct fanout_state *state,
								   int window)
{
	return &state->bucket[2 * window + (state->older[window] & 1)];
}

/* Sets from when on there is something to look at, see fanout_state: no later than given. Estimates
 * are too high by a tenth in small sets, and never by a third. */
SUBPROGRAM void fanout_expect(struct fanout_state *state, __u64 look_from, __u64 failures_due,
			      __u64 run_due)
{
	FIXED_ROUNDS
	for (int w = 0; w < FANOUT_WINDOWS; w++) {
		const struct fanout_totals *before = &fanout_reported(state, w)->before;
		const __u64 *next = &state->next[w * MEASURES];
		__u64 targets = lesser(next[0], next[1]);

		look_from = lesser(look_from, before->attempts + targets - targets / 4);
		failures_due = lesser(failures_due, before->failures + next[2]);
		run_due = lesser(run_due, next[3]);
	}
	state->look_from = look_from;
	state->failures_due = failures_due;
	state->run_due = run_due;
}

/* After a bucket has begun, or what is due next has risen. */
static __always_inline void fanout_schedule(struct fanout_state *state)
{
	fanout_expect(state, NEVER, NEVER, NEVER);
	state->sample_until = fanout_reported(state, SAMPLE_WINDOW)->before.attempts + SAMPLE_TARGETS;
}

/* The longest run of a bucket: all buckets share what came since the last turn. */
static __always_inline __u32 fanout_run(const struct fanout_state *state,
					const struct fanout_bucket *bucket)
{
	__u64 run = bucket->run;
	__u64 longest = state->longest;

	return longest - (-is_below(longest, run) & (longest - run));
}

static __always_inline void fanout_begin(struct fanout_bucket *bucket,
					 const struct fanout_state *state, __u64 start)
{
	bucket->start_ns = start;
	bucket->first_ns = 0;
	bucket->run = 0;
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
	FIXED_ROUNDS
	for (int b = 0; b < BUCKETS; b++) {
		struct fanout_bucket *bucket = &state->bucket[b];
		__u64 length = settings->window_ns[b / 2];
		__u64 start = bucket_grid_start(now, length, b % 2);
		__u64 age = now - start;

		bucket->run = fanout_run(state, bucket);
		if (!state->turn_ns || bucket->start_ns != start) {
			fanout_begin(bucket, state, start);
			if (b == BUCKETS - 1)
				state->details = 0;
		}
		turn_in = lesser(turn_in, length - age);
		youngest += -is_below(age, least_age) & (b - youngest);
		least_age = lesser(age, least_age);
		/* Or LLVM 19 puts them off to the last round, with what they are made of on the stack. */
		VISIBLE(turn_in);
		VISIBLE(youngest);
		VISIBLE(least_age);
	}
	FIXED_ROUNDS
	for (int w = 0; w < FANOUT_WINDOWS; w++)
		state->older[w] = is_below(now - state->bucket[2 * w].start_ns,
					   now - state->bucket[2 * w + 1].start_ns);
	state->youngest = youngest;
	state->longest = 0;
	state->without_first = 1;
	fanout_schedule(state);
	state->look = LOOK_SURELY;
	state->turn_ns = now + turn_in;
}

#endif
