/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * Whose the packets are, as flow.bpf.h, whose comments hold. Sockets are known by their cookies, and
 * those that listen, of which a tracepoint tells, by their addresses as well. None of it runs unless
 * flows are asked for.
 */

static __always_inline void send_flow(struct owner *owner, u32 role, u32 socket,
				      struct packet_end *end, struct packet_end *peer)
{
	struct flow_event *event = flow_ring.ringbuf_reserve(sizeof(struct flow_event));

	if (!event) {
		count(LOST_FLOW_RING_FULL);
		return;
	}
	count(COUNT_FLOWS);
	event->time_ns = bpf_ktime_get_boot_ns();
	event->process = owner->process;
	event->kind = EVENT_FLOW;
	event->flags = 0;
	event->net_namespace = owner->net_namespace;
	event->role = role;
	event->protocol = end->protocol;
	event->padding = 0;
	write_address(event->source, end->hi, end->lo);
	write_address(event->destination, peer->hi, peer->lo);
	event->source_port = has_ports(end->protocol) ? end->port : 0;
	event->destination_port = has_ports(end->protocol) ? peer->port : 0;
	event->socket = socket;
	if (role != FLOW_WRITES && is_unspecified(event->source))
		event->flags = EVENT_FLAG_ANY_ADDRESS;
	flow_ring.ringbuf_submit(event, 0);
}

/* Tells once that a raw or AF_PACKET socket writes the end that a packet comes from. */
static __always_inline void tell_written(struct packet_bytes *bytes, u32 protocol, u32 network,
					 struct owner *owner, u64 *told)
{
	struct packet_end end = {}, nobody = {};
	u64 mark;

	if (!read_end(&end, bytes, protocol, network))
		return;
	mark = mark_of(&end);
	if (*told == mark)
		return;
	*told = mark;
	send_flow(owner, FLOW_WRITES, 0, &end, &nobody);
}

static __always_inline void datagram_created(struct bpf_sock *context)
{
	struct datagram_socket fresh = {};
	u64 cookie = bpf_get_socket_cookie(context);

	describe_user_of(context, &fresh.sender.owner);
	if (datagram_sockets.update(&cookie, &fresh))
		count(LOST_SOCKET_MAP_FULL);
}

/* The current process connects the socket or sends through it: it may have been handed on. is_new:
 * to another peer. */
static __always_inline void datagram_owner(struct bpf_sock_addr *context, int is_new)
{
	u64 cookie = bpf_get_socket_cookie(context);
	struct datagram_socket *known = datagram_sockets.lookup(&cookie);

	if (!known)
		return;
	if (is_new)
		known->sender.told = 0;
	if (known->sender.owner.process.pid == bpf_get_current_pid_tgid() >> 32)
		return;
	describe_user_of(context, &known->sender.owner);
	known->sender.told = 0;
}

static __always_inline void datagram_released(struct bpf_sock *context, u64 cookie)
{
	struct datagram_socket *known = datagram_sockets.lookup(&cookie);
	struct packet_end nobody = {};

	if (!known)
		return;
	send_flow(&known->sender.owner, FLOW_ENDS, cookie, &known->end, &nobody);
	datagram_sockets.delete(&cookie);
}

/* A stream's end is kept for when it listens. */
static __always_inline int binds(struct bpf_sock *context, u64 hi, u64 lo)
{
	u64 socket = (u64)context, cookie = bpf_get_socket_cookie(context);
	struct datagram_socket *known;
	struct bound_socket bound = {};
	struct packet_end nobody = {};

	if (context->type == SOCK_STREAM) {
		bound.socket = cookie;
		bound.net_namespace = name_of_cookie(bpf_get_netns_cookie(context));
		bound_sockets.update(&socket, &bound);
		return 1;
	}
	known = datagram_sockets.lookup(&cookie);
	if (!known)
		return 1;
	known->end.hi = hi;
	known->end.lo = lo;
	known->end.port = context->src_port;
	known->end.protocol = context->protocol;
	send_flow(&known->sender.owner, FLOW_SENDS, cookie, &known->end, &nobody);
	return 1;
}

int on_bind4(struct bpf_sock *context)
{
	return binds(context, 0, mapped_half(context->src_ip4));
}

int on_bind6(struct bpf_sock *context)
{
	u32 first = context->src_ip6[0], second = context->src_ip6[1];
	u32 third = context->src_ip6[2], fourth = context->src_ip6[3];

	return binds(context, halves(first, second), halves(third, fourth));
}

