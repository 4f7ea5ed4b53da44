/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HVSM_LINUX_CONTAINER_H
#define HVSM_LINUX_CONTAINER_H

#include <stdbool.h>

/* The container that a control group belongs to. */
struct container {
	char runtime[16];	/* "docker", "podman", "cri-o", "containerd", "lxc", … */
	char id[65];		/* 64 hex digits, or a name (lxc, nspawn) */
};

/**
 * container_of_cgroup - the container that a path of a control group stands for
 * Known: docker, podman, cri-o, containerd (cri, nerdctl), Kubernetes pods of any runtime
 * ("kubernetes" where the path does not tell which), lxc, systemd-nspawn. The innermost one
 * counts. "container" for a group that is named as containers are, by nobody known.
 *
 * The path is the guest's word: whoever may create control groups may name them so.
 *
 * Return: whether there is one; @ret is untouched otherwise.
 */
bool container_of_cgroup(const char *path, struct container *ret);

#endif
