/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/limits.h"
#include "base/map.h"
#include "guest/list.h"
#include "keeper/look.h"
#include "linux/file_table.h"
#include "linux/mount.h"
#include "linux/task_ns.h"

/*
 * Is the agent still told of what is executed? Its fanotify groups (fs/notify/) are files that it
 * has open, and each file system has a mark of theirs. The mark leads to its file system by a
 * connector: to the super_block, or up to 6.9 to the place in it where connectors hang.
 */

#define FS_OPEN_EXEC	0x1000u		/* include/linux/fsnotify_backend.h */
#define SB_I_NOEXEC	0x2u		/* include/linux/fs.h: nothing in it can be executed */
#define MARKS_MAX	65536u
#define PERIODS		3u		/* in which the agent marks what was mounted */
#define STEPS_MAX	(1u << 26)	/* 8,000 mounts beside each other are as many pairs: 1 s */

struct watch_fields {
	struct field ops, data, marks, link, mask, ignored, connector;
	struct field type, object, type_sb, sb_marks, sb, sb_flags, sb_mask;
	struct field fs, root, dentry_sb;
};

static const struct member watch_members[] = {
	MEMBER(struct watch_fields, ops, "file.f_op"),
	MEMBER(struct watch_fields, data, "file.private_data"),
	MEMBER(struct watch_fields, marks, "fsnotify_group.marks_list"),
	MEMBER(struct watch_fields, link, "fsnotify_mark.g_list"),
	MEMBER(struct watch_fields, mask, "fsnotify_mark.mask"),
	MEMBER(struct watch_fields, ignored,
	       "fsnotify_mark.ignore_mask|fsnotify_mark.ignored_mask"),
	MEMBER(struct watch_fields, connector, "fsnotify_mark.connector"),
	MEMBER(struct watch_fields, type, "fsnotify_mark_connector.type"),
	MEMBER(struct watch_fields, object, "fsnotify_mark_connector.obj"),
	MEMBER(struct watch_fields, type_sb, "enum fsnotify_obj_type.FSNOTIFY_OBJ_TYPE_SB"),
	MEMBER_OPTIONAL(struct watch_fields, sb_marks, "super_block.s_fsnotify_marks"),
	MEMBER(struct watch_fields, sb, "mount.mnt.mnt_sb"),
	MEMBER(struct watch_fields, sb_flags, "super_block.s_iflags"),
	MEMBER_OPTIONAL(struct watch_fields, sb_mask, "super_block.s_fsnotify_mask"),
	MEMBER(struct watch_fields, fs, "task_struct.fs"),
	MEMBER(struct watch_fields, root, "fs_struct.root.dentry"),
	MEMBER(struct watch_fields, dentry_sb, "dentry.d_sb"),
};
LAYOUT(watch_layout, struct watch_fields, watch_members);

struct watch {
	struct look *look;
	const struct claim *claim;
	const struct agent_anchor *anchor;
	const struct watch_fields *f;
	gva fanotify;			/* file_operations of its groups */
	struct map marked;		/* super_block → 1 */
	struct map seen;		/* those that were judged */
	struct map places;		/* of the mounts of one namespace, by ID */
	uint64_t steps;
	uint32_t groups, marks;
};

static void tell(struct watch *watch, const char *object, const char *title, gva at,
		 const char *expected, const char *found)
{
	const struct told told = {
		.topic = KEEPER_WATCH, .weight = KEEPER_HIGH, .at = at,
		.object = object, .title = title, .expected = expected,
	};

	look_tell(watch->look, &told, "%s", found);
}

/* --- the marks of its groups --- */

static int visit_mark(gva link, void *ctx, struct err *err)
{
	struct watch *watch = ctx;
	const struct watch_fields *f = watch->f;
	struct view *view = watch->look->view;
	gva mark = field_object(link, &f->link), connector, object;
	uint64_t mask = 0, ignored = 0, type = 0;
	int r;

	r = field_read(view, mark, &f->mask, &mask, err);
	if (r >= 0)
		r = field_read(view, mark, &f->ignored, &ignored, err);
	if (r >= 0)
		r = field_ptr(view, mark, &f->connector, &connector, err);
	if (r < 0 || !connector.v)
		return r;	/* it is being taken away, with its file system */
	r = field_read(view, connector, &f->type, &type, err);
	if (r >= 0)
		r = field_ptr(view, connector, &f->object, &object, err);
	if (r < 0)
		return r;
	watch->marks++;
	if ((uint32_t)type != f->type_sb.at) {
		tell(watch, "foreign mark", "Agent's fanotify group has a mark that is not its own",
		     mark, "marks of file systems", "one of a file, or of a mount");
		return 0;
	}
	if (f->sb_marks.there)
		object = field_object(object, &f->sb_marks);
	if (!(mask & FS_OPEN_EXEC) || ignored & FS_OPEN_EXEC || !gva_is_kernel(object))
		return 0;
	r = map_put(&watch->marked, object.v, 1);
	return r < 0 ? r : 0;
}

