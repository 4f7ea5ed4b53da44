/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HVSM_LINUX_TASK_H
#define HVSM_LINUX_TASK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "linux/kernel.h"

/*
 * Processes and threads, as their task_struct describes them. What costs more to find out
 * has functions of its own: program and arguments (task_exec.h), control group and container
 * (task_cgroup.h), namespaces (task_ns.h).
 *
 * Numbers are those of the initial namespaces: the host's view of a container, so to say.
 * Text is the guest's, as it is: escape it at output.
 */

#define TASK_COMM_BYTES 16u	/* TASK_COMM_LEN, terminator included */

/* Capability sets, one bit per capability (include/uapi/linux/capability.h). */
struct task_caps {
	uint64_t effective;
	uint64_t permitted;
	uint64_t inheritable;
	uint64_t bounding;
	uint64_t ambient;
};

struct task {
	gva at;			/* its task_struct */
	gva parent;		/* task_struct of the parent (real_parent: not a tracer) */
	gva leader;		/* task_struct of the thread group's leader; @at itself for one */

	int32_t pid;		/* of the thread: what gettid() gives */
	int32_t tgid;		/* of the process: what getpid() gives */
	int32_t ppid;		/* tgid of the parent; 0 for PID 1 and 2 */
	uint32_t threads;	/* of the process, this one included */
	char comm[TASK_COMM_BYTES];	/* always terminated */

	char state;		/* as in /proc/PID/status: R S D T t X Z P I; '?' unknown */
	bool kernel_thread;	/* PF_KTHREAD */
	bool partial;		/* some of its memory could not be read: zeros stand there */
	uint32_t flags;		/* PF_*, as they are */
	uint32_t exit_state;	/* EXIT_*, as it is; 0 while it lives */

	/* Of the credentials that others see it with (real_cred). */
	uint32_t uid, euid, suid, fsuid;
	uint32_t gid, egid, sgid, fsgid;
	struct task_caps caps;

	uint64_t start_ns;	/* when it began, since boot (CLOCK_BOOTTIME) */
	uint64_t started_ns;	/* … as wall clock time since 1970; 0: not known */

	gva mm;			/* 0: kernel thread, or a process that has ended */
	gva live;		/* whose files and root count: @at, or a thread that runs
				 * on where the leader has ended (task_adopt_memory()) */
	struct space space;	/* its user address space; root 0 where @mm is 0 */
};

/* Start with {0}; give the memory back with tasks_free(). */
struct tasks {
	struct task *v;
	size_t n;
	size_t room;
};

void tasks_free(struct tasks *tasks);

/**
 * task_list - every process: the thread group leaders of init_task.tasks
 * @ret: receives them in the order of the list (oldest first), PID 0 not included. On
 *       failure it holds those that were seen until then.
 *
 * A process of which a part cannot be read is marked partial and does not end the walk.
 * In a running guest -EBADMSG and -EFAULT may be an update in flight: view_refresh() and try
 * again before believing them.
 *
 * Return: 0 (the list was seen to its end), -EBADMSG, -EFAULT, -ELOOP (limits), -ENOENT (the
 *         kernel lacks a type that is needed), -ENOMEM, -ESRCH.
 */
nodiscard int task_list(const struct kernel *kernel, struct view *view, struct tasks *ret,
			struct err *err);

/**
 * task_threads - every thread of a process, its leader included
 * @task: any thread of it
 * @ret:  threads are added to it, in the order of their creation
 *
 * Return: as task_list().
 */
nodiscard int task_threads(const struct kernel *kernel, struct view *view,
			   const struct task *task, struct tasks *ret, struct err *err);

/**
 * task_read - what one task_struct says
 * @at:  its guest address; not checked to be that of a task
 * @ret: filled in also where the task is only partly there (partial)
 *
 * Return: 0 (also where it is partial), -EFAULT (nothing of it can be read), -EBADMSG (@at is
 *         no kernel address), -ELOOP, -ENOENT (types), -ESRCH.
 */
nodiscard int task_read(const struct kernel *kernel, struct view *view, gva at,
			struct task *ret, struct err *err);

/**
 * task_name - "1234 bash", for messages and findings
 * @buf: receives it; always terminated
 * Return: @buf.
 */
const char *task_name(const struct task *task, char *buf, size_t size);

#endif
