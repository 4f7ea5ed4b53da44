/* SPDX-License-Identifier: Apache-2.0 */
#include "linux/hook.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/limits.h"
#include "linux/object.h"

/* How deep structs may lie in one another, and tables lead to tables. */
#define EMBEDDED_DEPTH_MAX 4u
#define TABLE_DEPTH_MAX	   3u

#define EMBEDDED_MAX 64u
#define TABLES_MAX   32u

#define ERRNO_MAX 4095u	/* ERR_PTR(): include/linux/err.h */

const struct hook_source *const hook_sources[] = {
	&hooks_callback, &hooks_device, &hooks_driver, &hooks_file, &hooks_ftrace, &hooks_irq,
	&hooks_kprobes, &hooks_lsm, &hooks_netdev, &hooks_netfilter, &hooks_netlink,
	&hooks_notifier, &hooks_packet, &hooks_proc, &hooks_socket, &hooks_softirq,
	&hooks_sysfs, &hooks_timer, &hooks_tracepoints, &hooks_tty, &hooks_types,
	&hooks_uprobes, &hooks_work, NULL,
};

/* --- what a type has --- */

struct slot {
	uint32_t at;
	uint32_t type;		/* FUNC_PROTO; or the table's struct */
	bool is_table;
	const char *in;		/* name of the struct that declares it */
	const char *member;
};

struct hook_shape {
	uint32_t type;
	const char *name;
	uint32_t first, end;	/* bytes that have all of the slots */
	uint32_t index;		/* in struct shapes */
	VEC(struct slot) slots;
};

/* Of all types that were asked for: kept with the types. */
struct hook_shapes {
	VEC(struct hook_shape *) all;
	struct map of;		/* BTF id → index */
};

/* While a shape is made. */
struct shaping {
	const struct types *types;
	struct hook_shape *shape;
	struct { uint32_t type, at, depth; } embedded[EMBEDDED_MAX];
	uint32_t n, next;
};

/* Set only while they are in use, and left as they are afterwards. */
static bool is_transient(const char *name)
{
	static const char *const names[] = {
		"callback_head", "rcu_head", "timer_list", "hrtimer", "work_struct",
		"delayed_work", "tasklet_struct", "irq_work", "wait_queue_entry", "rcu_work",
		"kthread_work", "kthread_delayed_work", "llist_node", "call_single_data",
		"__call_single_data",
	};

	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		if (!strcmp(name, names[i]))
			return true;
	return false;
}

struct counts {
	uint32_t members, functions;
};

static int count_member(const struct type_member *member, void *ctx, struct err *err)
{
	struct counts *counts = ctx;

	(void)err;
	counts->members++;
	counts->functions += member->kind == TYPE_FUNCTION;
	return 0;
}

static bool ends_with(const char *text, const char *end)
{
	size_t n = strlen(text), m = strlen(end);

	return n >= m && !strcmp(text + n - m, end);
}

/* Is it there for the sake of the functions that it leads to? */
static bool is_table(const struct types *types, uint32_t type)
{
	const char *name = types_name(types, type);
	struct counts counts = {0};

	if (types_members(types, type, count_member, &counts, NULL) < 0 || !counts.functions)
		return false;
	return counts.functions * 2 >= counts.members || ends_with(name, "ops") ||
	       ends_with(name, "operations");
}

static int add_slots(struct shaping *s, const struct type_member *member, struct err *err)
{
	uint32_t at = s->embedded[s->next].at + member->at;

	for (uint32_t i = 0; i < member->count; i++) {
		struct slot *slot;

		if (s->shape->slots.n == HOOK_SLOTS_MAX)
			return err_set(err, -ELOOP, "'%s' has over %u pointers to functions",
				       s->shape->name, HOOK_SLOTS_MAX);
		slot = vec_add(&s->shape->slots);
		if (!slot)
			return -ENOMEM;
		*slot = (struct slot){
			.at = at + i * 8,
			.type = member->type,
			.is_table = member->kind == TYPE_STRUCT_POINTER,
			.in = types_name(s->types, s->embedded[s->next].type),
			.member = member->name,
		};
		if (!slot->in[0])
			slot->in = s->shape->name;
	}
	return 0;
}

