/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * Sockets that are older than the sensor, found among the open files of all tasks: raw ones with
 * their owners, connects under way, and whose each flow is.
 */
#ifndef PROCWIRE_OLDER_BPF_H
#define PROCWIRE_OLDER_BPF_H

#include "connect.bpf.h"
#include "rawsend.bpf.h"

#define FILE_SOCKET 0140000

SUBPROGRAM int older_raw_socket(struct sock *sock, struct task_struct *task)
{
	__u64 key = (__u64)sock;
	struct owner owner;

	/* Open in several tasks, or made since the hooks were attached. */
	if (bpf_map_lookup_elem(&raw_sockets, &key))
		return 0;
	describe(&owner, task);
	keep_raw_socket(sock, &owner);
	return 0;
}

/* Writes a flow event for the reader of the iterator, for whom no ring can be full. */
SUBPROGRAM int older_flow(struct sock *sock, struct task_struct *task, struct seq_file *reader)
{
	struct process_key process = process_key_of(task);
	__u32 state = BPF_CORE_READ(sock, __sk_common.skc_state);
	struct flow_event event = {};
	__u32 role = FLOW_SENDS;

	/* A connected datagram socket is established, too. */
	if (state == TCP_LISTEN)
		role = FLOW_LISTENS;
	else if (state != TCP_CLOSE)
		role = FLOW_CONNECTS;
	else if (BPF_CORE_READ(sock, sk_type) != SOCK_DGRAM)
		return 0;
	if (!BPF_CORE_READ(sock, __sk_common.skc_num))
		return 0;
	fill_flow(&event, sock, &process, role, EVENT_FLAG_OLDER);
	bpf_seq_write(reader, &event, sizeof(event));
	return 0;
}

SUBPROGRAM int older_datagram_socket(struct sock *sock, struct task_struct *task)
{
	__u64 key = (__u64)sock;
	struct owner owner;

	if (bpf_map_lookup_elem(&datagram_sockets, &key))
		return 0;
	describe(&owner, task);
	/* Told by the walk; again once it is seen who sends. */
	keep_datagram_socket(key, &owner, 1);
	return 0;
}

static __always_inline void older_socket(struct bpf_iter__task_file *walk)
{
	struct task_struct *task = walk->task;
	struct file *file = walk->file;
	struct socket *socket;
	struct sock *sock;
	__u32 family, type;

	if (!task || !file || (BPF_CORE_READ(file, f_inode, i_mode) & FILE_TYPE) != FILE_SOCKET)
		return;
	socket = (struct socket *)BPF_CORE_READ(file, private_data);
	sock = BPF_CORE_READ(socket, sk);
	if (!sock)
		return;
	family = BPF_CORE_READ(sock, __sk_common.skc_family);
	if (family != AF_INET && family != AF_INET6)
		return;
	type = BPF_CORE_READ(sock, sk_type);
	if (type == SOCK_RAW) {
		older_raw_socket(sock, task);
		return;
	}
	if (settings.flows) {
		if (type == SOCK_DGRAM)
			older_datagram_socket(sock, task);
		older_flow(sock, task, walk->meta->seq);
	}
	if (BPF_CORE_READ(sock, sk_protocol) == IPPROTO_TCP &&
		 BPF_CORE_READ(sock, __sk_common.skc_state) == TCP_SYN_SENT)
		syn_sent(sock, task);
}

#endif
