/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HVSM_LINUX_TASK_SET_H
#define HVSM_LINUX_TASK_SET_H

#include <stdint.h>

#include "base/map.h"
#include "linux/kernel.h"

/*
 * All tasks of a guest, each with the places in which it was found. The kernel keeps a task
 * in several structures at once; who hides one must take it out of all of them, and those
 * that the scheduler works with it cannot be taken out of.
 */

enum task_view {
	VIEW_LIST,	/* init_task.tasks: leaders of thread groups */
	VIEW_THREADS,	/* signal_struct.thread_head of its own group */
	VIEW_CHILDREN,	/* task_struct.children of some task: leaders */
	VIEW_NUMBERS,	/* the PID map of the initial namespace */
	VIEW_NESTED,	/* the PID map of another namespace */
	VIEW_GROUPS,	/* process groups and sessions, and TGIDs: leaders */
	VIEW_CGROUPS,	/* css_set.tasks, mg_tasks, dying_tasks */
	VIEW_SCHED_EXT,	/* scx_tasks: all tasks, where the kernel has sched_ext */
	VIEW_QUEUES,	/* run queues: what runs, or is to run */
	VIEW_STACKS,	/* kernel stacks that no task of the other views has */
	TASK_VIEWS
};

/* "task list", "thread group", …: for messages and findings. */
const char *task_view_name(enum task_view view);

struct task_seen {
	gva at;			/* task_struct */
	uint32_t views;		/* 1 << enum task_view */

	/* From VIEW_NUMBERS and VIEW_NESTED. */
	uint64_t levels;	/* one bit per level of namespaces in whose map it is */
	int32_t number;		/* in the initial namespace, as its struct pid has it; 0: none */

	uint32_t cpu;		/* from VIEW_QUEUES */
};

struct task_set {
	const struct kernel *kernel;
	struct view *view;
	gva init_task;
	struct task_seen *v;	/* in the order in which they were found first */
	size_t n;
	size_t room;
	struct map index;	/* task_struct → place in @v */
	struct map idle;	/* idle tasks, which are not in the set */
};

/**
 * task_set_open - an empty set
 * @ret: zeroed and filled in; to be given to task_set_close(), also on failure
 *
 * Return: 0, -ENOENT (no init_task), -ENOMEM.
 */
nodiscard int task_set_open(const struct kernel *kernel, struct view *view,
			    struct task_set *ret, struct err *err);

void task_set_close(struct task_set *set);

/**
 * task_set_add - a view found a task
 * @at:  its task_struct; not looked at
 * @ret: the task's entry, valid until the next call; NULL where it is an idle task, which is
 *       in no view but the run queues, and that only as what runs when nothing does
 *
 * Return: 0, -EBADMSG (@at cannot be a task_struct), -ELOOP (TASKS_MAX), -ENOMEM.
 */
nodiscard int task_set_add(struct task_set *set, gva at, enum task_view view,
			   struct task_seen **ret, struct err *err);

/*
 * A view has many parts. One that is broken must not hide what is in the others, nor be
 * forgotten: the first failure is kept, and the rest are looked at all the same.
 */
struct task_failures {
	int first;		/* 0: none yet */
	struct err err;
};

/**
 * task_failures_add - note how a part of a view went
 * Return: 0 (go on), or @r where there is no point in it: -ELOOP, -ESRCH, -ENOMEM.
 */
int task_failures_add(struct task_failures *failures, int r, const struct err *err);

/* What the view as a whole came to: the first failure, and its text in @err. */
int task_failures_end(const struct task_failures *failures, enum task_view view,
		      struct err *err);

/* How many tasks of the set a view has. */
uint64_t task_set_count(const struct task_set *set, enum task_view view);

/*
 * The views. Each adds what it finds to the set.
 *
 * Return: 0 (all of it was seen), -ENOENT (this kernel has no such thing), or an error as
 *         list_walk(): what was found until then is in the set, and more may be there.
 */

/*
 * VIEW_QUEUES: what each CPU runs, and what waits on its queues, by all that the scheduler
 * itself uses to find the next task. To be called first: it tells the idle tasks.
 */
nodiscard int tasks_by_queue(struct task_set *set, struct err *err);

nodiscard int tasks_by_list(struct task_set *set, struct err *err);

/*
 * VIEW_NUMBERS, VIEW_NESTED, VIEW_GROUPS: every PID map that the initial one leads to. A
 * struct pid that lies under another number than its own does not count as being there.
 */
nodiscard int tasks_by_number(struct task_set *set, struct err *err);

nodiscard int tasks_by_cgroup(struct task_set *set, struct err *err);

nodiscard int tasks_by_sched_ext(struct task_set *set, struct err *err);

/*
 * VIEW_THREADS and VIEW_CHILDREN: the thread group and the children of every task that is in
 * the set, and of every one that is found on the way. To be called last.
 */
nodiscard int tasks_by_kin(struct task_set *set, struct err *err);

/**
 * tasks_by_stack - the tasks of the kernel stacks that no task in the set has
 * Every task has a stack that it sleeps on, and each stack is a virtual memory area of the
 * kernel's own account (CONFIG_VMAP_STACK). What a task left on its stack while it waits
 * leads back to it. To be called last of all. Also tells how many stacks there are in @stacks.
 */
nodiscard int tasks_by_stack(struct task_set *set, uint64_t *stacks, struct err *err);

#endif
