/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * Fan-out per process and job: making a subject, turning and reporting it, as subject.bpf.h, whose
 * comments hold.
 */

/* Of the current process: what a container or a service has to itself is not the root, which whoever
 * compiles this names. */
static __always_inline void see_job(struct known_process *process)
{
	u64 group = bpf_get_current_cgroup_id();

	if (group == ROOT_CGROUP) {
		process->job.kind = SUBJECT_SESSION;
		process->job.number = process->session;
	} else {
		process->job.kind = SUBJECT_CGROUP;
		process->job.number = group;
	}
}

static __always_inline void describe_current(struct owner *owner)
{
	struct known_process *process = current_process();

	owner->uid = bpf_get_current_uid_gid();
	bpf_get_current_comm(&owner->comm, sizeof(owner->comm));
	if (process) {
		owner->process = process->key;
		owner->net_namespace = process->network;
	}
}

/* Of a hook that has the socket, which may be in another network than the process. */
static __always_inline void describe_user_of(void *context, struct owner *owner)
{
	describe_current(owner);
	owner->net_namespace = name_of_cookie(bpf_get_netns_cookie(context));
}

/* Whose context a program runs in. Where packets leave it may be anybody's, and old kernels do not tell
 * programs there. */
#define CURRENT 1
#define ANYBODY 0

/* Not if it was left by a process that had the same number: by what left its socket after its end, or
 * since it could not be deleted then, as whoever waits too long for a map's lock (Linux 6.15) cannot. One
 * that another thread makes just now has no owner yet. */
static __always_inline int may_be_of(struct subject *subject, struct owner *owner)
{
	return !subject->owner.process.pid ||
	       subject->owner.process.started_ns == owner->process.started_ns;
}

/* NULL where there is no room, or the process is unknown. */
static __always_inline struct subject *subject_of(struct subject_key *key, struct owner *owner,
						  int context)
{
	struct subject *subject = subjects.lookup(key);
	struct known_process *process;
	struct subject *fresh;
	/* What it is tells the verifier nothing of the key, of which all that follows depends. */
	u32 zero = 0, slot = opaque(key->slot);

	if (!owner->process.pid || (subject && may_be_of(subject, owner)))
		return subject;
	if (subject)
		subjects.delete(key);
	process = processes.lookup(&key->pid);
	fresh = new_subject.lookup(&zero);
	if (!fresh)
		return 0;
	/* Another thread may have been first; then its entry is the one. */
	subjects.insert(key, fresh);
	subject = subjects.lookup(key);
	if (!subject || !may_be_of(subject, owner))
		return 0;
	subject->slot = slot;
	subject->state.kind = kind_of(slot);
	if (process) {
		if (slot < SLOTS)
			process->used[slot] = 1;
		if (context == CURRENT && key->pid == bpf_get_current_pid_tgid() >> 32)
			see_job(process);
		subject->job = process->job;
	}
	subject->owner = *owner;
	return subject;
}

/* As of subject.bpf.h. */
static __always_inline u64 time_of(struct subject *subject, struct fanout_settings *known)
{
	u64 tick = bpf_jiffies64();

	if (!subject)
		return bpf_ktime_get_boot_ns();
	if (subject->tick != tick || subject->state.details < known->detail_limit) {
		subject->now_ns = bpf_ktime_get_boot_ns();
		subject->tick = tick;
	}
	return subject->now_ns;
}

/* As in subject.bpf.h, whose comments hold. */
static __always_inline int claim(struct subject_key *key)
{
	u8 held = 1;
	u8 *left;

	if (!claims.insert(key, &held))
		return 1;
	left = claims.lookup(key);
	if (left && !*left)
		claims.delete(key);
	return 0;
}

static __always_inline void release(struct subject_key *key)
{
	u8 *held;

	if (!claims.delete(key))
		return;
	held = claims.lookup(key);
	if (held)
		*held = 0;
}

/* Sends the crossing; where the ring is full, the next attempt may send it. */
static __always_inline void send_crossing(struct subject *subject, u32 slot,
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
	write_fanout(event, &subject->owner, &subject->state, crossing, origin_of(subject->slot));
	event->job = subject->job.number;
	event->job_kind = subject->job.kind;
	event->subject = slot == SLOT_JOB ? subject->job.kind : SUBJECT_PROCESS;
	__builtin_memcpy(event->program, subject->program, sizeof(event->program));
	fanout_ring.ringbuf_submit(event, 0);
	count(COUNT_FANOUTS);
}

/* Before anything is counted: whether a bucket is over. */
static __always_inline void turn(struct subject_key *key, struct subject *subject,
				 struct fanout_settings *known, u64 now)
{
	struct known_process *process;

	if (now < subject->state.turn_ns || !claim(key))
		return;
	if (key->slot != SLOT_JOB) {
		process = processes.lookup(&key->pid);
		subject->skipped = process && process->skipped;
	} else if (is_over(subject, known, now) &&
		   fanout_final(&subject->state, known, &subject->crossing)) {
		send_crossing(subject, key->slot, &subject->crossing, now);
	}
	fanout_turn(&subject->state, known, now);
	release(key);
}

/* What has reached a threshold is told. */
static __always_inline void tell_crossing(struct subject_key *key, struct subject *subject,
					  struct fanout_settings *known, u64 crossed, u64 now)
{
	if (!claim(key)) {
		subject->state.look = LOOK_SURELY;
		return;
	}
	fanout_cross(&subject->state, known, crossed, &subject->crossing);
	if (subject->crossing.measure)
		send_crossing(subject, key->slot, &subject->crossing, now);
	release(key);
}

/* After something was counted: whether that has to be told. */
static __always_inline void look(struct subject_key *key, struct subject *subject,
				 struct fanout_settings *known, u64 now)
{
	u64 crossed;
	int is_told;

	if (!fanout_is_due(&subject->state))
		return;
	/* First, so that what rises from here on is looked at again. */
	subject->state.look = LOOK_NOT;
	crossed = fanout_crossed(&subject->state);
	if (crossed)
		tell_crossing(key, subject, known, crossed, now);
	is_told = fanout_was_told(&subject->state);
	/* What it tried as long as it was told of itself is not its job's. */
	if (subject->is_told && !is_told)
		subject->from = subject->shared = subject->state.totals;
	subject->is_told = is_told;
}
