/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>

#include "base/cleanup.h"
#include "base/limits.h"
#include "base/vec.h"
#include "guest/list.h"
#include "linux/rbtree.h"
#include "linux/task_set.h"

#define CFS_QUEUES_MAX	65536u	/* of one CPU: one per control group that has a task to run */
#define RT_LISTS_MAX	128u	/* MAX_RT_PRIO is 100 */
#define RT_QUEUES_MAX	65536u	/* as CFS_QUEUES_MAX, with CONFIG_RT_GROUP_SCHED */

struct queue_fields {
	struct field rq, curr, donor, idle, stop;
	struct field cfs, cfs_tasks, rt, dl, scx_list;
	struct field timeline, cfs_curr;
	struct field se, run_node, my_q, group_node;
	struct field rt_entity, rt_lists, rt_list, run_list, rt_my_q, rt_active;
	struct field dl_entity, dl_root, dl_node;
	struct field scx_entity, scx_node;
	struct field hot_current, pid, tgid, mm, class;
};

static const struct member queue_members[] = {
	MEMBER(struct queue_fields, rq, "rq"),
	MEMBER(struct queue_fields, curr, "rq.curr"),
	/* Proxy execution: what the scheduler chose, and what runs for it (af0c8b2bf67b, 6.13). */
	MEMBER_OPTIONAL(struct queue_fields, donor, "rq.donor"),
	MEMBER(struct queue_fields, idle, "rq.idle"),
	MEMBER(struct queue_fields, stop, "rq.stop"),
	MEMBER(struct queue_fields, cfs, "rq.cfs"),
	MEMBER(struct queue_fields, cfs_tasks, "rq.cfs_tasks"),
	MEMBER(struct queue_fields, rt, "rq.rt"),
	MEMBER(struct queue_fields, dl, "rq.dl"),
	MEMBER_OPTIONAL(struct queue_fields, scx_list, "rq.scx.runnable_list"),
	MEMBER(struct queue_fields, timeline, "cfs_rq.tasks_timeline.rb_root"),
	MEMBER(struct queue_fields, cfs_curr, "cfs_rq.curr"),
	MEMBER(struct queue_fields, se, "task_struct.se"),
	MEMBER(struct queue_fields, run_node, "sched_entity.run_node"),
	MEMBER_OPTIONAL(struct queue_fields, my_q, "sched_entity.my_q"),
	MEMBER(struct queue_fields, group_node, "sched_entity.group_node"),
	MEMBER(struct queue_fields, rt_entity, "task_struct.rt"),
	MEMBER(struct queue_fields, rt_active, "rt_rq.active"),
	MEMBER(struct queue_fields, rt_lists, "rt_prio_array.queue"),
	MEMBER(struct queue_fields, rt_list, "list_head"),
	MEMBER(struct queue_fields, run_list, "sched_rt_entity.run_list"),
	MEMBER_OPTIONAL(struct queue_fields, rt_my_q, "sched_rt_entity.my_q"),
	MEMBER(struct queue_fields, dl_entity, "task_struct.dl"),
	MEMBER(struct queue_fields, dl_root, "dl_rq.root.rb_root"),
	MEMBER(struct queue_fields, dl_node, "sched_dl_entity.rb_node"),
	MEMBER_OPTIONAL(struct queue_fields, scx_entity, "task_struct.scx"),
	MEMBER_OPTIONAL(struct queue_fields, scx_node, "sched_ext_entity.runnable_node"),
	MEMBER_OPTIONAL(struct queue_fields, hot_current, "pcpu_hot.current_task"),
	MEMBER(struct queue_fields, pid, "task_struct.pid"),
	MEMBER(struct queue_fields, tgid, "task_struct.tgid"),
	MEMBER(struct queue_fields, mm, "task_struct.mm"),
	MEMBER(struct queue_fields, class, "task_struct.sched_class"),
};
LAYOUT(queue_layout, struct queue_fields, queue_members);

