/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * What the maps hold, and the part of the work that touches none.
 */

/* bcc has no function calls and compiles for the host first. */
#define SUBPROGRAM static inline __attribute__((always_inline))
#define GLOBAL_SUBPROGRAM SUBPROGRAM
#define UNROLLED _Pragma("clang loop unroll(full)")

#include "window.h"

/* /proc/PID/stat gives start times in these ticks, rounded down; keys follow. */
#define CLOCK_TICK_NS 10000000

#define CLONE_PARENT 0x00008000
#define CLONE_THREAD 0x00010000
#define NO_LOGIN_UID 0xffffffff

#define AF_INET 2
#define AF_INET6 10
#define SOCK_RAW 3
#define IPPROTO_TCP 6
#define TCP_ESTABLISHED 1
#define TCP_SYN_SENT 2
#define TCP_SYN_RECV 3
#define TCP_CLOSE 7

#define EPERM 1
#define EINTR 4
#define EACCES 13
#define ENETDOWN 100
#define ENETUNREACH 101
#define ETIMEDOUT 110
#define ECONNREFUSED 111
#define EHOSTDOWN 112
#define EHOSTUNREACH 113
#define EINPROGRESS 115
/* What system calls return inside the kernel when a signal interrupts them. */
#define ERESTARTSYS 512
#define ERESTART_RESTARTBLOCK 516

#define IPV4_MAPPED 0x0000ffff00000000ULL

/* A process, its session, and how many of its threads run. */
struct known_process {
	struct process_key key;
	struct process_key parent;
	__u32 threads;
	__u32 session;
	char comm[COMM_SIZE];
};

/* Who did something. */
struct owner {
	struct process_key process;
	__u32 uid;
	__u32 padding;
	char comm[COMM_SIZE];
};

/* The arguments of an exec under way. */
struct arguments {
	__u32 size;
	__u32 flags;
	char text[ARGV_SIZE];
};

/* Room to read them into: the last one that starts inside may end outside. */
struct arguments_scratch {
	struct arguments arguments;
	char overrun[ARGV_SIZE];
};

/* What is counted apart of one process: enum attempt_kind, of which two are seen. */
struct subject_key {
	__u32 pid;
	__u32 kind;
};

/* A loop that stays one, since its body is large. */
#define EACH_KIND(kind)                                                                            \
	_Pragma("clang loop unroll(disable)") for (__u32 kind = ATTEMPT_CONNECT;                   \
						   kind <= ATTEMPT_DATAGRAM;                       \
						   kind += ATTEMPT_DATAGRAM - ATTEMPT_CONNECT)

struct subject {
	struct owner owner;
	struct fanout_state state;
};

/* An attempt whose outcome is not known yet. closed: its socket is, and the reason is missing;
 * released: its process gave it up; detailed: its outcome is to be sent. */
struct pending {
	__u64 time_ns;
	struct owner owner;
	struct fanout_target target;
	__u64 source_hi;
	__u64 source_lo;
	__u16 source_port;
	__u8 family;
	__u8 detailed;
	__u8 syn_sent;
	__u8 released;
	__u8 closed;
	__u8 padding;
};

/* Programs that others end in, by their place in the map; the last place is empty. */
enum counting_program {
	COUNT_ATTEMPT = 0,
	COUNT_OUTCOME = 1,
	COUNT_END = 2,
	COUNT_NOTHING = 3,
};

/* What they are to count. ends: the attempt ends with its beginning. */
struct work {
	__u64 socket;
	__u32 padding;
	__u32 ends;
	__u32 outcome;
	__u32 error;
	struct pending pending;
};

/* What both tracepoints of a failure say of its socket. */
struct flow {
	__u64 hi;
	__u64 lo;
	__u16 source_port;
	__u16 destination_port;
	__u32 padding;
};

/* Half of a failure: the socket that closed, or the error that was reported. */
struct failure {
	__u64 time_ns;
	__u64 socket;
	__u32 error;
	__u32 padding;
};

/* Both halves come from one call chain. */
#define SAME_FAILURE_NS 100000000

static __always_inline __u32 outcome_of(__u32 error)
{
	switch (error) {
	case ECONNREFUSED:
		return OUTCOME_REFUSED;
	case ETIMEDOUT:
		return OUTCOME_TIMED_OUT;
	case ENETDOWN:
	case ENETUNREACH:
	case EHOSTDOWN:
	case EHOSTUNREACH:
		return OUTCOME_UNREACHABLE;
	case EPERM:
	case EACCES:
		return OUTCOME_DENIED;
	default:
		return OUTCOME_ABORTED;
	}
}

