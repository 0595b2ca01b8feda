/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * Sockets and connections. A TCP connect ends asynchronously, often in softirq under a foreign
 * current: the process is remembered by socket when the attempt starts and looked up at its end.
 * An attempt that finds no route never changes the socket's state; it is settled when the socket is
 * released or tries again.
 */
#ifndef PROCWIRE_CONNECT_BPF_H
#define PROCWIRE_CONNECT_BPF_H

#include "fanout.bpf.h"
#include "pending.bpf.h"
#include "rawsend.bpf.h"

#define TCP_ESTABLISHED 1
#define TCP_SYN_SENT 2
#define TCP_SYN_RECV 3
#define TCP_CLOSE 7

#define EPERM 1
#define EACCES 13
#define ENETDOWN 100
#define ENETUNREACH 101
#define ETIMEDOUT 110
#define ECONNREFUSED 111
#define EHOSTDOWN 112
#define EHOSTUNREACH 113

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

/* sock is NULL where the source is not known. */
SUBPROGRAM int send_connection(const struct pending *pending, const struct sock *sock, __u32 origin,
			       __u32 outcome, __u32 error)
{
	struct connection_event *event =
		room(&connection_ring, sizeof(*event), LOST_CONNECTION_RING_FULL);
	struct in6_addr source = {};

	if (!event)
		return 0;
	event->time_ns = pending->time_ns;
	event->duration_ns = bpf_ktime_get_boot_ns() - pending->time_ns;
	event->process = pending->owner.process;
	event->kind = EVENT_CONNECTION;
	event->error = error;
	event->uid = pending->owner.uid;
	event->net_namespace = pending->owner.net_namespace;
	write_address(event->source, 0, 0);
	write_address(event->destination, pending->target.hi, pending->target.lo);
	event->source_port = 0;
	event->destination_port = pending->target.port;
	event->protocol = pending->target.protocol;
	event->origin = origin;
	event->outcome = outcome;
	event->family = pending->family;
	__builtin_memcpy(event->comm, pending->owner.comm, sizeof(event->comm));
	if (sock) {
		/* A closed socket has given skc_num back; inet_sport stays. */
		event->source_port =
			bpf_ntohs(BPF_CORE_READ((const struct inet_sock *)sock, inet_sport));
		if (pending->family == 4) {
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

/* An attempt has one outcome: the state changes after a SYN, under the socket's lock, or there was
 * none and the socket is released or starts over. */
static __always_inline void settle(__u64 socket, const struct pending *pending,
				   const struct sock *sock, __u32 outcome, __u32 error)
{
	struct process_key process = pending->owner.process;

	if (pending->detailed)
		send_connection(pending, sock, ORIGIN_CONNECT, outcome, error);
	if (forget_pending(socket))
		count_outcome(&process, outcome);
}

/* The socket is gone or starts over; if its last attempt sent no SYN, another cgroup program forbade
 * it, or the kernel knew no way. */
static __always_inline void settle_unsent(__u64 socket)
{
	struct pending *pending = find_pending(socket);

	if (pending && !pending->syn_sent)
		settle(socket, pending, NULL,
		       pending->denied ? OUTCOME_DENIED : OUTCOME_UNREACHABLE, 0);
}

/* Remembers an attempt and counts it. Its owner is the current process, unless it has one already.
 * Where there is no room, connect leaves the counting to SYN_SENT, so that it happens once. */
static __always_inline void begin(__u64 socket, struct pending *pending)
{
	int known = pending->owner.process.pid != 0;
	struct subject_key key = { .pid = known ? pending->owner.process.pid : current_pid() };
	struct subject *subject = subject_of(&key, known ? &pending->owner : NULL);
	int stored;

	pending->time_ns = time_of(subject);
	if (subject)
		pending->owner = subject->owner;
	else if (!known)
		describe_current(&pending->owner);
	stored = keep_pending(socket, pending);
	if (!stored && !pending->syn_sent) {
		count(LOST_CONNECTION_MAP_FULL);
		return;
	}
	count(COUNT_ATTEMPTS);
	if (!count_attempt(&key, subject, &pending->target, pending->time_ns)) {
		count(SKIPPED_CONNECTION_DETAIL);
	} else if (stored) {
		struct pending *entry = find_pending(socket);

		if (entry)
			entry->detailed = 1;
	}
}

/* A datagram's way: connect says nothing of a scan, name services connect to sort addresses; what is
 * sent says. */
static __always_inline void datagram_sent(struct pending *pending, __u32 origin)
{
	struct subject_key key = { .pid = current_pid(), .slot = SLOT_DATAGRAM };
	struct subject *subject = subject_of(&key, NULL);
	int detailed;

	pending->time_ns = time_of(subject);
	if (origin == ORIGIN_SENDMSG) {
		count(COUNT_DATAGRAMS);
		detailed = count_attempt(&key, subject, &pending->target, pending->time_ns);
	} else if (subject) {
		turn(&key, subject, pending->time_ns);
		detailed = fanout_detail(&subject->state, settings.detail_limit);
	} else {
		detailed = 1;
	}
	if (!detailed) {
		count(SKIPPED_CONNECTION_DETAIL);
		return;
	}
	if (subject)
		pending->owner = subject->owner;
	else
		describe_current(&pending->owner);
	send_connection(pending, NULL, origin, OUTCOME_SENT, 0);
}

/* Whether a cgroup program that ran before this one forbids the attempt: those of inner cgroups run
 * first. Before 5.18 nobody can ask. */
static __always_inline int is_denied(void)
{
	return bpf_core_enum_value_exists(enum bpf_func_id, BPF_FUNC_get_retval) &&
	       bpf_get_retval() < 0;
}

static __always_inline struct pending attempt_of(struct bpf_sock_addr *context, __u64 hi, __u64 lo)
{
	struct pending pending = {
		.target = { .hi = hi,
			    .lo = lo,
			    .port = bpf_ntohs(context->user_port),
			    .protocol = context->protocol },
	};

	pending.family = family_of(&pending.target);
	return pending;
}

static __always_inline void connect_starts(struct bpf_sock_addr *context, __u64 hi, __u64 lo)
{
	__u64 socket = (__u64)context->sk;
	struct pending pending = attempt_of(context, hi, lo);

	if (context->protocol == IPPROTO_TCP) {
		pending.denied = is_denied();
		settle_unsent(socket);
		begin(socket, &pending);
	} else {
		datagram_sent(&pending, ORIGIN_CONNECT);
	}
}

static __always_inline void datagram_starts(struct bpf_sock_addr *context, __u64 hi, __u64 lo)
{
	struct pending pending = attempt_of(context, hi, lo);

	datagram_sent(&pending, ORIGIN_SENDMSG);
}

/* Still in the context of the process that connects, unless the task is given. */
static __always_inline void syn_sent(const struct sock *sock, struct task_struct *task)
{
	__u64 socket = (__u64)sock;
	struct pending *known = find_pending(socket);
	struct pending pending = { .syn_sent = 1 };
	__u32 family;
	struct in6_addr address = {};

	if (known) {
		known->syn_sent = 1;
		return;
	}
	family = BPF_CORE_READ(sock, __sk_common.skc_family);
	if (family == AF_INET) {
		pending.target.lo =
			IPV4_MAPPED | bpf_ntohl(BPF_CORE_READ(sock, __sk_common.skc_daddr));
	} else if (family == AF_INET6) {
		BPF_CORE_READ_INTO(&address, sock, __sk_common.skc_v6_daddr);
		pending.target.hi = halves(address.in6_u.u6_addr32[0], address.in6_u.u6_addr32[1]);
		pending.target.lo = halves(address.in6_u.u6_addr32[2], address.in6_u.u6_addr32[3]);
	} else {
		count(SKIPPED_OTHER_FAMILY);
		return;
	}
	pending.target.port = bpf_ntohs(BPF_CORE_READ(sock, __sk_common.skc_dport));
	pending.target.protocol = IPPROTO_TCP;
	pending.family = family_of(&pending.target);
	if (task)
		describe(&pending.owner, task);
	begin(socket, &pending);
}

static __always_inline void state_changes(const struct sock *sock, int before, int after)
{
	__u64 socket = (__u64)sock;
	struct pending *pending;
	int error;

	if (after == TCP_SYN_SENT) {
		if (sock->sk_protocol == IPPROTO_TCP)
			syn_sent(sock, NULL);
		return;
	}
	if (before != TCP_SYN_SENT && before != TCP_SYN_RECV)
		return;
	if (after != TCP_ESTABLISHED && after != TCP_CLOSE)
		return;
	pending = find_pending(socket);
	if (!pending) {
		/* From SYN_RECV it is the accepting side's socket. */
		if (before == TCP_SYN_SENT)
			count(SKIPPED_UNKNOWN_SOCKET);
		return;
	}
	error = after == TCP_CLOSE ? sock->sk_err : 0;
	settle(socket, pending, sock,
	       after == TCP_ESTABLISHED ? OUTCOME_ESTABLISHED : outcome_of(error), error);
}

#endif