static int visit_file(const struct file_slot *slot, void *ctx, struct err *err)
{
	struct watch *watch = ctx;
	gva ops, group;
	int r;

	r = field_ptr(watch->look->view, slot->file, &watch->f->ops, &ops, err);
	if (r < 0 || ops.v != watch->fanotify.v)
		return r;
	r = field_ptr(watch->look->view, slot->file, &watch->f->data, &group, err);
	if (r < 0)
		return r;
	watch->groups++;
	return list_walk(watch->look->view, field_at(group, &watch->f->marks), MARKS_MAX,
			 visit_mark, watch, err);
}

/* --- the file systems that must have one --- */

/* A map has no key 0. */
static uint64_t id_key(uint32_t id)
{
	return id + 1ull;
}

static bool covers(const char *point, const char *path)
{
	size_t n = strlen(point);

	return !strcmp(point, "/") ||
	       (!strncmp(point, path, n) && (!path[n] || path[n] == '/'));
}

/* Whoever may mount can stack mounts as he likes: what is one step, and how many there may be. */
static int step(struct watch *watch, struct err *err)
{
	if (watch->steps++ < STEPS_MAX)
		return 0;
	return err_set(err, -EBADMSG, "mounts that cover each other: too many to follow");
}

/* Is the mount below the one with this ID? Return: 1, 0, or an error. */
static int is_ancestor(struct watch *watch, const struct mount *all, const struct mount *mount,
		       uint32_t id, struct err *err)
{
	uint32_t at = mount->parent, i;
	int r;

	while ((r = step(watch, err)) >= 0) {
		if (at == id)
			return 1;
		if (!map_get(&watch->places, id_key(at), &i) || all[i].parent == at)
			return 0;
		at = all[i].parent;
	}
	return r;
}

/*
 * Does its path lead to something that was mounted over it? Then nobody can reach it.
 * Return: 1, 0, or an error.
 */
static int is_covered(struct watch *watch, const struct mount *all, size_t n,
		      const struct mount *mount, struct err *err)
{
	for (size_t i = 0; i < n; i++) {
		int r = step(watch, err);

		if (r < 0)
			return r;
		if (all[i].id == mount->id || !covers(all[i].point, mount->point))
			continue;
		r = is_ancestor(watch, all, mount, all[i].id, err);
		if (r <= 0)
			return r < 0 ? r : 1;
	}
	return 0;
}

/* Its look at these may stand still, so it marks them in its own time. */
static bool is_slow(const char *type)
{
	static const char *const local[] = {
		"ext2", "ext3", "ext4", "xfs", "btrfs", "f2fs", "tmpfs", "ramfs", "rootfs",
		"overlay", "squashfs", "erofs", "iso9660", "vfat", "devtmpfs", "zfs", "bcachefs",
		"jfs", "reiserfs", "nilfs2", "exfat", "ntfs3", "udf",
	};

	for (size_t i = 0; i < ARRAY_SIZE(local); i++)
		if (!strcmp(type, local[i]))
			return false;
	return true;
}

/* The file system of init's root was there before the agent was. */
static int root_of_init(struct watch *watch, gva *ret, struct err *err)
{
	const struct watch_fields *f = watch->f;
	struct view *view = watch->look->view;
	gva at = watch->look->kernel->boot.first_task;
	int r;

	r = field_ptr(view, at, &f->fs, &at, err);
	if (r >= 0)
		r = field_ptr(view, at, &f->root, &at, err);
	return r < 0 ? r : field_ptr(view, at, &f->dentry_sb, ret, err);
}