/* Queues that are still to be looked through: control groups have queues of their own. */
struct pending {
	VEC(gva) queues;
	struct map known;
	uint32_t max;
};

struct queues {
	struct task_set *set;
	const struct queue_fields *f;
	gva runqueues;		/* per-CPU symbols; 0: there is none */
	gva current;
	gva idle_threads;
	gva idle_class;
	uint32_t cpu;
	gva rq;			/* of that CPU */
	struct pending cfs;
	struct pending rt;
	struct task_failures failures;
};

static int add_pending(struct pending *pending, gva queue, struct err *err)
{
	gva *slot;
	int r;

	if (!gva_is_kernel(queue))
		return fail(err, -EBADMSG, queue, "no place for a run queue");
	r = map_put(&pending->known, queue.v, 0);
	if (r < 0)
		return r;
	if (r > 0)
		return fail(err, -EBADMSG, queue, "run queue that is on two others");
	if (pending->queues.n == pending->max)
		return err_set(err, -ELOOP, "over %u run queues of one CPU", pending->max);
	slot = vec_add(&pending->queues);
	if (!slot)
		return -ENOMEM;
	*slot = queue;
	return 0;
}

static void clear_pending(struct pending *pending)
{
	vec_free(&pending->queues);
	map_free(&pending->known);
}

static int add_task(struct queues *queues, gva task, struct err *err)
{
	struct task_seen *seen;
	int r;

	if (!task.v)
		return 0;
	r = task_set_add(queues->set, task, VIEW_QUEUES, &seen, err);
	if (seen)
		seen->cpu = queues->cpu;
	return r;
}

/*
 * The idle task of a CPU is in no other view, which makes its place a good one to hide in: what
 * stands there must be what a CPU's idle task is, in all that the scheduler and the kernel's
 * start know of it. Otherwise it is a task like all others.
 */
static int add_idle(struct queues *queues, struct err *err)
{
	const struct queue_fields *f = queues->f;
	struct view *view = queues->set->view;
	uint64_t pid = 1, tgid = 1, mm = 1;
	gva idle, class, known;
	int r;

	r = field_ptr(view, queues->rq, &f->idle, &idle, err);
	if (r < 0 || !idle.v || map_get(&queues->set->idle, idle.v, NULL))
		return r;
	r = field_read(view, idle, &f->pid, &pid, err);
	if (r >= 0)
		r = field_read(view, idle, &f->tgid, &tgid, err);
	if (r >= 0)
		r = field_read(view, idle, &f->mm, &mm, err);
	if (r >= 0)
		r = field_ptr(view, idle, &f->class, &class, err);
	known = idle;
	if (r >= 0 && queues->idle_threads.v)
		r = view_ptr(view, kernel_per_cpu(queues->set->kernel, queues->idle_threads,
						  queues->cpu), &known, err);
	if (r < 0)
		return r;
	if (pid || tgid || mm || known.v != idle.v ||
	    (queues->idle_class.v && class.v != queues->idle_class.v))
		return add_task(queues, idle, err);
	r = map_put(&queues->set->idle, idle.v, 0);
	return r < 0 ? r : 0;
}

/* What runs on the CPU: by its queue, and by what the kernel's entry code goes by. */
static int add_current(struct queues *queues, struct err *err)
{
	const struct kernel *kernel = queues->set->kernel;
	const struct queue_fields *f = queues->f;
	struct view *view = queues->set->view;
	gva task;
	int r;

	r = field_ptr(view, queues->rq, &f->curr, &task, err);
	if (r >= 0)
		r = add_task(queues, task, err);
	if (r >= 0 && f->donor.there)
		r = field_ptr(view, queues->rq, &f->donor, &task, err);
	if (r >= 0)
		r = add_task(queues, task, err);
	if (r >= 0)
		r = field_ptr(view, queues->rq, &f->stop, &task, err);
	if (r >= 0)
		r = add_task(queues, task, err);
	if (r >= 0 && queues->current.v) {
		r = view_ptr(view, kernel_per_cpu(kernel, queues->current, queues->cpu), &task,
			     err);
		if (r >= 0)
			r = add_task(queues, task, err);
	}
	return r;
}

