/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * The same events for kernels without BTF, compiled by bcc when the sensor starts. Without BTF no
 * kernel structure can be read: foreign headers would give wrong offsets, silently. So what names a
 * process is kept here from its fork on, its arguments are read as it asks for the exec, and why a
 * connect failed comes from the tracepoint that reports socket errors.
 */
#include <linux/types.h>

/* bcc has no constant data. Filled by user space, as linear_count.h has it. */
BPF_ARRAY(linear_counts, u32, 513);

static inline __attribute__((always_inline)) u32 linear_count_of(u32 zeros)
{
	u32 *known = linear_counts.lookup(&zeros);

	return known ? *known : 0;
}
#define LINEAR_COUNT(zeros) linear_count_of(zeros)

#include "sensor_bcc.h"

#define MAX_SUBJECTS 8192
#define MAX_CLAIMS 1024
#define MAX_PENDING 65536
#define MAX_PROCESSES 65536
#define MAX_EXECS 1024
#define MAX_FAILURES 4096
#define MAX_CONNECTING 4096
#define MAX_ARGUMENTS 512
#define NO_PREALLOC 1

/* Written by user space before any hook is attached. */
BPF_ARRAY(settings, struct fanout_settings, 1);

BPF_PERCPU_ARRAY(counters, u64, SENSOR_COUNTERS);

/* One ring for each kind of event, sized and used as in maps.bpf.h; bcc counts in pages. */
BPF_RINGBUF_OUTPUT(process_ring, 1024);
BPF_RINGBUF_OUTPUT(socket_ring, 16);
BPF_RINGBUF_OUTPUT(connection_ring, 512);
BPF_RINGBUF_OUTPUT(fanout_ring, 128);

/*
 * Every process, by pid.
 * Inserted by: its fork; user space, for those that ran before. Deleted by: the exit of its last
 * thread. Full: it stays unknown; its connections have no process, each counted in
 * LOST_PROCESS_MAP_FULL.
 */
BPF_F_TABLE("hash", u32, struct known_process, processes, MAX_PROCESSES, NO_PREALLOC);

/*
 * The arguments of an exec under way, by thread.
 * Inserted by: the entry of the system call. Deleted by: the exec; the return of a call that
 * failed. Full: the exec has no arguments, counted in LOST_ARGV_UNREADABLE.
 */
BPF_F_TABLE("hash", u32, struct arguments, execs, MAX_EXECS, NO_PREALLOC);

/* Larger than the stack; used with preemption off and by programs that do not nest. */
BPF_PERCPU_ARRAY(arguments_scratch, struct arguments_scratch, 1);
BPF_PERCPU_ARRAY(process_scratch, struct process_event, 1);

/* The fan-out of each process, and who turns or reports it just now; see maps.bpf.h. */
BPF_F_TABLE("hash", struct subject_key, struct subject, subjects, MAX_SUBJECTS, NO_PREALLOC);
BPF_PERCPU_ARRAY(new_subject, struct subject, 1);
BPF_TABLE("hash", struct subject_key, u8, claims, MAX_CLAIMS);

/*
 * TCP attempts under way, by socket; see maps.bpf.h.
 * Deleted by: the outcome; a further connect, or the release, of a socket without one.
 */
BPF_TABLE("hash", u64, struct pending, attempts, MAX_PENDING);

/*
 * The socket that a thread is connecting.
 * Inserted by: connect. Deleted by: the return of the system call. LRU, because io_uring connects
 * without one. Evicted: a connect without route is settled when its socket is released.
 */
BPF_TABLE("lru_hash", u32, u64, connecting, MAX_CONNECTING);

/*
 * A failed connect closes its socket and reports an error, in an order that differs between
 * kernels: the half that came first waits here for the other.
 * Inserted and deleted by: the two halves. LRU, because an error of an established connection has
 * no other half. Evicted: the attempt counts as aborted once its socket is released.
 */
BPF_TABLE("lru_hash", struct flow, struct failure, failures, MAX_FAILURES);

/* The windows are a large program and bcc has no function calls: all that counts goes through one
 * tail call. The work lies per CPU, where programs on tracepoints do not nest. */
BPF_PERCPU_ARRAY(works, struct work, 1);
BPF_PROG_ARRAY(counting, COUNT_NOTHING);

