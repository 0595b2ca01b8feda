/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * Fork, exec, setsid and exit. Threads are not processes.
 */

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
	event->net_namespace = process->network;
	event->namespace_pid = process->namespace_pid;
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
		see_job(parent);
		child.job = parent->job;
		child.key.exec_count = parent->key.exec_count;
		child.parent = args->clone_flags & CLONE_PARENT ? parent->parent : parent->key;
		child.session = parent->session;
		child.skipped = parent->skipped;
		child.packet_sockets = parent->packet_sockets;
	}
	place(&child, parent, args->clone_flags);
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

static __always_inline void end_slots(void *context)
{
	u32 zero = 0;
	struct work *work = works.lookup(&zero);

	if (!work)
		return;
	work->slot = 0;
	counting.call(context, COUNT_END);
}

int on_setsid(struct tracepoint__syscalls__sys_exit_setsid *args)
{
	u32 pid = bpf_get_current_pid_tgid() >> 32;
	struct known_process *process = processes.lookup(&pid);

	/* What the call returns is the number in the process's own namespace. */
	if (process && args->ret > 0) {
		process->session = pid;
		see_job(process);
	}
	return 0;
}

int on_exec(struct tracepoint__sched__sched_process_exec *args)
{
	u32 pid = bpf_get_current_pid_tgid() >> 32, thread = args->old_pid;
	struct known_process *process = processes.lookup(&pid);
	struct arguments *arguments = execs.lookup(&thread);
	struct fanout_settings *known;
	struct process_event *event;
	u64 size = 0;
	u32 zero = 0;

	count(COUNT_EXECS);
	known = settings.lookup(&zero);
	if (!process)
		return 0;
	process->key.exec_count++;
	process->is_ending = process->signal = 0;
	process->exit_code = 0;
	if (known && !known->skip_children)
		process->skipped = 0;
	see_job(process);
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
	end_slots(args);
	return 0;
}

/* A uprobe at the entry of each program to skip: the kernel knows it by its inode, whatever path led
 * there. */
int on_program(void *context)
{
	struct known_process *process = current_process();

	if (process)
		process->skipped = 1;
	return 0;
}

int on_exit(struct tracepoint__sched__sched_process_exit *args)
{
	u32 pid = bpf_get_current_pid_tgid() >> 32;
	struct known_process *process = processes.lookup(&pid);
	struct process_event *event;

	if (!process)
		return 0;
#ifdef EXIT_TELLS_GROUP
	if (args->group_dead)
		process->threads = 0;
#else
	/* The workers of io_uring are threads of which no tracepoint tells that they begin. */
	if (args->comm[0] == 'i' && args->comm[1] == 'o' && args->comm[2] == 'u' &&
	    args->comm[3] == '-')
		return 0;
	__sync_fetch_and_add(&process->threads, -1);
#endif
	if (process->threads)
		return 0;
	count(COUNT_EXITS);
	event = process_event_of(process, EVENT_EXIT);
	if (event) {
		event->exit_code = process->exit_code;
		send_process(event, 0);
	}
	if (used_slot(process, 0) == SLOTS)
		processes.delete(&pid);
	else
		end_slots(args);
	return 0;
}
