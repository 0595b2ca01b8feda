/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * What leaves through sockets that write their own headers: raw IP (nmap -sS, ping, hping3) and
 * AF_PACKET (masscan, zmap, arp-scan). Each packet is counted at the egress hook by what it tries.
 *
 * Whose it is: a packet of a raw IP socket may wait for a neighbour and leave under a foreign
 * current, so the owner comes from the map of these sockets. AF_PACKET knows no neighbours: its
 * packets reach the first device inside the send, and current is the sender.
 */
#ifndef PROCWIRE_RAWSEND_BPF_H
#define PROCWIRE_RAWSEND_BPF_H

#include "datagram.bpf.h"
#include "flow.bpf.h"
#include "packet.bpf.h"

SUBPROGRAM int count_packet(const struct sk_buff *packet, __u32 pid, const struct owner *owner)
{
	struct leaving leaving = {};
	struct subject_key key = { .pid = pid };
	struct subject *subject;
	int kind = read_packet(&leaving, packet);

	count(COUNT_RAW_PACKETS);
	if (kind < 0) {
		count(SKIPPED_RAW_PACKETS);
		return 0;
	}
	key.slot = SLOT_RAW + kind;
	subject = subject_of(&key, owner);
	count_attempt(&key, subject, &leaving.target, time_of(subject));
	return 0;
}

SUBPROGRAM int announce(const struct sock *sock, const struct owner *owner, __u32 flags)
{
	struct socket_event *event;

	count(COUNT_SOCKETS);
	event = room(&socket_ring, sizeof(*event), LOST_SOCKET_RING_FULL);
	if (!event)
		return 0;
	event->time_ns = bpf_ktime_get_boot_ns();
	event->process = owner->process;
	event->kind = EVENT_SOCKET;
	event->family = BPF_CORE_READ(sock, __sk_common.skc_family);
	event->type = BPF_CORE_READ(sock, sk_type);
	event->protocol = BPF_CORE_READ(sock, sk_protocol);
	event->uid = owner->uid;
	event->net_namespace = owner->net_namespace;
	event->flags = flags;
	event->padding = 0;
	__builtin_memcpy(event->comm, owner->comm, sizeof(event->comm));
	bpf_ringbuf_submit(event, 0);
	return 0;
}

/* The entry of an AF_PACKET socket that the current process sends through. */
static __always_inline struct packet_socket *packet_socket_of(const struct sock *sock, __u32 pid)
{
	__u64 socket = (__u64)sock;
	struct packet_socket *known = bpf_map_lookup_elem(&packet_sockets, &socket);
	struct packet_socket fresh = { .pid = pid };
	struct owner owner;

	/* Another process: the address serves another socket now, or the socket was handed on. */
	if (known && known->pid == pid)
		return known;
	describe_current(&owner);
	announce(sock, &owner, 0);
	bpf_map_update_elem(&packet_sockets, &socket, &fresh, BPF_ANY);
	return bpf_map_lookup_elem(&packet_sockets, &socket);
}

/* Whether the packet was seen on the device above this one. Memory of packets is used again, but by
 * one socket hardly for another device. */
static __always_inline int is_on_its_way(const struct sk_buff *packet, const struct sock *sock)
{
	__u32 zero = 0;
	struct passed *last = bpf_map_lookup_elem(&last_passed, &zero);
	__u64 device = (__u64)packet->dev;
	int on_its_way;

	if (!last)
		return 0;
	on_its_way = last->packet == (__u64)packet && last->socket == (__u64)sock &&
		     last->device != device;
	last->packet = (__u64)packet;
	last->socket = (__u64)sock;
	last->device = device;
	return on_its_way;
}

/* SOCK_RAW, SOCK_DGRAM and so on; 0: the kernel's own, of a kind that has none. */
static __always_inline __u32 type_of(const struct sock *sock)
{
	__u32 state = sock->__sk_common.skc_state;

	return state == TCP_TIME_WAIT || state == TCP_NEW_SYN_RECV ? 0 : sock->sk_type;
}