static __always_inline void count(u32 counter)
{
	u64 *value = counters.lookup(&counter);

	/* A softirq may interrupt the program that runs on this CPU. */
	if (value)
		__sync_fetch_and_add(value, 1);
}

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
	write_fanout(event, subject, crossing, now);
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
	fanout_inherit(&heir->state, known, &subject->state, now);
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

static __always_inline void send_connection(struct pending *pending, u32 origin, u32 outcome,
					    u32 error)
{
	struct connection_event *event =
		connection_ring.ringbuf_reserve(sizeof(struct connection_event));

	if (!event) {
		count(LOST_CONNECTION_RING_FULL);
		return;
	}
	write_connection(event, pending, origin, outcome, error, bpf_ktime_get_boot_ns());
	connection_ring.ringbuf_submit(event, 0);
}

int on_attempt(void *context)
{
	u32 zero = 0, detailed = 1;
	struct work *work = works.lookup(&zero);
	struct fanout_settings *known = settings.lookup(&zero);
	struct subject_key key = { .kind = ATTEMPT_CONNECT };
	struct subject *subject;
	struct pending *entry;
	u64 now = bpf_ktime_get_boot_ns();

	if (!work || !known)
		return 0;
	count(COUNT_ATTEMPTS);
	key.pid = work->pending.owner.process.pid;
	subject = subject_of(&key, &work->pending.owner);
	if (subject) {
		turn(&key, subject, known, now);
		fanout_attempt(&subject->state, known, &work->pending.target, now);
		look(&key, subject, known, now);
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
	struct subject_key key = { .kind = ATTEMPT_CONNECT };
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

static __always_inline void begin(struct pending *pending, struct bpf_sock_addr *context, u64 hi,
				  u64 lo)
{
	pending->target.hi = hi;
	pending->target.lo = lo;
	pending->target.port = bpf_ntohs(context->user_port);
	pending->target.protocol = context->protocol;
	pending->family = family_of(&pending->target);
	pending->time_ns = bpf_ktime_get_boot_ns();
	describe_current(&pending->owner);
}

/* connect says nothing of a scan, name services connect to sort addresses; what is sent says. */
static __always_inline void datagram_sent(struct pending *pending, u32 origin)
{
	struct subject_key key = { .pid = pending->owner.process.pid, .kind = ATTEMPT_DATAGRAM };
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
		turn(&key, subject, known, now);
		if (origin == ORIGIN_SENDMSG) {
			fanout_attempt(&subject->state, known, &pending->target, now);
			look(&key, subject, known, now);
		}
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
	struct known_process *process = processes.lookup(&pid);
	struct socket_event *event;

	if (context->type != SOCK_RAW)
		return 1;
	count(COUNT_SOCKETS);
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

/* The errors of a connect that goes on. */
static __always_inline int goes_on(u32 error)
{
	return error == 0 || error == EINPROGRESS || error == EINTR ||
	       (error >= ERESTARTSYS && error <= ERESTART_RESTARTBLOCK);
}

int on_connect_return(struct tracepoint__syscalls__sys_exit_connect *args)
{
	u32 thread = bpf_get_current_pid_tgid();
	u64 *found = connecting.lookup(&thread);
	u32 error = -args->ret;
	u64 socket;

	if (!found)
		return 0;
	socket = *found;
	connecting.delete(&thread);
	if (!goes_on(error))
		counting.call(args, settle(socket, outcome_of(error), error));
	return 0;
}

/* The second half of a failure settles the attempt; returns which work there is. */
static __always_inline int failed(u64 socket, struct flow *flow, u32 error)
{
	struct failure half = { .time_ns = bpf_ktime_get_boot_ns(), .socket = socket, .error = error };
	struct failure *other = failures.lookup(flow);

	if (!other || half.time_ns - other->time_ns > SAME_FAILURE_NS ||
	    (other->socket == 0) == (socket == 0)) {
		failures.update(flow, &half);
		return COUNT_NOTHING;
	}
	if (socket)
		error = other->error;
	else
		socket = other->socket;
	failures.delete(flow);
	return settle(socket, outcome_of(error), error);
}

/* SYN_SENT: still in the context of the process that connects. */
static __always_inline int syn_sent(u64 socket, struct flow *flow)
{
	struct pending *known = attempts.lookup(&socket);
	u32 zero = 0;
	struct work *work = works.lookup(&zero);

	if (!work)
		return COUNT_NOTHING;
	work->socket = socket;
	work->ends = 0;
	if (known) {
		known->syn_sent = 1;
		work->pending = *known;
		return COUNT_ATTEMPT;
	}
	__builtin_memset(&work->pending, 0, sizeof(work->pending));
	work->pending.syn_sent = 1;
	work->pending.target.hi = flow->hi;
	work->pending.target.lo = flow->lo;
	work->pending.target.port = flow->destination_port;
	work->pending.target.protocol = IPPROTO_TCP;
	work->pending.family = family_of(&work->pending.target);
	work->pending.time_ns = bpf_ktime_get_boot_ns();
	describe_current(&work->pending.owner);
	attempts.update(&socket, &work->pending);
	return COUNT_ATTEMPT;
}

int on_state(struct tracepoint__sock__inet_sock_set_state *args)
{
	u64 socket = (u64)args->skaddr;
	u32 before = args->oldstate, after = args->newstate;
	struct pending *known;
	struct flow flow = {};
	u64 source_hi = 0, source_lo;
	int work = COUNT_NOTHING;

	if (after != TCP_SYN_SENT &&
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
	known = attempts.lookup(&socket);
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

int on_error(struct tracepoint__sock__inet_sk_error_report *args)
{
	struct flow flow = {};

	if (args->protocol != IPPROTO_TCP)
		return 0;
	if (args->family == AF_INET) {
		flow.lo = mapped(args->daddr);
	} else {
		flow.hi = big_endian(args->daddr_v6);
		flow.lo = big_endian(args->daddr_v6 + 8);
	}
	flow.source_port = args->sport;
	flow.destination_port = args->dport;
	counting.call(args, failed(0, &flow, args->error));
	return 0;
}

static __always_inline struct process_event *process_event_of(struct known_process *process,
							      u32 kind)
{
	u32 zero = 0;
	struct process_event *event = process_scratch.lookup(&zero);
	u64 ids = bpf_get_current_uid_gid();

	if (!event)
		return 0;
	__builtin_memset(event, 0, __builtin_offsetof(struct process_event, argv));
	event->time_ns = bpf_ktime_get_boot_ns();
	event->cgroup = bpf_get_current_cgroup_id();
	event->process = process->key;
	event->parent = process->parent;
	event->kind = kind;
	event->uid = ids;
	event->gid = ids >> 32;
	event->login_uid = NO_LOGIN_UID;
	event->session = process->session;
	bpf_get_current_comm(&event->comm, sizeof(event->comm));
	return event;
}

static __always_inline void send_process(struct process_event *event, u64 size)
{
	if (size > ARGV_SIZE)
		size = ARGV_SIZE;
	event->argv_size = size;
	if (process_ring.ringbuf_output(event, __builtin_offsetof(struct process_event, argv) + size,
					0))
		count(LOST_PROCESS_RING_FULL);
}

int on_fork(struct tracepoint__task__task_newtask *args)
{
	u32 parent_pid = bpf_get_current_pid_tgid() >> 32;
	struct known_process *parent = processes.lookup(&parent_pid);
	struct known_process child = { .threads = 1 };
	struct process_event *event;
	u64 now = bpf_ktime_get_boot_ns();
	u32 pid = args->pid;

	if (args->clone_flags & CLONE_THREAD) {
		if (parent)
			__sync_fetch_and_add(&parent->threads, 1);
		return 0;
	}
	count(COUNT_FORKS);
	child.key.started_ns = now - now % CLOCK_TICK_NS;
	child.key.pid = pid;
	if (parent) {
		child.key.exec_count = parent->key.exec_count;
		child.parent = args->clone_flags & CLONE_PARENT ? parent->parent : parent->key;
		child.session = parent->session;
	}
	__builtin_memcpy(child.comm, args->comm, sizeof(child.comm));
	if (processes.update(&pid, &child))
		return 0;
	event = process_event_of(&child, EVENT_FORK);
	if (!event)
		return 0;
	__builtin_memcpy(event->comm, child.comm, sizeof(event->comm));
	send_process(event, 0);
	return 0;
}

static __always_inline void remember_arguments(const char *const *vector)
{
	u32 thread = bpf_get_current_pid_tgid();
	u32 zero = 0, flags = EVENT_FLAG_ARGV_TRUNCATED;
	u64 size = 0;
	struct arguments_scratch *scratch = arguments_scratch.lookup(&zero);
	const char *argument;
	long length;

	if (!scratch)
		return;
	for (int i = 0; i < MAX_ARGUMENTS && size < ARGV_SIZE; i++) {
		argument = 0;
		if (bpf_probe_read_user(&argument, sizeof(argument), vector + i)) {
			flags = EVENT_FLAG_ARGV_UNREADABLE;
			break;
		}
		if (!argument) {
			flags = 0;
			break;
		}
		length = bpf_probe_read_user_str(
			&scratch->arguments.text[size & (ARGV_SIZE - 1)], ARGV_SIZE, argument);
		if (length < 0) {
			flags = EVENT_FLAG_ARGV_UNREADABLE;
			break;
		}
		size += length;
	}
	scratch->arguments.flags = flags;
	scratch->arguments.size = size;
	execs.update(&thread, &scratch->arguments);
}

int on_execve(struct tracepoint__syscalls__sys_enter_execve *args)
{
	remember_arguments(args->argv);
	return 0;
}

int on_execveat(struct tracepoint__syscalls__sys_enter_execveat *args)
{
	remember_arguments(args->argv);
	return 0;
}

static __always_inline int exec_returned(void)
{
	u32 thread = bpf_get_current_pid_tgid();

	execs.delete(&thread);
	return 0;
}

int on_execve_return(struct tracepoint__syscalls__sys_exit_execve *args)
{
	return exec_returned();
}

int on_execveat_return(struct tracepoint__syscalls__sys_exit_execveat *args)
{
	return exec_returned();
}

int on_setsid(struct tracepoint__syscalls__sys_exit_setsid *args)
{
	u32 pid = bpf_get_current_pid_tgid() >> 32;
	struct known_process *process = processes.lookup(&pid);

	if (process && args->ret > 0)
		process->session = args->ret;
	return 0;
}

int on_exec(struct tracepoint__sched__sched_process_exec *args)
{
	u32 pid = bpf_get_current_pid_tgid() >> 32, thread = args->old_pid;
	struct known_process *process = processes.lookup(&pid);
	struct arguments *arguments = execs.lookup(&thread);
	struct process_event *event;
	u64 size = 0;

	count(COUNT_EXECS);
	if (!process)
		return 0;
	process->key.exec_count++;
	bpf_get_current_comm(&process->comm, sizeof(process->comm));
	event = process_event_of(process, EVENT_EXEC);
	if (!event)
		return 0;
	if (bpf_probe_read_kernel_str(event->exe, sizeof(event->exe), (char *)args + (args->data_loc_filename & 0xffff)) ==
	    sizeof(event->exe))
		event->flags |= EVENT_FLAG_EXE_TRUNCATED;
	if (arguments) {
		size = arguments->size;
		event->flags |= arguments->flags;
		bpf_probe_read_kernel(event->argv, sizeof(event->argv), arguments->text);
		execs.delete(&thread);
	} else {
		event->flags |= EVENT_FLAG_ARGV_UNREADABLE;
	}
	if (event->flags & EVENT_FLAG_ARGV_TRUNCATED)
		count(SKIPPED_ARGV_TRUNCATED);
	if (event->flags & EVENT_FLAG_ARGV_UNREADABLE)
		count(LOST_ARGV_UNREADABLE);
	send_process(event, size);
	counting.call(args, COUNT_END);
	return 0;
}

int on_exit(struct tracepoint__sched__sched_process_exit *args)
{
	u32 pid = bpf_get_current_pid_tgid() >> 32;
	struct known_process *process = processes.lookup(&pid);
	struct process_event *event;

	if (!process)
		return 0;
	__sync_fetch_and_add(&process->threads, -1);
	if (process->threads)
		return 0;
	count(COUNT_EXITS);
	event = process_event_of(process, EVENT_EXIT);
	if (event)
		send_process(event, 0);
	counting.call(args, COUNT_END);
	return 0;
}
