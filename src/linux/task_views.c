/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "base/cleanup.h"
#include "base/limits.h"
#include "guest/list.h"
#include "linux/task_set.h"

struct view_fields {
	struct field tasks, signal, thread_node, thread_head, children, sibling;
};

static const struct member view_members[] = {
	MEMBER(struct view_fields, tasks, "task_struct.tasks"),
	MEMBER(struct view_fields, signal, "task_struct.signal"),
	MEMBER(struct view_fields, thread_node, "task_struct.thread_node"),
	MEMBER(struct view_fields, thread_head, "signal_struct.thread_head"),
	MEMBER(struct view_fields, children, "task_struct.children"),
	MEMBER(struct view_fields, sibling, "task_struct.sibling"),
};
LAYOUT(view_layout, struct view_fields, view_members);

/* A list whose links are a member of task_struct. */
struct links {
	struct task_set *set;
	const struct field *member;
	enum task_view view;
};

static int add_link(gva link, void *ctx, struct err *err)
{
	const struct links *links = ctx;
	struct task_seen *seen;

	return task_set_add(links->set, field_object(link, links->member), links->view, &seen,
			    err);
}

static int add_list(struct task_set *set, gva head, const struct field *member,
		    enum task_view view, struct err *err)
{
	struct links links = { set, member, view };

	return list_walk(set->view, head, TASKS_MAX, add_link, &links, err);
}

int tasks_by_list(struct task_set *set, struct err *err)
{
	const struct view_fields *f;
	int r;

	r = types_layout(set->kernel->types, &view_layout, (const void **)&f, err);
	if (r < 0)
		return r;
	r = add_list(set, field_at(set->init_task, &f->tasks), &f->tasks, VIEW_LIST, err);
	return r < 0 ? wrap(err, r, "%s", task_view_name(VIEW_LIST)) : 0;
}

struct kin {
	struct task_set *set;
	const struct view_fields *f;
	struct map groups;	/* signal_struct whose threads were gone through */
	struct task_failures failures;
};

/* The threads of the group that @task belongs to, once per group. */
static int add_threads(struct kin *kin, gva task, struct err *err)
{
	gva signal;
	int r;

	r = field_ptr(kin->set->view, task, &kin->f->signal, &signal, err);
	if (r < 0 || !signal.v)
		return r;
	r = map_put(&kin->groups, signal.v, 0);
	if (r)
		return r < 0 ? r : 0;
	r = add_list(kin->set, field_at(signal, &kin->f->thread_head), &kin->f->thread_node,
		     VIEW_THREADS, err);
	return r < 0 ? wrap(err, r, "%s", task_view_name(VIEW_THREADS)) : 0;
}

static int add_kin(struct kin *kin, gva task)
{
	const struct view_fields *f = kin->f;
	struct err err = {0};
	int r;

	r = task_failures_add(&kin->failures, add_threads(kin, task, &err), &err);
	if (r < 0)
		return r;
	r = add_list(kin->set, field_at(task, &f->children), &f->sibling, VIEW_CHILDREN, &err);
	return task_failures_add(&kin->failures, r, &err);
}

/* The set grows while it is gone through, up to TASKS_MAX. */
int tasks_by_kin(struct task_set *set, struct err *err)
{
	struct kin kin = { .set = set };
	int r;

	r = types_layout(set->kernel->types, &view_layout, (const void **)&kin.f, err);
	if (r < 0)
		return r;
	r = add_kin(&kin, set->init_task);
	for (size_t i = 0; r >= 0 && i < set->n; i++)
		r = add_kin(&kin, set->v[i].at);
	map_free(&kin.groups);
	return task_failures_end(&kin.failures, VIEW_CHILDREN, err);
}

/* A kernel that has the types of a view has its root, too; one without it hides something. */
static int need_symbol(const struct task_set *set, const char *name, gva *ret, struct err *err)
{
	int r = kernel_symbol(set->kernel, name, ret, err);

	return r == -ENOENT ? err_set(err, -EBADMSG, "the types, but no symbol '%s'", name) : r;
}

/* --- control groups --- */

#define CSS_SET_BUCKETS 128u	/* kernel/cgroup/cgroup.c: CSS_SET_HASH_BITS is 7 */
#define CSS_SETS_MAX	65536u	/* one per combination of groups with a task: hundreds */

