/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * Where the bytes of a packet are: of one that leaves, from its network header on, or, if packet is 0,
 * in the memory of the process that sends it. ../packet.h says what they mean.
 */

struct packet_bytes {
	struct __sk_buff *packet;
	u64 frame;
};

typedef struct packet_bytes *packet_source;

static __always_inline long read_bytes(void *to, u32 size, packet_source from, u32 place)
{
	if (from->packet)
		return bpf_skb_load_bytes(from->packet, place, to, size);
	return bpf_probe_read_user(to, size, (void *)(from->frame + place));
}

#include "packet.h"
#include "flow.h"

/* A socket that can send what connect never sees. */
static __always_inline void announce(struct owner *owner, u32 family, u32 type, u32 protocol,
				     u32 flags)
{
	struct socket_event *event = socket_ring.ringbuf_reserve(sizeof(struct socket_event));

	count(COUNT_SOCKETS);
	if (!event) {
		count(LOST_SOCKET_RING_FULL);
		return;
	}
	__builtin_memset(event, 0, sizeof(*event));
	event->time_ns = bpf_ktime_get_boot_ns();
	event->process = owner->process;
	event->kind = EVENT_SOCKET;
	event->family = family;
	event->type = type;
	event->protocol = protocol;
	event->uid = owner->uid;
	event->net_namespace = owner->net_namespace;
	event->flags = flags;
	__builtin_memcpy(event->comm, owner->comm, sizeof(event->comm));
	socket_ring.ringbuf_submit(event, 0);
}
