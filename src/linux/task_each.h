/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HVSM_LINUX_TASK_EACH_H
#define HVSM_LINUX_TASK_EACH_H

#include "linux/partial.h"
#include "linux/task.h"

/* A negative return that partial_add() does not swallow ends the walk. */
typedef int task_fn(const struct task *task, void *ctx, struct err *err);

/**
 * task_each_thread - every thread of every process
 * @tasks:   the processes, as task_list() gives them
 * @partial: takes note of threads that cannot be read and of what @visit could not
 *
 * How many threads there are is taken from their list, not from the process's own count, which
 * nothing in the kernel depends on. A process of one thread costs no more than that look.
 *
 * Return: 0, or what ended the walk: -ELOOP, -ESRCH, -ENOENT, -ENOMEM, or of @visit.
 */
nodiscard int task_each_thread(const struct kernel *kernel, struct view *view,
			       const struct tasks *tasks, struct partial *partial,
			       task_fn *visit, void *ctx, struct err *err);

/**
 * task_is_ending - does the process end with all of its threads?
 * @task: any thread of it. One that ends alone, by pthread_exit(3), leaves the others running.
 *
 * Return: 1, 0, -ENOENT (types), or an error as view_read().
 */
nodiscard int task_is_ending(const struct kernel *kernel, struct view *view,
			     const struct task *task, struct err *err);

/**
 * task_adopt_memory - the memory of a process whose leader has ended while other threads run on
 * @leader: as task_list() gives it; without memory it gets that of the first thread that has some
 *          and does not end (mm, space, live)
 *
 * Return: 0 (also where no thread has any), or an error as task_threads(), where the leader says
 *         that it is not alone.
 */
nodiscard int task_adopt_memory(const struct kernel *kernel, struct view *view,
				struct task *leader, struct err *err);

#endif
