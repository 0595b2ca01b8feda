/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * The hooks of the cgroup: sockets, connects and datagrams, in the context of who makes them.
 */

static __always_inline void begin(struct pending *pending, struct bpf_sock_addr *context, u64 hi,
				  u64 lo)
{
	pending->target.hi = hi;
	pending->target.lo = lo;
	pending->target.port = bpf_ntohs(context->user_port);
	pending->target.protocol = context->protocol;
	pending->time_ns = bpf_ktime_get_boot_ns();
	describe_current(&pending->owner);
}

/* connect says nothing of a scan, name services connect to sort addresses; what is sent says. */
static __always_inline void datagram_sent(struct pending *pending, u32 origin)
{
	struct subject_key key = { .pid = pending->owner.process.pid, .slot = SLOT_DATAGRAM };
	struct subject *subject = subject_of(&key, &pending->owner);
	struct fanout_settings *known;
	u64 now = pending->time_ns;
	u32 zero = 0;

	known = settings.lookup(&zero);
	if (!known)
		return;
	if (origin == ORIGIN_SENDMSG)
		count(COUNT_DATAGRAMS);
	if (subject) {
		if (origin == ORIGIN_SENDMSG)
			count_attempt(&key, subject, &pending->target, known, now);
		else
			turn(&key, subject, known, now);
		if (!fanout_detail(&subject->state, known->detail_limit)) {
			count(SKIPPED_CONNECTION_DETAIL);
			return;
		}
	} else {
		count(LOST_PROCESS_MAP_FULL);
	}
	send_connection(pending, origin, OUTCOME_SENT, 0);
}

static __always_inline int connect_starts(struct bpf_sock_addr *context, u64 hi, u64 lo)
{
	u64 socket = (u64)context->sk;
	u32 thread = bpf_get_current_pid_tgid();
	struct pending pending = {};

	begin(&pending, context, hi, lo);
	if (context->protocol != IPPROTO_TCP) {
		datagram_sent(&pending, ORIGIN_CONNECT);
		return 1;
	}
	settle_left(socket);
	/* Where there is no room, SYN_SENT still counts it. */
	if (attempts.update(&socket, &pending))
		count(LOST_CONNECTION_MAP_FULL);
	else
		connecting.update(&thread, &socket);
	return 1;
}

static __always_inline int datagram_starts(struct bpf_sock_addr *context, u64 hi, u64 lo)
{
	struct pending pending = {};

	begin(&pending, context, hi, lo);
	datagram_sent(&pending, ORIGIN_SENDMSG);
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
	struct pending *pending = attempts.lookup(&socket);

	if (pending)
		pending->released = 1;
	settle_left(socket);
	return 1;
}

int on_socket(struct bpf_sock *context)
{
	u32 pid = bpf_get_current_pid_tgid() >> 32;
	struct known_process *process;
	struct socket_event *event;

	if (context->type != SOCK_RAW)
		return 1;
	count(COUNT_SOCKETS);
	process = processes.lookup(&pid);
	event = socket_ring.ringbuf_reserve(sizeof(struct socket_event));
	if (!event) {
		count(LOST_SOCKET_RING_FULL);
		return 1;
	}
	__builtin_memset(event, 0, sizeof(*event));
	event->time_ns = bpf_ktime_get_boot_ns();
	if (process)
		event->process = process->key;
	event->kind = EVENT_SOCKET;
	event->family = context->family;
	event->type = context->type;
	event->protocol = context->protocol;
	event->uid = bpf_get_current_uid_gid();
	bpf_get_current_comm(&event->comm, sizeof(event->comm));
	socket_ring.ringbuf_submit(event, 0);
	return 1;
}
