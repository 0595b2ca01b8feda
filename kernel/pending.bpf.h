/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * Finding, keeping and forgetting the attempts under way; see socket_maps.bpf.h for where they are.
 */
#ifndef PROCWIRE_PENDING_BPF_H
#define PROCWIRE_PENDING_BPF_H

#include "socket_maps.bpf.h"

/* NULL: another program wrote its own address in between, and there is no place this time. */
static __always_inline struct pending_place *place_of(__u64 socket)
{
	__u32 zero = 0;
	volatile __u64 *scratch = bpf_map_lookup_elem(&address_scratch, &zero);
	__u64 number;
	__u32 place;

	if (!scratch)
		return NULL;
	*scratch = socket;
	number = *scratch;
	place = number * GOLDEN_RATIO >> (64 - PENDING_BITS);
	/* Calculated before the comparison, which tells the compiler that one is the other. */
	VISIBLE(place);
	if (number != socket)
		return NULL;
	return bpf_map_lookup_elem(&pending_connections, &place);
}

static __always_inline __u64 seal_of(const struct pending *pending)
{
	return pending->target.hi ^ pending->target.lo ^ pending->owner.process.started_ns ^
	       (__u64)pending->owner.process.pid << 32;
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