static int add_member(const struct type_member *member, void *ctx, struct err *err)
{
	struct shaping *s = ctx;
	uint32_t depth = s->embedded[s->next].depth;

	if (member->kind == TYPE_FUNCTION ||
	    (member->kind == TYPE_STRUCT_POINTER && member->count == 1 &&
	     is_table(s->types, member->type)))
		return add_slots(s, member, err);
	if (member->kind != TYPE_STRUCT || member->count != 1 || depth == EMBEDDED_DEPTH_MAX ||
	    s->n == EMBEDDED_MAX || is_transient(types_name(s->types, member->type)))
		return 0;
	s->embedded[s->n].type = member->type;
	s->embedded[s->n].at = s->embedded[s->next].at + member->at;
	s->embedded[s->n++].depth = depth + 1;
	return 0;
}

static int shape_fill(const struct types *types, struct hook_shape *shape, struct err *err)
{
	struct shaping s = { .types = types, .shape = shape, .n = 1 };
	int r = 0;

	s.embedded[0].type = shape->type;
	for (; s.next < s.n && r >= 0; s.next++)
		r = types_members(types, s.embedded[s.next].type, add_member, &s, err);
	shape->first = UINT32_MAX;
	for (size_t i = 0; i < shape->slots.n; i++) {
		uint32_t at = shape->slots.v[i].at;

		shape->first = at < shape->first ? at : shape->first;
		shape->end = at + 8 > shape->end ? at + 8 : shape->end;
	}
	return r;
}

static void shape_free(struct hook_shape **shape)
{
	if (!*shape)
		return;
	vec_free(&(*shape)->slots);
	free(*shape);
	*shape = NULL;
}

static void shapes_free(void *object)
{
	struct hook_shapes *shapes = object;

	for (size_t i = 0; i < shapes->all.n; i++)
		shape_free(&shapes->all.v[i]);
	vec_free(&shapes->all);
	map_free(&shapes->of);
	free(shapes);
}

/* NULL: no memory. */
static struct hook_shapes *shapes_of(struct types *types)
{
	static const char key[1];
	struct hook_shapes *shapes = types_kept(types, key);

	if (shapes)
		return shapes;
	shapes = calloc(1, sizeof(*shapes));
	if (shapes && types_keep(types, key, shapes, shapes_free) < 0) {
		free(shapes);
		return NULL;
	}
	return shapes;
}

static int shape_get(struct hook_walk *walk, uint32_t type, const char *name,
		     struct hook_shape **ret, struct err *err)
{
	cleanup(shape_free) struct hook_shape *shape = NULL;
	struct hook_shapes *shapes;
	struct hook_shape **room;
	uint32_t i;
	int r;

	if (!type)
		return err_set(err, -ENOENT, "no type '%s'", name);
	if (!walk->shapes)
		walk->shapes = shapes_of(walk->kernel->types);
	shapes = walk->shapes;
	if (!shapes)
		return -ENOMEM;
	if (map_get(&shapes->of, type, &i)) {
		*ret = shapes->all.v[i];
		return 0;
	}
	shape = calloc(1, sizeof(*shape));
	if (!shape)
		return -ENOMEM;
	shape->type = type;
	shape->name = types_name(walk->kernel->types, type);
	shape->index = (uint32_t)shapes->all.n;
	r = shape_fill(walk->kernel->types, shape, err);
	if (r < 0)
		return r;
	room = vec_add(&shapes->all);
	if (!room || map_put(&shapes->of, type, shape->index) < 0) {
		shapes->all.n -= room != NULL;
		return -ENOMEM;
	}
	*ret = *room = take_ptr(&shape);
	return 0;
}

/* As types_find(), for a literal. */
static uint32_t type_of(struct hook_walk *walk, const char *name)
{
	size_t i = (uintptr_t)name / 8 % HOOK_NAMED;

	if (walk->named[i].name != name) {
		walk->named[i].name = name;
		walk->named[i].type = types_find(walk->kernel->types, name);
	}
	return walk->named[i].type;
}

