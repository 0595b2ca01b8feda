/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * The sensor's programs: hooks only, the work is in the headers. One object for every kernel with
 * BTF from 5.10 on. Tracepoints and cgroup hooks see whatever has to be seen; programs at functions of
 * the kernel add to that where it takes them.
 */
#include "older.bpf.h"
#include "process.bpf.h"
#include "variants.bpf.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

/* The loader compares it with its own: an object of another ABI would be misread. */
const volatile __u32 abi_version SEC(".rodata.abi") = EVENT_ABI_VERSION;

/* Keeps every event struct in the object's BTF, where a test compares it with what user space
 * reads. */
const struct process_event *abi_process_event;
const struct socket_event *abi_socket_event;
const struct connection_event *abi_connection_event;
const struct fanout_event *abi_fanout_event;
const struct flow_event *abi_flow_event;

SEC("tp_btf/sched_process_exec")
int BPF_PROG(on_exec, struct task_struct *task, int old_pid, struct linux_binprm *bprm)
{
	process_exec(task, bprm);
	return 0;
}

SEC("tp_btf/sched_process_fork")
int BPF_PROG(on_fork, struct task_struct *parent, struct task_struct *child)
{
	process_fork(child);
	return 0;
}

SEC("tp_btf/sched_process_exit")
int BPF_PROG(on_exit, struct task_struct *task)
{
	process_exit(task);
	return 0;
}

SEC("iter/task")
int walk_processes(struct bpf_iter__task *walk)
{
	process_snapshot(walk);
	return 0;
}

SEC("iter/task_file")
int walk_files(struct bpf_iter__task_file *walk)
{
	skip_held(walk);
	older_socket(walk);
	return 0;
}

SEC("cgroup/sock_create")
int on_socket(struct bpf_sock *context)
{
	socket_created(context);
	return 1;
}

SEC("cgroup/sock_release")
int on_release(struct bpf_sock *context)
{
	settle_unsent((__u64)context);
	socket_released(context);
	return 1;
}

SEC("cgroup/post_bind4")
int on_bind4(struct bpf_sock *context)
{
	socket_bound(context);
	return 1;
}

SEC("cgroup/post_bind6")
int on_bind6(struct bpf_sock *context)
{
	socket_bound(context);
	return 1;
}

SEC("cgroup/connect4")
int on_connect4(struct bpf_sock_addr *context)
{
	connect_starts(context, 0, IPV4_MAPPED | bpf_ntohl(context->user_ip4));
	return 1;
}

SEC("cgroup/connect6")
int on_connect6(struct bpf_sock_addr *context)
{
	connect_starts(context, halves(context->user_ip6[0], context->user_ip6[1]),
		       halves(context->user_ip6[2], context->user_ip6[3]));
	return 1;
}

SEC("cgroup/sendmsg4")
int on_sendmsg4(struct bpf_sock_addr *context)
{
	datagram_starts(context, 0, IPV4_MAPPED | bpf_ntohl(context->user_ip4));
	return 1;
}

SEC("cgroup/sendmsg6")
int on_sendmsg6(struct bpf_sock_addr *context)
{
	datagram_starts(context, halves(context->user_ip6[0], context->user_ip6[1]),
			halves(context->user_ip6[2], context->user_ip6[3]));
	return 1;
}

SEC("tp_btf/inet_sock_set_state")
int BPF_PROG(on_state, const struct sock *sock, int before, int after)
{
	state_changes(sock, before, after);
	return 0;
}

SEC("tp_btf/net_dev_queue")
int BPF_PROG(on_packet, const struct sk_buff *packet)
{
	packet_leaves(packet);
	return 0;
}

/* From 5.14 on; the loader leaves it out where the kernel has no such tracepoint. */
SEC("tp_btf/inet_sk_error_report")
int BPF_PROG(on_error, const struct sock *sock)
{
	socket_fails(sock);
	return 0;
}

/* From 6.3 on; the loader leaves it out where the kernel has no such tracepoint. */
SEC("tp_btf/sock_send_length")
int BPF_PROG(on_send, const struct sock *sock, int sent)
{
	socket_sends(sock, sent);
	return 0;
}

/* The loader leaves out what the kernel refuses of those below. */
SEC("fexit/security_socket_connect")
int BPF_PROG(on_security, struct socket *socket, const void *address, int size, int result)
{
	security_answers(socket, address, size, result);
	return 0;
}

SEC("fexit/__sys_connect_file")
int BPF_PROG(on_connected, struct file *file, const void *address, int size, int flags, int result)
{
	connect_returns(file, result);
	return 0;
}

SEC("fentry/__dev_direct_xmit")
int BPF_PROG(on_direct_packet, const struct sk_buff *packet)
{
	frame_leaves_at_once(packet);
	return 0;
}
