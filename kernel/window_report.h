/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * What is read from a window: its figures, which of them have crossed what is due, and the last
 * ones of a subject.
 */
#ifndef PROCWIRE_WINDOW_REPORT_H
#define PROCWIRE_WINDOW_REPORT_H

#include "window.h"

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
	__u32 unrouted;
};

/* Whether anything was reported of the state in one of its windows. */
static __always_inline int fanout_was_told(const struct fanout_state *state)
{
	__u64 told = 0;

	FIXED_ROUNDS
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
	crossing->unrouted = state->totals.unrouted - bucket->before.unrouted;
	crossing->hosts = fanout_distinct(&bucket->hosts, crossing->attempts);
	crossing->host_ports = fanout_distinct(&bucket->host_ports, crossing->attempts);
	crossing->sequential_run = fanout_run(state, bucket);
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
	__u64 attempts = state->totals.attempts - bucket->before.attempts;

	switch (MEASURE_HOSTS + measure) {
	case MEASURE_HOSTS:
		return fanout_distinct(&bucket->hosts, attempts);
	case MEASURE_HOST_PORTS:
		return fanout_distinct(&bucket->host_ports, attempts);
	case MEASURE_FAILURES:
		return state->totals.failures - bucket->before.failures;
	default:
		return fanout_run(state, bucket);
	}
}

/* A figure below its threshold starts over, and with it what is due next. */
SUBPROGRAM __u64 fanout_crossed_in(struct fanout_state *state, __u32 window)
{
	__u64 crossed = 0;
	const struct fanout_bucket *bucket;

	if (window >= FANOUT_WINDOWS)
		return 0;
	bucket = fanout_reported(state, window);
	FIXED_ROUNDS
	for (int m = 0; m < MEASURES; m++) {
		__u64 figure = fanout_figure(state, bucket, m);
		__u64 *next = &state->next[window * MEASURES + m];
		__u64 threshold = state->threshold[m];

		*next += -is_below(figure, threshold) & (threshold - *next);
		crossed |= (1 - is_below(figure, *next)) << m;
	}
	return crossed;
}

/* Which places' figures have reached what is due, as bits. */
SUBPROGRAM __u64 fanout_crossed(struct fanout_state *state)
{
	__u64 crossed = 0;

	FIXED_ROUNDS
	for (int w = 0; w < FANOUT_WINDOWS; w++)
		crossed |= fanout_crossed_in(state, w) << (w * MEASURES);
	fanout_expect(state, state->look_from, state->failures_due, state->run_due);
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
	FIXED_ROUNDS
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
	/* Old verifiers have forgotten it by now. */
	VISIBLE(place);
	if (place >= FANOUT_WINDOWS * MEASURES)
		return;
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
