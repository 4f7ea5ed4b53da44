/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>

#include "base/cleanup.h"
#include "base/limits.h"
#include "guest/list.h"
#include "linux/hook.h"
#include "linux/task_each.h"

/*
 * What else is registered with the kernel as a whole: lists by their symbols, with the struct
 * that they link by hand, since types say nothing of variables; its members are the types'.
 */
static const struct registered {
	const char *symbol, *mechanism;
	const char *type;
	const char *link;
	const char *name;	/* member that leads to its name; or */
	const char *function;	/* … the function that it is told by */
	bool shown;		/* it is worth a line even where nothing is wrong with it */
} lists[] = {
	{ "syscore_ops_list", "suspend callback", "syscore_ops", "syscore_ops.node", NULL,
	  "syscore_ops.suspend", false },
	{ "syscore_list", "suspend callback", "syscore", "syscore.node", NULL, NULL, false },
	{ "shrinker_list", "shrinker", "shrinker", "shrinker.list", NULL,
	  "shrinker.count_objects", false },
	{ "clocksource_list", "clocksource", "clocksource", "clocksource.list",
	  "clocksource.name", NULL, false },
	{ "clockevent_devices", "clock event device", "clock_event_device",
	  "clock_event_device.list", "clock_event_device.name", NULL, false },
	{ "dump_list", "dumper of the log", "kmsg_dumper", "kmsg_dumper.list", NULL,
	  "kmsg_dumper.dump", true },
	{ "pmus", "PMU", "pmu", "pmu.entry", "pmu.name", NULL, false },
};

struct callback_fields {
	struct field step, startup, teardown, step_name, states;
	struct field works, work_next, work_function;
};

static const struct member callback_members[] = {
	MEMBER_OPTIONAL(struct callback_fields, step, "cpuhp_step"),
	MEMBER_OPTIONAL(struct callback_fields, startup, "cpuhp_step.startup.single"),
	MEMBER_OPTIONAL(struct callback_fields, teardown, "cpuhp_step.teardown.single"),
	MEMBER_OPTIONAL(struct callback_fields, step_name, "cpuhp_step.name"),
	MEMBER_OPTIONAL(struct callback_fields, states, "enum cpuhp_state.CPUHP_ONLINE"),
	MEMBER(struct callback_fields, works, "task_struct.task_works"),
	MEMBER(struct callback_fields, work_next, "callback_head.next"),
	MEMBER(struct callback_fields, work_function, "callback_head.func"),
};
LAYOUT(callback_layout, struct callback_fields, callback_members);

struct callbacks {
	struct hook_walk *walk;
	const struct callback_fields *f;

	/* The list that is being walked. */
	const struct registered *list;
	struct field link;
	struct hook_label label;
};

/* --- lists --- */

static int visit_registered(gva link, void *ctx, struct err *err)
{
	struct callbacks *callbacks = ctx;
	struct hook_object object = {
		.mechanism = callbacks->list->mechanism,
		.at = field_object(link, &callbacks->link),
		.print = hook_print_label,
		.ctx = &callbacks->label,
		.registered = callbacks->list->shown,
	};

	return hook_members(callbacks->walk, &object, callbacks->list->type, err);
}

static int visit_list(struct callbacks *callbacks, const struct registered *list,
		      struct err *err)
{
	const struct kernel *kernel = callbacks->walk->kernel;
	struct field name, function;
	gva head = symbols_lookup(kernel->symbols, list->symbol);
	int r;

	if (!head.v)
		return 0;
	r = types_field(kernel->types, list->link, &callbacks->link, err);
	if (r < 0)
		return r;
	callbacks->list = list;
	callbacks->label = (struct hook_label){ .walk = callbacks->walk, .what = list->mechanism };
	if (list->name && types_field(kernel->types, list->name, &name, NULL) >= 0)
		callbacks->label.name = &name;
	if (list->function && types_field(kernel->types, list->function, &function, NULL) >= 0)
		callbacks->label.function = &function;
	return partial_add(&callbacks->walk->partial,
			   list_walk(callbacks->walk->view, head, CALLBACKS_MAX,
				     visit_registered, callbacks, err), err);
}

/* --- CPUs that come and go --- */

