/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * What a packet tries, by its headers: the kinds of attempts that user space counts on the wire. Of
 * packets whose headers a process wrote itself, nothing else tells.
 *
 * Whoever includes this says before where a packet's bytes lie (packet_source), and how they are read:
 * read_bytes(to, size, from, place) returns 0 if they were there.
 */
#ifndef PROCWIRE_PACKET_H
#define PROCWIRE_PACKET_H

#include "sockets.h"

#define ETHERTYPE_IPV4 0x0800
#define ETHERTYPE_ARP 0x0806
#define ETHERTYPE_IPV6 0x86dd
#define ETHERTYPE_VLAN 0x8100
#define ETHERTYPE_SERVICE_VLAN 0x88a8

/* IEEE 802.1Q: a tag ends in the type of what follows, as the Ethernet header does. */
#define VLAN_TAG 4
/* A service and a customer tag, and one that some providers add; user space decodes as many. */
#define MAX_VLAN_TAGS 3

#define IPV4_GROUPS 224
#define IPV4_FRAGMENT 0x1fff
#define IPV6_GROUP 0xff

/* The transport header's first bytes; a neighbour solicitation is the longest that is looked into. */
#define TRANSPORT_SIZE 24
/* Of UDP and ICMP. */
#define TRANSPORT_LEAST 8
#define TCP_FLAGS 13
#define TCP_FIN 0x01
#define TCP_SYN 0x02
#define TCP_RST 0x04
#define TCP_PSH 0x08
#define TCP_ACK 0x10
#define TCP_URG 0x20

/* RFC 9260 3: behind the common header; an INIT has its packet to itself. */
#define SCTP_FIRST_CHUNK 12
#define SCTP_INIT 1

/* RFC 792, RFC 950: who asks for the time or the network's mask looks for hosts as well. */
#define ICMP_ECHO_REQUEST 8
#define ICMP_TIMESTAMP 13
#define ICMP_ADDRESS_MASK 17
#define ICMPV6_ECHO_REQUEST 128
#define NEIGHBOUR_SOLICITATION 135
#define SOLICITED_ADDRESS 8
#define ARP_REQUEST 1

/* RFC 6335 section 6: below it services answer. */
#define SYSTEM_PORTS 1024
/* RFC 2131: both sides speak before they have addresses, and so through raw sockets. */
#define DHCP_SERVER_PORT 67
#define DHCP_CLIENT_PORT 68
/* Who traces a path counts up through ports where nobody listens, with few hops to go: traceroute
 * through IANA's, three for each of 30 hops, mtr from 33000 for as long as it runs. */
#define TRACE_FIRST 33434
#define TRACE_END 33534
#define TRACE_LEAST 33000
#define TRACE_HOPS 32

#define NO_ATTEMPT -1

struct ipv4_header {
	__u8 version_length;
	__u8 service;
	__be16 size;
	__be16 identification;
	__be16 fragment;
	__u8 hops;
	__u8 protocol;
	__be16 checksum;
	__be32 source;
	__be32 destination;
};

struct ipv6_header {
	__be32 version_class_flow;
	__be16 payload_size;
	__u8 protocol;
	__u8 hops;
	__be32 source[4];
	__be32 destination[4];
};

/* Of Ethernet and IPv4; address: of the question. Halves, since it lies at an odd multiple of 2. */
struct arp_packet {
	__be16 hardware;
	__be16 protocol;
	__u8 sizes[2];
	__be16 operation;
	__u8 sender_hardware[6];
	__be16 sender[2];
	__u8 target_hardware[6];
	__be16 address[2];
};

union network {
	struct ipv4_header ipv4;
	struct ipv6_header ipv6;
	struct arp_packet arp;
};

struct transport {
	__u8 bytes[TRANSPORT_SIZE];
};

/* What a packet's headers tell beside its target. payload: behind the transport header of TCP. */
struct leaving {
	struct fanout_target target;
	__u32 start; /* of the transport header */
	__u32 payload;
	__u32 hops;
	__u32 group;
};

static __always_inline __u32 u16_at(const struct transport *header, __u32 place)
{
	return (__u32)header->bytes[place] << 8 | header->bytes[place + 1];
}

