/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * The arithmetic of fan-out windows, without one BPF helper, so that the sensor and a test compile
 * the same text.
 *
 * A window of length W is two buckets, each covering W on a fixed grid, the second shifted by W/2.
 * An attempt goes into both; the bucket that started earlier is the one reported, so a figure
 * always covers between W/2 and W. Distinct hosts and host:port pairs are HyperLogLog (Flajolet et
 * al. 2007) with 512 registers and linear counting for small sets.
 */
#ifndef PROCWIRE_WINDOW_H
#define PROCWIRE_WINDOW_H

#include "event.h"
#include "linear_count.h"

/* linux/stddef.h makes a mere hint of it, and before 6.8 nothing may be called under a lock. */
#undef __always_inline
#define __always_inline inline __attribute__((always_inline))

/* The verifier walks a global function of its own once, not once for each path of its callers. */
#ifdef __bpf__
#define SUBPROGRAM __attribute__((noinline))
#else
#define SUBPROGRAM static inline
#endif

/* Written out, loops cost the verifier a fifth of the instructions, and old ones refuse a loop that
 * clang has laid out to fall into its own head. */
#ifdef __bpf__
#define UNROLLED _Pragma("clang loop unroll(full)")
#else
#define UNROLLED
#endif

#define MEASURES 4

/* Time zero of the grid is boot, so the second bucket of a young machine may start before it: the
 * subtraction wraps, and so does every later one, which makes ages right again. */
static __always_inline __u64 bucket_grid_start(__u64 now, __u64 length, __u32 bucket)
{
	return now - (now + bucket * (length / 2)) % length;
}

struct distinct {
	__u64 sum; /* over registers, 2^(32 - rank) */
	__u32 zeros; /* registers that are zero */
	__u32 padding;
	__u8 rank[DISTINCT_REGISTERS];
};

struct distinct_place {
	__u32 index;
	__u32 rank;
};

struct fanout_target {
	__u64 hi;
	__u64 lo;
	__u32 port;
	__u32 protocol;
};

struct fanout_bucket {
	__u64 start_ns;
	__u64 first_ns; /* of the first attempt */
	__u32 in_use;
	__u32 attempts;
	__u32 established;
	__u32 refused;
	__u32 failures;
	__u32 sequential_run;
	__u32 details;
	__u32 padding;
	struct distinct hosts;
	struct distinct host_ports;
};

struct fanout_window {
	struct fanout_bucket bucket[2];
};

/* One step of a sequential run: the address or the port moved by one. */
enum fanout_step {
	STEP_NONE = 0,
	STEP_ADDRESS_UP = 1,
	STEP_ADDRESS_DOWN = 2,
	STEP_PORT_UP = 3,
	STEP_PORT_DOWN = 4,
};

/* next: the figure at which each window's each measure is reported next; 0 stands for its
 * threshold. */
struct fanout_state {
	struct fanout_window window[FANOUT_WINDOWS];
	__u64 next[FANOUT_WINDOWS * MEASURES];
	struct fanout_target first;
	struct fanout_target last;
	struct fanout_target sample[SAMPLE_TARGETS];
	__u32 sampled;
	__u32 run;
	__u32 step;
	__u32 padding;
};

/* Where an attempt falls in every set of distinct values; computed once per attempt. */
struct fanout_places {
	struct distinct_place host;
	struct distinct_place host_port;
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
	__u32 hosts;
	__u32 host_ports;
	__u32 sequential_run;
};

/* The finalizer of splitmix64 (Steele, Lea, Flood 2014). */
static __always_inline __u64 mix64(__u64 x)
{
	x ^= x >> 30;
	x *= 0xbf58476d1ce4e5b9ULL;
	x ^= x >> 27;
	x *= 0x94d049bb133111ebULL;
	x ^= x >> 31;
	return x;
}

#define GOLDEN_RATIO 0x9e3779b97f4a7c15ULL

/* The position of the highest one bit, counted from 1; 0 for 0. Spelt out because clang 14 crashes
 * on __builtin_clzll for BPF. */
SUBPROGRAM __u32 bit_length(__u64 x)
{
	__u32 length = 0;

	UNROLLED
	for (__u32 half = 32; half > 0; half /= 2) {
		if (x >> half) {
			x >>= half;
			length += half;
		}
	}
	return length + (x != 0);
}

