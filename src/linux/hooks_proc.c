/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/limits.h"
#include "linux/hook.h"
#include "linux/net.h"
#include "linux/object.h"
#include "linux/rbtree.h"

/*
 * /proc, but for what is in the directories of processes: those come from tables in read-only
 * data (fs/proc/base.c). Each network namespace has a tree of its own, /proc/net
 * (fs/proc/proc_net.c). Entries are struct proc_dir_entry (fs/proc/internal.h).
 */
#define ENTRY_TEXT_MAX 512u

struct entry_fields {
	struct field size, subdir, node, parent, name, mode, inode_ops, ops, dentry_ops, shown,
		write;
};

static const struct member entry_members[] = {
	MEMBER(struct entry_fields, size, "proc_dir_entry"),
	MEMBER(struct entry_fields, subdir, "proc_dir_entry.subdir"),
	MEMBER(struct entry_fields, node, "proc_dir_entry.subdir_node"),
	MEMBER(struct entry_fields, parent, "proc_dir_entry.parent"),
	MEMBER(struct entry_fields, name, "proc_dir_entry.name"),
	MEMBER(struct entry_fields, mode, "proc_dir_entry.mode"),
	MEMBER_OPTIONAL(struct entry_fields, inode_ops, "proc_dir_entry.proc_iops"),
	MEMBER(struct entry_fields, ops, "proc_dir_entry.proc_ops"),
	MEMBER_OPTIONAL(struct entry_fields, dentry_ops, "proc_dir_entry.proc_dops"),
	MEMBER(struct entry_fields, shown, "proc_dir_entry.seq_ops"),
	MEMBER_OPTIONAL(struct entry_fields, write, "proc_dir_entry.write"),
};
LAYOUT(entry_layout, struct entry_fields, entry_members);

/* By whose word an entry's union is a table (seq_ops) or one function (single_show). */
static const struct shower {
	const char *ops;
	bool single;
} showers[] = {
	{ "proc_seq_ops", false }, { "proc_net_seq_ops", false },
	{ "proc_single_ops", true }, { "proc_net_single_ops", true },
};

struct proc {
	struct hook_walk *walk;
	const struct entry_fields *f;
	gva shower[ARRAY_SIZE(showers)];
	VEC(gva) todo;		/* entries whose children are to be looked at */
	const char *top;	/* what stands before the path: "/proc" */
};

struct proc_object {
	struct hook_object object;
	const struct proc *proc;
};

static int name_of(const struct proc *proc, gva entry, char *buf, size_t size)
{
	gva at;
	int r = field_ptr(proc->walk->view, entry, &proc->f->name, &at, NULL);

	return r < 0 ? r : view_string(proc->walk->view, at, buf, size, NULL);
}

/* "/proc/net/tcp": from the entry up to the root, which is its own parent. */
static void print_path(const struct hook_object *object, char *buf, size_t size)
{
	const struct proc *proc = object->ctx;
	char path[ENTRY_TEXT_MAX], name[64];
	size_t at = sizeof(path) - 1;
	gva entry = object->at, parent;

	path[at] = '\0';
	for (unsigned depth = 0; depth < PATH_DEPTH_MAX; depth++) {
		size_t n;

		if (field_ptr(proc->walk->view, entry, &proc->f->parent, &parent, NULL) < 0 ||
		    parent.v == entry.v || !parent.v ||
		    name_of(proc, entry, name, sizeof(name)) < 0)
			break;
		n = strlen(name);
		if (n + 1 > at)
			break;
		at -= n;
		memcpy(path + at, name, n);
		path[--at] = '/';
		entry = parent;
	}
	snprintf(buf, size, "%s%s", proc->top, path + at);
}

/*
 * What the entry's own functions are, where they are not a table's. Who creates an entry with
 * operations of its own leaves the union empty: where it is not, they were put there later.
 */
static int visit_shown(struct proc *proc, const struct hook_object *object,
		       const struct object *entry, gva ops, struct err *err)
{
	gva shown = object_ptr(entry, &proc->f->shown);

	for (size_t i = 0; i < ARRAY_SIZE(showers); i++) {
		if (!ops.v || ops.v != proc->shower[i].v)
			continue;
		if (showers[i].single)
			return hook_pointer(proc->walk, object, "proc_dir_entry", "single_show",
					    object_at(entry, &proc->f->shown), shown, err);
		return hook_table(proc->walk, object, "seq_operations", shown, err);
	}
	if (!shown.v)
		return 0;
	return hook_wrong(proc->walk, object, "proc_dir_entry", "proc_ops",
			  object_at(entry, &proc->f->ops), ops,
			  "the kernel's own, as the entry has seq_ops or single_show", err);
}

