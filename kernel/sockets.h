/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * The kernel's numbers for sockets, states and errors, which no header gives a BPF program, and what
 * they say of an attempt.
 */
#ifndef PROCWIRE_SOCKETS_H
#define PROCWIRE_SOCKETS_H

#include "window.h"

#define AF_INET 2
#define AF_INET6 10
#define AF_PACKET 17
#define SOCK_STREAM 1
#define SOCK_DGRAM 2
#define SOCK_RAW 3

#define IPPROTO_ICMP 1
#define IPPROTO_TCP 6
#define IPPROTO_UDP 17
#define IPPROTO_ICMPV6 58
#define IPPROTO_SCTP 132
#define IPPROTO_UDPLITE 136

/* Of TIME_WAIT and NEW_SYN_RECV a struct sock is a smaller struct, without a type. A datagram socket
 * with a peer is ESTABLISHED. */
#define TCP_ESTABLISHED 1
#define TCP_SYN_SENT 2
#define TCP_SYN_RECV 3
#define TCP_TIME_WAIT 6
#define TCP_CLOSE 7
#define TCP_LISTEN 10
#define TCP_NEW_SYN_RECV 12

#define EPERM 1
#define EINTR 4
#define EACCES 13
#define ENETDOWN 100
#define ENETUNREACH 101
#define ETIMEDOUT 110
#define ECONNREFUSED 111
#define EHOSTDOWN 112
#define EHOSTUNREACH 113
#define EALREADY 114
#define EINPROGRESS 115
/* What system calls return inside the kernel when a signal interrupts them. */
#define ERESTARTSYS 512
#define ERESTART_RESTARTBLOCK 516

#define IPV4_MAPPED 0x0000ffff00000000ULL

static __always_inline __u32 outcome_of(int error)
{
	switch (error) {
	case ECONNREFUSED:
		return OUTCOME_REFUSED;
	case ETIMEDOUT:
		return OUTCOME_TIMED_OUT;
	case ENETDOWN:
	case ENETUNREACH:
	case EHOSTDOWN:
	case EHOSTUNREACH:
		return OUTCOME_UNREACHABLE;
	case EPERM:
	case EACCES:
		return OUTCOME_DENIED;
	default:
		return OUTCOME_ABORTED;
	}
}

/* ::ffff:a.b.c.d is a.b.c.d: two families of sockets reach the same host. */
static __always_inline __u32 family_of(const struct fanout_target *target)
{
	return target->hi == 0 && target->lo >> 32 == IPV4_MAPPED >> 32 ? 4 : 6;
}

/* Half an IPv6 address of two words as on the wire. bpf_ntohl is a macro of libbpf's and of bcc's. */
static __always_inline __u64 halves(__u32 upper, __u32 lower)
{
	return (__u64)bpf_ntohl(upper) << 32 | bpf_ntohl(lower);
}

#endif
