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

/* linux/if_arp.h: devices whose frames begin with an Ethernet header. */
#define ARPHRD_ETHER 1
#define ARPHRD_LOOPBACK 772

/* The protocol of a packet. network: where its header begins. Who writes a frame may bind the socket
 * to any number (thc-ipv6 does): whoever receives it goes by what the frame says. */
static __always_inline __be16 protocol_of(const struct sk_buff *packet, __u32 *network)
{
	const struct sock *sock = packet->sk;
	__u32 device = packet->dev->type;

	*network = packet->network_header;
	if (sock && sock->__sk_common.skc_family == AF_PACKET &&
	    (device == ARPHRD_ETHER || device == ARPHRD_LOOPBACK))
		return type_of_frame(packet->head, network);
	return packet->protocol;
}

/* See read_headers. What lies behind the linear part is not looked for. */
SUBPROGRAM int read_packet(struct leaving *leaving, const struct sk_buff *packet)
{
	__u32 network;
	__be16 protocol = protocol_of(packet, &network);

	return read_headers(leaving, packet->head, protocol, network, packet->tail);
}

#endif