static __always_inline __u64 u64_at(const struct transport *header, __u32 place)
{
	return (__u64)u16_at(header, place) << 48 | (__u64)u16_at(header, place + 2) << 32 |
	       (__u64)u16_at(header, place + 4) << 16 | u16_at(header, place + 6);
}

/* The protocol that a frame says it holds. network: where its Ethernet header ends; moved behind tags. */
static __always_inline __be16 type_of_frame(packet_source from, __u32 *network)
{
	__be16 type = 0;

	FIXED_ROUNDS
	for (int tags = 0; tags <= MAX_VLAN_TAGS; tags++) {
		if (read_bytes(&type, sizeof(type), from, *network - sizeof(type)))
			return 0;
		if (type != bpf_htons(ETHERTYPE_VLAN) && type != bpf_htons(ETHERTYPE_SERVICE_VLAN))
			break;
		*network += VLAN_TAG;
	}
	return type;
}

static __always_inline int segment_kind(const struct transport *header, __u32 payload)
{
	__u32 flags = header->bytes[TCP_FLAGS] &
		      (TCP_FIN | TCP_SYN | TCP_RST | TCP_PSH | TCP_ACK | TCP_URG);

	if (flags & TCP_SYN)
		return flags & (TCP_ACK | TCP_RST) ? NO_ATTEMPT : ATTEMPT_CONNECT;
	if (payload && flags & TCP_ACK)
		return NO_ATTEMPT;
	switch (flags) {
	case 0:
		return ATTEMPT_NULL;
	case TCP_FIN:
		return ATTEMPT_FIN;
	case TCP_FIN | TCP_PSH | TCP_URG:
		return ATTEMPT_XMAS;
	case TCP_FIN | TCP_ACK:
		return ATTEMPT_MAIMON;
	case TCP_ACK:
		return ATTEMPT_ACK;
	default:
		return NO_ATTEMPT;
	}
}

static __always_inline int question_kind(__u32 type)
{
	return type == ICMP_ECHO_REQUEST || type == ICMP_TIMESTAMP || type == ICMP_ADDRESS_MASK ?
		       ATTEMPT_ECHO :
		       NO_ATTEMPT;
}

static __always_inline int datagram_kind(const struct transport *header, __u32 hops)
{
	__u32 from = u16_at(header, 0);
	__u32 to = u16_at(header, 2);

	if (from < SYSTEM_PORTS && to >= SYSTEM_PORTS)
		return NO_ATTEMPT;
	if (to == DHCP_SERVER_PORT || to == DHCP_CLIENT_PORT)
		return NO_ATTEMPT;
	if (to >= TRACE_FIRST && to < TRACE_END && hops < TRACE_HOPS)
		return NO_ATTEMPT;
	return ATTEMPT_DATAGRAM;
}

/* The kind of attempt by the transport header, with the port that goes into the target. */
static __always_inline int transport_kind(struct leaving *leaving, const struct transport *header)
{
	struct fanout_target *target = &leaving->target;

	switch (target->protocol) {
	case IPPROTO_TCP: {
		__u32 size = header->bytes[12] >> 4 << 2;

		target->port = u16_at(header, 2);
		/* The flags are in the next fragment (nmap -f). */
		if (leaving->payload <= TCP_FLAGS)
			return ATTEMPT_CONNECT;
		return segment_kind(header, leaving->payload > size);
	}
	case IPPROTO_UDP:
		target->port = u16_at(header, 2);
		/* A scanner may lower its hops, too: of each host one such port counts. */
		if (target->port >= TRACE_LEAST && leaving->hops < TRACE_HOPS)
			target->port = TRACE_LEAST;
		return datagram_kind(header, leaving->hops);
	case IPPROTO_SCTP:
		target->port = u16_at(header, 2);
		return header->bytes[SCTP_FIRST_CHUNK] == SCTP_INIT ? ATTEMPT_CONNECT : NO_ATTEMPT;
	case IPPROTO_ICMP:
		target->port = header->bytes[0];
		return question_kind(target->port);
	case IPPROTO_ICMPV6:
		target->port = header->bytes[0];
		if (target->port == NEIGHBOUR_SOLICITATION) {
			target->hi = u64_at(header, SOLICITED_ADDRESS);
			target->lo = u64_at(header, SOLICITED_ADDRESS + 8);
			leaving->group = 0;
			return ATTEMPT_NEIGHBOUR;
		}
		return target->port == ICMPV6_ECHO_REQUEST ? ATTEMPT_ECHO : NO_ATTEMPT;
	default:
		return ATTEMPT_DATAGRAM;
	}
}

