/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * Finding, keeping and forgetting the attempts under way; see socket_maps.bpf.h for where they are.
 */
#ifndef PROCWIRE_PENDING_BPF_H
#define PROCWIRE_PENDING_BPF_H

#include "socket_maps.bpf.h"

/* Of a pointer the verifier gives out no number to calculate with, but for what is left of it after a
 * subtraction of 32 bits. */
static __always_inline __u32 hash_of_socket(__u64 socket)
{
	__u64 lower;

	asm volatile("r1 = %1; w1 -= 0; %0 = r1" : "=r"(lower) : "r"(socket) : "r1");
	return lower * GOLDEN_RATIO_32;
}

static __always_inline struct pending_place *place_of(__u64 socket)
{
	__u32 place = hash_of_socket(socket) >> (32 - PENDING_BITS);

	return bpf_map_lookup_elem(&pending_connections, &place);
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
		return NULL;
	if (place->socket == socket)
		return place->seal == seal_of(&place->pending) ? &place->pending : NULL;
	return place->crowd ? bpf_map_lookup_elem(&crowded_connections, &socket) : NULL;
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
	if (bpf_map_update_elem(&crowded_connections, &socket, pending, BPF_NOEXIST))
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
	if (bpf_map_delete_elem(&crowded_connections, &socket))
		return 0;
	__sync_fetch_and_add(&place->crowd, -1);
	return 1;
}

#endif
