/* SPDX-License-Identifier: Apache-2.0 */
#include "linux/mount.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/limits.h"
#include "base/map.h"
#include "guest/list.h"
#include "linux/mount_read.h"
#include "linux/rbtree.h"
#include "linux/task_each.h"

struct ns_fields {
	struct field nsproxy, mnt_ns, inum;
	struct field list, list_link, tree, tree_link;
	struct field tree_node, unified_node, ns;
};

static const struct member ns_members[] = {
	MEMBER(struct ns_fields, nsproxy, "task_struct.nsproxy"),
	MEMBER(struct ns_fields, mnt_ns, "nsproxy.mnt_ns"),
	MEMBER(struct ns_fields, ns, "mnt_namespace.ns"),
	MEMBER(struct ns_fields, inum, "mnt_namespace.ns.inum"),
	/* A list up to 6.7, then a tree (2eea9ce4310d) whose head is an rb_root. */
	MEMBER_OPTIONAL(struct ns_fields, list, "mnt_namespace.list"),
	MEMBER(struct ns_fields, list_link, "mount.mnt_list"),
	MEMBER_OPTIONAL(struct ns_fields, tree, "mnt_namespace.mounts.rb_node"),
	MEMBER_OPTIONAL(struct ns_fields, tree_link, "mount.mnt_node"),
	/* All namespaces: 1901c92497bd (6.11), then a tree for every kind (885fc8ac0a4d, 6.18). */
	MEMBER_OPTIONAL(struct ns_fields, tree_node, "mnt_namespace.mnt_ns_tree_node"),
	MEMBER_OPTIONAL(struct ns_fields, unified_node,
			"ns_common.ns_tree_node.ns_node|ns_common.ns_tree_node"),
};
LAYOUT(ns_layout, struct ns_fields, ns_members);

struct list {
	struct mount_reader reader;
	const struct ns_fields *f;
	struct mounts *mounts;
	struct map seen;	/* struct mnt_namespace → where in mounts->namespaces it stands */
	struct partial partial;
	const struct field *link;	/* of the walk that is going on */
	struct mount_ns *ns;
};

static int add_mount(gva link, void *ctx, struct err *err)
{
	struct list *list = ctx;
	struct mount *mount;
	int r;

	if (list->mounts->all.n == MOUNTS_MAX)
		return err_set(err, -ELOOP, "over %u mounts", MOUNTS_MAX);
	mount = vec_add(&list->mounts->all);
	if (!mount)
		return -ENOMEM;
	r = mount_read(&list->reader, field_object(link, list->link), mount, err);
	mount->ns = list->ns->inode;
	if (!mount->root)	/* nothing was read */
		list->mounts->all.n--;
	if (r < 0)
		list->ns->complete = false;
	return partial_add(&list->partial, r, err);
}

static int by_age(const void *a, const void *b)
{
	const struct mount *x = a, *y = b;

	return x->unique < y->unique ? -1 : x->unique > y->unique;
}

static int walk_namespace(struct list *list, struct mount_ns *ns, struct err *err)
{
	const struct ns_fields *f = list->f;
	struct mounts *mounts = list->mounts;
	bool is_tree = f->tree.there && f->tree_link.there;
	int r;

	if (!is_tree && !f->list.there)
		return err_set(err, -ENOENT, "mount namespaces without a list of mounts");
	list->ns = ns;
	list->link = is_tree ? &f->tree_link : &f->list_link;
	ns->mounts_at = (uint32_t)mounts->all.n;
	ns->complete = true;
	if (is_tree)
		r = rbtree_walk(list->reader.kernel, list->reader.view, field_at(ns->at, &f->tree),
				MOUNTS_MAX, add_mount, list, err);
	else
		r = list_walk(list->reader.view, field_at(ns->at, &f->list), MOUNTS_MAX, add_mount,
			      list, err);
	if (r < 0)
		ns->complete = false;
	ns->mounts_n = (uint32_t)mounts->all.n - ns->mounts_at;
	if (is_tree && ns->mounts_n)
		qsort(&mounts->all.v[ns->mounts_at], ns->mounts_n, sizeof(*mounts->all.v), by_age);
	return r < 0 ? wrap(err, r, "mounts of namespace %u", ns->inode) : 0;
}

/* Add a namespace that was not met before. */
static int add_namespace(struct list *list, gva at, uint32_t *index, struct err *err)
{
	struct mount_ns *ns;
	uint64_t inum;
	int r;

	if (map_get(&list->seen, at.v, index))
		return 0;
	if (!gva_is_kernel(at))
		return fail(err, -EBADMSG, at, "no place for a mount namespace");
	if (list->mounts->namespaces.n == MOUNT_NAMESPACES_MAX)
		return err_set(err, -ELOOP, "over %u mount namespaces", MOUNT_NAMESPACES_MAX);
	r = field_read(list->reader.view, at, &list->f->inum, &inum, err);
	if (r < 0)
		return wrap(err, r, "mount namespace");
	*index = (uint32_t)list->mounts->namespaces.n;
	r = map_put(&list->seen, at.v, *index);
	if (r < 0)
		return r;
	ns = vec_add(&list->mounts->namespaces);
	if (!ns)
		return -ENOMEM;
	ns->at = at;
	ns->inode = (uint32_t)inum;
	return 0;
}

