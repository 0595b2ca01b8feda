/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * Whose the packets are. A flow event leaves before the first packet of a socket passes any capture:
 * with the SYN of a connect, when its port is chosen; with the first datagram of a socket, or when a
 * program binds it; when a program listens; with the first packet of each end that a raw or AF_PACKET
 * socket writes. Accepted connections need none: their end is the listener's.
 *
 * Owners come from the process's own context: the socket's creation, bind, connect or send.
 */
#ifndef PROCWIRE_FLOW_BPF_H
#define PROCWIRE_FLOW_BPF_H

#include "owner.bpf.h"
#include "packet.bpf.h"
#include "pending.bpf.h"
#include "flow.h"

/* Both ends as the socket has them. */
static __always_inline void socket_ends(struct flow_event *event, const struct sock *sock)
{
	event->protocol = BPF_CORE_READ(sock, sk_protocol);
	event->source_port = BPF_CORE_READ(sock, __sk_common.skc_num);
	/* A socket that closes may have given skc_num back; one that binds has no inet_sport yet. */
	if (!event->source_port)
		event->source_port =
			bpf_ntohs(BPF_CORE_READ((const struct inet_sock *)sock, inet_sport));
	event->destination_port = bpf_ntohs(BPF_CORE_READ(sock, __sk_common.skc_dport));
	if (!has_ports(event->protocol))
		event->source_port = event->destination_port = 0;
	if (BPF_CORE_READ(sock, __sk_common.skc_family) == AF_INET) {
		write_address(event->source, 0,
			      mapped_half(BPF_CORE_READ(sock, __sk_common.skc_rcv_saddr)));
		write_address(event->destination, 0,
			      mapped_half(BPF_CORE_READ(sock, __sk_common.skc_daddr)));
	} else {
		bpf_core_read(event->source, ADDRESS_SIZE, &sock->__sk_common.skc_v6_rcv_saddr);
		bpf_core_read(event->destination, ADDRESS_SIZE, &sock->__sk_common.skc_v6_daddr);
	}
}

static __always_inline void fill_flow(struct flow_event *event, const struct sock *sock,
				      const struct process_key *process, __u32 role, __u32 flags)
{
	event->time_ns = bpf_ktime_get_boot_ns();
	event->process = *process;
	event->kind = EVENT_FLOW;
	event->net_namespace = BPF_CORE_READ(sock, __sk_common.skc_net.net, ns.inum);
	event->role = role;
	event->padding = 0;
	event->socket = hash_of_socket((__u64)sock);
	socket_ends(event, sock);
	event->flags = flags;
	if (role != FLOW_WRITES && is_unspecified(event->source))
		event->flags |= EVENT_FLAG_ANY_ADDRESS;
}

/* end: what the socket's first packet came from, or NULL. */
SUBPROGRAM int send_flow(const struct sock *sock, const struct process_key *process, __u32 role,
			 const struct packet_end *end)
{
	struct flow_event *event = room(&flow_ring, sizeof(*event), LOST_FLOW_RING_FULL);

	if (!event)
		return 0;
	count(COUNT_FLOWS);
	fill_flow(event, sock, process, role, 0);
	if (end) {
		write_address(event->source, end->hi, end->lo);
		event->source_port = end->port;
		event->protocol = end->protocol;
	}
	bpf_ringbuf_submit(event, 0);
	return 0;
}

/* Tells in which role the end that a packet comes from is held, unless it was told last. owner: NULL
 * for the current process. */
SUBPROGRAM int tell_end(const struct sk_buff *packet, const struct sock *sock,
			const struct owner *owner, __u64 *told, __u32 role)
{
	struct packet_end end = {};
	struct process_key current;
	__u32 network;
	__be16 protocol = protocol_of(packet, &network);
	__u64 mark;

	if (!read_end(&end, packet->head, protocol, network))
		return 0;
	mark = mark_of(&end);
	if (*told == mark)
		return 0;
	*told = mark;
	if (owner) {
		current = owner->process;
	} else {
		current = process_key_of((struct task_struct *)bpf_get_current_task());
	}
	send_flow(sock, &current, role, &end);
	return 0;
}

static __always_inline struct sending_socket *datagram_socket(__u64 socket)
{
	return settings.flows ? bpf_map_lookup_elem(&datagram_sockets, &socket) : NULL;
}

SUBPROGRAM int keep_datagram_socket(__u64 socket, const struct owner *owner, __u64 told)
{
	struct sending_socket fresh = { .owner = *owner, .told = told };

	if (bpf_map_update_elem(&datagram_sockets, &socket, &fresh, BPF_ANY))
		count(LOST_SOCKET_MAP_FULL);
	return 0;
}

/* The current process connects the socket or sends through it: it may have been handed on. */
static __always_inline void datagram_owner(__u64 socket)
{
	struct sending_socket *known = datagram_socket(socket);

	if (known && known->owner.process.pid != current_pid()) {
		describe_current(&known->owner);
		known->told = 0;
	}
}

/* Another peer makes another flow. */
static __always_inline void datagram_connects(__u64 socket)
{
	struct sending_socket *known = datagram_socket(socket);

	datagram_owner(socket);
	if (known)
		known->told = 0;
}

static __always_inline void socket_bound(struct bpf_sock *context)
{
	__u64 socket = (__u64)context;
	struct sending_socket *known = datagram_socket(socket);

	if (known)
		send_flow((const struct sock *)context, &known->owner.process, FLOW_SENDS, NULL);
}

static __always_inline void datagram_socket_released(struct bpf_sock *context)
{
	__u64 socket = (__u64)context;
	struct sending_socket *known = datagram_socket(socket);

	if (!known)
		return;
	send_flow((const struct sock *)context, &known->owner.process, FLOW_ENDS, NULL);
	bpf_map_delete_elem(&datagram_sockets, &socket);
}

/* listen(2), or the end of it by whoever closes the socket last. */
static __always_inline void listening_changes(const struct sock *sock, __u32 role)
{
	struct process_key current;

	if (!settings.flows || sock->sk_protocol != IPPROTO_TCP)
		return;
	current = process_key_of((struct task_struct *)bpf_get_current_task());
	send_flow(sock, &current, role, NULL);
}

/* The packet of an ordinary socket at the egress hook. */
static __always_inline void flow_leaves(const struct sk_buff *packet, const struct sock *sock,
					__u32 state)
{
	__u64 socket = (__u64)sock;
	struct sending_socket *known;
	struct pending *pending;

	if (!settings.flows)
		return;
	if (state == TCP_SYN_SENT) {
		pending = find_pending(socket);
		if (pending && pending->sent != SYN_TOLD) {
			pending->sent = SYN_TOLD;
			send_flow(sock, &pending->owner.process, FLOW_CONNECTS, NULL);
		}
	} else if (sock->sk_type == SOCK_DGRAM) {
		known = datagram_socket(socket);
		if (known && !known->told)
			tell_end(packet, sock, &known->owner, &known->told,
				 state == TCP_ESTABLISHED ? FLOW_CONNECTS : FLOW_SENDS);
	}
}

#endif