static __always_inline int is_same_process(const struct process_key *one,
					   const struct process_key *other)
{
	return one->pid == other->pid && one->exec_count == other->exec_count &&
	       one->started_ns == other->started_ns;
}

/* As two words each; the compiler would call a memcmp that BPF does not have. */
static __always_inline int is_same_program(const struct owner *one, const struct owner *other)
{
	const __u64 *name = (const __u64 *)one->comm;
	const __u64 *other_name = (const __u64 *)other->comm;

	return name[0] == other_name[0] && name[1] == other_name[1];
}

static __always_inline __u64 big_endian(const __u8 *bytes)
{
	__u64 value = 0;

	UNROLLED
	for (int i = 0; i < 8; i++)
		value = value << 8 | bytes[i];
	return value;
}

static __always_inline __u64 mapped(const __u8 *bytes)
{
	return IPV4_MAPPED | (__u64)bytes[0] << 24 | (__u64)bytes[1] << 16 | (__u64)bytes[2] << 8 |
	       bytes[3];
}

static __always_inline __u64 halves(__u32 upper, __u32 lower)
{
	return (__u64)bpf_ntohl(upper) << 32 | bpf_ntohl(lower);
}

static __always_inline __u32 family_of(const struct fanout_target *target)
{
	return target->hi == 0 && target->lo >> 32 == IPV4_MAPPED >> 32 ? 4 : 6;
}

static __always_inline void write_address(__u8 *address, __u64 hi, __u64 lo)
{
	__u64 words[2] = { bpf_htonll(hi), bpf_htonll(lo) };

	__builtin_memcpy(address, words, sizeof(words));
}

static __always_inline void write_target(struct target *target, const struct fanout_target *from)
{
	__builtin_memset(target, 0, sizeof(*target));
	write_address(target->address, from->hi, from->lo);
	target->port = from->port;
	target->protocol = from->protocol;
}

static __always_inline void write_fanout(struct fanout_event *event,
					 const struct subject *subject,
					 const struct fanout_crossing *crossing, __u64 now)
{
	const struct fanout_state *state = &subject->state;

	event->time_ns = now;
	event->window_ns = crossing->window_ns;
	event->window_start_ns = crossing->window_start_ns;
	event->first_ns = crossing->first_ns;
	event->kind = EVENT_FANOUT;
	event->measure = crossing->measure;
	event->threshold = crossing->threshold;
	event->attempts = crossing->attempts;
	event->established = crossing->established;
	event->refused = crossing->refused;
	event->failures = crossing->failures;
	event->hosts = crossing->hosts;
	event->host_ports = crossing->host_ports;
	event->sequential_run = crossing->sequential_run;
	event->process = subject->owner.process;
	event->uid = subject->owner.uid;
	__builtin_memcpy(event->comm, subject->owner.comm, sizeof(event->comm));
	event->attempt = state->kind;
	event->origin = state->kind == ATTEMPT_DATAGRAM ? ORIGIN_SENDMSG : ORIGIN_CONNECT;
	event->by_children = crossing->by_children;
	event->net_namespace = 0;
	event->samples = state->sampled < SAMPLE_TARGETS ? state->sampled : SAMPLE_TARGETS;
	__builtin_memset(event->source, 0, sizeof(event->source));
	write_target(&event->first, &state->first);
	write_target(&event->last, &state->last);
	UNROLLED
	for (int i = 0; i < SAMPLE_TARGETS; i++)
		write_target(&event->sample[i], &state->sample[i]);
}

static __always_inline void write_connection(struct connection_event *event,
					     const struct pending *pending, __u32 origin,
					     __u32 outcome, __u32 error, __u64 now)
{
	event->time_ns = pending->time_ns;
	event->duration_ns = now - pending->time_ns;
	event->process = pending->owner.process;
	event->kind = EVENT_CONNECTION;
	event->error = error;
	event->uid = pending->owner.uid;
	event->net_namespace = 0;
	write_address(event->source, pending->source_hi, pending->source_lo);
	write_address(event->destination, pending->target.hi, pending->target.lo);
	event->source_port = pending->source_port;
	event->destination_port = pending->target.port;
	event->protocol = pending->target.protocol;
	event->origin = origin;
	event->outcome = outcome;
	event->family = pending->family;
	__builtin_memcpy(event->comm, pending->owner.comm, sizeof(event->comm));
}