static __always_inline void frame_leaves(const struct sk_buff *packet, const struct sock *sock)
{
	__u32 pid = current_pid();
	struct packet_socket *sender;

	/* Of no process: a kernel thread that sends what waited in a queue above. */
	if (is_on_its_way(packet, sock) || !pid)
		return;
	sender = packet_socket_of(sock, pid);
	if (sender) {
		sender->queued = 1;
		if (settings.flows)
			tell_end(packet, sock, NULL, &sender->told, FLOW_WRITES);
	}
	count_packet(packet, pid, NULL);
}

/* The kernel's own raw sockets (resets, ICMP errors) are not in the map. */
static __always_inline void raw_leaves(const struct sk_buff *packet, const struct sock *sock)
{
	__u64 socket = (__u64)sock;
	struct sending_socket *known = bpf_map_lookup_elem(&raw_sockets, &socket);

	if (!known || is_on_its_way(packet, sock))
		return;
	if (settings.flows)
		tell_end(packet, sock, &known->owner, &known->told, FLOW_WRITES);
	count_packet(packet, known->owner.process.pid, &known->owner);
}

/* Every packet of the machine comes by here: those of ordinary sockets leave after three loads. */
static __always_inline void packet_leaves(const struct sk_buff *packet)
{
	const struct sock *sock = packet->sk;
	__u32 state, type;

	if (!sock)
		return;
	if (sock->__sk_common.skc_family == AF_PACKET) {
		frame_leaves(packet, sock);
		return;
	}
	type = type_of(sock);
	if (type == SOCK_RAW) {
		raw_leaves(packet, sock);
		return;
	}
	state = sock->__sk_common.skc_state;
	if (type)
		flow_leaves(packet, sock, state);
	if (type == SOCK_DGRAM && state == TCP_ESTABLISHED)
		datagram_leaves(sock);
}

/* After each send, in the sender's context: who uses a raw socket, and whether what an AF_PACKET
 * socket sent passed the egress hook. */
static __always_inline void socket_sends(const struct sock *sock, int sent)
{
	struct packet_socket *sender;
	struct sending_socket *known;
	struct owner owner;
	__u64 socket = (__u64)sock;
	__u32 family = sock->__sk_common.skc_family;

	if (family == AF_PACKET) {
		if (sent <= 0)
			return;
		sender = packet_socket_of(sock, current_pid());
		if (!sender)
			return;
		if (!sender->queued) {
			count(LOST_RAW_DESTINATION);
			if (sender->unseen++ == 0) {
				describe_current(&owner);
				announce(sock, &owner, EVENT_FLAG_UNSEEN_PACKETS);
			}
		}
		sender->queued = 0;
		return;
	}
	if ((family != AF_INET && family != AF_INET6) || type_of(sock) != SOCK_RAW)
		return;
	known = bpf_map_lookup_elem(&raw_sockets, &socket);
	if (known && known->owner.process.pid != current_pid()) {
		describe_current(&known->owner);
		known->told = 0;
	}
}

static __always_inline void keep_raw_socket(const struct sock *sock, const struct owner *owner)
{
	struct sending_socket fresh = { .owner = *owner };
	__u64 socket = (__u64)sock;

	if (bpf_map_update_elem(&raw_sockets, &socket, &fresh, BPF_ANY))
		count(LOST_SOCKET_MAP_FULL);
	announce(sock, owner, 0);
}

static __always_inline void socket_created(struct bpf_sock *context)
{
	struct owner owner;

	if (context->type == SOCK_RAW) {
		describe_current(&owner);
		keep_raw_socket((const struct sock *)context, &owner);
	} else if (settings.flows && context->type == SOCK_DGRAM) {
		describe_current(&owner);
		keep_datagram_socket((__u64)context, &owner, 0);
	}
}

static __always_inline void socket_released(struct bpf_sock *context)
{
	__u64 socket = (__u64)context;

	if (context->type == SOCK_RAW)
		bpf_map_delete_elem(&raw_sockets, &socket);
	else if (context->type == SOCK_DGRAM)
		datagram_socket_released(context);
}

#endif