/* --- the fair class --- */

/* An entity is a task, or it stands for the queue of a control group. */
static int add_fair(struct queues *queues, gva entity, struct err *err)
{
	const struct queue_fields *f = queues->f;
	gva queue = gva_of(0);
	int r = 0;

	if (f->my_q.there)
		r = field_ptr(queues->set->view, entity, &f->my_q, &queue, err);
	if (r < 0)
		return r;
	if (queue.v)
		return add_pending(&queues->cfs, queue, err);
	return add_task(queues, field_object(entity, &f->se), err);
}

static int visit_fair(gva node, void *ctx, struct err *err)
{
	struct queues *queues = ctx;

	return add_fair(queues, field_object(node, &queues->f->run_node), err);
}

static int visit_cfs_task(gva link, void *ctx, struct err *err)
{
	struct queues *queues = ctx;
	gva entity = field_object(link, &queues->f->group_node);

	return add_task(queues, field_object(entity, &queues->f->se), err);
}

/* The list that CPUs are balanced with: the scheduler picks nothing from it. */
static int add_fair_list(struct queues *queues, struct err *err)
{
	return list_walk(queues->set->view, field_at(queues->rq, &queues->f->cfs_tasks),
			 TASKS_MAX, visit_cfs_task, queues, err);
}

/* The trees that the scheduler picks from, and what it has picked, which is in none. */
static int add_fair_trees(struct queues *queues, struct err *err)
{
	const struct queue_fields *f = queues->f;
	struct task_set *set = queues->set;
	gva queue, entity;
	int r;

	r = add_pending(&queues->cfs, field_at(queues->rq, &f->cfs), err);
	for (size_t i = 0; r >= 0 && i < queues->cfs.queues.n; i++) {
		queue = queues->cfs.queues.v[i];
		r = rbtree_walk(set->kernel, set->view, field_at(queue, &f->timeline), TASKS_MAX,
				visit_fair, queues, err);
		if (r >= 0)
			r = field_ptr(set->view, queue, &f->cfs_curr, &entity, err);
		if (r >= 0 && entity.v)
			r = add_fair(queues, entity, err);
	}
	return r;
}

/* --- the real-time class --- */

static int visit_rt(gva link, void *ctx, struct err *err)
{
	struct queues *queues = ctx;
	const struct queue_fields *f = queues->f;
	gva entity = field_object(link, &f->run_list), queue = gva_of(0);
	int r = 0;

	if (f->rt_my_q.there)
		r = field_ptr(queues->set->view, entity, &f->rt_my_q, &queue, err);
	if (r < 0)
		return r;
	if (queue.v)
		return add_pending(&queues->rt, queue, err);
	return add_task(queues, field_object(entity, &f->rt_entity), err);
}

static int add_rt_queue(struct queues *queues, gva queue, struct err *err)
{
	const struct queue_fields *f = queues->f;
	struct { uint64_t next, prev; } heads[RT_LISTS_MAX];
	gva at = gva_add(field_at(queue, &f->rt_active), f->rt_lists.at);
	uint32_t n = f->rt_lists.size_bytes / sizeof(*heads);
	int r;

	if (f->rt_list.size_bytes != sizeof(*heads) || !n || n > RT_LISTS_MAX)
		return err_set(err, -EBADMSG, "the types tell of a run queue that cannot be");
	r = view_read(queues->set->view, at, heads, n * sizeof(*heads), err);
	for (uint32_t i = 0; r >= 0 && i < n; i++) {
		gva head = gva_add(at, i * sizeof(*heads));

		if (heads[i].next != head.v || heads[i].prev != head.v)
			r = list_walk(queues->set->view, head, TASKS_MAX, visit_rt, queues, err);
	}
	return r;
}

