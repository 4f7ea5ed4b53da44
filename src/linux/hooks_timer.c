/* SPDX-License-Identifier: Apache-2.0 */
#include "base/cleanup.h"
#include "base/limits.h"
#include "guest/list.h"
#include "linux/hook.h"
#include "linux/rbtree.h"

/*
 * What is to run later: timers in the wheel (kernel/time/timer.c) and on the high-resolution
 * clocks (kernel/time/hrtimer.c) of each CPU. Of a timer that only queues work the work counts.
 * They come and go all the time: a list that does not fit together is one of another instant.
 */
#define WHEEL_SLOTS_MAX 1024u	/* WHEEL_SIZE: 9 levels of 64 */
#define CLOCKS_MAX	16u	/* HRTIMER_MAX_CLOCK_BASES is 8 */

struct timer_fields {
	struct field base, vectors, entry, function;
	struct field delayed_timer, work_function;
	struct field kdelayed_timer, kwork_function;
	struct field clocks, clock, active, node, hr_function;
};

static const struct member timer_members[] = {
	MEMBER(struct timer_fields, base, "timer_base"),
	MEMBER(struct timer_fields, vectors, "timer_base.vectors"),
	MEMBER(struct timer_fields, entry, "timer_list.entry"),
	MEMBER(struct timer_fields, function, "timer_list.function"),
	MEMBER(struct timer_fields, delayed_timer, "delayed_work.timer"),
	MEMBER(struct timer_fields, work_function, "delayed_work.work.func"),
	MEMBER_OPTIONAL(struct timer_fields, kdelayed_timer, "kthread_delayed_work.timer"),
	MEMBER_OPTIONAL(struct timer_fields, kwork_function, "kthread_delayed_work.work.func"),
	MEMBER(struct timer_fields, clocks, "hrtimer_cpu_base.clock_base"),
	MEMBER(struct timer_fields, clock, "hrtimer_clock_base"),
	MEMBER(struct timer_fields, active, "hrtimer_clock_base.active.rb_root.rb_root"),
	MEMBER(struct timer_fields, node, "hrtimer.node.node"),
	MEMBER(struct timer_fields, hr_function, "hrtimer.function"),
};
LAYOUT(timer_layout, struct timer_fields, timer_members);

struct timers {
	struct hook_walk *walk;
	const struct timer_fields *f;
	gva delayed, kdelayed;		/* functions of timers that queue work */
	struct hook_label timer, hrtimer, work, kwork;
};

static int visit_work(struct timers *timers, gva at, const struct hook_label *label,
		      const char *type, struct err *err)
{
	struct hook_object object = {
		.mechanism = "delayed work", .at = at, .print = hook_print_label, .ctx = label,
	};

	return hook_field(timers->walk, &object, type, "func", label->function, err);
}

static int visit_timer(gva entry, void *ctx, struct err *err)
{
	struct timers *timers = ctx;
	const struct timer_fields *f = timers->f;
	struct hook_object object = {
		.mechanism = "timer",
		.at = field_object(entry, &f->entry),
		.print = hook_print_label,
		.ctx = &timers->timer,
	};
	gva function;
	int r = hook_members(timers->walk, &object, "timer_list", err);

	if (r >= 0)
		r = field_ptr(timers->walk->view, object.at, &f->function, &function, err);
	if (r < 0 || !function.v)
		return r;
	if (function.v == timers->delayed.v)
		return visit_work(timers, field_object(object.at, &f->delayed_timer),
				  &timers->work, "work_struct", err);
	if (function.v == timers->kdelayed.v && f->kdelayed_timer.there)
		return visit_work(timers, field_object(object.at, &f->kdelayed_timer),
				  &timers->kwork, "kthread_work", err);
	return 0;
}

/* One wheel: most of its slots are empty, so its heads are read in one go. */
static int visit_wheel(struct timers *timers, gva base, struct err *err)
{
	const struct field *vectors = &timers->f->vectors;
	uint32_t n = vectors->size_bytes / sizeof(uint64_t);
	uint64_t first[WHEEL_SLOTS_MAX];
	int r;

	if (!n || n > WHEEL_SLOTS_MAX)
		return err_set(err, -EBADMSG, "the types tell of a timer wheel of %u slots", n);
	r = view_read(timers->walk->view, field_at(base, vectors), first, n * sizeof(*first), err);
	for (uint32_t i = 0; i < n && r >= 0; i++)
		if (first[i])
			r = partial_add(&timers->walk->partial,
					hlist_walk(timers->walk->view,
						   gva_add(field_at(base, vectors),
							   i * sizeof(*first)),
						   TIMERS_MAX, visit_timer, timers, err), err);
	return r;
}

