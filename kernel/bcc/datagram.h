/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * Datagrams, as datagram.bpf.h, whose comments hold, and what leaves through raw IP sockets. Of neither
 * does a packet that leaves say who sent it: that is known by the socket's cookie.
 */

/* time_ns is for who counts to say. */
static __always_inline void begin(struct pending *pending, struct bpf_sock_addr *context, u64 hi,
				  u64 lo)
{
	pending->target.hi = hi;
	pending->target.lo = lo;
	pending->target.port = bpf_ntohs(context->user_port);
	pending->target.protocol = context->protocol;
	describe_user_of(context, &pending->owner);
}

static __always_inline int datagram_starts(struct bpf_sock_addr *context, u64 hi, u64 lo)
{
	struct subject_key key = { .slot = SLOT_DATAGRAM };
	struct fanout_settings *known;
	struct pending pending = {};
	struct subject *subject;
	u32 zero = 0;

	known = settings.lookup(&zero);
	if (!known)
		return 1;
	if (FLOWS)
		datagram_owner(context, 0);
	begin(&pending, context, hi, lo);
	count(COUNT_DATAGRAMS);
	key.pid = pending.owner.process.pid;
	subject = subject_of(&key, &pending.owner, CURRENT);
	pending.time_ns = time_of(subject, known);
	if (count_attempt(&key, subject, &pending.target, known, pending.time_ns) &&
	    is_detailed(subject, known))
		send_connection(&pending, ORIGIN_SENDMSG, OUTCOME_SENT, 0);
	return 1;
}

int on_sendmsg4(struct bpf_sock_addr *context)
{
	return datagram_starts(context, 0, IPV4_MAPPED | bpf_ntohl(context->user_ip4));
}

int on_sendmsg6(struct bpf_sock_addr *context)
{
	u32 first = context->user_ip6[0], second = context->user_ip6[1];
	u32 third = context->user_ip6[2], fourth = context->user_ip6[3];

	return datagram_starts(context, halves(first, second), halves(third, fourth));
}

/* The first packet to a peer, perhaps under a foreign current. Returns whether it is that. */
static __always_inline int leaves_to_peer(struct pending *pending, struct __sk_buff *packet,
					  struct bpf_sock *sock)
{
	u64 cookie = bpf_get_socket_cookie(packet);
	struct pending *peer = peers.lookup(&cookie);

	if (!peer || peer->sent)
		return 0;
	peer->sent = 1;
	pending->owner = peer->owner;
	pending->target = peer->target;
	pending->source_port = sock->src_port;
	if (sock->family == AF_INET)
		pending->source_lo = IPV4_MAPPED | bpf_ntohl(sock->src_ip4);
	count(COUNT_DATAGRAMS);
	return 1;
}

/* Returns which kind of attempt the packet of a raw socket is, or NO_ATTEMPT. */
static __always_inline int leaves_raw(struct pending *pending, struct __sk_buff *packet)
{
	u64 cookie = bpf_get_socket_cookie(packet);
	struct sending_socket *sender = raw_sockets.lookup(&cookie);
	struct packet_bytes bytes = { .packet = packet };
	struct leaving leaving = {};
	int kind;

	/* The kernel's own raw sockets are not in the map. */
	if (!sender)
		return NO_ATTEMPT;
	count(COUNT_RAW_PACKETS);
	kind = read_headers(&leaving, &bytes, packet->protocol, 0, packet->len);
	if (kind < 0)
		count(SKIPPED_RAW_PACKETS);
	pending->owner = sender->owner;
	pending->target = leaving.target;
	return kind;
}

/* What comes back from a peer names the flow. */
static __always_inline void ask_peer(struct pending *pending)
{
	struct flow flow = { .hi = pending->target.hi,
			     .lo = pending->target.lo,
			     .source_port = pending->source_port,
			     .destination_port = pending->target.port };

	asked.update(&flow, pending);
}

/* Every packet of the machine that has an IP header comes by here. */
int on_packet(struct __sk_buff *packet)
{
	struct bpf_sock *sock = packet->sk;
	struct fanout_settings *known;
	struct pending pending = {};
	struct subject_key key = { .slot = SLOT_DATAGRAM };
	struct subject *subject;
	u32 zero = 0;
	int kind;

	if (!sock)
		return 1;
	sock = bpf_sk_fullsock(sock);
	if (!sock)
		return 1;
	if (sock->type == SOCK_RAW) {
		kind = leaves_raw(&pending, packet);
		if (kind < 0)
			return 1;
		key.slot = SLOT_RAW + kind;
	} else if (sock->type != SOCK_DGRAM || sock->state != TCP_ESTABLISHED ||
		   !leaves_to_peer(&pending, packet, sock)) {
		return 1;
	}
	known = settings.lookup(&zero);
	if (!known)
		return 1;
	pending.sent = 1;
	pending.source_lo = opaque(pending.source_lo);
	pending.source_port = opaque(pending.source_port);
	pending.target.hi = opaque(pending.target.hi);
	pending.target.lo = opaque(pending.target.lo);
	pending.target.port = opaque(pending.target.port);
	pending.target.protocol = opaque(pending.target.protocol);
	key.slot = opaque(key.slot);
	key.pid = pending.owner.process.pid;
	subject = subject_of(&key, &pending.owner, ANYBODY);
	pending.time_ns = time_of(subject, known);
	if (count_attempt(&key, subject, &pending.target, known, pending.time_ns) &&
	    key.slot == SLOT_DATAGRAM) {
		pending.detailed = is_detailed(subject, known);
		if (pending.detailed)
			send_connection(&pending, ORIGIN_CONNECT, OUTCOME_SENT, 0);
		ask_peer(&pending);
	}
	return 1;
}
