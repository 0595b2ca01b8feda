/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * Exec, fork and exit of processes, and the walk over those that ran before. Threads are not
 * processes: a new thread is no fork, and a process exits with its last thread.
 */
#ifndef PROCWIRE_PROCESS_BPF_H
#define PROCWIRE_PROCESS_BPF_H

#include "heir.bpf.h"

#define PROCESS_HEADER __builtin_offsetof(struct process_event, argv)

/* The number the process has inside its own PID namespace. */
static __always_inline __u32 namespace_pid_of(struct task_struct *task)
{
	struct pid *pid = BPF_CORE_READ(task, group_leader, thread_pid);
	__u32 level = BPF_CORE_READ(pid, level);
	const char *innermost = (const char *)&pid->numbers[0];
	struct upid number = {};

	innermost += level * bpf_core_type_size(struct upid);
	bpf_core_read(&number.nr, sizeof(number.nr), &((struct upid *)innermost)->nr);
	return number.nr;
}

static __always_inline struct process_event *process_event_of(struct task_struct *task, __u32 kind)
{
	__u32 zero = 0;
	struct process_event *event = bpf_map_lookup_elem(&process_scratch, &zero);

	if (!event)
		return NULL;
	event->time_ns = bpf_ktime_get_boot_ns();
	event->cgroup = BPF_CORE_READ(task, cgroups, dfl_cgrp, kn, id);
	event->process = process_key_of(task);
	event->parent = process_key_of(BPF_CORE_READ(task, group_leader, real_parent));
	event->kind = kind;
	event->flags = 0;
	event->uid = BPF_CORE_READ(task, cred, uid.val);
	event->gid = BPF_CORE_READ(task, cred, gid.val);
	event->login_uid = BPF_CORE_READ(task, loginuid.val);
	event->session = BPF_CORE_READ(task, signal, pids[PIDTYPE_SID], numbers[0].nr);
	event->net_namespace = net_namespace_of(task);
	event->namespace_pid = namespace_pid_of(task);
	event->exit_code = 0;
	event->argv_size = 0;
	__builtin_memset(event->exe, 0, sizeof(event->exe));
	__builtin_memset(event->comm, 0, sizeof(event->comm));
	BPF_CORE_READ_STR_INTO(&event->comm, task, comm);
	return event;
}

/* Sends the header and `size` bytes of arguments, so that a short command line costs few bytes. */
static __always_inline void send_process(struct process_event *event, __u64 size)
{
	if (size > ARGV_SIZE)
		size = ARGV_SIZE;
	if (bpf_ringbuf_output(&process_ring, event, PROCESS_HEADER + size, 0))
		count(LOST_PROCESS_RING_FULL);
}

static __always_inline __u64 read_argv(struct process_event *event, struct task_struct *task)
{
	struct mm_struct *mm = BPF_CORE_READ(task, mm);
	__u64 start = BPF_CORE_READ(mm, arg_start);
	__u64 size = BPF_CORE_READ(mm, arg_end) - start;

	if (size > ARGV_SIZE) {
		size = ARGV_SIZE;
		event->flags |= EVENT_FLAG_ARGV_TRUNCATED;
		count(SKIPPED_ARGV_TRUNCATED);
	}
	if (bpf_probe_read_user(event->argv, size, (void *)start)) {
		event->flags |= EVENT_FLAG_ARGV_UNREADABLE;
		count(LOST_ARGV_UNREADABLE);
		return 0;
	}
	return size;
}

static __always_inline void process_exec(struct task_struct *task, struct linux_binprm *bprm)
{
	struct process_event *event = process_event_of(task, EVENT_EXEC);
	__u64 size;

	count(COUNT_EXECS);
	if (!event)
		return;
	skip_executed(event->process.pid, bprm);
	succeed_subjects(event->process.pid, event->time_ns);
	/* Of a script the interpreter, as /proc has it; of all else the file that was asked for. */
	if (bpf_probe_read_kernel_str(event->exe, sizeof(event->exe),
				      BPF_CORE_READ(bprm, interp)) == sizeof(event->exe))
		event->flags |= EVENT_FLAG_EXE_TRUNCATED;
	size = read_argv(event, task);
	event->argv_size = size;
	send_process(event, size);
}

static __always_inline void process_fork(struct task_struct *child)
{
	struct process_event *event;

	if (BPF_CORE_READ(child, pid) != BPF_CORE_READ(child, tgid))
		return;
	event = process_event_of(child, EVENT_FORK);
	count(COUNT_FORKS);
	if (!event)
		return;
	forget_subjects(event->process.pid);
	skip_forked(event->process.pid);
	send_process(event, 0);
}

static __always_inline void process_exit(struct task_struct *task)
{
	struct process_event *event;

	/* do_exit counts a thread out before this tracepoint. Two last threads that race may both
	 * see zero; the second exit then says nothing new. */
	if (BPF_CORE_READ(task, signal, live.counter) != 0)
		return;
	event = process_event_of(task, EVENT_EXIT);
	count(COUNT_EXITS);
	if (!event)
		return;
	end_subjects(event->process.pid, event->time_ns);
	skip_ended(event->process.pid);
	/* As wait(2) gives it. exit_group sets the group's code; a lone thread's own is its own. */
	event->exit_code = BPF_CORE_READ(task, signal, group_exit_code);
	if (event->exit_code == 0)
		event->exit_code = BPF_CORE_READ(task, exit_code);
	send_process(event, 0);
}

/* One header per process, for the reader of the iterator. */
static __always_inline void process_snapshot(struct bpf_iter__task *walk)
{
	struct task_struct *task = walk->task;
	struct process_event *event;

	if (!task || task->pid != task->tgid)
		return;
	event = process_event_of(task, EVENT_FORK);
	skip_running(task);
	if (event)
		bpf_seq_write(walk->meta->seq, event, PROCESS_HEADER);
}

#endif
