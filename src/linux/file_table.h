/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HVSM_LINUX_FILE_TABLE_H
#define HVSM_LINUX_FILE_TABLE_H

#include <stdbool.h>
#include <stdint.h>

#include "linux/task.h"

/* Which files a task has open, without looking at the files: files_struct → fdtable. */

/* One slot in use. */
struct file_slot {
	const struct task *task;
	uint32_t fd;
	gva file;		/* struct file; an address in the kernel */
	bool cloexec;
};

/* A negative return ends the walk. */
typedef int file_slot_fn(const struct file_slot *slot, void *ctx, struct err *err);

/**
 * file_table_walk - the slots in use of every file table
 * @tasks: whose; processes, as task_list() gives them
 *
 * A table is walked once per process, under the first thread that has it; a thread with a
 * table of its own (unshare(2), CLONE_FILES) gives its own. Slots are taken from the array
 * that system calls use, not from its bitmap. Tables and slots that cannot be read are left
 * out and make the call fail at its end.
 *
 * Return: 0, what @visit returned, -EBADMSG, -EFAULT, -ELOOP (limits), -ESRCH, -ENOENT
 *         (types), -ENOMEM.
 */
nodiscard int file_table_walk(const struct kernel *kernel, struct view *view,
			      const struct tasks *tasks, file_slot_fn *visit, void *ctx,
			      struct err *err);

#endif
