/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HVSM_LINUX_TASK_CGROUP_H
#define HVSM_LINUX_TASK_CGROUP_H

#include "linux/task.h"

/* The container that a control group belongs to. */
struct container {
	char runtime[16];	/* "docker", "podman", "cri-o", "containerd", "lxc", … */
	char id[65];		/* 64 hex digits, or a name (lxc, nspawn) */
};

/**
 * task_cgroup - the control group of a task
 * @buf: receives its path from the root of the hierarchy ("/system.slice/ssh.service")
 *
 * Of the unified hierarchy (v2); where the task is in its root there, of the v1 hierarchy
 * called "systemd", if there is one.
 *
 * Return: its length, -ENOENT (built without control groups, or the task has left), -EBADMSG,
 *         -ELOOP (limits, or longer than @size), or an error as view_read().
 */
nodiscard int task_cgroup(const struct kernel *kernel, struct view *view,
			  const struct task *task, char *buf, size_t size, struct err *err);

/**
 * container_of_cgroup - the container that a path of a control group stands for
 * Known: docker, podman, cri-o, containerd (cri, nerdctl), Kubernetes pods of any runtime,
 * lxc, systemd-nspawn. The innermost one counts.
 *
 * Return: whether there is one; @ret is untouched otherwise.
 */
bool container_of_cgroup(const char *path, struct container *ret);

#endif
