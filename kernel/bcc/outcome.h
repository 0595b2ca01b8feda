/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * The tracepoints that tell how a connect ended. The state of the socket changes in one, the error
 * is reported in another, and a connect without route returns in a third.
 */

/* The errors of a connect that goes on. */
static __always_inline int goes_on(u32 error)
{
	return error == 0 || error == EINPROGRESS || error == EINTR ||
	       (error >= ERESTARTSYS && error <= ERESTART_RESTARTBLOCK);
}

int on_connect_return(struct tracepoint__syscalls__sys_exit_connect *args)
{
	u32 thread = bpf_get_current_pid_tgid();
	u32 place = thread % MAX_CONNECTING;
	struct connecting *known = connecting.lookup(&place);
	u32 error = -args->ret;

	if (!known || known->thread != thread || !known->socket)
		return 0;
	if (!goes_on(error))
		counting.call(args, settle(known->socket, outcome_of(error), error));
	return 0;
}

/* The second half of a failure settles the attempt; returns which work there is. */
static __always_inline int failed(u64 socket, struct flow *flow, u32 error)
{
	u32 place = place_of_flow(flow) % MAX_FAILURES;
	struct failure *other = failures.lookup(&place);
	u64 now = bpf_ktime_get_boot_ns();

	if (!other)
		return COUNT_NOTHING;
	if (!is_same_flow(&other->flow, flow) || now - other->time_ns > SAME_FAILURE_NS ||
	    (other->socket == 0) == (socket == 0)) {
		other->flow = *flow;
		other->time_ns = now;
		other->socket = socket;
		other->error = error;
		return COUNT_NOTHING;
	}
	if (socket)
		error = other->error;
	else
		socket = other->socket;
	other->time_ns = 0;
	return settle(socket, outcome_of(error), error);
}

/* A peer that was sent to refuses; returns which work there is. */
static __always_inline int peer_failed(struct flow *flow, u32 error)
{
	struct pending *peer = asked.lookup(flow);
	u32 outcome = outcome_of(error), zero = 0;
	struct work *work = works.lookup(&zero);

	if (!peer || !work || outcome == OUTCOME_ABORTED)
		return COUNT_NOTHING;
	work->slot = SLOT_DATAGRAM;
	work->outcome = outcome;
	work->error = error;
	work->pending = *peer;
	asked.delete(flow);
	return COUNT_OUTCOME;
}

/* SYN_SENT: still in the context of the process that connects. */
static __always_inline int syn_sent(u64 socket, struct flow *flow)
{
	struct pending *known = find_pending(socket);
	u32 zero = 0;
	struct work *work = works.lookup(&zero);

	if (!work)
		return COUNT_NOTHING;
	work->socket = socket;
	work->slot = SLOT_CONNECT;
	work->then = COUNT_NOTHING;
	if (known) {
		known->sent = 1;
		work->pending = *known;
		return COUNT_ATTEMPT;
	}
	__builtin_memset(&work->pending, 0, sizeof(work->pending));
	work->pending.sent = 1;
	work->pending.target.hi = flow->hi;
	work->pending.target.lo = flow->lo;
	work->pending.target.port = flow->destination_port;
	work->pending.target.protocol = IPPROTO_TCP;
	work->pending.time_ns = bpf_ktime_get_boot_ns();
	describe_current(&work->pending.owner);
	keep_pending(socket, &work->pending);
	return COUNT_ATTEMPT;
}

int on_state(struct tracepoint__sock__inet_sock_set_state *args)
{
	u64 socket = (u64)args->skaddr;
	u32 before = args->oldstate, after = args->newstate;
	struct pending *known;
	struct flow flow = {};
	u64 source_hi = 0, source_lo;
	int work = COUNT_NOTHING, is_listening;

	is_listening = FLOWS && (after == TCP_LISTEN || (before == TCP_LISTEN && after == TCP_CLOSE));
	if (!is_listening && after != TCP_SYN_SENT &&
	    ((before != TCP_SYN_SENT && before != TCP_SYN_RECV) ||
	     (after != TCP_ESTABLISHED && after != TCP_CLOSE)))
		return 0;
	if (args->family == AF_INET) {
		flow.lo = mapped(args->daddr);
		source_lo = mapped(args->saddr);
	} else {
		flow.hi = big_endian(args->daddr_v6);
		flow.lo = big_endian(args->daddr_v6 + 8);
		source_hi = big_endian(args->saddr_v6);
		source_lo = big_endian(args->saddr_v6 + 8);
	}
	flow.source_port = args->sport;
	flow.destination_port = args->dport;
	if (is_listening) {
		if (args->protocol == IPPROTO_TCP)
			listening_changes(socket, source_hi, source_lo, flow.source_port,
					  after == TCP_LISTEN ? FLOW_LISTENS : FLOW_ENDS);
		return 0;
	}
	known = find_pending(socket);
	if (after == TCP_SYN_SENT) {
		if (args->protocol == IPPROTO_TCP)
			work = syn_sent(socket, &flow);
	} else if (known) {
		known->source_hi = source_hi;
		known->source_lo = source_lo;
		known->source_port = flow.source_port;
		known->closed = after == TCP_CLOSE;
		if (after == TCP_ESTABLISHED)
			work = settle(socket, OUTCOME_ESTABLISHED, 0);
		else if (known->released)
			work = settle(socket, OUTCOME_ABORTED, 0);
		else
			work = failed(socket, &flow, 0);
	} else if (before == TCP_SYN_SENT) {
		/* From SYN_RECV it would be the accepting side's socket. */
		count(SKIPPED_UNKNOWN_SOCKET);
	}
	counting.call(args, work);
	return 0;
}

#ifdef TELLS_ERRORS
int on_error(struct tracepoint__sock__inet_sk_error_report *args)
{
	struct flow flow = {};

	/* A disconnect reports that there is none. */
	if (args->error == 0)
		return 0;
	if (args->family == AF_INET) {
		flow.lo = mapped(args->daddr);
	} else {
		flow.hi = big_endian(args->daddr_v6);
		flow.lo = big_endian(args->daddr_v6 + 8);
	}
	flow.source_port = args->sport;
	flow.destination_port = args->dport;
	counting.call(args, args->protocol == IPPROTO_TCP ? failed(0, &flow, args->error) :
							    peer_failed(&flow, args->error));
	return 0;
}
#else
/* Before Linux 5.14 the kernel tells of no error but of a reset. Why another connect failed is what
 * the call returns; where nobody waits in it, nothing tells. */
int on_error(struct tracepoint__tcp__tcp_receive_reset *args)
{
	struct flow flow = { .hi = big_endian(args->daddr_v6),
			     .lo = big_endian(args->daddr_v6 + 8),
			     .source_port = args->sport,
			     .destination_port = args->dport };

	counting.call(args, failed(0, &flow, ECONNREFUSED));
	return 0;
}
#endif
