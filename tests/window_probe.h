/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* kernel/window*.h as functions that a test can call: the steps of the sensor, without its map. */

/* Returns whether the target is new to the youngest bucket. */
int probe_attempt(struct fanout_state *state, const struct fanout_settings *settings,
		  const struct fanout_target *target, __u64 now, struct fanout_crossing *crossing);
void probe_look(struct fanout_state *state, const struct fanout_settings *settings,
		struct fanout_crossing *crossing);
/* What a process has counted since it last shared, and the target unless it is NULL, enter its job. */
void probe_share(struct fanout_state *job, const struct fanout_settings *settings,
		 const struct fanout_state *state, struct fanout_totals *shared,
		 const struct fanout_target *target, __u64 now);
/* Refused attempts, each shared at once, as one of a process's threads makes them. */
void probe_attempts_shared(struct fanout_state *job, struct fanout_state *state,
			   struct fanout_totals *shared, __u32 count);
void probe_take_back(struct fanout_state *job, const struct fanout_settings *settings,
		     const struct fanout_state *state, const struct fanout_totals *from,
		     const struct fanout_totals *shared, __u64 now);
/* Refused attempts at `count` targets, each `stride` addresses and `pause` ns after the one before;
 * returns how many events that makes. */
__u32 probe_sweep(struct fanout_state *state, const struct fanout_settings *settings,
		  const struct fanout_target *first, __u64 stride, __u32 count, __u64 now,
		  __u64 pause);
void probe_outcome(struct fanout_state *state, const struct fanout_settings *settings,
		   __u32 outcome, __u64 now, struct fanout_crossing *crossing);
void probe_inherit(struct fanout_state *state, const struct fanout_settings *settings,
		   const struct fanout_state *child, __u64 now, struct fanout_crossing *crossing);
int probe_detail(struct fanout_state *state, const struct fanout_settings *settings, __u64 now);
void probe_figures(const struct fanout_state *state, __u32 window,
		   struct fanout_crossing *crossing);
int probe_final(struct fanout_state *state, const struct fanout_settings *settings, __u64 now,
		struct fanout_crossing *crossing);
/* Attempts of a program in a job that entered so many, and then more. */
__u32 probe_program(__u64 before, __u64 more);
