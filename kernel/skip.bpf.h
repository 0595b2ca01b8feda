/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * Programs that the settings take out of the count. The sensor holds their executables open, which
 * gives each inode an address that stays; a process is marked when it executes one. Whatever else is
 * written to the path later is another inode, and counted.
 */
#ifndef PROCWIRE_SKIP_BPF_H
#define PROCWIRE_SKIP_BPF_H

#include "owner.bpf.h"

#define FILE_TYPE 0170000
#define FILE_REGULAR 0100000
/* Opened by O_PATH, as only the sensor does with executables. */
#define FILE_MODE_PATH 0x4000

/* settings are known to the verifier: without such programs nothing of this is left in the code. */
static __always_inline int is_skipped(__u32 pid)
{
	return settings.skip_programs && bpf_map_lookup_elem(&skipped_processes, &pid) != NULL;
}

static __always_inline void skip_process(__u32 pid)
{
	__u8 skipped = 1;

	bpf_map_update_elem(&skipped_processes, &pid, &skipped, BPF_ANY);
}

static __always_inline int is_skipped_program(struct file *executable)
{
	__u64 inode = (__u64)BPF_CORE_READ(executable, f_inode);

	return bpf_map_lookup_elem(&skipped_programs, &inode) != NULL;
}

/* A fork runs what its parent runs. */
static __always_inline void skip_forked(__u32 pid)
{
	if (settings.skip_programs && is_skipped(current_pid()))
		skip_process(pid);
}

static __always_inline void skip_executed(__u32 pid, struct linux_binprm *bprm)
{
	if (!settings.skip_programs)
		return;
	if (is_skipped_program(BPF_CORE_READ(bprm, file)))
		skip_process(pid);
	else if (!settings.skip_children)
		bpf_map_delete_elem(&skipped_processes, &pid);
}

static __always_inline void skip_ended(__u32 pid)
{
	if (settings.skip_programs)
		bpf_map_delete_elem(&skipped_processes, &pid);
}

/* Of the walk over processes, which meets most parents before their children. */
static __always_inline void skip_running(struct task_struct *task)
{
	if (!settings.skip_programs)
		return;
	if (is_skipped_program(BPF_CORE_READ(task, mm, exe_file)) ||
	    (settings.skip_children && is_skipped(BPF_CORE_READ(task, real_parent, tgid))))
		skip_process(BPF_CORE_READ(task, tgid));
}

/* Of the walk over open files, which the sensor itself makes. */
static __always_inline void skip_held(struct bpf_iter__task_file *walk)
{
	struct task_struct *task = walk->task;
	struct file *file = walk->file;
	__u8 skipped = 1;
	__u64 inode;

	if (!settings.skip_programs || !task || !file || task->tgid != current_pid() ||
	    !(BPF_CORE_READ(file, f_mode) & FILE_MODE_PATH))
		return;
	inode = (__u64)BPF_CORE_READ(file, f_inode);
	if ((BPF_CORE_READ(file, f_inode, i_mode) & FILE_TYPE) == FILE_REGULAR)
		bpf_map_update_elem(&skipped_programs, &inode, &skipped, BPF_ANY);
}

#endif