static int visit_entry(struct proc *proc, gva at, struct err *err)
{
	struct hook_object object = {
		.mechanism = "file in /proc",
		.at = at,
		.print = print_path,
		.ctx = proc,
	};
	struct object entry;
	uint64_t subdir;
	gva ops, *todo;
	bool is_directory;
	int r = object_read(proc->walk->view, at, &proc->f->size, &entry, err);

	if (r < 0)
		return partial_add(&proc->walk->partial, r, err);
	is_directory = (object_u32(&entry, &proc->f->mode) & 0170000) == 0040000;
	ops = object_ptr(&entry, &proc->f->ops);
	proc->walk->objects++;
	r = hook_table(proc->walk, &object, is_directory ? "file_operations" : "proc_ops", ops,
		       err);
	if (r >= 0)
		r = hook_table(proc->walk, &object, "inode_operations",
			       object_ptr(&entry, &proc->f->inode_ops), err);
	if (r >= 0)
		r = hook_table(proc->walk, &object, "dentry_operations",
			       object_ptr(&entry, &proc->f->dentry_ops), err);
	if (r >= 0)
		r = visit_shown(proc, &object, &entry, ops, err);
	if (r >= 0 && proc->f->write.there)
		r = hook_pointer(proc->walk, &object, "proc_dir_entry", "write",
				 object_at(&entry, &proc->f->write),
				 object_ptr(&entry, &proc->f->write), err);
	subdir = object_uint(&entry, &proc->f->subdir);
	if (r < 0 || !subdir)
		return r;
	todo = vec_add(&proc->todo);
	if (!todo)
		return -ENOMEM;
	*todo = at;
	return 0;
}

static int visit_child(gva link, void *ctx, struct err *err)
{
	struct proc *proc = ctx;

	return visit_entry(proc, field_object(link, &proc->f->node), err);
}

/* All entries below a root. Directories are visited in no particular order, each once. */
static int visit_tree(struct proc *proc, gva root, struct err *err)
{
	uint32_t left = PROC_ENTRIES_MAX;
	int r = visit_entry(proc, root, err);

	while (r >= 0 && proc->todo.n && left--) {
		gva at = proc->todo.v[--proc->todo.n];

		r = partial_add(&proc->walk->partial,
				rbtree_walk(proc->walk->kernel, proc->walk->view,
					    field_at(at, &proc->f->subdir), PROC_ENTRIES_MAX,
					    visit_child, proc, err), err);
	}
	if (r >= 0 && proc->todo.n)
		return err_set(err, -ELOOP, "over %u directories in /proc", PROC_ENTRIES_MAX);
	return r;
}

static int visit_nets(struct proc *proc, struct err *err)
{
	struct hook_walk *walk = proc->walk;
	struct nets nets = {0};
	struct field root;
	int r = types_field(walk->kernel->types, "net.proc_net", &root, NULL);

	if (r < 0)
		return 0;	/* built without networking */
	r = partial_add(&walk->partial, nets_read(walk->kernel, walk->view, &nets, err), err);
	for (size_t i = 0; i < nets.list.n && r >= 0; i++) {
		char top[48];
		gva at;

		snprintf(top, sizeof(top), "/proc");
		if (i)
			snprintf(top, sizeof(top), "net:[%u] /proc", nets.list.v[i].inode);
		proc->top = top;
		r = field_ptr(walk->view, nets.list.v[i].at, &root, &at, err);
		if (r >= 0 && at.v)
			r = visit_tree(proc, at, err);
		r = partial_add(&walk->partial, r, err);
	}
	nets_free(&nets);
	return r;
}

static int walk_proc(struct hook_walk *walk, struct err *err)
{
	struct proc proc = { .walk = walk, .top = "/proc" };
	gva root;
	int r = types_layout(walk->kernel->types, &entry_layout, (const void **)&proc.f, err);

	if (r >= 0)
		r = kernel_symbol(walk->kernel, "proc_root", &root, err);
	for (size_t i = 0; i < ARRAY_SIZE(showers); i++)
		proc.shower[i] = symbols_lookup(walk->kernel->symbols, showers[i].ops);
	if (r >= 0)
		r = partial_add(&walk->partial, visit_tree(&proc, root, err), err);
	if (r >= 0)
		r = visit_nets(&proc, err);
	vec_free(&proc.todo);
	return r;
}

const struct hook_source hooks_proc = { .id = "proc", .walk = walk_proc };
