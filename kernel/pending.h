/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * Attempts under way, each at the place that its socket's address hashes to: an insertion into a hash
 * map and its deletion would cost more than all the rest of a connect. One whose place is taken is in
 * the crowd.
 *
 * Whoever includes this has said what a struct pending is, with its owner and target, and how the maps
 * are asked: pending_place, find_crowded, keep_crowded and forget_crowded; the last two return 0 if
 * they have done it.
 */
#ifndef PROCWIRE_PENDING_H
#define PROCWIRE_PENDING_H

#include "distinct.h"

/* Of a pointer the verifier gives out no number to calculate with, but for what is left of it after a
 * subtraction of 32 bits. bcc's compiler knows none of these registers; what has had its bytes swapped is
 * a number, too. */
static __always_inline __u32 hash_of_socket(__u64 socket)
{
	__u64 lower;

#ifdef __bpf__
	asm volatile("r1 = %1; w1 -= 0; %0 = r1" : "=r"(lower) : "r"(socket) : "r1");
#else
	lower = __builtin_bswap64(socket);
	VISIBLE(lower);
	lower = __builtin_bswap64(lower);
#endif
	return lower * GOLDEN_RATIO_32;
}

static __always_inline struct pending_place *place_of(__u64 socket)
{
	return pending_place(hash_of_socket(socket) >> (32 - PENDING_BITS));
}

static __always_inline __u64 seal_of(const struct pending *pending)
{
	return pending->target.hi ^ pending->target.lo ^ pending->owner.process.started_ns ^
	       (__u64)pending->owner.process.pid << 32;
}

/* Whether the socket may have an attempt; most that connect or are released have none. */
static __always_inline int may_be_pending(__u64 socket)
{
	struct pending_place *place = place_of(socket);

	return place && (place->socket == socket || place->crowd);
}

static __always_inline struct pending *find_pending(__u64 socket)
{
	struct pending_place *place = place_of(socket);

	if (!place)
		return 0;
	if (place->socket == socket)
		return place->seal == seal_of(&place->pending) ? &place->pending : 0;
	return place->crowd ? find_crowded(&socket) : 0;
}

/* Returns whether there was room. The socket has none yet. */
static __always_inline int keep_pending(__u64 socket, const struct pending *pending)
{
	struct pending_place *place = place_of(socket);

	if (!place)
		return 0;
	if (place->socket == 0 || place->socket == socket) {
		place->socket = socket;
		place->pending = *pending;
		place->seal = seal_of(pending);
		return 1;
	}
	if (keep_crowded(&socket, pending))
		return 0;
	__sync_fetch_and_add(&place->crowd, 1);
	return 1;
}

/* Returns whether it was there. */
static __always_inline int forget_pending(__u64 socket)
{
	struct pending_place *place = place_of(socket);

	if (!place)
		return 0;
	if (place->socket == socket) {
		place->socket = 0;
		return 1;
	}
	if (forget_crowded(&socket))
		return 0;
	__sync_fetch_and_add(&place->crowd, -1);
	return 1;
}

#endif
