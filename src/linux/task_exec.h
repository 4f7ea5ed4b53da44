/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HVSM_LINUX_TASK_EXEC_H
#define HVSM_LINUX_TASK_EXEC_H

#include "linux/task.h"

/* What a process was told to run: its program and its arguments. */

/* Arguments are kept up to this: more is cut, and says so. */
#define TASK_ARGS_MAX 4096u

/**
 * task_exe - the program's file, as in /proc/PID/exe
 * @buf:  receives its name, see path.h
 *
 * Return: its length, -ENOENT (kernel thread, ended, or without a program), or an error as
 *         path_print().
 */
nodiscard int task_exe(const struct kernel *kernel, struct view *view, const struct task *task,
		       char *buf, size_t size, struct err *err);

struct task_args {
	/*
	 * As in /proc/PID/cmdline: the arguments one after the other, each with its
	 * terminator, except that the last may lack it where it was cut. Pages that were not
	 * resident (swapped out, never read in) are left out; an argument that such a page cut
	 * apart stands there as two.
	 */
	char text[TASK_ARGS_MAX];
	size_t bytes;		/* of @text in use; 0: none, or none resident */
	size_t absent_bytes;	/* left out because they are not resident */
	bool cut;		/* there are more than TASK_ARGS_MAX bytes */
};

/**
 * task_args - the arguments, as far as they are resident
 *
 * They lie in the process's own memory, so it can write what it likes there.
 *
 * Return: 0 (see absent_bytes and cut), -ENOENT (kernel thread, or ended), -EBADMSG (the
 *         bounds cannot be), or an error as view_read().
 */
nodiscard int task_args(const struct kernel *kernel, struct view *view,
			const struct task *task, struct task_args *ret, struct err *err);

#endif
