/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HVSM_RAM_REMOTE_H
#define HVSM_RAM_REMOTE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ram/proc.h"

/*
 * The private memory of another process, read without a trace in it: a page that is not there
 * is not touched, for that would give it one (of zeros, or of a huge page file).
 */
struct remote {
	struct proc proc;
	int mem, pagemap;	/* /proc/PID/mem and /proc/PID/pagemap, for reading */
	bool no_bulk;		/* process_vm_readv() is not permitted */
};

#define REMOTE_NONE ((struct remote){ .proc = PROC_NONE, .mem = -1, .pagemap = -1 })

/* Reads what is not in memory: from the file below it. @at: host-virtual. 0 or an errno. */
typedef int remote_absent_fn(void *ctx, uint64_t at, void *buf, size_t len, struct err *err);

/**
 * remote_init - get at the memory of @proc
 * @proc: becomes part of @remote on success
 *
 * Return: 0, -EACCES (says what to do), -ESRCH, or another errno.
 */
nodiscard int remote_init(struct remote *remote, const struct proc *proc, struct err *err);
void remote_deinit(struct remote *remote);

/**
 * remote_read - copy memory of the process
 * @at:     host-virtual
 * @absent: for what is not in memory; NULL: it reads as zeros
 *
 * Swapped-out pages are read, and so come back.
 *
 * Return: 0, -EFAULT, -ESRCH (it ended), or an error of @absent.
 */
nodiscard int remote_read(struct remote *remote, uint64_t at, void *buf, size_t len,
			  remote_absent_fn *absent, void *ctx, struct err *err);

/**
 * remote_next - the first run of pages in [@at, @end) that the process has
 * @at, @end: host-virtual, page aligned
 * Runs may be cut: the next call goes on.
 *
 * Return: 0, -ENOENT (there is none), -EFAULT, -ESRCH.
 */
nodiscard int remote_next(struct remote *remote, uint64_t at, uint64_t end, uint64_t *start,
			  uint64_t *len, struct err *err);

#endif
