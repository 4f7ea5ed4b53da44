/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/limits.h"
#include "guest/list.h"
#include "linux/file_table.h"
#include "linux/hooks_registry.h"
#include "linux/object.h"
#include "linux/path.h"

/*
 * File systems: their types (fs/filesystems.c), each that is mounted or used inside (fs/super.c)
 * with its root, and each open file with its inode and the directories above it. Inodes have
 * pointers of their own, so a hook at one is seen there only: those that nobody has open are
 * not looked at.
 */
#define XATTR_HANDLERS_MAX 64u

#define MODE_FORMAT    0170000u		/* S_IFMT and what it holds */
#define MODE_DIRECTORY 0040000u
#define MODE_REGULAR   0100000u

struct file_fields {
	struct field sb_list, sb_type, sb_id, sb_root, sb_xattr, type_name;
	struct field dentry_inode, dentry_parent, dentry_ops;
	struct field inode, mode, inode_ops, inode_files, mapping, inode_sb, mapping_ops;
	struct field file, file_ops, file_inode, file_dentry;
	struct field exe;
};

static const struct member file_members[] = {
	MEMBER(struct file_fields, sb_list, "super_block.s_list"),
	MEMBER(struct file_fields, sb_type, "super_block.s_type"),
	MEMBER(struct file_fields, sb_id, "super_block.s_id"),
	MEMBER(struct file_fields, sb_root, "super_block.s_root"),
	MEMBER(struct file_fields, sb_xattr, "super_block.s_xattr"),
	MEMBER(struct file_fields, type_name, "file_system_type.name"),
	MEMBER(struct file_fields, dentry_inode, "dentry.d_inode"),
	MEMBER(struct file_fields, dentry_parent, "dentry.d_parent"),
	MEMBER(struct file_fields, dentry_ops, "dentry.d_op"),
	MEMBER(struct file_fields, inode, "inode"),
	MEMBER(struct file_fields, mode, "inode.i_mode"),
	MEMBER(struct file_fields, inode_ops, "inode.i_op"),
	MEMBER(struct file_fields, inode_files, "inode.i_fop"),
	MEMBER(struct file_fields, mapping, "inode.i_mapping"),
	MEMBER(struct file_fields, inode_sb, "inode.i_sb"),
	MEMBER(struct file_fields, mapping_ops, "address_space.a_ops"),
	MEMBER(struct file_fields, file, "file"),
	MEMBER(struct file_fields, file_ops, "file.f_op"),
	MEMBER(struct file_fields, file_inode, "file.f_inode"),
	MEMBER(struct file_fields, file_dentry, "file.f_path.dentry"),
	MEMBER(struct file_fields, exe, "mm_struct.exe_file"),
};
LAYOUT(file_layout, struct file_fields, file_members);

struct files {
	struct hook_walk *walk;
	const struct file_fields *f;
	struct map seen;	/* super_block, dentry, inode, file: no two at one address */
	struct object object;
};

/* Whom to name an inode by. */
struct named {
	const struct files *files;
	gva sb;			/* root of this file system; else … */
	gva file;		/* … this open file, or a directory above it */
	bool above;
};

static void print_super(const struct files *files, gva sb, char *buf, size_t size)
{
	struct view *view = files->walk->view;
	char type[32] = "?", id[33] = "";
	gva at;

	if (field_ptr(view, sb, &files->f->sb_type, &at, NULL) >= 0 &&
	    field_ptr(view, at, &files->f->type_name, &at, NULL) >= 0 &&
	    view_string(view, at, type, sizeof(type), NULL) < 0)
		snprintf(type, sizeof(type), "?");
	if (view_string(view, field_at(sb, &files->f->sb_id), id, sizeof(id), NULL) < 0)
		id[0] = '\0';
	/* Of many file systems that have no device, the type serves as the name. */
	if (!id[0] || !strcmp(id, type))
		snprintf(buf, size, "%s", type);
	else
		snprintf(buf, size, "%s (%s)", type, id);
}

static void print_named(const struct hook_object *object, char *buf, size_t size)
{
	const struct named *named = object->ctx;
	const struct files *files = named->files;
	char name[256];

	if (!named->file.v) {
		print_super(files, named->sb, name, sizeof(name));
		snprintf(buf, size, "%s%s", object->at.v == named->sb.v ? "" : "root of ", name);
		return;
	}
	if (path_print_file(files->walk->kernel, files->walk->view, named->file, gva_of(0), name,
			    sizeof(name), NULL) < 0)
		snprintf(name, sizeof(name), "(file)");
	snprintf(buf, size, "%s%s", named->above ? "above " : "", name);
}