static int add_rt_class(struct queues *queues, struct err *err)
{
	int r;

	r = add_pending(&queues->rt, field_at(queues->rq, &queues->f->rt), err);
	for (size_t i = 0; r >= 0 && i < queues->rt.queues.n; i++)
		r = add_rt_queue(queues, queues->rt.queues.v[i], err);
	return r;
}

/* --- the deadline class and sched_ext --- */

/*
 * Since 6.8 (63ba8422f876) the tree also holds the servers that give the fair class its share.
 * They are told by where they lie, inside of the run queue, not by a flag that anyone can set.
 */
static int visit_dl(gva node, void *ctx, struct err *err)
{
	struct queues *queues = ctx;
	const struct queue_fields *f = queues->f;
	gva entity = field_object(node, &f->dl_node);

	if (entity.v - queues->rq.v < f->rq.size_bytes)
		return 0;
	return add_task(queues, field_object(entity, &f->dl_entity), err);
}

static int visit_scx(gva link, void *ctx, struct err *err)
{
	struct queues *queues = ctx;
	gva entity = field_object(link, &queues->f->scx_node);

	return add_task(queues, field_object(entity, &queues->f->scx_entity), err);
}

static int add_dl_class(struct queues *queues, struct err *err)
{
	const struct queue_fields *f = queues->f;
	struct task_set *set = queues->set;

	return rbtree_walk(set->kernel, set->view,
			   gva_add(field_at(queues->rq, &f->dl), f->dl_root.at), TASKS_MAX,
			   visit_dl, queues, err);
}

static int add_ext_class(struct queues *queues, struct err *err)
{
	const struct queue_fields *f = queues->f;

	if (!f->scx_list.there || !f->scx_entity.there || !f->scx_node.there)
		return 0;
	return list_walk(queues->set->view, field_at(queues->rq, &f->scx_list), TASKS_MAX,
			 visit_scx, queues, err);
}

static int add_cpu(struct queues *queues)
{
	int (*const parts[])(struct queues *, struct err *) = {
		add_idle, add_current, add_fair_list, add_fair_trees, add_rt_class, add_dl_class,
		add_ext_class,
	};
	int r = 0;

	queues->rq = kernel_per_cpu(queues->set->kernel, queues->runqueues, queues->cpu);
	for (size_t i = 0; r >= 0 && i < ARRAY_SIZE(parts); i++) {
		struct err err = {0};

		r = parts[i](queues, &err);
		if (r < 0)
			wrap(&err, r, "CPU %u", queues->cpu);
		r = task_failures_add(&queues->failures, r, &err);
	}
	clear_pending(&queues->cfs);
	clear_pending(&queues->rt);
	return r;
}

int tasks_by_queue(struct task_set *set, struct err *err)
{
	const struct kernel *kernel = set->kernel;
	struct queues queues = { .set = set, .cfs.max = CFS_QUEUES_MAX, .rt.max = RT_QUEUES_MAX };
	gva hot;
	int r;

	r = types_layout(kernel->types, &queue_layout, (const void **)&queues.f, err);
	if (r >= 0)
		r = kernel_symbol(kernel, "runqueues", &queues.runqueues, err);
	if (r < 0)
		return wrap(err, r, "%s", task_view_name(VIEW_QUEUES));
	queues.idle_threads = symbols_lookup(kernel->symbols, "idle_threads");
	queues.idle_class = symbols_lookup(kernel->symbols, "idle_sched_class");
	queues.current = symbols_lookup(kernel->symbols, "current_task");
	hot = symbols_lookup(kernel->symbols, "pcpu_hot");
	if (!queues.current.v && hot.v && queues.f->hot_current.there)
		queues.current = field_at(hot, &queues.f->hot_current);

	for (; r >= 0 && queues.cpu < kernel->cpus; queues.cpu++)
		if (kernel_has_cpu(kernel, queues.cpu))
			r = add_cpu(&queues);
	return task_failures_end(&queues.failures, VIEW_QUEUES, err);
}
