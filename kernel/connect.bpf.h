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
#include "process.bpf.h"

#define AF_INET 2
#define AF_INET6 10
#define SOCK_RAW 3
#define IPPROTO_TCP 6

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

static __always_inline __u64 halves(__be32 upper, __be32 lower)
{
	return (__u64)bpf_ntohl(upper) << 32 | bpf_ntohl(lower);
}

static __always_inline void describe_process(struct pending *pending)
{
	struct task_struct *task = (struct task_struct *)bpf_get_current_task();

	pending->time_ns = bpf_ktime_get_boot_ns();
	pending->process = process_key_of(task);
	pending->uid = BPF_CORE_READ(task, cred, uid.val);
	pending->net_namespace = net_namespace_of(task);
	BPF_CORE_READ_STR_INTO(&pending->comm, task, comm);
}

/* sock is NULL where the source is not known. */
static __always_inline void send_connection(const struct pending *pending, const struct sock *sock,
					    __u32 outcome, __u32 error, __u64 now)
{
	struct connection_event *event =
		room(&connection_ring, sizeof(*event), LOST_CONNECTION_RING_FULL);
	struct in6_addr source = {};

	if (!event)
		return;
	event->time_ns = pending->time_ns;
	event->duration_ns = now - pending->time_ns;
	event->process = pending->process;
	event->kind = EVENT_CONNECTION;
	event->error = error;
	event->uid = pending->uid;
	event->net_namespace = pending->net_namespace;
	write_address(event->source, 0, 0);
	write_address(event->destination, pending->target.hi, pending->target.lo);
	event->source_port = 0;
	event->destination_port = pending->target.port;
	event->protocol = pending->target.protocol;
	event->origin = ORIGIN_CONNECT;
	event->outcome = outcome;
	event->family = pending->family;
	__builtin_memcpy(event->comm, pending->comm, sizeof(event->comm));
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
}

/* Whoever deletes the entry settles it, so that an attempt has one outcome. */
static __always_inline void settle(__u64 socket, const struct sock *sock, __u32 outcome,
				   __u32 error)
{
	struct pending *found = bpf_map_lookup_elem(&pending_connections, &socket);
	struct pending pending;
	__u64 now;

	if (!found)
		return;
	pending = *found;
	if (bpf_map_delete_elem(&pending_connections, &socket))
		return;
	now = bpf_ktime_get_boot_ns();
	count_outcome(&pending, outcome, now);
	if (pending.detailed)
		send_connection(&pending, sock, outcome, error, now);
}

/* The socket is gone or starts over; if its last attempt sent no SYN, the kernel knew no way. */
static __always_inline void settle_unsent(__u64 socket)
{
	struct pending *pending = bpf_map_lookup_elem(&pending_connections, &socket);

	if (pending && !pending->syn_sent)
		settle(socket, NULL, OUTCOME_UNREACHABLE, 0);
}

/* Remembers an attempt and counts it. Where there is no room, connect leaves the counting to
 * SYN_SENT, so that it happens once. */
static __always_inline void begin(__u64 socket, struct pending *pending)
{
	if (bpf_map_update_elem(&pending_connections, &socket, pending, BPF_ANY)) {
		if (!pending->syn_sent) {
			count(LOST_CONNECTION_MAP_FULL);
			return;
		}
		count_attempt(pending);
		return;
	}
	if (count_attempt(pending)) {
		struct pending *stored = bpf_map_lookup_elem(&pending_connections, &socket);

		if (stored)
			stored->detailed = 1;
	} else {
		count(SKIPPED_CONNECTION_DETAIL);
	}
}

static __always_inline void connect_starts(struct bpf_sock_addr *context, __u64 hi, __u64 lo)
{
	__u64 socket = (__u64)context->sk;
	struct pending pending = {
		.target = { .hi = hi,
			    .lo = lo,
			    .port = bpf_ntohs(context->user_port),
			    .protocol = context->protocol },
	};

	pending.family = family_of(&pending.target);
	describe_process(&pending);
	if (context->protocol == IPPROTO_TCP) {
		settle_unsent(socket);
		begin(socket, &pending);
	} else if (count_detail(&pending)) {
		send_connection(&pending, NULL, OUTCOME_SENT, 0, pending.time_ns);
	} else {
		count(SKIPPED_CONNECTION_DETAIL);
	}
}

/* Still in the context of the process that connects. */
static __always_inline void syn_sent(const struct sock *sock)
{
	__u64 socket = (__u64)sock;
	struct pending *known = bpf_map_lookup_elem(&pending_connections, &socket);
	struct pending pending = { .syn_sent = 1 };
	__u32 family = BPF_CORE_READ(sock, __sk_common.skc_family);
	struct in6_addr address = {};

	if (known) {
		known->syn_sent = 1;
		return;
	}
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
	describe_process(&pending);
	begin(socket, &pending);
}

static __always_inline void state_changes(const struct sock *sock, int before, int after)
{
	__u64 socket = (__u64)sock;
	int error;

	if (after == TCP_SYN_SENT) {
		if (BPF_CORE_READ(sock, sk_protocol) == IPPROTO_TCP)
			syn_sent(sock);
		return;
	}
	if (before != TCP_SYN_SENT && before != TCP_SYN_RECV)
		return;
	if (after != TCP_ESTABLISHED && after != TCP_CLOSE)
		return;
	if (!bpf_map_lookup_elem(&pending_connections, &socket)) {
		/* From SYN_RECV it is the accepting side's socket. */
		if (before == TCP_SYN_SENT)
			count(SKIPPED_UNKNOWN_SOCKET);
		return;
	}
	if (after == TCP_ESTABLISHED) {
		settle(socket, sock, OUTCOME_ESTABLISHED, 0);
		return;
	}
	error = BPF_CORE_READ(sock, sk_err);
	settle(socket, sock, outcome_of(error), error);
}

static __always_inline void socket_created(struct bpf_sock *context)
{
	struct task_struct *task = (struct task_struct *)bpf_get_current_task();
	struct socket_event *event;

	if (context->type != SOCK_RAW)
		return;
	count(COUNT_SOCKETS);
	event = room(&socket_ring, sizeof(*event), LOST_SOCKET_RING_FULL);
	if (!event)
		return;
	event->time_ns = bpf_ktime_get_boot_ns();
	event->process = process_key_of(task);
	event->kind = EVENT_SOCKET;
	event->family = context->family;
	event->type = context->type;
	event->protocol = context->protocol;
	event->uid = BPF_CORE_READ(task, cred, uid.val);
	event->net_namespace = net_namespace_of(task);
	__builtin_memset(event->comm, 0, sizeof(event->comm));
	BPF_CORE_READ_STR_INTO(&event->comm, task, comm);
	bpf_ringbuf_submit(event, 0);
}

#endif
