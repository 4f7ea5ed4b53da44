/* SPDX-License-Identifier: Apache-2.0 */
#include "linux/task_each.h"

#define PF_EXITING	  4u	/* include/linux/sched.h */
#define SIGNAL_GROUP_EXIT 4u	/* include/linux/sched/signal.h */

struct each_fields {
	struct field signal, head, node;
};

static const struct member each_members[] = {
	MEMBER(struct each_fields, signal, "task_struct.signal"),
	MEMBER(struct each_fields, head, "signal_struct.thread_head"),
	MEMBER(struct each_fields, node, "task_struct.thread_node"),
};
LAYOUT(each_layout, struct each_fields, each_members);

struct end_fields {
	struct field signal, flags;
};

static const struct member end_members[] = {
	MEMBER(struct end_fields, signal, "task_struct.signal"),
	MEMBER(struct end_fields, flags, "signal_struct.flags"),
};
LAYOUT(end_layout, struct end_fields, end_members);

/* 1: the leader is the only one in the list of threads; 0: it is not. */
static int is_alone(struct view *view, const struct each_fields *f, const struct task *leader,
		    struct err *err)
{
	gva signal, first, last, node = field_at(leader->at, &f->node);
	int r;

	r = field_ptr(view, leader->at, &f->signal, &signal, err);
	if (r >= 0)
		r = view_ptr(view, field_at(signal, &f->head), &first, err);
	if (r >= 0)
		r = view_ptr(view, gva_add(field_at(signal, &f->head), sizeof(first)), &last, err);
	if (r < 0)
		return wrap(err, r, "threads of PID %d", leader->tgid);
	return first.v == node.v && last.v == node.v;
}

static int each_of_process(const struct kernel *kernel, struct view *view,
			   const struct each_fields *f, const struct task *leader,
			   struct partial *partial, task_fn *visit, void *ctx, struct err *err)
{
	struct tasks threads = { 0 };
	int r, alone;

	r = partial_add(partial, visit(leader, ctx, err), err);
	if (r < 0)
		return r;
	alone = is_alone(view, f, leader, err);
	if (alone != 0)
		return partial_add(partial, alone, err);

	r = partial_add(partial, task_threads(kernel, view, leader, &threads, err), err);
	for (size_t i = 0; r >= 0 && i < threads.n; i++)
		if (threads.v[i].at.v != leader->at.v)
			r = partial_add(partial, visit(&threads.v[i], ctx, err), err);
	tasks_free(&threads);
	return r;
}

int task_each_thread(const struct kernel *kernel, struct view *view, const struct tasks *tasks,
		     struct partial *partial, task_fn *visit, void *ctx, struct err *err)
{
	const struct each_fields *f;
	int r;

	r = types_layout(kernel->types, &each_layout, (const void **)&f, err);
	for (size_t i = 0; r >= 0 && i < tasks->n; i++)
		r = each_of_process(kernel, view, f, &tasks->v[i], partial, visit, ctx, err);
	return r;
}

int task_is_ending(const struct kernel *kernel, struct view *view, const struct task *task,
		   struct err *err)
{
	const struct end_fields *f;
	uint64_t flags;
	gva signal;
	int r;

	r = types_layout(kernel->types, &end_layout, (const void **)&f, err);
	if (r >= 0)
		r = field_ptr(view, task->at, &f->signal, &signal, err);
	if (r >= 0 && !signal.v)
		return 1;	/* release_task(): it has ended */
	if (r >= 0)
		r = field_read(view, signal, &f->flags, &flags, err);
	return r < 0 ? r : !!(flags & SIGNAL_GROUP_EXIT);
}

int task_adopt_memory(const struct kernel *kernel, struct view *view, struct task *leader,
		      struct err *err)
{
	struct tasks threads = { 0 };
	int r;

	if (leader->mm.v || leader->kernel_thread)
		return 0;
	r = task_threads(kernel, view, leader, &threads, err);
	for (size_t i = 0; i < threads.n && !leader->mm.v; i++) {
		const struct task *thread = &threads.v[i];

		if (!thread->mm.v || thread->kernel_thread || thread->tgid != leader->tgid ||
		    thread->flags & PF_EXITING)
			continue;
		leader->live = thread->at;
		leader->mm = thread->mm;
		leader->space = thread->space;
	}
	tasks_free(&threads);
	if (leader->mm.v)
		return 0;
	/* It may just be taken away, its parent having waited for it. */
	return (r == -EFAULT || r == -EBADMSG) && leader->threads < 2 ? 0 : r;
}
