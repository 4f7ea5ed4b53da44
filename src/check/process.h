/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HVSM_CHECK_PROCESS_H
#define HVSM_CHECK_PROCESS_H

#include "check/check.h"
#include "check/program.h"
#include "linux/task.h"

/* What the checks of processes share. */

struct process_walk {
	struct check_run *run;
	const struct kernel *kernel;
	struct view *view;
	struct tasks tasks;		/* all processes */
	struct programs programs;
};

/* A negative return other than -EFAULT, -EBADMSG and -ESTALE ends the walk. */
typedef int process_fn(struct process_walk *walk, const struct task *task, void *ctx,
		       struct err *err);

/**
 * process_each - every process
 * What cannot be read of one makes the check inconclusive, and the others are looked at.
 *
 * Return: 0, or what ended the walk.
 */
nodiscard int process_each(struct check_run *run, process_fn *visit, void *ctx,
			   struct err *err);

/* … and every thread of each. */
nodiscard int process_each_thread(struct check_run *run, process_fn *visit, void *ctx,
				  struct err *err);

/**
 * process_finding - report something of a process
 * @what: part of the object's name: "anonymous code"; a literal
 *
 * The object is "PID what": its program and its comm, which it changes as it likes, are in the
 * evidence only.
 */
struct finding *process_finding(struct process_walk *walk, enum severity severity,
				const struct task *task, const char *what);

/**
 * process_runtime - the known compilers that a process has mapped as code
 * @ret: enum runtime, ored
 */
nodiscard int process_runtime(struct process_walk *walk, const struct task *task, unsigned *ret,
			      struct err *err);

/* The process with this task_struct, or NULL. */
const struct task *process_at(const struct process_walk *walk, gva at);

#endif
