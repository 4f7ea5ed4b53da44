/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HVSM_RAM_PROC_H
#define HVSM_RAM_PROC_H

#include <stddef.h>
#include <sys/types.h>

#include "base/err.h"

/*
 * One process of the host, as /proc shows it. The two descriptors stay with that very process:
 * once it has ended, reads fail with -ESRCH, though its PID may be in use again.
 */
struct proc {
	pid_t pid;
	int pidfd;
	int dir;	/* /proc/PID */
};

#define PROC_NONE ((struct proc){ .pid = -1, .pidfd = -1, .dir = -1 })

/**
 * proc_init - get hold of a process
 * Return: 0, -ESRCH (no such process), -EACCES (hidden by hidepid=), or another errno.
 */
nodiscard int proc_init(struct proc *proc, pid_t pid, struct err *err);
void proc_deinit(struct proc *proc);

/* 0 while it runs, -ESRCH when it ended. */
nodiscard int proc_alive(const struct proc *proc, struct err *err);

/**
 * proc_read - all of one of its files, such as "cmdline"
 * @max: bytes; a longer file is -ELOOP
 * @ret: receives the bytes and one NUL more; free() it
 *
 * Return: 0, -ESRCH, -EACCES (with what to do), -ELOOP, -ENOMEM, or another errno.
 */
nodiscard int proc_read(const struct proc *proc, const char *name, size_t max, char **ret,
			size_t *len, struct err *err);

/* openat() below /proc/PID, with its errors in words. Return: a descriptor or an errno. */
nodiscard int proc_openat(const struct proc *proc, const char *name, int flags,
			  struct err *err);

/**
 * proc_path - what a path of the process's own command line means
 *
 * Inside its root or, where it is relative, below its working directory, links included: the
 * process may live in a container, and whoever wrote its command line may not make us leave.
 *
 * Return: an O_PATH descriptor, or an errno.
 */
nodiscard int proc_path(const struct proc *proc, const char *path, struct err *err);

/**
 * proc_has_fd - has it a descriptor of that kind open?
 * @link: "anon_inode:kvm-vm"
 *
 * Return: 1, 0, or an errno (-EACCES).
 */
nodiscard int proc_has_fd(const struct proc *proc, const char *link);

/* Where a link such as "exe" points; cut to @size. Return: 0 or an errno. */
nodiscard int proc_link(const struct proc *proc, const char *name, char *buf, size_t size);

#endif