struct set_fields {
	struct field hash, tasks, moving, dying, cg_list;
};

static const struct member set_members[] = {
	MEMBER(struct set_fields, hash, "css_set.hlist"),
	MEMBER(struct set_fields, tasks, "css_set.tasks"),
	MEMBER(struct set_fields, moving, "css_set.mg_tasks"),
	/* c03cd7738a83 (5.2) */
	MEMBER_OPTIONAL(struct set_fields, dying, "css_set.dying_tasks"),
	MEMBER(struct set_fields, cg_list, "task_struct.cg_list"),
};
LAYOUT(set_layout, struct set_fields, set_members);

struct css_sets {
	struct task_set *set;
	const struct set_fields *f;
	struct task_failures failures;
};

static int add_css_set(gva link, void *ctx, struct err *err)
{
	struct css_sets *sets = ctx;
	const struct set_fields *f = sets->f;
	const struct field *lists[] = { &f->tasks, &f->moving, &f->dying };
	gva css_set = field_object(link, &f->hash);
	int r = 0;

	for (size_t i = 0; r >= 0 && i < ARRAY_SIZE(lists); i++) {
		struct err why = {0};

		if (!lists[i]->there)
			continue;
		r = add_list(sets->set, field_at(css_set, lists[i]), &f->cg_list, VIEW_CGROUPS,
			     &why);
		r = task_failures_add(&sets->failures, r, &why);
	}
	return r < 0 ? wrap(err, r, "tasks of a control group") : 0;
}

int tasks_by_cgroup(struct task_set *set, struct err *err)
{
	uint64_t buckets[CSS_SET_BUCKETS];
	struct css_sets sets = { .set = set };
	gva table;
	int r;

	r = types_layout(set->kernel->types, &set_layout, (const void **)&sets.f, err);
	if (r < 0)
		return r;
	r = need_symbol(set, "css_set_table", &table, err);
	if (r >= 0)
		r = view_read(set->view, table, buckets, sizeof(buckets), err);
	if (r < 0)
		return wrap(err, r, "%s", task_view_name(VIEW_CGROUPS));
	for (unsigned i = 0; r >= 0 && i < CSS_SET_BUCKETS; i++) {
		struct err why = {0};

		if (!buckets[i])
			continue;
		r = hlist_walk(set->view, gva_add(table, i * sizeof(*buckets)), CSS_SETS_MAX,
			       add_css_set, &sets, &why);
		r = task_failures_add(&sets.failures, r, &why);
	}
	return task_failures_end(&sets.failures, VIEW_CGROUPS, err);
}

/* --- sched_ext --- */

struct ext_fields {
	struct field node, flags, entity, cursor;
};

static const struct member ext_members[] = {
	MEMBER(struct ext_fields, entity, "task_struct.scx"),
	MEMBER(struct ext_fields, node, "sched_ext_entity.tasks_node"),
	MEMBER(struct ext_fields, flags, "sched_ext_entity.flags"),
	MEMBER(struct ext_fields, cursor, "enum scx_ent_flags.SCX_TASK_CURSOR"),
};
LAYOUT(ext_layout, struct ext_fields, ext_members);

struct ext {
	struct task_set *set;
	const struct ext_fields *f;
};

/* Who walks the list puts a link of his own into it, which belongs to no task. */
static int add_ext(gva link, void *ctx, struct err *err)
{
	const struct ext *ext = ctx;
	gva entity = field_object(link, &ext->f->node);
	struct task_seen *seen;
	uint64_t flags;
	int r;

	r = field_read(ext->set->view, entity, &ext->f->flags, &flags, err);
	if (r < 0 || flags & ext->f->cursor.at)
		return r;
	return task_set_add(ext->set, field_object(entity, &ext->f->entity), VIEW_SCHED_EXT,
			    &seen, err);
}

int tasks_by_sched_ext(struct task_set *set, struct err *err)
{
	struct ext ext = { .set = set };
	gva head;
	int r;

	r = types_layout(set->kernel->types, &ext_layout, (const void **)&ext.f, err);
	if (r < 0)
		return r;
	r = need_symbol(set, "scx_tasks", &head, err);
	if (r >= 0)
		r = list_walk(set->view, head, TASKS_MAX, add_ext, &ext, err);
	return r < 0 ? wrap(err, r, "%s", task_view_name(VIEW_SCHED_EXT)) : 0;
}
