/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HVSM_LINUX_TASK_NS_H
#define HVSM_LINUX_TASK_NS_H

#include "linux/task.h"

/* Namespaces, by inode number as in /proc/PID/ns; 0: none (the task is ending). */
struct task_ns {
	uint32_t cgroup;
	uint32_t ipc;
	uint32_t mnt;
	uint32_t net;
	uint32_t pid;		/* the one that the task is in, not that of its children */
	uint32_t time;
	uint32_t user;
	uint32_t uts;
	uint32_t pid_level;	/* how deep the PID namespace is nested; 0: the initial one */
	int32_t pid_inside;	/* the task's PID in its own PID namespace */
};

/**
 * task_namespaces - the namespaces of a task
 * @ret: where some cannot be read, those that can are there
 *
 * Return: 0, -EBADMSG (more levels than there can be: @ret is untouched; or a pointer to what
 *         is no object), -ENOENT (types), or an error as view_read().
 */
nodiscard int task_namespaces(const struct kernel *kernel, struct view *view,
			      const struct task *task, struct task_ns *ret, struct err *err);

#endif
