/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HVSM_LINUX_MOUNT_H
#define HVSM_LINUX_MOUNT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/vec.h"
#include "linux/task.h"

/* Mounts, per mount namespace; what /proc/PID/mountinfo shows of each. */

enum {				/* mount.flags: of this mount */
	MOUNT_READONLY	 = 1 << 0,
	MOUNT_NOSUID	 = 1 << 1,
	MOUNT_NODEV	 = 1 << 2,
	MOUNT_NOEXEC	 = 1 << 3,
	MOUNT_NOATIME	 = 1 << 4,
	MOUNT_NODIRATIME = 1 << 5,
	MOUNT_RELATIME	 = 1 << 6,
	MOUNT_NOSYMFOLLOW = 1 << 7,
	MOUNT_IDMAPPED	 = 1 << 8,
	MOUNT_LOCKED	 = 1 << 9,	/* not to be unmounted alone; not in mountinfo */
};

enum {				/* mount.super_flags: of the whole file system */
	SUPER_READONLY	= 1 << 0,
	SUPER_SYNC	= 1 << 1,
	SUPER_DIRSYNC	= 1 << 2,
	SUPER_MANDLOCK	= 1 << 3,
	SUPER_LAZYTIME	= 1 << 4,
};

struct mount {
	gva at;			/* struct mount */
	uint32_t ns;		/* inode of the mount namespace, as in /proc/PID/ns/mnt */
	uint32_t id;
	uint32_t parent;	/* its own id where nothing is above it */
	uint64_t unique;	/* id that is never used again; 0: this kernel has none */
	uint32_t dev;		/* see dev_major(), dev_minor() in file.h */
	uint32_t flags;		/* MOUNT_* */
	uint32_t super_flags;	/* SUPER_* */
	uint32_t shared;	/* peer group it shares events with; 0: none */
	uint32_t master;	/* peer group it receives events from; 0: none */
	bool unbindable;

	/*
	 * Guest text: escape it at output. mountinfo names @point from the root of who asks,
	 * and leaves out what that root cannot reach, such as an initial root under the real one.
	 */
	char *root;		/* path within the file system that is mounted here */
	char *point;		/* where, from the root of all */
	char *type;		/* "ext4", "fuse.sshfs" */
	char *source;		/* "/dev/vda1", "none" */
};

/* A mount namespace. */
struct mount_ns {
	gva at;			/* struct mnt_namespace */
	uint32_t inode;		/* as in /proc/PID/ns/mnt */
	uint32_t pid;		/* the first process in it; 0: nobody is, something keeps it */
	uint32_t tasks;		/* how many threads are in it */
	uint32_t mounts_at;	/* mounts.all[mounts_at … + mounts_n) */
	uint32_t mounts_n;
	bool complete;		/* all of its mounts are there */
};

struct mounts {
	VEC(struct mount) all;		/* by namespace; within one as they were mounted */
	VEC(struct mount_ns) namespaces;
	uint64_t text_bytes;		/* of all strings together */
};

/**
 * mount_list - the mounts of every mount namespace that a task is in or the kernel lists
 * @tasks: from task_list()
 * @ret:   {0} before; on failure it holds what had been found; to be given to mounts_free()
 *
 * Return: 0 (complete), -EBADMSG, -EFAULT (something was left out), -ELOOP (limits), -ESRCH,
 *         -ENOENT (types), -ENOMEM.
 */
nodiscard int mount_list(const struct kernel *kernel, struct view *view,
			 const struct tasks *tasks, struct mounts *ret, struct err *err);

void mounts_free(struct mounts *mounts);

/* "rw,nosuid,nodev,relatime" and "ro,sync", as mountinfo has them. @buf is returned. */
const char *mount_print_flags(const struct mount *mount, char *buf, size_t size);
const char *mount_print_super_flags(const struct mount *mount, char *buf, size_t size);

#endif
