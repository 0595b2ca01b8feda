/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * What only functions of the kernel tell, and no tracepoint or cgroup hook: why a connect failed, at
 * once; that a security module refused one; where frames go that pass no queueing discipline. The
 * loader tries each function and leaves out what the kernel refuses.
 */
#ifndef PROCWIRE_VARIANTS_BPF_H
#define PROCWIRE_VARIANTS_BPF_H

#include "connect.bpf.h"
#include "rawsend.bpf.h"

/* The least that the kernel takes as an IPv6 address (RFC 2133, without the scope). */
#define IPV4_NAME_SIZE 8
#define IPV6_NAME_SIZE 24

/* struct sockaddr_in and sockaddr_in6, whose first eight bytes are alike but for the flow. */
struct socket_name {
	__u16 family;
	__be16 port;
	__be32 ipv4;
	__be32 ipv6[4];
};

/* The target of a connect; 0 for a name that is none of an internet socket. */
SUBPROGRAM int read_name(struct fanout_target *target, const void *address, int size)
{
	struct socket_name name = {};

	if (size < IPV4_NAME_SIZE || bpf_probe_read_kernel(&name, IPV4_NAME_SIZE, address))
		return 0;
	target->port = bpf_ntohs(name.port);
	if (name.family == AF_INET) {
		target->lo = IPV4_MAPPED | bpf_ntohl(name.ipv4);
		return 1;
	}
	if (name.family != AF_INET6 || size < IPV6_NAME_SIZE ||
	    bpf_probe_read_kernel(&name, IPV6_NAME_SIZE, address))
		return 0;
	target->hi = halves(name.ipv6[0], name.ipv6[1]);
	target->lo = halves(name.ipv6[2], name.ipv6[3]);
	return 1;
}

/* A security module is asked before the connect hook, which then does not run: this is the only sight
 * of the attempt. Of a socket whose connect is under way it is no further one. */
SUBPROGRAM int connect_forbidden(struct socket *socket, const void *address, int size, int result)
{
	const struct sock *sock = BPF_CORE_READ(socket, sk);
	struct subject_key key = { .pid = current_pid(), .slot = SLOT_CONNECT };
	struct pending attempt = { .target.protocol = IPPROTO_TCP };
	struct subject *subject;

	if (BPF_CORE_READ(sock, sk_protocol) != IPPROTO_TCP ||
	    !read_name(&attempt.target, address, size))
		return 0;
	settle_unsent((__u64)sock);
	if (find_pending((__u64)sock))
		return 0;
	subject = subject_of(&key, NULL);
	attempt.time_ns = time_of(subject);
	owner_of(subject, &attempt.owner);
	count(COUNT_ATTEMPTS);
	count(COUNT_OUTCOMES);
	if (count_attempt(&key, subject, &attempt.target, attempt.time_ns) && is_detailed(subject))
		send_connection(&attempt, NULL, ORIGIN_CONNECT, OUTCOME_DENIED, -result);
	count_outcome(&attempt.owner.process, SLOT_CONNECT, OUTCOME_DENIED);
	return 0;
}

static __always_inline void security_answers(struct socket *socket, const void *address, int size,
					     int result)
{
	if (result < 0)
		connect_forbidden(socket, address, size, result);
}

/* A connect that ended without a SYN. Whatever else the errno says, no packet left. */
SUBPROGRAM int connect_fails(struct file *file, int result)
{
	struct socket *socket = (struct socket *)BPF_CORE_READ(file, private_data);
	__u64 sock = (__u64)BPF_CORE_READ(socket, sk);
	struct pending *pending = find_pending(sock);
	__u32 outcome = outcome_of(-result);

	if (!pending || pending->sent || pending->target.protocol != IPPROTO_TCP)
		return 0;
	settle(sock, pending, NULL, outcome == OUTCOME_ABORTED ? OUTCOME_UNREACHABLE : outcome,
	       -result);
	return 0;
}

static __always_inline void connect_returns(struct file *file, int result)
{
	if (result < 0 && result != -EINPROGRESS && result != -EALREADY)
		connect_fails(file, result);
}

static __always_inline void frame_leaves_at_once(const struct sk_buff *packet)
{
	const struct sock *sock = packet->sk;

	if (sock && sock->__sk_common.skc_family == AF_PACKET)
		frame_leaves(packet, sock);
}

#endif