/* listen(2), or the end of it by whoever closes the socket last. socket: its address. */
static __always_inline void listening_changes(u64 socket, u64 hi, u64 lo, u32 port, u32 role)
{
	struct bound_socket *known = bound_sockets.lookup(&socket);
	struct packet_end end = { .hi = hi, .lo = lo, .port = port, .protocol = IPPROTO_TCP };
	struct packet_end nobody = {};
	struct bound_socket bound = {};
	struct owner owner = {};

	/* An older one was told of with its cookie, which is known as it is released. */
	if (!known && role == FLOW_ENDS)
		return;
	if (end.hi == 0 && end.lo == IPV4_MAPPED)
		end.lo = 0;
	describe_current(&owner);
	if (known) {
		bound = *known;
	} else {
		/* It did not bind: its port is the kernel's choice. */
		bound.socket = hash_of_socket(socket);
		bound.net_namespace = owner.net_namespace;
		bound_sockets.update(&socket, &bound);
	}
	owner.net_namespace = bound.net_namespace;
	send_flow(&owner, role, bound.socket, &end, &nobody);
}

static __always_inline void listener_released(struct bpf_sock *context)
{
	u64 socket = (u64)context;
	struct packet_end unknown = { .protocol = context->protocol }, nobody = {};
	struct owner owner = {};

	if (bound_sockets.lookup(&socket))
		return;
	describe_current(&owner);
	send_flow(&owner, FLOW_ENDS, bpf_get_socket_cookie(context), &unknown, &nobody);
}

/* Both ends as the socket has them. */
static __always_inline void socket_ends(struct bpf_sock *sock, struct packet_end *end,
					struct packet_end *peer)
{
	u32 port = sock->dst_port;

	end->protocol = sock->protocol;
	end->port = sock->src_port;
	peer->port = bpf_ntohs(port);
	if (sock->family == AF_INET) {
		end->lo = mapped_half(sock->src_ip4);
		peer->lo = mapped_half(sock->dst_ip4);
	} else {
		end->hi = halves(sock->src_ip6[0], sock->src_ip6[1]);
		end->lo = halves(sock->src_ip6[2], sock->src_ip6[3]);
		peer->hi = halves(sock->dst_ip6[0], sock->dst_ip6[1]);
		peer->lo = halves(sock->dst_ip6[2], sock->dst_ip6[3]);
	}
}

static __always_inline void syn_leaves(struct bpf_sock *sock, u64 cookie)
{
	struct pending *pending = find_pending((u64)sock);
	struct packet_end end = {}, peer = {};

	if (!pending || pending->sent == SYN_TOLD)
		return;
	pending->sent = SYN_TOLD;
	socket_ends(sock, &end, &peer);
	send_flow(&pending->owner, FLOW_CONNECTS, cookie, &end, &peer);
}

static __always_inline void datagram_leaves(struct __sk_buff *packet, struct bpf_sock *sock,
					    u64 cookie)
{
	struct datagram_socket *known = datagram_sockets.lookup(&cookie);
	struct packet_bytes bytes = { .packet = packet };
	struct packet_end end = {}, peer = {};
	struct packet_end first = {};
	u32 role = FLOW_SENDS;

	if (!known || known->sender.told)
		return;
	if (!read_end(&first, &bytes, packet->protocol, 0))
		return;
	socket_ends(sock, &end, &peer);
	if (sock->state == TCP_ESTABLISHED)
		role = FLOW_CONNECTS;
	known->sender.told = mark_of(&first);
	known->end = first;
	send_flow(&known->sender.owner, role, cookie, &first, &peer);
}

/* Every packet of the machine that has an IP header comes by here, too, where flows are asked for. */
int on_flow(struct __sk_buff *packet)
{
	struct bpf_sock *sock = packet->sk;
	struct packet_bytes bytes = { .packet = packet };
	struct sending_socket *raw;
	u64 cookie;

	if (!sock)
		return 1;
	sock = bpf_sk_fullsock(sock);
	if (!sock)
		return 1;
	if (sock->type == SOCK_STREAM) {
		if (sock->state == TCP_SYN_SENT)
			syn_leaves(sock, bpf_get_socket_cookie(packet));
		return 1;
	}
	cookie = bpf_get_socket_cookie(packet);
	if (sock->type == SOCK_DGRAM) {
		datagram_leaves(packet, sock, cookie);
		return 1;
	}
	raw = raw_sockets.lookup(&cookie);
	if (raw)
		tell_written(&bytes, packet->protocol, 0, &raw->owner, &raw->told);
	return 1;
}
