/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * In which network namespace a process or a socket is, and whether a process has another number where it
 * is. No hook tells the inode of a namespace, by which everybody else knows it: here one has another name,
 * which user space replaces. A process that enters a namespace is given a name that nobody has, and those
 * it starts have it, too; a socket has its namespace's cookie.
 */

/* What a name is: an inode, as /proc has it, is 0xe0000000 at least; 0: unknown. */
#define NAME_BITS 31
#define NAME_OF_PROCESS (1U << NAME_BITS)
#define NAME_OF_PROCESS_BITS 30

#define CLONE_NEWPID 0x20000000
#define CLONE_NEWNET 0x40000000

/* Of known_process.entering; ENTERING_NEW: one that unshare makes. */
#define ENTERING_NETWORK 1
#define ENTERING_PIDS 2
#define ENTERING_NEW 4

/* Of known_process.apart: it has another number in its namespace of processes; what it starts has; the next
 * that it starts is the first there; and what it starts may be in another network, as one of its threads
 * is. */
#define APART_ITSELF 1
#define APART_CHILDREN 2
#define APART_FIRST 4
#define APART_NETWORK 8

static __always_inline u32 name_of_cookie(u64 cookie)
{
	return cookie & (NAME_OF_PROCESS - 1);
}

static __always_inline u32 new_name(void)
{
	return NAME_OF_PROCESS | (bpf_get_prandom_u32() & ((1U << NAME_OF_PROCESS_BITS) - 1));
}

/* Of a child, from what its parent is in and has asked for. */
static __always_inline void place(struct known_process *child, struct known_process *parent, u64 flags)
{
	u32 apart = parent ? parent->apart : 0;

	if (flags & CLONE_NEWPID || apart & APART_FIRST) {
		child->apart = APART_ITSELF;
		child->namespace_pid = 1;
	} else if (apart & (APART_ITSELF | APART_CHILDREN)) {
		child->apart = APART_ITSELF;
	} else if (parent) {
		child->namespace_pid = child->key.pid;
	}
	if (flags & CLONE_NEWNET || apart & APART_NETWORK)
		child->network = new_name();
	else if (parent)
		child->network = parent->network;
	if (parent)
		parent->apart &= ~APART_FIRST;
}

static __always_inline void ask_for(u32 entering)
{
	struct known_process *process = current_process();

	if (process)
		process->entering = entering;
}

int on_unshare(struct tracepoint__syscalls__sys_enter_unshare *args)
{
	u64 flags = args->unshare_flags;

	ask_for((flags & CLONE_NEWNET ? ENTERING_NETWORK : 0) |
		(flags & CLONE_NEWPID ? ENTERING_PIDS | ENTERING_NEW : 0));
	return 0;
}

/* Without a type: whatever the descriptor is of. */
int on_setns(struct tracepoint__syscalls__sys_enter_setns *args)
{
	u64 types = args->flags;

	ask_for((!types || types & CLONE_NEWNET ? ENTERING_NETWORK : 0) |
		(!types || types & CLONE_NEWPID ? ENTERING_PIDS : 0));
	return 0;
}

/* It is the thread that is in another network then, and what is known is known of the first one. */
static __always_inline int entered(s64 failed)
{
	struct known_process *process = current_process();
	u64 thread = bpf_get_current_pid_tgid();

	if (!process)
		return 0;
	if (!failed && process->entering & ENTERING_NETWORK) {
		if ((u32)thread == thread >> 32)
			process->network = new_name();
		else
			process->apart |= APART_NETWORK;
	}
	if (!failed && process->entering & ENTERING_PIDS) {
		process->apart |= APART_CHILDREN;
		if (process->entering & ENTERING_NEW)
			process->apart |= APART_FIRST;
	}
	process->entering = 0;
	return 0;
}

int on_unshare_return(struct tracepoint__syscalls__sys_exit_unshare *args)
{
	return entered(args->ret);
}

int on_setns_return(struct tracepoint__syscalls__sys_exit_setns *args)
{
	return entered(args->ret);
}

/* The number that a C library is told as its program begins. */
int on_tid_address_return(struct tracepoint__syscalls__sys_exit_set_tid_address *args)
{
	u64 thread = bpf_get_current_pid_tgid();
	struct known_process *process;

	if ((u32)thread != thread >> 32)
		return 0;
	process = current_process();
	if (process && process->apart & APART_ITSELF)
		process->namespace_pid = args->ret;
	return 0;
}
