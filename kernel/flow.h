/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * Whose the packets are, as both kinds of programs know it: where a packet comes from by its headers.
 * Bytes are read as packet.h reads them.
 */
#ifndef PROCWIRE_FLOW_H
#define PROCWIRE_FLOW_H

#include "packet.h"
#include "write.h"

/* Of an attempt, sent: a SYN left, and a flow event told whose it is. */
#define SYN_TOLD 2

static __always_inline int has_ports(__u32 protocol)
{
	return protocol == IPPROTO_TCP || protocol == IPPROTO_UDP || protocol == IPPROTO_UDPLITE ||
	       protocol == IPPROTO_SCTP;
}

/* IPv4 mapped; the unspecified address is zero for both families. */
static __always_inline __u64 mapped_half(__be32 ipv4)
{
	return ipv4 ? IPV4_MAPPED | bpf_ntohl(ipv4) : 0;
}

static __always_inline int is_unspecified(const __u8 *address)
{
	const word *words = (const word *)address;

	return words[0] == 0 && words[1] == 0;
}

static __always_inline void read_ports(struct packet_end *end, packet_source from, __u32 transport)
{
	__be16 port = 0;

	if (!has_ports(end->protocol))
		return;
	read_bytes(&port, sizeof(port), from, transport);
	end->port = bpf_ntohs(port);
}

/* Where a packet comes from by its headers; 0 for one that is not understood. protocol, network: as of
 * read_headers. */
static __always_inline int read_end(struct packet_end *end, packet_source from, __be16 protocol,
				    __u32 network)
{
	union network header;

	switch (bpf_ntohs(protocol)) {
	case ETHERTYPE_IPV4:
		if (read_bytes(&header.ipv4, sizeof(header.ipv4), from, network))
			return 0;
		end->lo = IPV4_MAPPED | bpf_ntohl(header.ipv4.source);
		end->protocol = header.ipv4.protocol;
		if (!(bpf_ntohs(header.ipv4.fragment) & IPV4_FRAGMENT))
			read_ports(end, from, network + ((header.ipv4.version_length & 15) << 2));
		return 1;
	case ETHERTYPE_IPV6:
		if (read_bytes(&header.ipv6, sizeof(header.ipv6), from, network))
			return 0;
		end->hi = halves(header.ipv6.source[0], header.ipv6.source[1]);
		end->lo = halves(header.ipv6.source[2], header.ipv6.source[3]);
		end->protocol = header.ipv6.protocol;
		read_ports(end, from, network + sizeof(header.ipv6));
		return 1;
	case ETHERTYPE_ARP:
		if (read_bytes(&header.arp, sizeof(header.arp), from, network))
			return 0;
		end->lo = IPV4_MAPPED | (__u64)bpf_ntohs(header.arp.sender[0]) << 16 |
			  bpf_ntohs(header.arp.sender[1]);
		return 1;
	default:
		return 0;
	}
}

static __always_inline __u64 mark_of(const struct packet_end *end)
{
	return mix64(end->hi ^ mix64(end->lo) ^ ((__u64)end->protocol << 32 | end->port)) | 1;
}

#endif
