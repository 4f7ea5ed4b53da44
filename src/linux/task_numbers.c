/* SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <stdlib.h>

#include "base/limits.h"
#include "base/vec.h"
#include "guest/list.h"
#include "linux/task_set.h"
#include "linux/xarray.h"

#define PID_NAMESPACES_MAX 65536u	/* one per container; the guest's own limit is per user */
#define PID_TYPES_MAX	   8u		/* PIDTYPE_MAX is 4 */

struct number_fields {
	struct field idr, ns_level;
	struct field level, lists, list, numbers, upid, nr, ns;
	struct field links, link, type_pid;
};

static const struct member number_members[] = {
	/* A map of all struct pid since 95846ecf9dac (4.15). */
	MEMBER(struct number_fields, idr, "pid_namespace.idr.idr_rt"),
	MEMBER(struct number_fields, ns_level, "pid_namespace.level"),
	MEMBER(struct number_fields, level, "pid.level"),
	MEMBER(struct number_fields, lists, "pid.tasks"),
	MEMBER(struct number_fields, list, "hlist_head"),
	MEMBER(struct number_fields, numbers, "pid.numbers"),
	MEMBER(struct number_fields, upid, "upid"),
	MEMBER(struct number_fields, nr, "upid.nr"),
	MEMBER(struct number_fields, ns, "upid.ns"),
	MEMBER(struct number_fields, links, "task_struct.pid_links"),
	MEMBER(struct number_fields, link, "hlist_node"),
	MEMBER(struct number_fields, type_pid, "enum pid_type.PIDTYPE_PID"),
};
LAYOUT(number_layout, struct number_fields, number_members);

struct namespace {
	gva at;
	uint32_t level;
};

struct numbers {
	struct task_set *set;
	const struct number_fields *f;
	uint32_t types_n;	/* lists in a struct pid */
	VEC(struct namespace) spaces;
	struct map known;	/* of @spaces, by address */
	struct namespace space;	/* whose map is being walked */
	struct task_failures failures;
};

/* A struct pid, copied. */
struct number {
	gva at;
	uint32_t level;
	struct { int32_t nr; gva ns; } at_level[PID_LEVELS_MAX + 1];
	uint64_t lists[PID_TYPES_MAX];	/* first task of each, by enum pid_type */
};

/* The list of a struct pid that is being walked. */
struct number_list {
	struct numbers *numbers;
	const struct number *number;
	uint32_t type;
};

static int check_shape(struct numbers *numbers, struct err *err)
{
	const struct number_fields *f = numbers->f;

	numbers->types_n = f->lists.size_bytes / sizeof(uint64_t);
	if (f->list.size_bytes != sizeof(uint64_t) || f->link.size_bytes != 2 * sizeof(uint64_t) ||
	    f->upid.size_bytes < sizeof(uint64_t) || f->upid.size_bytes > 4 * sizeof(uint64_t) ||
	    !numbers->types_n || numbers->types_n > PID_TYPES_MAX ||
	    f->links.size_bytes != numbers->types_n * f->link.size_bytes ||
	    f->type_pid.at >= numbers->types_n)
		return err_set(err, -EBADMSG, "the types tell of a struct pid that cannot be");
	return 0;
}

static int add_space(struct numbers *numbers, gva at, uint32_t level, struct err *err)
{
	struct namespace *space;
	int r;

	if (!gva_is_kernel(at))
		return fail(err, -EBADMSG, at, "no place for a PID namespace");
	r = map_put(&numbers->known, at.v, 0);
	if (r)
		return r < 0 ? r : 0;
	if (numbers->spaces.n == PID_NAMESPACES_MAX)
		return err_set(err, -ELOOP, "over %u PID namespaces", PID_NAMESPACES_MAX);
	space = vec_add(&numbers->spaces);
	if (!space)
		return -ENOMEM;
	*space = (struct namespace){ at, level };
	return 0;
}

static int read_number(struct numbers *numbers, gva at, struct number *ret, struct err *err)
{
	const struct number_fields *f = numbers->f;
	struct view *view = numbers->set->view;
	uint64_t level, nr;
	int r;

	if (!gva_is_kernel(at))
		return fail(err, -EBADMSG, at, "no place for a struct pid");
	ret->at = at;
	r = field_read(view, at, &f->level, &level, err);
	if (r >= 0)
		r = view_read(view, field_at(at, &f->lists), ret->lists,
			      numbers->types_n * sizeof(uint64_t), err);
	if (r < 0)
		return r;
	if (level > PID_LEVELS_MAX)
		return fail(err, -EBADMSG, at, "PID of %" PRIu64 " levels", level);
	ret->level = (uint32_t)level;
	for (uint32_t i = 0; r >= 0 && i <= ret->level; i++) {
		gva upid = gva_add(field_at(at, &f->numbers), (uint64_t)i * f->upid.size_bytes);

		r = field_read(view, upid, &f->nr, &nr, err);
		ret->at_level[i].nr = (int32_t)nr;
		if (r >= 0)
			r = field_ptr(view, upid, &f->ns, &ret->at_level[i].ns, err);
	}
	return r;
}

