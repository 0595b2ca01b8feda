/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#include "window.h"

#include "window_probe.h"

void probe_attempt(struct fanout_state *state, const struct fanout_settings *settings,
		   const struct fanout_target *target, __u64 now, struct fanout_crossing *crossing)
{
	struct fanout_places places = fanout_places(target);

	fanout_turn(state, settings, now);
	fanout_attempt(state, target, &places, now);
	fanout_crossed(state, settings, now, crossing);
}

void probe_outcome(struct fanout_state *state, const struct fanout_settings *settings,
		   __u32 outcome, __u64 now, struct fanout_crossing *crossing)
{
	fanout_turn(state, settings, now);
	fanout_outcome(state, outcome);
	fanout_crossed(state, settings, now, crossing);
}

int probe_detail(struct fanout_state *state, const struct fanout_settings *settings, __u64 now)
{
	fanout_turn(state, settings, now);
	return fanout_detail(state, settings->detail_limit);
}

__u32 probe_older(const struct fanout_state *state, int window, __u64 now)
{
	return fanout_older(&state->window[window], now);
}

__u32 probe_estimate(const struct distinct *set)
{
	return distinct_estimate(set);
}

int probe_final(struct fanout_state *state, const struct fanout_settings *settings, __u64 now,
		struct fanout_crossing *crossing)
{
	fanout_turn(state, settings, now);
	return fanout_final(state, settings, now, crossing);
}
