/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * Who a task is: the key under which user space knows its process, what else only the task's own
 * context can tell, and the job that it is part of.
 */
#ifndef PROCWIRE_OWNER_BPF_H
#define PROCWIRE_OWNER_BPF_H

#include "maps.bpf.h"

static __always_inline struct process_key process_key_of(struct task_struct *task)
{
	__u64 started = BPF_CORE_READ(task, group_leader, start_boottime);
	struct process_key key = {
		.started_ns = started - started % CLOCK_TICK_NS,
		.pid = BPF_CORE_READ(task, tgid),
		.exec_count = BPF_CORE_READ(task, self_exec_id),
	};

	return key;
}

static __always_inline __u32 net_namespace_of(struct task_struct *task)
{
	return BPF_CORE_READ(task, nsproxy, net_ns, ns.inum);
}

SUBPROGRAM int describe(struct owner *owner, struct task_struct *task)
{
	owner->process = process_key_of(task);
	owner->uid = BPF_CORE_READ(task, cred, uid.val);
	owner->net_namespace = net_namespace_of(task);
	__builtin_memset(owner->comm, 0, sizeof(owner->comm));
	BPF_CORE_READ_STR_INTO(&owner->comm, task, comm);
	return 0;
}

static __always_inline void describe_current(struct owner *owner)
{
	describe(owner, (struct task_struct *)bpf_get_current_task());
}

static __always_inline __u32 current_pid(void)
{
	return bpf_get_current_pid_tgid() >> 32;
}

/* Its cgroup if that is not the root, which a container or a service has to itself, or else its
 * session. */
static __always_inline void job_of(struct job *job, struct task_struct *task)
{
	struct cgroup *group = BPF_CORE_READ(task, cgroups, dfl_cgrp);

	if (BPF_CORE_READ(group, level) > 0) {
		job->kind = SUBJECT_CGROUP;
		job->number = BPF_CORE_READ(group, kn, id);
	} else {
		job->kind = SUBJECT_SESSION;
		job->number = BPF_CORE_READ(task, signal, pids[PIDTYPE_SID], numbers[0].nr);
	}
}

#endif