/* Made for others to put their files in: these have operations of anyone's. */
static bool is_for_others(const char *type)
{
	static const char *const types[] = {
		"anon_inodefs", "configfs", "debugfs", "efivarfs", "functionfs", "gadgetfs",
		"proc", "pstore", "rpc_pipefs", "securityfs", "tracefs", "devtmpfs",
	};

	for (size_t i = 0; i < ARRAY_SIZE(types); i++)
		if (!strcmp(type, types[i]))
			return true;
	return false;
}

/* Whose the operations of a file or directory are: of the file system's type. 0: anyone's. */
static int home_of(const struct files *files, gva sb, uint32_t mode, bool is_root, gva *ret,
		   struct err *err)
{
	const struct file_fields *f = files->f;
	struct view *view = files->walk->view;
	char name[32];
	gva type, at;
	int r = field_ptr(view, sb, &f->sb_type, &type, err);

	if (r >= 0)
		r = field_ptr(view, type, &f->type_name, &at, err);
	if (r >= 0)
		r = view_string(view, at, name, sizeof(name), err);
	if (r < 0)
		return r;
	mode &= MODE_FORMAT;
	*ret = (mode == MODE_REGULAR || mode == MODE_DIRECTORY) &&
			(is_root || !is_for_others(name)) ? type : gva_of(0);
	return 0;
}

/* Return: 1 if it was seen before. */
static int see(struct files *files, gva at)
{
	return at.v ? map_put(&files->seen, at.v, 1) : 1;
}

static int visit_inode(struct files *files, gva at, const struct named *named, gva *home,
		       struct err *err)
{
	const struct file_fields *f = files->f;
	struct hook_walk *walk = files->walk;
	struct hook_object object = {
		.mechanism = "file", .at = at, .print = print_named, .ctx = named
	};
	gva ops, fops, mapping, aops = gva_of(0);
	int r = object_read(walk->view, at, &f->inode, &files->object, err);

	if (r < 0)
		return r;
	ops = object_ptr(&files->object, &f->inode_ops);
	fops = object_ptr(&files->object, &f->inode_files);
	mapping = object_ptr(&files->object, &f->mapping);
	r = home_of(files, object_ptr(&files->object, &f->inode_sb),
		    object_u32(&files->object, &f->mode), !named->file.v, &object.home, err);
	if (r >= 0 && mapping.v)
		r = field_ptr(walk->view, mapping, &f->mapping_ops, &aops, err);
	if (r < 0)
		return r;
	*home = object.home;
	r = see(files, at);
	if (r)
		return r < 0 ? r : 0;
	walk->objects++;
	r = hook_table(walk, &object, "inode_operations", ops, err);
	if (r >= 0)
		r = hook_table(walk, &object, "file_operations", fops, err);
	return r < 0 ? r : hook_table(walk, &object, "address_space_operations", aops, err);
}

/* An entry and those above it, up to the root of its file system. */
static int visit_dentries(struct files *files, gva at, struct named *named, struct err *err)
{
	const struct file_fields *f = files->f;
	struct hook_walk *walk = files->walk;
	int r = 0;

	for (uint32_t depth = 0; depth < PATH_DEPTH_MAX; depth++) {
		struct hook_object object = {
			.mechanism = "file", .at = at, .print = print_named, .ctx = named
		};
		gva parent, inode, ops, home;

		r = see(files, at);
		if (r)
			return r < 0 ? r : 0;
		r = field_ptr(walk->view, at, &f->dentry_parent, &parent, err);
		if (r >= 0)
			r = field_ptr(walk->view, at, &f->dentry_inode, &inode, err);
		if (r >= 0)
			r = field_ptr(walk->view, at, &f->dentry_ops, &ops, err);
		if (r >= 0)
			r = hook_table(walk, &object, "dentry_operations", ops, err);
		if (r >= 0 && inode.v)
			r = visit_inode(files, inode, named, &home, err);
		if (r < 0 || parent.v == at.v)
			return r;
		at = parent;
		named->above = true;
	}
	return fail(err, -EBADMSG, at, "a file in over %u directories", PATH_DEPTH_MAX);
}

/* --- file systems --- */

static int visit_xattrs(struct files *files, const struct hook_object *object, struct err *err)
{
	struct hook_walk *walk = files->walk;
	gva array, at;
	int r = field_ptr(walk->view, object->at, &files->f->sb_xattr, &array, err);

	for (uint32_t i = 0; r >= 0 && array.v && i < XATTR_HANDLERS_MAX; i++) {
		r = view_ptr(walk->view, gva_add(array, i * 8ull), &at, err);
		if (r < 0 || !at.v)
			break;
		r = hook_table(walk, object, "xattr_handler", at, err);
	}
	return r;
}

