/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * TCP attempts: what is counted and sent as they begin and end. The programs here are tail-called,
 * with their work in `works`.
 */

static __always_inline void send_connection(struct pending *pending, u32 origin, u32 outcome,
					    u32 error)
{
	struct connection_event *event =
		connection_ring.ringbuf_reserve(sizeof(struct connection_event));

	if (!event) {
		count(LOST_CONNECTION_RING_FULL);
		return;
	}
	write_connection(event, &pending->owner, &pending->target, origin);
	event->time_ns = pending->time_ns;
	event->duration_ns = bpf_ktime_get_boot_ns() - pending->time_ns;
	event->error = error;
	event->outcome = outcome;
	write_address(event->source, pending->source_hi, pending->source_lo);
	event->source_port = pending->source_port;
	connection_ring.ringbuf_submit(event, 0);
}

int on_attempt(void *context)
{
	u32 zero = 0, detailed = 1;
	struct work *work = works.lookup(&zero);
	struct fanout_settings *known = settings.lookup(&zero);
	struct subject_key key = { .slot = SLOT_CONNECT };
	struct subject *subject;
	struct pending *entry;
	u64 now = bpf_ktime_get_boot_ns();

	if (!work || !known)
		return 0;
	count(COUNT_ATTEMPTS);
	key.pid = work->pending.owner.process.pid;
	subject = subject_of(&key, &work->pending.owner);
	if (subject) {
		count_attempt(&key, subject, &work->pending.target, known, now);
		detailed = fanout_detail(&subject->state, known->detail_limit);
	} else {
		count(LOST_PROCESS_MAP_FULL);
	}
	if (!detailed)
		count(SKIPPED_CONNECTION_DETAIL);
	work->pending.detailed = detailed;
	entry = attempts.lookup(&work->socket);
	if (entry)
		entry->detailed = detailed;
	if (work->ends)
		counting.call(context, COUNT_OUTCOME);
	return 0;
}

int on_outcome(void *context)
{
	u32 zero = 0;
	struct work *work = works.lookup(&zero);
	struct fanout_settings *known = settings.lookup(&zero);
	struct subject_key key = { .slot = SLOT_CONNECT };
	struct subject *subject;
	u64 now = bpf_ktime_get_boot_ns();

	if (!work || !known)
		return 0;
	count(COUNT_OUTCOMES);
	key.pid = work->pending.owner.process.pid;
	subject = subjects.lookup(&key);
	/* A process that is gone by now has no counts left to add to. */
	if (subject && is_same_process(&subject->owner.process, &work->pending.owner.process)) {
		turn(&key, subject, known, now);
		fanout_outcome(&subject->state, work->outcome);
		look(&key, subject, known, now);
		share(subject, 0, 0, known, now);
	}
	if (work->pending.detailed)
		send_connection(&work->pending, ORIGIN_CONNECT, work->outcome, work->error);
	return 0;
}

/* An attempt leaves the table with its outcome, known or not. Whoever deletes the entry settles it,
 * so that it has one outcome. Returns which work there is. */
static __always_inline int settle(u64 socket, u32 outcome, u32 error)
{
	struct pending *pending = attempts.lookup(&socket);
	u32 zero = 0;
	struct work *work = works.lookup(&zero);

	if (!pending || !work)
		return COUNT_NOTHING;
	work->socket = socket;
	work->ends = 1;
	work->outcome = outcome;
	work->error = error;
	work->pending = *pending;
	if (attempts.delete(&socket))
		return COUNT_NOTHING;
	return work->pending.syn_sent ? COUNT_OUTCOME : COUNT_ATTEMPT;
}

/* The socket is gone or starts over, and no tracepoint told how its last attempt ended. */
static __always_inline void settle_left(u64 socket)
{
	struct pending *pending = attempts.lookup(&socket);

	if (!pending)
		return;
	if (!pending->syn_sent) {
		count(COUNT_ATTEMPTS);
		send_connection(pending, ORIGIN_CONNECT, OUTCOME_UNREACHABLE, 0);
	} else if (pending->closed) {
		if (pending->detailed)
			send_connection(pending, ORIGIN_CONNECT, OUTCOME_ABORTED, 0);
	} else {
		return;
	}
	count(COUNT_OUTCOMES);
	attempts.delete(&socket);
}
