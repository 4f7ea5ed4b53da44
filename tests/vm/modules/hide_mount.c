// SPDX-License-Identifier: GPL-2.0
/*
 * Hide the mount at PATH: it is taken out of what its namespace lists, so that /proc/mounts and
 * umount(8) do not know it. Paths lead to it as before. Unloading puts it back.
 */
#include <linux/mount.h>
#include <linux/namei.h>
#include <linux/path.h>
#include <linux/rbtree.h>
#include <linux/rwsem.h>

#include "lab_types.h"

static char *path;
module_param(path, charp, 0444);
MODULE_PARM_DESC(path, "where it is mounted");

static struct rw_semaphore *lock;
static void *mount, *ns;
static int tree, first, last, node, list, link, unique;	/* offsets; < 0: not this kernel's way */

#define MEMBER(of, at, type) ((type *)((char *)(of) + (at)))

static u64 id_of(struct rb_node *each)
{
	return *MEMBER(each, unique - node, u64);
}

static void leave_tree(void)
{
	struct rb_node *mine = MEMBER(mount, node, struct rb_node);

	if (first >= 0 && *MEMBER(ns, first, struct rb_node *) == mine)
		*MEMBER(ns, first, struct rb_node *) = rb_next(mine);
	if (last >= 0 && *MEMBER(ns, last, struct rb_node *) == mine)
		*MEMBER(ns, last, struct rb_node *) = rb_prev(mine);
	rb_erase(mine, MEMBER(ns, tree, struct rb_root));
}

static void enter_tree(void)
{
	struct rb_node *mine = MEMBER(mount, node, struct rb_node), *parent = NULL;
	struct rb_root *root = MEMBER(ns, tree, struct rb_root);
	struct rb_node **at = &root->rb_node;

	while (*at) {
		parent = *at;
		at = id_of(mine) < id_of(parent) ? &parent->rb_left : &parent->rb_right;
	}
	rb_link_node(mine, parent, at);
	rb_insert_color(mine, root);
	if (first >= 0 && !rb_prev(mine))
		*MEMBER(ns, first, struct rb_node *) = mine;
	if (last >= 0 && !rb_next(mine))
		*MEMBER(ns, last, struct rb_node *) = mine;
}

static int find_mount(void)
{
	int at = lab_member("mount", "mnt"), ns_at = lab_member("mount", "mnt_ns");
	struct path found;
	int r;

	if (at < 0 || ns_at < 0)
		return -ENOENT;
	r = kern_path(path, LOOKUP_FOLLOW, &found);
	if (r)
		return r;
	mount = (char *)found.mnt - at;
	ns = *MEMBER(mount, ns_at, void *);
	path_put(&found);
	return 0;
}

static int __init hide_init(void)
{
	int r = lab_init();

	if (r || !path)
		return r ? r : -EINVAL;
	lock = lab_symbol("namespace_sem");
	tree = lab_member("mnt_namespace", "mounts");
	first = lab_member("mnt_namespace", "mnt_first_node");
	last = lab_member("mnt_namespace", "mnt_last_node");
	node = lab_member("mount", "mnt_node");
	unique = lab_member("mount", "mnt_id_unique");
	list = lab_member("mnt_namespace", "list");
	link = lab_member("mount", "mnt_list");
	if (!lock || (node < 0 && (list < 0 || link < 0)) ||
	    (node >= 0 && (tree < 0 || unique < 0)))
		return -ENOENT;
	r = find_mount();
	if (r)
		return r;
	down_write(lock);
	if (node >= 0)
		leave_tree();
	else
		list_del_init(MEMBER(mount, link, struct list_head));
	up_write(lock);
	return 0;
}

static void __exit hide_exit(void)
{
	down_write(lock);
	if (node >= 0)
		enter_tree();
	else
		list_add_tail(MEMBER(mount, link, struct list_head),
			      MEMBER(ns, list, struct list_head));
	up_write(lock);
}

module_init(hide_init);
module_exit(hide_exit);
MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("hvsm test: mount hidden");