/* --- the walk --- */

void hook_walk_open(const struct kernel *kernel, struct view *view, struct owners *owners,
		    hook_fn *visit, void *ctx, struct hook_walk *ret)
{
	*ret = (struct hook_walk){
		.kernel = kernel,
		.view = view,
		.owners = owners,
		.visit = visit,
		.ctx = ctx,
		.partial = partial_of(view),
	};
}

void hook_walk_close(struct hook_walk *walk)
{
	for (size_t i = 0; i < walk->seen.n; i++)
		map_free(&walk->seen.v[i]);
	vec_free(&walk->seen);
}

/* 1: the table was seen before, as one of this type; 0: it is new. */
static int see_table(struct hook_walk *walk, const struct hook_shape *shape, gva table)
{
	while (walk->seen.n <= shape->index) {
		const struct map *map = vec_add(&walk->seen);

		if (!map)
			return -ENOMEM;
	}
	return map_put(&walk->seen.v[shape->index], table.v, 1);
}

int hook_walk_source(struct hook_walk *walk, const struct hook_source *source, struct err *err)
{
	int r;

	walk->partial = partial_of(walk->view);
	r = source->walk(walk, err);
	return partial_end(&walk->partial, r, err);
}

int hook_wrong(struct hook_walk *walk, const struct hook_object *object, const char *type,
	       const char *member, gva at, gva target, const char *expected, struct err *err)
{
	struct hook hook = {
		.object = object,
		.at = at,
		.target = target,
		.type = type,
		.member = member,
		.expected = expected,
	};

	if (!target.v)
		return 0;
	walk->pointers++;
	return walk->visit(&hook, walk->ctx, err);
}

int hook_pointer(struct hook_walk *walk, const struct hook_object *object, const char *type,
		 const char *member, gva at, gva target, struct err *err)
{
	return hook_wrong(walk, object, type, member, at, target, NULL, err);
}

int hook_field(struct hook_walk *walk, const struct hook_object *object, const char *type,
	       const char *member, const struct field *field, struct err *err)
{
	gva target;
	int r;

	if (!field->there)
		return 0;
	r = field_ptr(walk->view, object->at, field, &target, err);
	if (r < 0)
		return partial_add(&walk->partial, r, err);
	return hook_pointer(walk, object, type, member, field_at(object->at, field), target, err);
}

/* A struct whose pointers are to be visited. */
struct pending {
	struct hook_shape *shape;
	gva at;
	unsigned depth;		/* 0: the object itself */
};

struct tables {
	struct pending v[TABLES_MAX];
	uint32_t n;
};

static int add_table(struct hook_walk *walk, const struct slot *slot, gva table, unsigned depth,
		     struct tables *tables, struct err *err)
{
	struct hook_shape *shape;
	int r;

	if (depth > TABLE_DEPTH_MAX || tables->n == TABLES_MAX || table.v >= -(uint64_t)ERRNO_MAX)
		return 0;
	r = shape_get(walk, slot->type, slot->member, &shape, err);
	if (r < 0)
		return r;
	r = see_table(walk, shape, table);
	if (r < 0)
		return r;
	if (!r)
		tables->v[tables->n++] = (struct pending){ shape, table, depth };
	return 0;
}

static int visit_slot(struct hook_walk *walk, const struct hook_object *object,
		      const struct pending *what, const struct slot *slot, gva target,
		      struct tables *tables, struct err *err)
{
	struct hook hook = {
		.object = object,
		.at = gva_add(what->at, slot->at),
		.table = what->depth ? what->at : gva_of(0),
		.target = target,
		.type = slot->in,
		.member = slot->member,
		.prototype = slot->is_table ? 0 : slot->type,
	};

	if (!target.v)
		return 0;
	/* A table that is not in the kernel's memory is as bad as a function that is not. */
	if (slot->is_table && gva_is_kernel(target))
		return add_table(walk, slot, target, what->depth + 1, tables, err);
	walk->pointers++;
	return walk->visit(&hook, walk->ctx, err);
}