/* rank: one more than the leading zeros of the hash bits that did not choose the register. */
static __always_inline struct distinct_place distinct_place(__u64 hash)
{
	struct distinct_place place = {
		.index = hash & (DISTINCT_REGISTERS - 1),
		.rank = 65 - DISTINCT_BITS - bit_length(hash >> DISTINCT_BITS),
	};

	return place;
}

static __always_inline struct fanout_places fanout_places(const struct fanout_target *target)
{
	__u64 host = mix64(mix64(target->hi + GOLDEN_RATIO) ^ target->lo);
	struct fanout_places places = {
		.host = distinct_place(host),
		.host_port = distinct_place(mix64(host ^ (target->port + GOLDEN_RATIO))),
	};

	return places;
}

static __always_inline __u64 distinct_weight(__u32 rank)
{
	return 1ULL << (32 - (rank < 32 ? rank : 32));
}

static __always_inline void distinct_reset(struct distinct *set)
{
	__u64 *word = (__u64 *)set->rank;

	UNROLLED
	for (int i = 0; i < DISTINCT_REGISTERS / 8; i++)
		word[i] = 0;
	set->sum = (__u64)DISTINCT_REGISTERS << 32;
	set->zeros = DISTINCT_REGISTERS;
}

/* Returns whether a register rose, which only a value not seen before can do. */
static __always_inline int distinct_add(struct distinct *set, struct distinct_place place)
{
	__u32 index = place.index & (DISTINCT_REGISTERS - 1);
	__u32 rank = set->rank[index];

	if (place.rank <= rank)
		return 0;
	if (rank == 0)
		set->zeros--;
	set->sum -= distinct_weight(rank) - distinct_weight(place.rank);
	set->rank[index] = place.rank;
	return 1;
}

static __always_inline __u32 distinct_estimate(const struct distinct *set)
{
	__u64 raw = set->sum ? DISTINCT_SCALE / set->sum : 0;
	__u32 zeros = set->zeros;

	if (raw <= DISTINCT_SMALL && zeros > 0 && zeros <= DISTINCT_REGISTERS)
		return linear_count[zeros];
	return raw > 0xffffffff ? 0xffffffff : raw;
}

/* Starts every bucket afresh whose place on the grid has passed. */
static __always_inline void fanout_turn(struct fanout_state *state,
					const volatile struct fanout_settings *settings, __u64 now)
{
	UNROLLED
	for (int w = 0; w < FANOUT_WINDOWS; w++) {
		UNROLLED
		for (int b = 0; b < 2; b++) {
			struct fanout_bucket *bucket = &state->window[w].bucket[b];
			__u64 start = bucket_grid_start(now, settings->window_ns[w], b);

			if (bucket->in_use && bucket->start_ns == start)
				continue;
			bucket->start_ns = start;
			bucket->in_use = 1;
			bucket->first_ns = start;
			bucket->attempts = 0;
			bucket->established = 0;
			bucket->refused = 0;
			bucket->failures = 0;
			bucket->sequential_run = 0;
			bucket->details = 0;
			distinct_reset(&bucket->hosts);
			distinct_reset(&bucket->host_ports);
		}
	}
}

/* The bucket whose figures are reported. */
static __always_inline __u32 fanout_older(const struct fanout_window *window, __u64 now)
{
	return now - window->bucket[1].start_ns > now - window->bucket[0].start_ns;
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
	}
	state->last = *target;
}

/* The window whose new targets are kept as a sample: long enough to span an episode, short enough
 * that the sample is recent. */
#define SAMPLE_WINDOW 1

static __always_inline void fanout_attempt(struct fanout_state *state,
					   const struct fanout_target *target,
					   const struct fanout_places *places, __u64 now)
{
	__u32 older = fanout_older(&state->window[SAMPLE_WINDOW], now);
	int is_new = 0;

	fanout_advance(state, target);
	UNROLLED
	for (int w = 0; w < FANOUT_WINDOWS; w++) {
		UNROLLED
		for (__u32 b = 0; b < 2; b++) {
			struct fanout_bucket *bucket = &state->window[w].bucket[b];
			int raised;

			if (bucket->attempts == 0)
				bucket->first_ns = now;
			bucket->attempts++;
			if (state->run > bucket->sequential_run)
				bucket->sequential_run = state->run;
			distinct_add(&bucket->hosts, places->host);
			raised = distinct_add(&bucket->host_ports, places->host_port);
			if (w == SAMPLE_WINDOW && b == older)
				is_new = raised || bucket->attempts <= SAMPLE_TARGETS;
		}
	}
	if (is_new)
		state->sample[state->sampled++ % SAMPLE_TARGETS] = *target;
}