static int add_task(gva link, void *ctx, struct err *err)
{
	const struct number_list *list = ctx;
	const struct numbers *numbers = list->numbers;
	const struct number_fields *f = numbers->f;
	uint32_t level = numbers->space.level;
	bool own = list->type == f->type_pid.at;
	enum task_view view = !own ? VIEW_GROUPS : level ? VIEW_NESTED : VIEW_NUMBERS;
	struct task_seen *seen;
	gva task;
	int r;

	task = gva_sub(link, f->links.at + (uint64_t)list->type * f->link.size_bytes);
	r = task_set_add(numbers->set, task, view, &seen, err);
	if (r < 0 || !seen || !own)
		return r;
	seen->levels |= 1ull << level;
	seen->number = list->number->at_level[0].nr;
	return 0;
}

static int walk_lists(struct numbers *numbers, const struct number *number, struct err *err)
{
	struct number_list list = { numbers, number, 0 };
	int r = 0;

	for (; r >= 0 && list.type < numbers->types_n; list.type++) {
		gva head = gva_add(field_at(number->at, &numbers->f->lists),
				   list.type * sizeof(uint64_t));

		if (number->lists[list.type])
			r = hlist_walk(numbers->set->view, head, TASKS_MAX, add_task, &list, err);
	}
	return r;
}

/*
 * One entry of a PID map. One that lies under a number which is not its own is not where a
 * search for that number finds its task: it is passed over, and what is behind it is found
 * missing.
 */
static int look_at(struct numbers *numbers, uint64_t index, gva at, struct err *err)
{
	uint32_t level = numbers->space.level;
	struct number number;
	int r;

	r = read_number(numbers, at, &number, err);
	if (r < 0)
		return r;
	for (uint32_t i = 0; r >= 0 && i <= number.level; i++)
		r = add_space(numbers, number.at_level[i].ns, i, err);
	if (r < 0 || level > number.level || number.at_level[level].nr < 0 ||
	    (uint64_t)number.at_level[level].nr != index ||
	    number.at_level[level].ns.v != numbers->space.at.v)
		return r;
	return walk_lists(numbers, &number, err);
}

static int visit_number(uint64_t index, uint64_t entry, void *ctx, struct err *err)
{
	struct numbers *numbers = ctx;
	struct err why = {0};
	int r = look_at(numbers, index, gva_of(entry), &why);

	r = task_failures_add(&numbers->failures, r, &why);
	return r < 0 ? wrap(err, r, "number %" PRIu64, index) : 0;
}

/* The process group and session of kernel threads: number 0, which is in no map. */
static int walk_zero(struct numbers *numbers, struct err *err)
{
	struct number number;
	gva at;
	int r;

	at = symbols_lookup(numbers->set->kernel->symbols, "init_struct_pid");
	if (!at.v)
		return 0;
	r = read_number(numbers, at, &number, err);
	if (r < 0)
		return r;
	number.lists[numbers->f->type_pid.at] = 0;	/* the idle task */
	return walk_lists(numbers, &number, err);
}

static int walk_space(struct numbers *numbers, struct err *err)
{
	const struct number_fields *f = numbers->f;
	struct task_set *set = numbers->set;
	gva at = numbers->space.at;
	uint64_t level = 0;
	int r;

	r = field_read(set->view, at, &f->ns_level, &level, err);
	if (r >= 0 && level != numbers->space.level)
		r = fail(err, -EBADMSG, at, "namespace of level %" PRIu64 " used on level %u",
			 level, numbers->space.level);
	if (r >= 0)
		r = xarray_walk(set->kernel, set->view, field_at(at, &f->idr), TASKS_MAX,
				visit_number, numbers, err);
	return r;
}

/* Maps that are found on the way are walked as well. */
static void walk_all(struct numbers *numbers)
{
	struct err err = {0};
	int r = 0;

	for (size_t i = 0; r >= 0 && i < numbers->spaces.n; i++) {
		numbers->space = numbers->spaces.v[i];
		r = task_failures_add(&numbers->failures, walk_space(numbers, &err), &err);
	}
	if (r >= 0)
		task_failures_add(&numbers->failures, walk_zero(numbers, &err), &err);
}

int tasks_by_number(struct task_set *set, struct err *err)
{
	struct numbers numbers = { .set = set };
	gva init;
	int r;

	r = types_layout(set->kernel->types, &number_layout, (const void **)&numbers.f, err);
	if (r >= 0)
		r = check_shape(&numbers, err);
	if (r >= 0)
		r = kernel_symbol(set->kernel, "init_pid_ns", &init, err);
	if (r >= 0)
		r = add_space(&numbers, init, 0, err);
	if (r < 0)
		return wrap(err, r, "%s", task_view_name(VIEW_NUMBERS));
	walk_all(&numbers);
	vec_free(&numbers.spaces);
	map_free(&numbers.known);
	return task_failures_end(&numbers.failures, VIEW_NUMBERS, err);
}
