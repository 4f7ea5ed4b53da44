/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HVSM_LINUX_TASK_CGROUP_H
#define HVSM_LINUX_TASK_CGROUP_H

#include "linux/container.h"
#include "linux/task.h"

/**
 * task_cgroup - the control group of a task
 * @buf: receives its path from the root of the hierarchy ("/system.slice/ssh.service")
 *
 * Of the unified hierarchy (v2); where the task is in its root there, of a v1 hierarchy: the
 * one called "systemd", or else the first in which it is not in the root either.
 *
 * Return: its length, -ENOENT (built without control groups, or the task has left), -EBADMSG,
 *         -ELOOP (limits, or longer than @size), or an error as view_read().
 */
nodiscard int task_cgroup(const struct kernel *kernel, struct view *view,
			  const struct task *task, char *buf, size_t size, struct err *err);

#endif
