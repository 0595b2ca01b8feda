/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * The headers of a packet as the kernel holds it; packet.h says what they mean.
 */
#ifndef PROCWIRE_PACKET_BPF_H
#define PROCWIRE_PACKET_BPF_H

#include "maps.bpf.h"

typedef const unsigned char *packet_source;

static __always_inline long read_bytes(void *to, __u32 size, packet_source from, __u32 place)
{
	return bpf_probe_read_kernel(to, size, from + place);
}

#include "packet.h"

/* See read_headers. What lies behind the linear part is not looked for. */
SUBPROGRAM int read_packet(struct leaving *leaving, const struct sk_buff *packet)
{
	return read_headers(leaving, packet->head, packet->protocol, packet->network_header,
			    packet->tail);
}

#endif
