/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>

#include "base/cleanup.h"
#include "base/limits.h"
#include "base/map.h"
#include "base/vec.h"
#include "guest/list.h"
#include "linux/hook.h"
#include "linux/xarray.h"

/*
 * Work that waits for a worker, and what workers are at (kernel/workqueue.c): pools of workers
 * by their numbers and by the queues that lead to them, since work finds its pool by either.
 */
struct work_fields {
	struct field pools;
	struct field worklist, workers;
	struct field node, scheduled, worker_function;
	struct field queue_list, queue_pwqs, rescuer;
	struct field pwq_pool, pwq_node, inactive;
	struct field entry, function;
};

static const struct member work_members[] = {
	MEMBER(struct work_fields, pools, "idr.idr_rt"),
	MEMBER(struct work_fields, worklist, "worker_pool.worklist"),
	MEMBER(struct work_fields, workers, "worker_pool.workers"),
	MEMBER(struct work_fields, node, "worker.node"),
	MEMBER(struct work_fields, scheduled, "worker.scheduled"),
	MEMBER(struct work_fields, worker_function, "worker.current_func"),
	MEMBER(struct work_fields, queue_list, "workqueue_struct.list"),
	MEMBER(struct work_fields, queue_pwqs, "workqueue_struct.pwqs"),
	MEMBER(struct work_fields, rescuer, "workqueue_struct.rescuer"),
	MEMBER(struct work_fields, pwq_pool, "pool_workqueue.pool"),
	MEMBER(struct work_fields, pwq_node, "pool_workqueue.pwqs_node"),
	MEMBER(struct work_fields, inactive,
	       "pool_workqueue.inactive_works|pool_workqueue.delayed_works"),
	MEMBER(struct work_fields, entry, "work_struct.entry"),
	MEMBER(struct work_fields, function, "work_struct.func"),
};
LAYOUT(work_layout, struct work_fields, work_members);

struct works {
	struct hook_walk *walk;
	const struct work_fields *f;
	struct map seen;		/* pools */
	VEC(gva) pools;
	struct hook_label work, worker;
};

static int visit_work(gva entry, void *ctx, struct err *err)
{
	struct works *works = ctx;
	struct hook_object object = {
		.mechanism = "work item",
		.at = field_object(entry, &works->f->entry),
		.print = hook_print_label,
		.ctx = &works->work,
	};

	return hook_members(works->walk, &object, "work_struct", err);
}

static int visit_works(struct works *works, gva list, struct err *err)
{
	return partial_add(&works->walk->partial,
			   list_walk(works->walk->view, list, WORK_ITEMS_MAX, visit_work, works,
				     err), err);
}

static int visit_worker_at(struct works *works, gva worker, struct err *err)
{
	struct hook_object object = {
		.mechanism = "worker",
		.at = worker,
		.print = hook_print_label,
		.ctx = &works->worker,
	};
	int r = hook_field(works->walk, &object, "worker", "current_func",
			   &works->f->worker_function, err);

	return r < 0 ? r : visit_works(works, field_at(worker, &works->f->scheduled), err);
}

static int visit_worker(gva node, void *ctx, struct err *err)
{
	struct works *works = ctx;

	return visit_worker_at(works, field_object(node, &works->f->node), err);
}

static int visit_pool(struct works *works, gva pool, struct err *err)
{
	works->walk->objects++;
	return partial_add(&works->walk->partial,
			   list_walk(works->walk->view, field_at(pool, &works->f->workers),
				     WORKERS_MAX, visit_worker, works, err), err);
}

static int add_pool(struct works *works, gva pool, struct err *err)
{
	gva *room;
	int r;

	if (!gva_is_kernel(pool))
		return fail(err, -EBADMSG, pool, "pool of workers at %#llx",
			    (unsigned long long)pool.v);
	r = map_put(&works->seen, pool.v, 1);
	if (r)
		return r < 0 ? r : 0;
	if (works->pools.n == WORKER_POOLS_MAX)
		return err_set(err, -ELOOP, "over %u pools of workers", WORKER_POOLS_MAX);
	room = vec_add(&works->pools);
	if (!room)
		return -ENOMEM;
	*room = pool;
	return 0;
}

static int visit_number(uint64_t index, uint64_t entry, void *ctx, struct err *err)
{
	(void)index;
	return add_pool(ctx, gva_of(entry), err);
}

static int visit_pwq(gva node, void *ctx, struct err *err)
{
	struct works *works = ctx;
	gva pwq = field_object(node, &works->f->pwq_node), pool;
	int r = field_ptr(works->walk->view, pwq, &works->f->pwq_pool, &pool, err);

	if (r >= 0)
		r = add_pool(works, pool, err);
	return r < 0 ? r : visit_works(works, field_at(pwq, &works->f->inactive), err);
}

static int visit_queue(gva link, void *ctx, struct err *err)
{
	struct works *works = ctx;
	gva queue = field_object(link, &works->f->queue_list), rescuer;
	int r = list_walk(works->walk->view, field_at(queue, &works->f->queue_pwqs),
			  WORKER_POOLS_MAX, visit_pwq, works, err);

	r = partial_add(&works->walk->partial, r, err);
	if (r >= 0)
		r = field_ptr(works->walk->view, queue, &works->f->rescuer, &rescuer, err);
	if (r >= 0 && gva_is_kernel(rescuer) && rescuer.v < -(uint64_t)4095)
		r = visit_worker_at(works, rescuer, err);
	return partial_add(&works->walk->partial, r, err);
}

static int walk_works(struct hook_walk *walk, struct err *err)
{
	const struct symbols *symbols = walk->kernel->symbols;
	struct works works = { .walk = walk };
	gva pools, queues;
	int r = types_layout(walk->kernel->types, &work_layout, (const void **)&works.f, err);

	if (r >= 0)
		r = symbols_find(symbols, "worker_pool_idr", &pools, err);
	if (r >= 0)
		r = symbols_find(symbols, "workqueues", &queues, err);
	if (r < 0)
		return r;
	works.work = (struct hook_label){ walk, "work", NULL, &works.f->function };
	works.worker = (struct hook_label){ walk, "worker", NULL, &works.f->worker_function };

	r = xarray_walk(walk->kernel, walk->view, field_at(pools, &works.f->pools),
			WORKER_POOLS_MAX, visit_number, &works, err);
	r = partial_add(&walk->partial, r, err);
	if (r >= 0)
		r = partial_add(&walk->partial, list_walk(walk->view, queues, WORKQUEUES_MAX,
							  visit_queue, &works, err), err);
	for (size_t i = 0; i < works.pools.n && r >= 0; i++) {
		r = visit_works(&works, field_at(works.pools.v[i], &works.f->worklist), err);
		if (r >= 0)
			r = visit_pool(&works, works.pools.v[i], err);
	}
	map_free(&works.seen);
	vec_free(&works.pools);
	return r;
}

const struct hook_source hooks_work = { .id = "work", .walk = walk_works };