static __always_inline void fanout_outcome(struct fanout_state *state, __u32 outcome)
{
	__u32 established = outcome == OUTCOME_ESTABLISHED;
	__u32 refused = outcome == OUTCOME_REFUSED;
	__u32 failed = refused || outcome == OUTCOME_TIMED_OUT || outcome == OUTCOME_UNREACHABLE ||
		       outcome == OUTCOME_DENIED;

	UNROLLED
	for (int w = 0; w < FANOUT_WINDOWS; w++) {
		UNROLLED
		for (int b = 0; b < 2; b++) {
			struct fanout_bucket *bucket = &state->window[w].bucket[b];

			bucket->established += established;
			bucket->refused += refused;
			bucket->failures += failed;
		}
	}
}

/* Whether this process may send one more connection event in this shortest window. */
static __always_inline int fanout_detail(struct fanout_state *state, __u32 limit)
{
	struct fanout_bucket *bucket = &state->window[0].bucket[0];

	if (bucket->details >= limit)
		return 0;
	bucket->details++;
	return 1;
}

static __always_inline void fanout_figures(const struct fanout_bucket *bucket, __u64 window_ns,
					   struct fanout_crossing *crossing)
{
	crossing->window_ns = window_ns;
	crossing->window_start_ns = bucket->start_ns;
	crossing->first_ns = bucket->first_ns;
	crossing->attempts = bucket->attempts;
	crossing->established = bucket->established;
	crossing->refused = bucket->refused;
	crossing->failures = bucket->failures;
	crossing->hosts = distinct_estimate(&bucket->hosts);
	crossing->host_ports = distinct_estimate(&bucket->host_ports);
	crossing->sequential_run = bucket->sequential_run;
}

/* The figures of the longest window, for the last report of a subject. Returns whether there is
 * one to send: only those of which something was reported before have totals to tell. */
static __always_inline int fanout_final(const struct fanout_state *state,
					const volatile struct fanout_settings *settings,
					__u64 now, struct fanout_crossing *crossing)
{
	const struct fanout_window *window = &state->window[FANOUT_WINDOWS - 1];
	const struct fanout_bucket *bucket = &window->bucket[fanout_older(window, now) & 1];
	int reported = 0;

	UNROLLED
	for (int place = 0; place < FANOUT_WINDOWS * MEASURES; place++)
		reported |= state->next[place] != 0;
	if (!reported || bucket->attempts == 0)
		return 0;
	fanout_figures(bucket, settings->window_ns[FANOUT_WINDOWS - 1], crossing);
	crossing->place = FANOUT_WINDOWS * MEASURES;
	crossing->previous_next = 0;
	crossing->measure = 0;
	crossing->threshold = 0;
	return 1;
}

/* Finds the first measure, shortest window first, that reached its next figure, and raises that
 * figure tenfold until it lies above. Measures that crossed together are found by the calls that
 * follow. A figure below its threshold starts over. */
static __always_inline void fanout_crossed(struct fanout_state *state,
					   const volatile struct fanout_settings *settings,
					   __u64 now, struct fanout_crossing *crossing)
{
	const __u32 threshold[MEASURES] = { settings->hosts, settings->host_ports,
					    settings->failures, settings->sequential_run };

	crossing->measure = 0;
	UNROLLED
	for (int w = 0; w < FANOUT_WINDOWS; w++) {
		const struct fanout_window *window = &state->window[w];
		const struct fanout_bucket *bucket = &window->bucket[fanout_older(window, now) & 1];
		__u32 figure[MEASURES] = { distinct_estimate(&bucket->hosts),
					   distinct_estimate(&bucket->host_ports),
					   bucket->failures, bucket->sequential_run };

		UNROLLED
		for (int m = 0; m < MEASURES; m++) {
			__u64 *next = &state->next[w * MEASURES + m];
			__u64 due = *next ? *next : threshold[m];

			if (figure[m] < threshold[m]) {
				*next = 0;
				continue;
			}
			if (threshold[m] == 0 || figure[m] < due || crossing->measure)
				continue;
			crossing->measure = MEASURE_HOSTS + m;
			crossing->place = w * MEASURES + m;
			crossing->previous_next = *next;
			crossing->threshold = due;
			fanout_figures(bucket, settings->window_ns[w], crossing);
			/* A figure has at most ten decimal digits. */
			UNROLLED
			for (int digit = 0; digit < 10; digit++) {
				if (due <= figure[m])
					due *= 10;
			}
			*next = due;
		}
	}
}

#endif