/*
 * Wheels of one CPU (NR_BASES): one where the tick never stops, another one for timers that may
 * be late, and from 6.9 on (7ee988770326, with timer migration) a third.
 */
static uint32_t wheels(const struct kernel *kernel)
{
	if (!symbols_lookup(kernel->symbols, "tick_nohz_enabled").v)
		return 1;
	return types_find(kernel->types, "tmigr_cpu") ? 3 : 2;
}

static int visit_wheels(struct timers *timers, gva bases, struct err *err)
{
	const struct kernel *kernel = timers->walk->kernel;
	uint32_t n = wheels(kernel);
	int r = 0;

	for (uint32_t cpu = 0; cpu < kernel->cpus && r >= 0; cpu++) {
		gva base = kernel_per_cpu(kernel, bases, cpu);

		for (uint32_t i = 0; kernel_has_cpu(kernel, cpu) && i < n && r >= 0; i++) {
			timers->walk->objects++;
			r = partial_add(&timers->walk->partial,
					visit_wheel(timers, base, err), err);
			base = gva_add(base, timers->f->base.size_bytes);
		}
	}
	return r;
}

static int visit_hrtimer(gva node, void *ctx, struct err *err)
{
	struct timers *timers = ctx;
	struct hook_object object = {
		.mechanism = "high-resolution timer",
		.at = field_object(node, &timers->f->node),
		.print = hook_print_label,
		.ctx = &timers->hrtimer,
	};

	return hook_members(timers->walk, &object, "hrtimer", err);
}

static int visit_clocks(struct timers *timers, gva bases, uint32_t cpu, struct err *err)
{
	const struct kernel *kernel = timers->walk->kernel;
	const struct timer_fields *f = timers->f;
	gva clocks = field_at(kernel_per_cpu(kernel, bases, cpu), &f->clocks);
	uint32_t n = f->clock.size_bytes ? f->clocks.size_bytes / f->clock.size_bytes : 0;
	int r = 0;

	if (!n || n > CLOCKS_MAX)
		return err_set(err, -EBADMSG, "the types tell of %u clocks with timers", n);
	for (uint32_t i = 0; i < n && r >= 0; i++) {
		gva clock = gva_add(clocks, (uint64_t)i * f->clock.size_bytes);

		timers->walk->objects++;
		r = partial_add(&timers->walk->partial,
				rbtree_walk(kernel, timers->walk->view,
					    field_at(clock, &f->active), TIMERS_MAX,
					    visit_hrtimer, timers, err), err);
	}
	return r;
}

static int walk_timers(struct hook_walk *walk, struct err *err)
{
	const struct symbols *symbols = walk->kernel->symbols;
	struct timers timers = { .walk = walk };
	gva bases, hr_bases;
	int r = types_layout(walk->kernel->types, &timer_layout, (const void **)&timers.f, err);

	if (r >= 0)
		r = symbols_find(symbols, "timer_bases", &bases, err);
	if (r >= 0)
		r = symbols_find(symbols, "hrtimer_bases", &hr_bases, err);
	if (r < 0)
		return r;
	timers.delayed = symbols_lookup(symbols, "delayed_work_timer_fn");
	timers.kdelayed = symbols_lookup(symbols, "kthread_delayed_work_timer_fn");
	timers.timer = (struct hook_label){ walk, "timer", NULL, &timers.f->function };
	timers.hrtimer = (struct hook_label){ walk, "hrtimer", NULL, &timers.f->hr_function };
	timers.work = (struct hook_label){ walk, "delayed work", NULL,
					   &timers.f->work_function };
	timers.kwork = (struct hook_label){ walk, "delayed work", NULL,
					    &timers.f->kwork_function };

	r = visit_wheels(&timers, bases, err);
	for (uint32_t cpu = 0; cpu < walk->kernel->cpus && r >= 0; cpu++)
		if (kernel_has_cpu(walk->kernel, cpu))
			r = visit_clocks(&timers, hr_bases, cpu, err);
	return r;
}

const struct hook_source hooks_timer = { .id = "timers", .walk = walk_timers };
