/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * What the maps hold, and the part of the work that touches none.
 */

/* bcc has no function calls and compiles for the host first, which takes as long as the text is: loops
 * stay loops, where the verifier can walk them. */
#define SUBPROGRAM static inline __attribute__((always_inline))
#define GLOBAL_SUBPROGRAM SUBPROGRAM
#ifdef WALKS_LOOPS
#define FIXED_ROUNDS _Pragma("clang loop unroll(disable)")
#else
#define FIXED_ROUNDS _Pragma("clang loop unroll(full)")
#endif

#include "subject.h"
#include "write.h"

#define SOCK_TYPE 15
#define SOCK_PACKET 10

#define CLONE_PARENT 0x00008000
#define CLONE_THREAD 0x00010000
#define NO_LOGIN_UID 0xffffffff

/* How what is sent through an AF_PACKET socket begins, as bits: with the header of the link, or with
 * that of the network. */
#define SENDS_FRAMES 1
#define SENDS_PACKETS 2

/* A process, its job as it was seen last, its session, and how many of its threads run. network: the
 * name of its network namespace, as in namespace.h; namespace_pid: its number in its own namespace, 0 if
 * unknown; exit_code: as wait(2) is to give it, once is_ending; signal: the last one that may end it, sent
 * and not yet taken; entering: the namespaces that it asks for, as bits; apart: whose numbers are others
 * than here; skipped: what it tries is not counted; packet_sockets: what those that it or a parent of it
 * made take; announced: that it sends through them was told, and told: which end it wrote last, as of a
 * sending_socket; used: the slots that have a subject. */
struct known_process {
	struct process_key key;
	struct process_key parent;
	struct job job;
	__u64 told;
	__u32 threads;
	__u32 session;
	__u32 network;
	__u32 namespace_pid;
	__u32 exit_code;
	__u8 is_ending;
	__u8 signal;
	__u8 entering;
	__u8 apart;
	__u8 skipped;
	__u8 packet_sockets;
	__u8 announced;
	__u8 used[SLOTS];
	__u16 padding;
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

/* An attempt whose outcome is not known yet. closed: its socket is, and the reason is missing;
 * released: its process gave it up; detailed: its outcome is to be sent; sent: a SYN, or of a
 * datagram socket with a peer the first packet. */
struct pending {
	__u64 time_ns;
	struct owner owner;
	struct fanout_target target;
	__u64 source_hi;
	__u64 source_lo;
	__u16 source_port;
	__u8 detailed;
	__u8 sent;
	__u8 released;
	__u8 closed;
	__u16 padding;
};

/* As in socket_maps.bpf.h. */
struct pending_place {
	__u64 socket;
	__u64 seal;
	__u64 crowd;
	struct pending pending;
};

/* The socket that a thread connects. */
struct connecting {
	__u64 socket;
	__u32 thread;
	__u32 padding;
};

/* end: what it was told of to hold last. */
struct datagram_socket {
	struct sending_socket sender;
	struct packet_end end;
};

/* socket: what names it to user space. */
struct bound_socket {
	__u32 socket;
	__u32 net_namespace;
};

/* Programs that others end in, by their place in the map; the last place is empty. */
enum counting_program {
	COUNT_ATTEMPT = 0,
	COUNT_OUTCOME = 1,
	COUNT_END = 2,
	COUNT_HEIR = 3,
	COUNT_FRAME = 4,
	COUNT_TARGETS = 5,
	COUNT_NOTHING = 6,
};

/* Each takes two tail calls, of which the kernel makes 33. */
#define MAX_FRAMES 16

/* What one system call sends through an AF_PACKET socket, in the memory of the process. message: a
 * struct msghdr, 0 if the rest is known; left: how many there are to look at; beyond: and how many that
 * is too late for. */
struct frames {
	__u64 message;
	__u64 bytes;
	__u64 size;
	__u64 address;
	__u32 left;
	__u32 beyond;
	__u32 types;
	__u32 padding;
};

/* What they are to count. slot: what is counted, or of a process that ends, the next to go; target: of its
 * sample the next one; then: the program that goes on. */
struct work {
	__u64 socket;
	__u32 slot;
	__u32 then;
	__u32 outcome;
	__u32 error;
	__u32 target;
	__u32 padding;
	struct pending pending;
	struct frames frames;
};

/* What both tracepoints of a failure say of its socket. */
struct flow {
	__u64 hi;
	__u64 lo;
	__u16 source_port;
	__u16 destination_port;
	__u32 padding;
};

/* Half of a failure: the socket that closed, or the error that was reported. error is 0 and socket as
 * well where nothing waits. */
struct failure {
	struct flow flow;
	__u64 time_ns;
	__u64 socket;
	__u32 error;
	__u32 padding;
};

static __always_inline __u32 place_of_flow(const struct flow *flow)
{
	return mix64(flow->hi ^ flow->lo ^ ((__u64)flow->source_port << 16 | flow->destination_port));
}

static __always_inline int is_same_flow(const struct flow *one, const struct flow *other)
{
	return one->hi == other->hi && one->lo == other->lo &&
	       one->source_port == other->source_port &&
	       one->destination_port == other->destination_port;
}

/* Both halves come from one call chain. */
#define SAME_FAILURE_NS 100000000

/* The same number, of which the verifier no longer knows what it may be: or it walks through all that
 * follows once for each way in which it came about. */
static __always_inline __u64 opaque(__u64 number)
{
	number = __builtin_bswap64(number);
	VISIBLE(number);
	return __builtin_bswap64(number);
}

static __always_inline __u64 big_endian(const __u8 *bytes)
{
	__u64 value = 0;

	/* Of the hook's arguments the verifier wants to see each read. */
	_Pragma("clang loop unroll(full)") for (int i = 0; i < 8; i++)
		value = value << 8 | bytes[i];
	return value;
}

static __always_inline __u64 mapped(const __u8 *bytes)
{
	return IPV4_MAPPED | (__u64)bytes[0] << 24 | (__u64)bytes[1] << 16 | (__u64)bytes[2] << 8 |
	       bytes[3];
}
