/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * Fan-out per process: as subject.bpf.h and heir.bpf.h, whose comments hold.
 */

static __always_inline void describe_current(struct owner *owner)
{
	u32 pid = bpf_get_current_pid_tgid() >> 32;
	struct known_process *process = processes.lookup(&pid);

	owner->uid = bpf_get_current_uid_gid();
	bpf_get_current_comm(&owner->comm, sizeof(owner->comm));
	if (process)
		owner->process = process->key;
}

/* NULL where there is no room, or the process is unknown. */
static __always_inline struct subject *subject_of(struct subject_key *key, struct owner *owner)
{
	struct subject *subject = subjects.lookup(key);
	struct subject *fresh;
	u32 zero = 0;

	if (subject || !owner->process.pid)
		return subject;
	fresh = new_subject.lookup(&zero);
	if (!fresh)
		return 0;
	/* Another thread may have been first; then its entry is the one. */
	subjects.insert(key, fresh);
	subject = subjects.lookup(key);
	if (!subject)
		return 0;
	subject->state.kind = key->kind;
	subject->owner = *owner;
	return subject;
}

/* Sends the crossing; where the ring is full, the next attempt may send it. */
static __always_inline void send_crossing(struct subject *subject,
					  struct fanout_crossing *crossing, u64 now)
{
	struct fanout_event *event = fanout_ring.ringbuf_reserve(sizeof(struct fanout_event));

	if (!event) {
		count(LOST_FANOUT_RING_FULL);
		if (crossing->place < FANOUT_WINDOWS * MEASURES)
			subject->state.next[crossing->place] = crossing->previous_next;
		subject->state.look = LOOK_SURELY;
		return;
	}
	event->time_ns = now;
	write_fanout(event, &subject->owner, &subject->state, crossing,
		     subject->state.kind == ATTEMPT_DATAGRAM ? ORIGIN_SENDMSG : ORIGIN_CONNECT);
	fanout_ring.ringbuf_submit(event, 0);
	count(COUNT_FANOUTS);
}

/* Before anything is counted: whether a bucket is over. */
static __always_inline void turn(struct subject_key *key, struct subject *subject,
				 struct fanout_settings *known, u64 now)
{
	u8 held = 1;

	if (now < subject->state.turn_ns || claims.insert(key, &held))
		return;
	fanout_turn(&subject->state, known, now);
	claims.delete(key);
}

/* After something was counted: whether that has to be told. */
static __always_inline void look(struct subject_key *key, struct subject *subject,
				 struct fanout_settings *known, u64 now)
{
	struct fanout_crossing crossing;
	u64 crossed;
	u8 held = 1;

	if (!fanout_is_due(&subject->state))
		return;
	/* First, so that what rises from here on is looked at again. */
	subject->state.look = LOOK_NOT;
	crossed = fanout_crossed(&subject->state);
	if (!crossed)
		return;
	if (claims.insert(key, &held)) {
		subject->state.look = LOOK_SURELY;
		return;
	}
	fanout_cross(&subject->state, known, crossed, &crossing);
	claims.delete(key);
	if (crossing.measure)
		send_crossing(subject, &crossing, now);
}

/* Leaves what was counted to the parent, if that is of the same session. */
static __always_inline void bequeath(struct subject *subject, struct subject_key *key,
				     struct fanout_settings *known, u64 now)
{
	struct known_process *process = processes.lookup(&key->pid);
	struct subject_key heir_key = { .kind = key->kind };
	struct known_process *parent;
	struct owner owner = {};
	struct subject *heir;

	if (!process || !subject->state.totals.attempts)
		return;
	heir_key.pid = process->parent.pid;
	parent = processes.lookup(&heir_key.pid);
	if (!parent || heir_key.pid <= 1 || parent->session != process->session)
		return;
	owner.process = parent->key;
	owner.uid = subject->owner.uid;
	__builtin_memcpy(owner.comm, parent->comm, sizeof(owner.comm));
	heir = subject_of(&heir_key, &owner);
	if (!heir) {
		count(LOST_PROCESS_MAP_FULL);
		return;
	}
	turn(&heir_key, heir, known, now);
	fanout_inherit(&heir->state, &subject->state, now);
	look(&heir_key, heir, known, now);
}

/* A program that executes itself goes on with what it has counted. Of any other that ends, its
 * totals are sent if anything of it was reported before, or else left to the parent. */
static __always_inline void end_subject(u32 pid, u32 kind, struct owner *successor, u64 now)
{
	struct subject_key key = { .pid = pid, .kind = kind };
	struct subject *subject = subjects.lookup(&key);
	struct fanout_crossing crossing;
	struct fanout_settings *known;
	u32 zero = 0;

	known = settings.lookup(&zero);
	if (!subject || !known)
		return;
	if (successor->process.pid && is_same_program(&subject->owner, successor)) {
		subject->owner = *successor;
		return;
	}
	turn(&key, subject, known, now);
	if (!fanout_was_told(&subject->state))
		bequeath(subject, &key, known, now);
	else if (fanout_final(&subject->state, known, &crossing))
		send_crossing(subject, &crossing, now);
	subjects.delete(&key);
}

/* At an exit the process is forgotten last, since what it leaves goes to its parent. */
int on_end(void *context)
{
	u32 pid = bpf_get_current_pid_tgid() >> 32;
	u64 now = bpf_ktime_get_boot_ns();
	struct known_process *process = processes.lookup(&pid);
	struct owner successor = {};

	if (!process)
		return 0;
	if (process->threads)
		describe_current(&successor);
	EACH_KIND(kind)
		end_subject(pid, kind, &successor, now);
	if (!process->threads)
		processes.delete(&pid);
	return 0;
}