static int add_of_task(const struct task *task, void *ctx, struct err *err)
{
	struct list *list = ctx;
	uint32_t index = 0;
	gva proxy, at;
	int r;

	r = field_ptr(list->reader.view, task->at, &list->f->nsproxy, &proxy, err);
	if (r < 0 || !proxy.v)		/* none: it is ending */
		return r < 0 ? wrap(err, r, "namespaces of PID %d", task->pid) : 0;
	r = field_ptr(list->reader.view, proxy, &list->f->mnt_ns, &at, err);
	if (r >= 0)
		r = add_namespace(list, at, &index, err);
	if (r < 0)
		return wrap(err, r, "namespaces of PID %d", task->pid);
	if (!list->mounts->namespaces.v[index].tasks++)
		list->mounts->namespaces.v[index].pid = (uint32_t)task->tgid;
	return 0;
}

static int add_of_tree(gva link, void *ctx, struct err *err)
{
	struct list *list = ctx;
	uint32_t index;
	gva ns;

	ns = list->f->tree_node.there ? field_object(link, &list->f->tree_node) :
		gva_sub(field_object(link, &list->f->unified_node), list->f->ns.at);
	return partial_add(&list->partial, add_namespace(list, ns, &index, err), err);
}

/* In a tree of all, where the kernel has one: also those that no task is in. */
static int add_from_tree(struct list *list, struct err *err)
{
	gva tree = symbols_lookup(list->reader.kernel->symbols, "mnt_ns_tree");
	int r;

	if (!tree.v || (!list->f->tree_node.there && !list->f->unified_node.there))
		return 0;
	/* Its struct, if it is more than an rb_root, begins with one. */
	r = rbtree_walk(list->reader.kernel, list->reader.view, tree, MOUNT_NAMESPACES_MAX,
			add_of_tree, list, err);
	return partial_add(&list->partial, r < 0 ? wrap(err, r, "mount namespaces") : 0, err);
}

static int walk_all(struct list *list, const struct tasks *tasks, struct err *err)
{
	int r;

	r = task_each_thread(list->reader.kernel, list->reader.view, tasks, &list->partial,
			     add_of_task, list, err);
	if (r >= 0)
		r = add_from_tree(list, err);
	for (size_t i = 0; r >= 0 && i < list->mounts->namespaces.n; i++) {
		r = walk_namespace(list, &list->mounts->namespaces.v[i], err);
		r = partial_add(&list->partial, r, err);
	}
	return r;
}

int mount_list(const struct kernel *kernel, struct view *view, const struct tasks *tasks,
	       struct mounts *ret, struct err *err)
{
	cleanup(freep) struct list *list = calloc(1, sizeof(*list));
	struct err own = { 0 };
	int r;

	if (!list)
		return -ENOMEM;
	list->mounts = ret;
	list->partial = partial_of(view);
	r = mount_reader_init(&list->reader, kernel, view, ret, &own);
	if (r >= 0)
		r = types_layout(kernel->types, &ns_layout, (const void **)&list->f, &own);
	if (r >= 0)
		r = walk_all(list, tasks, &own);
	map_free(&list->seen);
	if (r < 0 && err)
		*err = own;
	return partial_end(&list->partial, r, err);
}

void mounts_free(struct mounts *mounts)
{
	for (size_t i = 0; i < mounts->all.n; i++)
		mount_free(&mounts->all.v[i]);
	vec_free(&mounts->all);
	vec_free(&mounts->namespaces);
	mounts->text_bytes = 0;
}

struct word {
	uint32_t flag;
	const char *text;
};

static const char *print_words(uint32_t flags, uint32_t readonly, const struct word *words,
			       size_t n, char *buf, size_t size)
{
	size_t at = (size_t)snprintf(buf, size, flags & readonly ? "ro" : "rw");

	for (size_t i = 0; i < n && at < size; i++)
		if (flags & words[i].flag)
			at += (size_t)snprintf(buf + at, size - at, ",%s", words[i].text);
	return buf;
}

/* In the order of show_mnt_opts() and show_sb_opts() of fs/proc_namespace.c. */
const char *mount_print_flags(const struct mount *mount, char *buf, size_t size)
{
	static const struct word words[] = {
		{ MOUNT_NOSUID, "nosuid" }, { MOUNT_NODEV, "nodev" }, { MOUNT_NOEXEC, "noexec" },
		{ MOUNT_NOATIME, "noatime" }, { MOUNT_NODIRATIME, "nodiratime" },
		{ MOUNT_RELATIME, "relatime" }, { MOUNT_NOSYMFOLLOW, "nosymfollow" },
		{ MOUNT_IDMAPPED, "idmapped" },
	};

	return print_words(mount->flags, MOUNT_READONLY, words, ARRAY_SIZE(words), buf, size);
}

const char *mount_print_super_flags(const struct mount *mount, char *buf, size_t size)
{
	static const struct word words[] = {
		{ SUPER_SYNC, "sync" }, { SUPER_DIRSYNC, "dirsync" }, { SUPER_MANDLOCK, "mand" },
		{ SUPER_LAZYTIME, "lazytime" },
	};

	return print_words(mount->super_flags, SUPER_READONLY, words, ARRAY_SIZE(words), buf, size);
}