static int visit_struct(struct hook_walk *walk, const struct hook_object *object,
			const struct pending *what, struct tables *tables, struct err *err)
{
	const struct hook_shape *shape = what->shape;
	uint8_t bytes[OBJECT_BYTES_MAX];
	bool whole = shape->slots.n && shape->end - shape->first <= sizeof(bytes);
	int r = 0;

	if (whole)
		r = view_read(walk->view, gva_add(what->at, shape->first), bytes,
			      shape->end - shape->first, err);
	for (size_t i = 0; i < shape->slots.n && r >= 0; i++) {
		const struct slot *slot = &shape->slots.v[i];
		gva target;

		if (whole)
			memcpy(&target.v, bytes + (slot->at - shape->first), sizeof(target.v));
		else
			r = view_ptr(walk->view, gva_add(what->at, slot->at), &target, err);
		if (r >= 0)
			r = visit_slot(walk, object, what, slot, target, tables, err);
	}
	return r;
}

static int visit_all(struct hook_walk *walk, const struct hook_object *object,
		     struct tables *tables, struct err *err)
{
	int r = 0;

	for (uint32_t i = 0; i < tables->n && r >= 0; i++) {
		const struct pending what = tables->v[i];

		r = partial_add(&walk->partial, visit_struct(walk, object, &what, tables, err),
				err);
	}
	return r;
}

int hook_members(struct hook_walk *walk, const struct hook_object *object, const char *type,
		 struct err *err)
{
	struct hook_shape *shape;
	struct tables tables;
	int r = shape_get(walk, type_of(walk, type), type, &shape, err);

	if (r < 0)
		return r;
	tables.n = 1;
	tables.v[0] = (struct pending){ .shape = shape, .at = object->at };
	walk->objects++;
	return visit_all(walk, object, &tables, err);
}

int hook_table(struct hook_walk *walk, const struct hook_object *object, const char *type,
	       gva table, struct err *err)
{
	struct slot slot = { .type = type_of(walk, type), .member = type };
	struct tables tables;
	int r;

	tables.n = 0;
	if (!table.v)
		return 0;
	if (!gva_is_kernel(table))
		return hook_pointer(walk, object, type, "(the table)", object->at, table, err);
	r = add_table(walk, &slot, table, 1, &tables, err);
	return r < 0 ? r : visit_all(walk, object, &tables, err);
}

/* --- names --- */

void hook_print_label(const struct hook_object *object, char *buf, size_t size)
{
	const struct hook_label *label = object->ctx;
	struct view *view = label->walk->view;
	char text[160] = "";
	gva at = gva_of(0);

	if (label->name && field_ptr(view, object->at, label->name, &at, NULL) >= 0 && at.v &&
	    view_string(view, at, text, sizeof(text), NULL) > 0) {
		snprintf(buf, size, "%s %s", label->what, text);
		return;
	}
	if (!label->function || field_ptr(view, object->at, label->function, &at, NULL) < 0) {
		snprintf(buf, size, "%s", label->what);
		return;
	}
	if (label->walk->owners)
		owner_symbol(label->walk->owners, at, text, sizeof(text));
	else
		symbols_print(label->walk->kernel->symbols, at, text, sizeof(text));
	snprintf(buf, size, "%s that calls %s", label->what, text);
}

const char *hook_object_name(const struct hook_object *object, char *buf, size_t size)
{
	if (object->print)
		object->print(object, buf, size);
	else
		snprintf(buf, size, "%s", object->text ? object->text : "");
	return buf;
}

const char *hook_name(const struct hook_walk *walk, const struct hook *hook, char *buf,
		      size_t size)
{
	const struct kernel *kernel = walk->kernel;
	char name[256];
	struct symbol symbol;

	if (hook->table.v >= kernel->text.v && hook->table.v < kernel->end.v &&
	    symbols_at(kernel->symbols, hook->table, &symbol, NULL) >= 0 &&
	    symbol.at.v == hook->table.v)
		snprintf(buf, size, "%s.%s", symbol.name, hook->member);
	else
		snprintf(buf, size, "%s: %s.%s",
			 hook_object_name(hook->object, name, sizeof(name)), hook->type,
			 hook->member);
	return buf;
}