static int visit_super(gva link, void *ctx, struct err *err)
{
	struct files *files = ctx;
	struct hook_walk *walk = files->walk;
	struct named named = { .files = files, .sb = field_object(link, &files->f->sb_list) };
	struct hook_object object = {
		.mechanism = "file system", .at = named.sb, .print = print_named, .ctx = &named
	};
	gva root;
	int r = field_ptr(walk->view, object.at, &files->f->sb_type, &object.home, err);

	if (r >= 0)
		r = hook_members(walk, &object, "super_block", err);
	/* Not all of them are in the list of types: those that cannot be mounted are not. */
	if (r >= 0)
		r = hook_table(walk, &object, "file_system_type", object.home, err);
	if (r >= 0)
		r = visit_xattrs(files, &object, err);
	if (r >= 0)
		r = field_ptr(walk->view, object.at, &files->f->sb_root, &root, err);
	if (r >= 0 && root.v)
		r = visit_dentries(files, root, &named, err);
	return partial_add(&walk->partial, r, err);
}

/* --- open files --- */

static int visit_file(struct files *files, gva at, struct err *err)
{
	const struct file_fields *f = files->f;
	struct hook_walk *walk = files->walk;
	struct named named = { .files = files, .file = at };
	struct hook_object object = {
		.mechanism = "open file", .at = at, .print = print_named, .ctx = &named,
	};
	gva ops, inode, dentry;
	int r = see(files, at);

	if (r)
		return r < 0 ? r : 0;
	r = object_read(walk->view, at, &f->file, &files->object, err);
	if (r < 0)
		return r;
	ops = object_ptr(&files->object, &f->file_ops);
	inode = object_ptr(&files->object, &f->file_inode);
	dentry = object_ptr(&files->object, &f->file_dentry);
	walk->objects++;
	r = visit_inode(files, inode, &named, &object.home, err);
	if (r >= 0)
		r = hook_table(walk, &object, "file_operations", ops, err);
	return r < 0 ? r : visit_dentries(files, dentry, &named, err);
}

static int visit_slot(const struct file_slot *slot, void *ctx, struct err *err)
{
	return visit_file(ctx, slot->file, err);
}

/* What it runs. Where it is and its root are directories of mounted file systems. */
static int visit_task(struct files *files, const struct task *task, struct err *err)
{
	gva exe;
	int r;

	if (!task->mm.v)
		return 0;
	r = field_ptr(files->walk->view, task->mm, &files->f->exe, &exe, err);
	return r >= 0 && exe.v ? visit_file(files, exe, err) : r;
}

static int walk_tasks(struct files *files, struct err *err)
{
	struct hook_walk *walk = files->walk;
	struct tasks tasks = {0};
	int r = partial_add(&walk->partial, task_list(walk->kernel, walk->view, &tasks, err), err);

	if (r >= 0)
		r = partial_add(&walk->partial,
				file_table_walk(walk->kernel, walk->view, &tasks, visit_slot, files,
						err), err);
	for (size_t i = 0; i < tasks.n && r >= 0; i++)
		r = partial_add(&walk->partial, visit_task(files, &tasks.v[i], err), err);
	tasks_free(&tasks);
	return r;
}

static const struct registry types[] = {
	{
		.mechanism = "file system type", .symbol = "file_systems", .how = REGISTRY_CHAIN,
		.type = "file_system_type", .link = "file_system_type.next",
		.name = "file_system_type.name", .is_table = true,
	}, {
		.mechanism = "file system type", .symbol = "file_systems", .how = REGISTRY_HLIST,
		.type = "file_system_type", .link = "file_system_type.list",
		.name = "file_system_type.name", .is_table = true,
	},
};

static int walk_files(struct hook_walk *walk, struct err *err)
{
	cleanup(freep) struct files *files = calloc(1, sizeof(*files));
	gva head;
	int r;

	if (!files)
		return -ENOMEM;
	files->walk = walk;
	r = types_layout(walk->kernel->types, &file_layout, (const void **)&files->f, err);
	if (r >= 0)
		r = registry_walk(walk, types, ARRAY_SIZE(types), err);
	if (r >= 0)
		r = kernel_symbol(walk->kernel, "super_blocks", &head, err);
	if (r >= 0)
		r = partial_add(&walk->partial,
				list_walk(walk->view, head, REGISTERED_MAX, visit_super, files,
					  err), err);
	if (r >= 0)
		r = walk_tasks(files, err);
	map_free(&files->seen);
	return r;
}

const struct hook_source hooks_file = { .id = "file", .walk = walk_files };
