/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>

#include "base/cleanup.h"
#include "base/limits.h"
#include "linux/hook.h"

/*
 * What runs behind interrupts, per CPU: soft interrupts (kernel/softirq.c), tasklets, work for
 * interrupt context (kernel/irq_work.c) and callbacks of RCU (kernel/rcu/). Those of SRCU are
 * not looked at: there may be any number of its structs, and no list of them.
 */
#define SOFTIRQS 10u		/* NR_SOFTIRQS: HI to RCU, unchanged since 2.6.39 */

/* An RCU "callback" below this is the offset of a head within memory that is to be freed. */
#define KFREE_OFFSET_MAX 4096u

struct softirq_fields {
	struct field action;
	struct field tasklet_next, tasklet_function;
	struct field irq_work_node, irq_work_function;
	struct field cblist, cblist_head, tasks_cblist;
	struct field callback_next, callback_function;
};

static const struct member softirq_members[] = {
	MEMBER(struct softirq_fields, action, "softirq_action"),
	MEMBER(struct softirq_fields, tasklet_next, "tasklet_struct.next"),
	MEMBER(struct softirq_fields, tasklet_function, "tasklet_struct.func"),
	MEMBER_OPTIONAL(struct softirq_fields, irq_work_node,
			"irq_work.llnode|irq_work.node.llist"),
	MEMBER_OPTIONAL(struct softirq_fields, irq_work_function, "irq_work.func"),
	MEMBER(struct softirq_fields, cblist, "rcu_data.cblist"),
	MEMBER(struct softirq_fields, cblist_head, "rcu_segcblist.head"),
	MEMBER_OPTIONAL(struct softirq_fields, tasks_cblist, "rcu_tasks_percpu.cblist"),
	MEMBER(struct softirq_fields, callback_next, "callback_head.next"),
	MEMBER(struct softirq_fields, callback_function, "callback_head.func"),
};
LAYOUT(softirq_layout, struct softirq_fields, softirq_members);

static int visit_softirqs(struct hook_walk *walk, const struct softirq_fields *f,
			  struct err *err)
{
	gva vector;
	int r = symbols_find(walk->kernel->symbols, "softirq_vec", &vector, err);

	for (uint32_t i = 0; i < SOFTIRQS && r >= 0; i++) {
		char name[32];
		struct hook_object object = {
			.mechanism = "softirq",
			.at = gva_add(vector, (uint64_t)i * f->action.size_bytes),
			.text = name,
		};

		snprintf(name, sizeof(name), "softirq %u", i);
		r = hook_members(walk, &object, "softirq_action", err);
	}
	return r;
}

/* A list that ends with 0, of objects that are told by what they call. */
struct chain {
	const char *mechanism, *type, *what;
	const struct field *next, *function;
	uint32_t max;
	bool small_is_none;	/* of functions */
};

static int visit_chain(struct hook_walk *walk, const struct chain *chain, gva head,
		       struct err *err)
{
	struct hook_label label = { walk, chain->what, NULL, chain->function };
	struct hook_object object = {
		.mechanism = chain->mechanism, .print = hook_print_label, .ctx = &label,
	};
	gva link, function;
	int r = view_ptr(walk->view, head, &link, err);

	walk->objects++;
	for (uint32_t n = 0; r >= 0 && link.v; n++) {
		if (n == chain->max)
			return fail(err, -EBADMSG, head, "%s: over %u", chain->what, n);
		if (!gva_is_kernel(link) || link.v % sizeof(uint64_t))
			return fail(err, -EBADMSG, head, "%s: a link leads to %#llx", chain->what,
				    (unsigned long long)link.v);
		object.at = field_object(link, chain->next);
		r = field_ptr(walk->view, object.at, chain->function, &function, err);
		if (r >= 0 && !(chain->small_is_none && function.v < KFREE_OFFSET_MAX))
			r = hook_pointer(walk, &object, chain->type, "func",
					 field_at(object.at, chain->function), function, err);
		if (r >= 0)
			r = view_ptr(walk->view, link, &link, err);
	}
	return r;
}

/* The same list on each CPU; a kernel may have no such thing. */
static int visit_per_cpu(struct hook_walk *walk, const struct chain *chain, const char *symbol,
			 uint32_t offset, struct err *err)
{
	gva variable = symbols_lookup(walk->kernel->symbols, symbol);
	int r = 0;

	if (!variable.v || !chain->next->there || !chain->function->there)
		return 0;
	for (uint32_t cpu = 0; cpu < walk->kernel->cpus && r >= 0; cpu++) {
		gva head = gva_add(kernel_per_cpu(walk->kernel, variable, cpu), offset);

		if (kernel_has_cpu(walk->kernel, cpu))
			r = partial_add(&walk->partial, visit_chain(walk, chain, head, err), err);
	}
	return r;
}

static int visit_deferred(struct hook_walk *walk, const struct softirq_fields *f,
			  struct err *err)
{
	const struct chain tasklets = {
		"tasklet", "tasklet_struct", "tasklet", &f->tasklet_next, &f->tasklet_function,
		WORK_ITEMS_MAX, false,
	};
	const struct chain works = {
		"irq_work", "irq_work", "irq_work", &f->irq_work_node, &f->irq_work_function,
		WORK_ITEMS_MAX, false,
	};
	const struct chain callbacks = {
		"RCU callback", "callback_head", "RCU callback", &f->callback_next,
		&f->callback_function, RCU_CALLBACKS_MAX, true,
	};
	const struct {
		const struct chain *chain;
		const char *symbol;
		uint32_t offset;
	} lists[] = {
		{ &tasklets, "tasklet_vec", 0 },
		{ &tasklets, "tasklet_hi_vec", 0 },
		{ &works, "raised_list", 0 },
		{ &works, "lazy_list", 0 },
		{ &callbacks, "rcu_data", f->cblist.at + f->cblist_head.at },
		{ &callbacks, f->tasks_cblist.there ? "rcu_tasks__percpu" : "",
		  f->tasks_cblist.at + f->cblist_head.at },
		{ &callbacks, f->tasks_cblist.there ? "rcu_tasks_trace__percpu" : "",
		  f->tasks_cblist.at + f->cblist_head.at },
	};
	int r = 0;

	for (size_t i = 0; i < ARRAY_SIZE(lists) && r >= 0; i++)
		r = visit_per_cpu(walk, lists[i].chain, lists[i].symbol, lists[i].offset, err);
	return r;
}

static int walk_softirqs(struct hook_walk *walk, struct err *err)
{
	const struct softirq_fields *f;
	int r = types_layout(walk->kernel->types, &softirq_layout, (const void **)&f, err);

	if (r >= 0)
		r = visit_softirqs(walk, f, err);
	return r < 0 ? r : visit_deferred(walk, f, err);
}

const struct hook_source hooks_softirq = { .id = "softirq", .walk = walk_softirqs };
