/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#include "subject.h"

#include "window_probe.h"

static void turn(struct fanout_state *state, const struct fanout_settings *settings, __u64 now)
{
	if (now >= state->turn_ns)
		fanout_turn(state, settings, now);
}

/* As the sensor asks: first whether anything can have crossed, then what. */
static void look(struct fanout_state *state, const struct fanout_settings *settings,
		 struct fanout_crossing *crossing)
{
	__u64 crossed;

	crossing->measure = 0;
	if (!fanout_is_due(state))
		return;
	state->look = LOOK_NOT;
	crossed = fanout_crossed(state);
	if (crossed)
		fanout_cross(state, settings, crossed, crossing);
}

int probe_attempt(struct fanout_state *state, const struct fanout_settings *settings,
		  const struct fanout_target *target, __u64 now, struct fanout_crossing *crossing)
{
	int is_new;

	turn(state, settings, now);
	is_new = fanout_attempt(state, target, now);
	look(state, settings, crossing);
	return is_new;
}

void probe_outcome(struct fanout_state *state, const struct fanout_settings *settings,
		   __u32 outcome, __u64 now, struct fanout_crossing *crossing)
{
	turn(state, settings, now);
	fanout_outcome(state, outcome);
	look(state, settings, crossing);
}

__u32 probe_sweep(struct fanout_state *state, const struct fanout_settings *settings,
		  const struct fanout_target *first, __u64 stride, __u32 count, __u64 now,
		  __u64 pause)
{
	struct fanout_target target = *first;
	struct fanout_crossing crossing;
	__u32 events = 0;

	for (__u32 i = 0; i < count; i++, now += pause) {
		probe_attempt(state, settings, &target, now, &crossing);
		events += crossing.measure != 0;
		probe_outcome(state, settings, OUTCOME_REFUSED, now, &crossing);
		events += crossing.measure != 0;
		target.lo += stride;
		target.hi += target.lo < stride;
	}
	return events;
}

void probe_inherit(struct fanout_state *state, const struct fanout_settings *settings,
		   const struct fanout_state *child, __u64 now, struct fanout_crossing *crossing)
{
	turn(state, settings, now);
	fanout_inherit(state, child, now);
	look(state, settings, crossing);
}

void probe_look(struct fanout_state *state, const struct fanout_settings *settings,
		struct fanout_crossing *crossing)
{
	look(state, settings, crossing);
}

/* As share_subject does, without its look. target: NULL if only counts follow. */
void probe_share(struct fanout_state *job, const struct fanout_settings *settings,
		 const struct fanout_state *state, struct fanout_totals *shared,
		 const struct fanout_target *target, __u64 now)
{
	turn(job, settings, now);
	fanout_share(&job->totals, state, shared);
	if (target)
		fanout_reach(job, target, now);
}

void probe_attempts_shared(struct fanout_state *job, struct fanout_state *state,
			   struct fanout_totals *shared, __u32 count)
{
	for (__u32 i = 0; i < count; i++) {
		__sync_fetch_and_add(&state->totals.attempts, 1);
		fanout_share(&job->totals, state, shared);
		fanout_outcome(state, OUTCOME_REFUSED);
		fanout_share(&job->totals, state, shared);
	}
}

void probe_take_back(struct fanout_state *job, const struct fanout_settings *settings,
		     const struct fanout_state *state, const struct fanout_totals *from,
		     const struct fanout_totals *shared, __u64 now)
{
	turn(job, settings, now);
	fanout_take_back(job, state, from, shared);
}

int probe_detail(struct fanout_state *state, const struct fanout_settings *settings, __u64 now)
{
	turn(state, settings, now);
	return fanout_detail(state, settings->detail_limit);
}

void probe_figures(const struct fanout_state *state, __u32 window,
		   struct fanout_crossing *crossing)
{
	fanout_figures(state, &state->bucket[2 * window + state->older[window]], 0, crossing);
}

int probe_final(struct fanout_state *state, const struct fanout_settings *settings, __u64 now,
		struct fanout_crossing *crossing)
{
	turn(state, settings, now);
	return fanout_final(state, settings, crossing);
}

__u32 probe_program(__u64 before, __u64 more)
{
	static struct subject subject;
	static struct subject job;

	__builtin_memset(&job, 0, sizeof(job));
	enter_program(&job, &subject, before);
	enter_program(&job, &subject, more);
	return job.program[0].attempts;
}
