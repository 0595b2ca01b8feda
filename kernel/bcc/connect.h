/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * The hooks of the cgroup for sockets and connects, in the context of who makes them.
 */

static __always_inline int connect_starts(struct bpf_sock_addr *context, u64 hi, u64 lo)
{
	u64 socket = (u64)context->sk;
	u32 thread = bpf_get_current_pid_tgid();
	u32 place = thread % MAX_CONNECTING;
	struct pending pending = {};
	struct connecting *connects;

	begin(&pending, context, hi, lo);
	pending.time_ns = bpf_ktime_get_boot_ns();
	if (context->protocol != IPPROTO_TCP) {
		/* MPTCP's SYN leaves through another socket, which SYN_SENT shows. */
		if (context->type != SOCK_DGRAM)
			return 1;
		if (FLOWS)
			datagram_owner(context, 1);
		socket = bpf_get_socket_cookie(context);
		if (peers.update(&socket, &pending))
			count(LOST_CONNECTION_MAP_FULL);
		return 1;
	}
	if (may_be_pending(socket))
		settle_left(socket);
	/* Where there is no room, SYN_SENT still counts it. */
	if (!keep_pending(socket, &pending)) {
		count(LOST_CONNECTION_MAP_FULL);
		return 1;
	}
	connects = connecting.lookup(&place);
	if (connects) {
		connects->socket = socket;
		connects->thread = thread;
	}
	return 1;
}

int on_connect4(struct bpf_sock_addr *context)
{
	return connect_starts(context, 0, IPV4_MAPPED | bpf_ntohl(context->user_ip4));
}

int on_connect6(struct bpf_sock_addr *context)
{
	u32 first = context->user_ip6[0], second = context->user_ip6[1];
	u32 third = context->user_ip6[2], fourth = context->user_ip6[3];

	return connect_starts(context, halves(first, second), halves(third, fourth));
}

int on_release(struct bpf_sock *context)
{
	u64 socket = (u64)context;
	struct pending *pending;
	u64 cookie;

	if (context->type == SOCK_RAW || context->type == SOCK_DGRAM) {
		cookie = bpf_get_socket_cookie(context);
		/* Most have no peer, and a deletion that finds nothing costs more than a look. */
		if (context->type == SOCK_RAW)
			raw_sockets.delete(&cookie);
		else if (peers.lookup(&cookie))
			peers.delete(&cookie);
		if (FLOWS && context->type == SOCK_DGRAM)
			datagram_released(context, cookie);
		return 1;
	}
	if (FLOWS && context->state == TCP_LISTEN)
		listener_released(context);
	if (!may_be_pending(socket))
		return 1;
	pending = find_pending(socket);
	if (pending)
		pending->released = 1;
	settle_left(socket);
	return 1;
}

int on_socket(struct bpf_sock *context)
{
	struct sending_socket fresh = {};
	u64 cookie;

	if (FLOWS && context->type == SOCK_DGRAM)
		datagram_created(context);
	if (context->type != SOCK_RAW)
		return 1;
	describe_user_of(context, &fresh.owner);
	cookie = bpf_get_socket_cookie(context);
	if (raw_sockets.update(&cookie, &fresh))
		count(LOST_SOCKET_MAP_FULL);
	announce(&fresh.owner, context->family, context->type, context->protocol, 0);
	return 1;
}
