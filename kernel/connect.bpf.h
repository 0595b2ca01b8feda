/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * TCP connections. A connect ends asynchronously, often in softirq under a foreign current: the
 * process is remembered by socket when the attempt starts and looked up at its end. An attempt that
 * finds no route never changes the socket's state; it is settled when the socket is released or
 * tries again.
 */
#ifndef PROCWIRE_CONNECT_BPF_H
#define PROCWIRE_CONNECT_BPF_H

#include "datagram.bpf.h"
#include "flow.bpf.h"

/* An attempt has one outcome: the state changes after a SYN, under the socket's lock, or there was
 * none and the socket is released or starts over. */
static __always_inline void settle(__u64 socket, const struct pending *pending,
				   const struct sock *sock, __u32 outcome, __u32 error)
{
	struct process_key process = pending->owner.process;
	__u32 counted = outcome == OUTCOME_UNREACHABLE && !pending->sent ? OUTCOME_UNROUTED : outcome;

	if (pending->detailed)
		send_connection(pending, sock, ORIGIN_CONNECT, outcome, error);
	if (!forget_pending(socket))
		return;
	count(COUNT_OUTCOMES);
	count_outcome(&process, SLOT_CONNECT, counted);
}

/* The socket is gone or starts over; if its last attempt sent no SYN, another cgroup program forbade
 * it, or the kernel knew no way. A datagram socket has told what it had to. */
SUBPROGRAM int settle_pending(__u64 socket)
{
	struct pending *pending = find_pending(socket);

	if (!pending)
		return 0;
	if (pending->target.protocol != IPPROTO_TCP)
		forget_pending(socket);
	else if (!pending->sent)
		settle(socket, pending, NULL,
		       pending->denied ? OUTCOME_DENIED : OUTCOME_UNREACHABLE, 0);
	return 0;
}

static __always_inline void settle_unsent(__u64 socket)
{
	if (may_be_pending(socket))
		settle_pending(socket);
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
	if (!known)
		owner_of(subject, &pending->owner);
	stored = keep_pending(socket, pending);
	if (!stored && !pending->sent) {
		count(LOST_CONNECTION_MAP_FULL);
		return;
	}
	count(COUNT_ATTEMPTS);
	if (count_attempt(&key, subject, &pending->target, pending->time_ns) &&
	    is_detailed(subject) && stored) {
		struct pending *entry = find_pending(socket);

		if (entry)
			entry->detailed = 1;
	}
}

/* Whether a cgroup program that ran before this one forbids the attempt: those of inner cgroups run
 * first. Before 5.18 nobody can ask. */
static __always_inline int is_denied(void)
{
	return bpf_core_enum_value_exists(enum bpf_func_id, BPF_FUNC_get_retval) &&
	       bpf_get_retval() < 0;
}

static __always_inline void connect_starts(struct bpf_sock_addr *context, __u64 hi, __u64 lo)
{
	__u64 socket = (__u64)context->sk;
	struct pending pending = attempt_of(context, hi, lo);

	settle_unsent(socket);
	if (context->protocol == IPPROTO_TCP) {
		pending.denied = is_denied();
		begin(socket, &pending);
	} else {
		datagram_connects(socket);
		datagram_peer(socket, &pending);
	}
}

/* A SYN that no connect announced: the attempt begins here. */
SUBPROGRAM int syn_begins(const struct sock *sock, struct task_struct *task)
{
	struct pending pending = { .sent = 1 };
	__u32 family = BPF_CORE_READ(sock, __sk_common.skc_family);

	if (family == AF_INET) {
		pending.target.lo =
			IPV4_MAPPED | bpf_ntohl(BPF_CORE_READ(sock, __sk_common.skc_daddr));
	} else if (family == AF_INET6) {
		__be32 address[4] = {};

		bpf_core_read(address, ADDRESS_SIZE, &sock->__sk_common.skc_v6_daddr);
		pending.target.hi = halves(address[0], address[1]);
		pending.target.lo = halves(address[2], address[3]);
	} else {
		count(SKIPPED_OTHER_FAMILY);
		return 0;
	}
	pending.target.port = bpf_ntohs(BPF_CORE_READ(sock, __sk_common.skc_dport));
	pending.target.protocol = IPPROTO_TCP;
	if (task)
		describe(&pending.owner, task);
	begin((__u64)sock, &pending);
	return 0;
}

/* Still in the context of the process that connects, unless the task is given. */
static __always_inline void syn_sent(const struct sock *sock, struct task_struct *task)
{
	struct pending *known = find_pending((__u64)sock);

	if (known)
		known->sent = 1;
	else
		syn_begins(sock, task);
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
	/* An accepted socket begins as a copy of the one that listens. */
	if (after == TCP_LISTEN || (before == TCP_LISTEN && after == TCP_CLOSE)) {
		listening_changes(sock, after == TCP_LISTEN ? FLOW_LISTENS : FLOW_ENDS);
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