/* Startup and teardown are unions of functions, so that the table of states is by hand. */
static int visit_cpu_states(struct callbacks *callbacks, struct err *err)
{
	struct hook_walk *walk = callbacks->walk;
	const struct callback_fields *f = callbacks->f;
	gva states = symbols_lookup(walk->kernel->symbols, "cpuhp_hp_states");
	struct hook_label label = { walk, "CPU state", &f->step_name, NULL };
	struct hook_object object = {
		.mechanism = "CPU hotplug state", .print = hook_print_label, .ctx = &label,
	};
	int r = 0;

	if (!states.v || !f->step.there || !f->states.there || f->states.at > HOOK_SLOTS_MAX)
		return 0;
	for (uint32_t i = 0; i <= f->states.at && r >= 0; i++) {
		object.at = gva_add(states, (uint64_t)i * f->step.size_bytes);
		walk->objects++;
		r = hook_field(walk, &object, "cpuhp_step", "startup", &f->startup, err);
		if (r >= 0)
			r = hook_field(walk, &object, "cpuhp_step", "teardown", &f->teardown,
				       err);
	}
	return r;
}

/* --- magic keys --- */

static int visit_keys(struct callbacks *callbacks, struct err *err)
{
	static const char keys[] = "0123456789abcdefghijklmnopqrstuvwxyz"
				   "ABCDEFGHIJKLMNOPQRSTUVWXYZ";
	struct hook_walk *walk = callbacks->walk;
	gva table = symbols_lookup(walk->kernel->symbols, "sysrq_key_table");
	struct symbol symbol;
	uint64_t size = 0;
	int r = 0;

	if (!table.v || symbols_at(walk->kernel->symbols, table, &symbol, &size) < 0)
		return 0;
	for (uint32_t i = 0; i < sizeof(keys) - 1 && i < size / sizeof(uint64_t) && r >= 0; i++) {
		char name[32];
		struct hook_object object = {
			.mechanism = "SysRq key",
			.at = gva_add(table, i * sizeof(uint64_t)),
			.text = name,
		};
		gva ops;

		snprintf(name, sizeof(name), "SysRq-%c", keys[i]);
		walk->objects++;
		r = view_ptr(walk->view, object.at, &ops, err);
		if (r >= 0)
			r = hook_table(walk, &object, "sysrq_key_op", ops, err);
		r = partial_add(&walk->partial, r, err);
	}
	return r;
}

/* --- what tasks do before they go back to user mode --- */

static int visit_task(const struct task *task, void *ctx, struct err *err)
{
	struct callbacks *callbacks = ctx;
	struct hook_walk *walk = callbacks->walk;
	struct hook_label label = { walk, "task work", NULL, &callbacks->f->work_function };
	struct hook_object object = {
		.mechanism = "task work", .print = hook_print_label, .ctx = &label,
	};
	int r = field_ptr(walk->view, task->at, &callbacks->f->works, &object.at, err);

	walk->objects++;
	for (uint32_t n = 0; r >= 0 && object.at.v; n++) {
		if (n == CALLBACKS_MAX || !gva_is_kernel(object.at))
			return fail(err, -EBADMSG, object.at, "works of task %d do not end",
				    task->pid);
		r = hook_field(walk, &object, "callback_head", "func",
			       &callbacks->f->work_function, err);
		if (r >= 0)
			r = field_ptr(walk->view, object.at, &callbacks->f->work_next, &object.at,
				      err);
	}
	return r;
}

static int visit_tasks(struct callbacks *callbacks, struct err *err)
{
	struct hook_walk *walk = callbacks->walk;
	struct tasks tasks = {0};
	int r = partial_add(&walk->partial,
			    task_list(walk->kernel, walk->view, &tasks, err), err);

	if (r >= 0)
		r = task_each_thread(walk->kernel, walk->view, &tasks, &walk->partial, visit_task,
				     callbacks, err);
	tasks_free(&tasks);
	return r;
}

static int walk_callbacks(struct hook_walk *walk, struct err *err)
{
	struct callbacks callbacks = { .walk = walk };
	int r = types_layout(walk->kernel->types, &callback_layout, (const void **)&callbacks.f,
			     err);

	for (size_t i = 0; i < ARRAY_SIZE(lists) && r >= 0; i++)
		r = visit_list(&callbacks, &lists[i], err);
	if (r >= 0)
		r = visit_cpu_states(&callbacks, err);
	if (r >= 0)
		r = visit_keys(&callbacks, err);
	return r < 0 ? r : visit_tasks(&callbacks, err);
}

const struct hook_source hooks_callback = { .id = "callbacks", .walk = walk_callbacks };