static int judge_mount(struct watch *watch, const struct mount *mount, gva root, struct err *err)
{
	const struct watch_fields *f = watch->f;
	struct look *look = watch->look;
	uint64_t flags = 0, mask = FS_OPEN_EXEC, first;
	char key[32];
	gva sb;
	int r;

	r = field_ptr(look->view, mount->at, &f->sb, &sb, err);
	if (r >= 0)
		r = map_put(&watch->seen, sb.v, 1);
	if (r)		/* it was judged before, or failed */
		return r < 0 ? r : 0;
	r = field_read(look->view, sb, &f->sb_flags, &flags, err);
	if (r >= 0 && f->sb_mask.there)
		r = field_read(look->view, sb, &f->sb_mask, &mask, err);
	if (r < 0 || flags & SB_I_NOEXEC)
		return r;
	look->agent->systems++;
	if (map_get(&watch->marked, sb.v, NULL) && mask & FS_OPEN_EXEC)
		return 0;
	snprintf(key, sizeof(key), "%#llx", (unsigned long long)sb.v);
	r = since_get(look->since, key, watch->anchor->heartbeat_ns, &first);
	if (r == -ELOOP) {
		look_unseen(look, KEEPER_WATCH, "too many file systems have no mark");
		first = watch->anchor->heartbeat_ns;
		r = 0;
	}
	if (r < 0)
		return r;
	if (sb.v == root.v || watch->anchor->heartbeat_ns - first >
				      PERIODS * watch->anchor->period_ms * 1000000ull)
		tell(watch, "mark", "Agent is not told of what is executed", sb,
		     "a mark of the agent's on each file system", mount->point);
	else
		look->agent->young = true;
	return 0;
}

static int judge_namespace(struct watch *watch, const struct mount *all, size_t n, gva root,
			   struct err *err)
{
	int r = 0;

	for (size_t i = 0; i < n && r >= 0; i++)
		r = map_put(&watch->places, id_key(all[i].id), (uint32_t)i);
	for (size_t i = 0; i < n && r >= 0; i++) {
		if (all[i].flags & MOUNT_NOEXEC || is_slow(all[i].type))
			continue;
		r = is_covered(watch, all, n, &all[i], err);
		if (!r)
			r = judge_mount(watch, &all[i], root, err);
	}
	return r < 0 ? r : 0;
}

static int judge_mounts(struct watch *watch, struct err *err)
{
	struct look *look = watch->look;
	struct task first = { .at = look->kernel->boot.first_task, .pid = 1 };
	struct tasks one = { .v = &first, .n = 1 };
	struct mounts mounts = {0};
	struct task_ns ns = {0};
	gva root;
	int r;

	r = root_of_init(watch, &root, err);
	if (r >= 0)
		r = task_namespaces(look->kernel, look->view, &first, &ns, err);
	if (r >= 0)
		r = mount_list(look->kernel, look->view, &one, &mounts, err);
	for (size_t i = 0; i < mounts.namespaces.n && r >= 0; i++) {
		const struct mount_ns *here = &mounts.namespaces.v[i];

		if (here->inode == ns.mnt)
			r = judge_namespace(watch, mounts.all.v + here->mounts_at, here->mounts_n,
					    root, err);
	}
	mounts_free(&mounts);
	return r;
}

static int watch_all(struct watch *watch, struct err *err)
{
	struct tasks one = { .v = (struct task *)&watch->claim->task, .n = 1 };
	struct look *look = watch->look;
	int r;

	r = types_layout(look->kernel->types, &watch_layout, (const void **)&watch->f, err);
	if (r >= 0)
		r = kernel_symbol(look->kernel, "fanotify_fops", &watch->fanotify, err);
	if (r >= 0)
		r = file_table_walk(look->kernel, look->view, &one, visit_file, watch, err);
	if (r < 0)
		return r;
	look->agent->marks = watch->marks;
	if (watch->anchor->state == AGENT_STARTING)
		return 0;	/* it has just begun to make them */
	if (!watch->groups)
		tell(watch, "group", "Agent is not told of what is executed",
		     watch->claim->task.at, "a fanotify group of its own", "none");
	return judge_mounts(watch, err);
}

int prove_watch(struct look *look, const struct claim *claim, const struct agent_anchor *anchor,
		struct err *err)
{
	struct watch watch = { .look = look, .claim = claim, .anchor = anchor };
	int r;

	since_begin(look->since);
	r = watch_all(&watch, err);
	since_end(look->since);
	map_free(&watch.marked);
	map_free(&watch.seen);
	map_free(&watch.places);
	return look_partial(look, KEEPER_WATCH, r == -ENOENT ? -ESTALE : r, err);
}
