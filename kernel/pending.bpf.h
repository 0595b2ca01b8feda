/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * Where pending.h finds the attempts under way; see socket_maps.bpf.h.
 */
#ifndef PROCWIRE_PENDING_BPF_H
#define PROCWIRE_PENDING_BPF_H

#include "socket_maps.bpf.h"

static __always_inline struct pending_place *pending_place(__u32 place)
{
	return bpf_map_lookup_elem(&pending_connections, &place);
}

static __always_inline struct pending *find_crowded(const __u64 *socket)
{
	return bpf_map_lookup_elem(&crowded_connections, socket);
}

static __always_inline long keep_crowded(const __u64 *socket, const struct pending *pending)
{
	return bpf_map_update_elem(&crowded_connections, socket, pending, BPF_NOEXIST);
}

static __always_inline long forget_crowded(const __u64 *socket)
{
	return bpf_map_delete_elem(&crowded_connections, socket);
}

#include "pending.h"

#endif
