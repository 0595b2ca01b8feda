/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * What leaves through AF_PACKET sockets, which pass no hook of the cgroup: read in the memory of the
 * process as it asks for the send, whether or not that succeeds.
 *
 * Which descriptor is such a socket no tracepoint tells, so all that a process sends is looked at that
 * made one, or whose parent did: what does not begin as a frame is left alone.
 */

#define ETHERNET_HEADER 14

/* struct sockaddr_ll, as far as it is read. */
struct link_address {
	u16 family;
	__be16 protocol;
};

/* struct msghdr of a 64-bit process, and one of the messages of sendmmsg. */
struct message {
	u64 address;
	u64 address_size;
	u64 parts;
	u64 part_count;
	u64 control;
	u64 control_size;
	u64 flags;
};

#define MESSAGE_OF_MANY (sizeof(struct message) + 8)

struct part {
	u64 bytes;
	u64 size;
};

int on_socket_call(struct tracepoint__syscalls__sys_enter_socket *args)
{
	u32 pid = bpf_get_current_pid_tgid() >> 32, type = args->type & SOCK_TYPE;
	struct known_process *process;

	if (args->family != AF_PACKET && type != SOCK_PACKET)
		return 0;
	process = processes.lookup(&pid);
	if (process)
		process->packet_sockets |= type == SOCK_DGRAM ? SENDS_PACKETS : SENDS_FRAMES;
	return 0;
}

/* The work for what the current process sends; 0: it has no AF_PACKET socket. */
static __always_inline struct work *sending(void)
{
	u32 pid = bpf_get_current_pid_tgid() >> 32, zero = 0;
	struct known_process *process = processes.lookup(&pid);
	struct work *work;

	if (!process || !process->packet_sockets)
		return 0;
	work = works.lookup(&zero);
	if (!work)
		return 0;
	__builtin_memset(&work->frames, 0, sizeof(work->frames));
	work->frames.types = process->packet_sockets;
	work->frames.left = 1;
	return work;
}

int on_sendto(struct tracepoint__syscalls__sys_enter_sendto *args)
{
	struct work *work = sending();

	if (!work)
		return 0;
	work->frames.bytes = (u64)args->buff;
	work->frames.size = args->len;
	work->frames.address = (u64)args->addr;
	counting.call(args, COUNT_FRAME);
	return 0;
}

int on_sendmsg(struct tracepoint__syscalls__sys_enter_sendmsg *args)
{
	struct work *work = sending();

	if (!work)
		return 0;
	work->frames.message = (u64)args->msg;
	counting.call(args, COUNT_FRAME);
	return 0;
}

int on_sendmmsg(struct tracepoint__syscalls__sys_enter_sendmmsg *args)
{
	struct work *work = sending();

	if (!work)
		return 0;
	work->frames.message = (u64)args->mmsg;
	work->frames.left = args->vlen < MAX_FRAMES ? args->vlen : MAX_FRAMES;
	work->frames.beyond = args->vlen - work->frames.left;
	counting.call(args, COUNT_FRAME);
	return 0;
}

/* Of a message, its first part and its address; returns whether they could be read. */
static __always_inline int next_message(struct frames *frames)
{
	struct message message;
	struct part part;

	if (bpf_probe_read_user(&message, sizeof(message), (void *)frames->message) ||
	    bpf_probe_read_user(&part, sizeof(part), (void *)message.parts))
		return 0;
	frames->message += MESSAGE_OF_MANY;
	frames->address = message.address;
	frames->bytes = part.bytes;
	frames->size = part.size;
	return 1;
}

/* Where the network header begins, and of which protocol it is. Returns whether it is a frame at all:
 * what is sent with another family's address, or has no type that is known, is not, or is of no
 * interest. */
static __always_inline int find_network(struct frames *frames, __be16 *protocol, u32 *network)
{
	struct packet_bytes bytes = { .frame = frames->bytes };
	struct link_address to = {};
	__be16 type;

	if (frames->address &&
	    (bpf_probe_read_user(&to, sizeof(to), (void *)frames->address) ||
	     to.family != AF_PACKET))
		return 0;
	*network = ETHERNET_HEADER;
	type = type_of_frame(&bytes, network);
	if (frames->types & SENDS_FRAMES &&
	    (type == bpf_htons(ETHERTYPE_IPV4) || type == bpf_htons(ETHERTYPE_IPV6) ||
	     type == bpf_htons(ETHERTYPE_ARP))) {
		*protocol = type;
		return 1;
	}
	*protocol = to.protocol;
	*network = 0;
	return to.protocol != 0;
}

/* One frame a run: the attempt that it is, if any, is counted by another program, which comes back. */
int on_frame(void *context)
{
	u32 zero = 0, pid = bpf_get_current_pid_tgid() >> 32;
	struct work *work = works.lookup(&zero);
	struct known_process *process = processes.lookup(&pid);
	struct packet_bytes bytes = {};
	struct leaving leaving = {};
	u32 network = 0;
	__be16 protocol = 0;
	int kind;

	if (!work || !process || !work->frames.left)
		return 0;
	work->frames.left--;
	work->then = work->frames.left ? COUNT_FRAME : COUNT_NOTHING;
	if (work->frames.message && !next_message(&work->frames)) {
		count(LOST_RAW_DESTINATION);
		return 0;
	}
	if (!find_network(&work->frames, &protocol, &network)) {
		counting.call(context, work->then);
		return 0;
	}
	count_many(LOST_RAW_DESTINATION, work->frames.beyond);
	work->frames.beyond = 0;
	__builtin_memset(&work->pending, 0, sizeof(work->pending));
	describe_current(&work->pending.owner);
	if (!process->announced) {
		process->announced = 1;
		announce(&work->pending.owner, AF_PACKET, network ? SOCK_RAW : SOCK_DGRAM, 0, 0);
	}
	count(COUNT_RAW_PACKETS);
	bytes.frame = work->frames.bytes;
	if (FLOWS)
		tell_written(&bytes, protocol, network, &work->pending.owner, &process->told);
	kind = read_headers(&leaving, &bytes, protocol, network, work->frames.size);
	if (kind < 0) {
		count(SKIPPED_RAW_PACKETS);
		counting.call(context, work->then);
		return 0;
	}
	work->slot = SLOT_RAW + kind;
	work->pending.target = leaving.target;
	counting.call(context, COUNT_ATTEMPT);
	return 0;
}
