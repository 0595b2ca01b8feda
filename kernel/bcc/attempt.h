/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * What is counted and sent as attempts begin and end. The programs here are tail-called, with their
 * work in `works`.
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
	u32 zero = 0;
	struct work *work = works.lookup(&zero);
	struct fanout_settings *known = settings.lookup(&zero);
	struct subject_key key = {};
	struct subject *subject;
	struct pending *entry;

	if (!work || !known)
		return 0;
	key.pid = work->pending.owner.process.pid;
	key.slot = work->slot;
	subject = subject_of(&key, &work->pending.owner, CURRENT);
	work->pending.detailed = count_attempt(&key, subject, &work->pending.target, known,
					       time_of(subject, known)) &&
				 key.slot == SLOT_CONNECT && is_detailed(subject, known);
	if (key.slot == SLOT_CONNECT) {
		count(COUNT_ATTEMPTS);
		entry = find_pending(work->socket);
		if (entry)
			entry->detailed = work->pending.detailed;
	}
	counting.call(context, work->then);
	return 0;
}

int on_outcome(void *context)
{
	u32 zero = 0;
	struct work *work = works.lookup(&zero);
	struct fanout_settings *known = settings.lookup(&zero);
	struct subject_key key = {};
	struct subject *subject;
	u32 outcome;
	u64 now;

	if (!work || !known)
		return 0;
	key.pid = work->pending.owner.process.pid;
	key.slot = work->slot;
	outcome = work->outcome;
	if (outcome == OUTCOME_UNREACHABLE && !work->pending.sent)
		outcome = OUTCOME_UNROUTED;
	if (key.slot == SLOT_CONNECT)
		count(COUNT_OUTCOMES);
	subject = subjects.lookup(&key);
	/* A process that is gone by now has no counts left to add to. */
	if (subject && !subject->skipped &&
	    is_same_process(&subject->owner.process, &work->pending.owner.process)) {
		now = time_of(subject, known);
		turn(&key, subject, known, now);
		fanout_outcome(&subject->state, outcome);
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
	struct pending *pending = find_pending(socket);
	u32 zero = 0;
	struct work *work = works.lookup(&zero);

	if (!pending || !work)
		return COUNT_NOTHING;
	work->socket = socket;
	work->slot = SLOT_CONNECT;
	work->then = COUNT_OUTCOME;
	work->outcome = outcome;
	work->error = error;
	work->pending = *pending;
	if (!forget_pending(socket))
		return COUNT_NOTHING;
	return work->pending.sent ? COUNT_OUTCOME : COUNT_ATTEMPT;
}

/* The socket is gone or starts over, and no tracepoint told how its last attempt ended. */
static __always_inline void settle_left(u64 socket)
{
	struct pending *pending = find_pending(socket);

	if (!pending)
		return;
	if (!pending->sent) {
		count(COUNT_ATTEMPTS);
		send_connection(pending, ORIGIN_CONNECT, OUTCOME_UNREACHABLE, 0);
	} else if (pending->closed) {
		if (pending->detailed)
			send_connection(pending, ORIGIN_CONNECT, OUTCOME_ABORTED, 0);
	} else {
		return;
	}
	count(COUNT_OUTCOMES);
	forget_pending(socket);
}