/* Each reads the network header, which begins at leaving->start; returns whether a transport header
 * follows. */
static __always_inline int read_ipv4(struct leaving *leaving, packet_source from,
				     struct ipv4_header *header)
{
	__u32 size, address;

	if (read_bytes(header, sizeof(*header), from, leaving->start))
		return 0;
	size = (header->version_length & 15) << 2;
	if (header->version_length >> 4 != 4 || size < sizeof(*header) ||
	    bpf_ntohs(header->fragment) & IPV4_FRAGMENT)
		return 0;
	address = bpf_ntohl(header->destination);
	leaving->target.lo = IPV4_MAPPED | address;
	leaving->target.protocol = header->protocol;
	leaving->start += size;
	leaving->payload = bpf_ntohs(header->size) - size;
	leaving->hops = header->hops;
	leaving->group = address == 0 || address >> 24 >= IPV4_GROUPS;
	return 1;
}

static __always_inline int read_ipv6(struct leaving *leaving, packet_source from,
				     struct ipv6_header *header)
{
	if (read_bytes(header, sizeof(*header), from, leaving->start))
		return 0;
	leaving->target.hi = halves(header->destination[0], header->destination[1]);
	leaving->target.lo = halves(header->destination[2], header->destination[3]);
	leaving->target.protocol = header->protocol;
	leaving->start += sizeof(*header);
	leaving->payload = bpf_ntohs(header->payload_size);
	leaving->hops = header->hops;
	leaving->group = leaving->target.hi >> 56 == IPV6_GROUP;
	return 1;
}

/* A host that announces its own address asks nobody (RFC 5227 section 2.3). */
static __always_inline int read_arp(struct leaving *leaving, packet_source from,
				    struct arp_packet *packet)
{
	if (read_bytes(packet, sizeof(*packet), from, leaving->start))
		return NO_ATTEMPT;
	if (bpf_ntohs(packet->operation) != ARP_REQUEST || packet->sizes[1] != 4 ||
	    (packet->sender[0] == packet->address[0] && packet->sender[1] == packet->address[1]))
		return NO_ATTEMPT;
	leaving->target.lo = IPV4_MAPPED | (__u64)bpf_ntohs(packet->address[0]) << 16 |
			     bpf_ntohs(packet->address[1]);
	return ATTEMPT_NEIGHBOUR;
}

/* What the packet tries, or NO_ATTEMPT: an answer, a group, a later fragment, another protocol.
 * network: where the header of the protocol (as on the wire) begins, and end: what can be read. */
static __always_inline int read_headers(struct leaving *leaving, packet_source from,
					__be16 protocol, __u32 network, __u32 end)
{
	struct transport header = {};
	union network above;
	__u64 there;
	int kind;

	leaving->start = network;
	switch (bpf_ntohs(protocol)) {
	case ETHERTYPE_IPV4:
		if (!read_ipv4(leaving, from, &above.ipv4))
			return NO_ATTEMPT;
		break;
	case ETHERTYPE_IPV6:
		if (!read_ipv6(leaving, from, &above.ipv6))
			return NO_ATTEMPT;
		break;
	case ETHERTYPE_ARP:
		return read_arp(leaving, from, &above.arp);
	default:
		return NO_ATTEMPT;
	}
	/* What lies behind the end reads as zero. */
	there = (__u64)end - leaving->start;
	VISIBLE(there);
	if ((__s64)there < TRANSPORT_LEAST)
		return NO_ATTEMPT;
	if (there > sizeof(header))
		there = sizeof(header);
	read_bytes(&header, there, from, leaving->start);
	kind = transport_kind(leaving, &header);
	return leaving->group ? NO_ATTEMPT : kind;
}

#endif
