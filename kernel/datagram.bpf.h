/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * Datagrams, and the event of an attempt. What is sent to an address counts as it is sent. Of a socket
 * that was given a peer the first packet counts, where it leaves: name services connect to sort
 * addresses and send nothing. Whether a peer refuses, the kernel tells a socket that has one.
 */
#ifndef PROCWIRE_DATAGRAM_BPF_H
#define PROCWIRE_DATAGRAM_BPF_H

#include "count.bpf.h"
#include "flow.bpf.h"
#include "pending.bpf.h"

/* sock is NULL where the source is not known. */
SUBPROGRAM int send_connection(const struct pending *pending, const struct sock *sock, __u32 origin,
			       __u32 outcome, __u32 error)
{
	struct connection_event *event =
		room(&connection_ring, sizeof(*event), LOST_CONNECTION_RING_FULL);
	struct in6_addr source = {};

	if (!event)
		return 0;
	write_connection(event, &pending->owner, &pending->target, origin);
	event->time_ns = pending->time_ns;
	event->duration_ns = bpf_ktime_get_boot_ns() - pending->time_ns;
	event->error = error;
	event->outcome = outcome;
	write_address(event->source, 0, 0);
	event->source_port = 0;
	if (sock) {
		/* A closed socket has given skc_num back; inet_sport stays. */
		event->source_port =
			bpf_ntohs(BPF_CORE_READ((const struct inet_sock *)sock, inet_sport));
		if (event->family == 4) {
			__be32 address = BPF_CORE_READ(sock, __sk_common.skc_rcv_saddr);

			write_address(event->source, 0, IPV4_MAPPED | bpf_ntohl(address));
		} else {
			BPF_CORE_READ_INTO(&source, sock, __sk_common.skc_v6_rcv_saddr);
			__builtin_memcpy(event->source, &source, sizeof(event->source));
		}
	}
	bpf_ringbuf_submit(event, 0);
	return 0;
}

static __always_inline struct pending attempt_of(struct bpf_sock_addr *context, __u64 hi, __u64 lo)
{
	struct pending pending = {
		.target = { .hi = hi,
			    .lo = lo,
			    .port = bpf_ntohs(context->user_port),
			    .protocol = context->protocol },
	};

	return pending;
}

static __always_inline void datagram_starts(struct bpf_sock_addr *context, __u64 hi, __u64 lo)
{
	struct pending pending = attempt_of(context, hi, lo);
	struct subject_key key = { .pid = current_pid(), .slot = SLOT_DATAGRAM };
	struct subject *subject = subject_of(&key, NULL);

	datagram_owner((__u64)context->sk);
	pending.time_ns = time_of(subject);
	count(COUNT_DATAGRAMS);
	if (!count_attempt(&key, subject, &pending.target, pending.time_ns) ||
	    !is_detailed(subject))
		return;
	owner_of(subject, &pending.owner);
	send_connection(&pending, NULL, ORIGIN_SENDMSG, OUTCOME_SENT, 0);
}

static __always_inline void datagram_peer(__u64 socket, struct pending *pending)
{
	describe_current(&pending->owner);
	if (!keep_pending(socket, pending))
		count(LOST_CONNECTION_MAP_FULL);
}

/* The first packet to a peer, perhaps under a foreign current. */
SUBPROGRAM int datagram_leaves(const struct sock *sock)
{
	struct pending *pending = find_pending((__u64)sock);
	struct subject_key key = { .slot = SLOT_DATAGRAM };
	struct subject *subject;

	if (!pending || pending->sent)
		return 0;
	pending->sent = 1;
	key.pid = pending->owner.process.pid;
	subject = subject_of(&key, &pending->owner);
	pending->time_ns = time_of(subject);
	count(COUNT_DATAGRAMS);
	if (!count_attempt(&key, subject, &pending->target, pending->time_ns) ||
	    !is_detailed(subject))
		return 0;
	pending->detailed = 1;
	send_connection(pending, sock, ORIGIN_CONNECT, OUTCOME_SENT, 0);
	return 0;
}

/* An error of a socket: of one with a peer, what an ICMP message said of it. */
static __always_inline void socket_fails(const struct sock *sock)
{
	struct pending *pending;
	__u32 outcome;

	if (sock->sk_type != SOCK_DGRAM)
		return;
	pending = find_pending((__u64)sock);
	outcome = outcome_of(sock->sk_err);
	if (!pending || !pending->sent || pending->ended || outcome == OUTCOME_ABORTED)
		return;
	pending->ended = 1;
	count_outcome(&pending->owner.process, SLOT_DATAGRAM, outcome);
	if (pending->detailed)
		send_connection(pending, sock, ORIGIN_CONNECT, outcome, sock->sk_err);
}

#endif
