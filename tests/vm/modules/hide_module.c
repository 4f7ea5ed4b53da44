// SPDX-License-Identifier: GPL-2.0
/*
 * This module hides itself. HOW is any of these, joined by commas:
 *
 *	list		unlinked from the list of modules: not in /proc/modules, rmmod, kallsyms
 *	sysfs		taken out of the kset: not in /sys/module
 *	mod_tree	taken out of the tree that finds a module by an address
 *	all		the three above
 *	blank		its name is overwritten with zeros
 *
 * A module that is off the list or has no name cannot be unloaded. Writing 1 to its parameter
 * "restore" puts it back, as long as sysfs still shows that parameter.
 */
#include <linux/mutex.h>
#include <linux/rbtree_latch.h>
#include <linux/rculist.h>
#include <linux/version.h>

#include "lab.h"

static char *how = "all";
module_param(how, charp, 0444);
MODULE_PARM_DESC(how, "list,sysfs,mod_tree,all,blank");

static struct mutex *mutex;
static struct latch_tree_root *tree;
static struct list_head *head;
static struct module *(*find_module_at)(unsigned long address);
static char name[MODULE_NAME_LEN];
static bool off_list, off_tree, blanked;

/* 6.4 split a module's memory by type, each with its own node (ac3b43283923). */
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 4, 0)
typedef struct module_memory area_t;
#define AREAS ARRAY_SIZE(THIS_MODULE->mem)
#define AREA(i) (&THIS_MODULE->mem[i])
#define AREA_IS_INIT(i) mod_mem_type_is_init(i)
#else
typedef struct module_layout area_t;
#define AREAS 1
#define AREA(i) (&THIS_MODULE->core_layout)
#define AREA_IS_INIT(i) false
#endif

static unsigned long node_base(struct latch_tree_node *node)
{
	return (unsigned long)container_of(node, area_t, mtn.node)->base;
}

static bool node_less(struct latch_tree_node *a, struct latch_tree_node *b)
{
	return node_base(a) < node_base(b);
}

static const struct latch_tree_ops ops = { .less = node_less };

/* What belongs to initialisation only the kernel itself takes out when that is over. */
static void change_tree(bool in)
{
	for (int i = 0; i < AREAS; i++) {
		if (AREA_IS_INIT(i) || !AREA(i)->size)
			continue;
		if (in)
			latch_tree_insert(&AREA(i)->mtn.node, tree, &ops);
		else
			latch_tree_erase(&AREA(i)->mtn.node, tree, &ops);
	}
	off_tree = !in;
}

static void restore(void)
{
	mutex_lock(mutex);
	if (off_tree)
		change_tree(true);
	if (off_list)
		list_add_rcu(&THIS_MODULE->list, head);
	if (blanked)
		memcpy(THIS_MODULE->name, name, sizeof(name));
	off_list = blanked = false;
	mutex_unlock(mutex);
}

static int restore_set(const char *value, const struct kernel_param *param)
{
	bool yes;
	int r = kstrtobool(value, &yes);

	/* Given at load, before there is anything to put back, it means nothing. */
	if (!r && yes && mutex)
		restore();
	return r;
}

static const struct kernel_param_ops restore_ops = { .set = restore_set };
module_param_cb(restore, &restore_ops, NULL, 0200);

/* What the kernel itself says, whose look-up by an address goes through the tree. */
static int in_tree_get(char *buffer, const struct kernel_param *param)
{
	bool found;

	preempt_disable();
	found = find_module_at((unsigned long)&how) != NULL;
	preempt_enable();
	return sprintf(buffer, "%c\n", found ? 'Y' : 'N');
}

static const struct kernel_param_ops in_tree_ops = { .get = in_tree_get };
module_param_cb(in_tree, &in_tree_ops, NULL, 0444);

static bool wanted(const char *what)
{
	size_t len = strlen(what);

	for (const char *at = how; (at = strstr(at, what)); at += len)
		if ((at == how || at[-1] == ',') && (at[len] == ',' || !at[len]))
			return true;
	return false;
}

static int __init hide_init(void)
{
	bool all = wanted("all");
	int r = lab_init();

	if (r)
		return r;
	mutex = lab_symbol("module_mutex");
	tree = lab_symbol("mod_tree");
	head = lab_symbol("modules");
	find_module_at = lab_symbol("__module_address");
	if (!mutex || !tree || !head || !find_module_at)
		return -ENOENT;
	if (!all && !wanted("list") && !wanted("sysfs") && !wanted("mod_tree") && !wanted("blank"))
		return -EINVAL;

	memcpy(name, THIS_MODULE->name, sizeof(name));
	if (all || wanted("sysfs"))
		kobject_del(&THIS_MODULE->mkobj.kobj);
	mutex_lock(mutex);
	if (all || wanted("mod_tree"))
		change_tree(false);
	if (all || wanted("list")) {
		list_del_rcu(&THIS_MODULE->list);
		off_list = true;
	}
	if (wanted("blank")) {
		memset(THIS_MODULE->name, 0, sizeof(name));
		blanked = true;
	}
	mutex_unlock(mutex);
	return 0;
}

/* Only a module that is on the list can be unloaded, but its areas may be off the tree. */
static void __exit hide_exit(void)
{
	restore();
}

module_init(hide_init);
module_exit(hide_exit);
MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("hvsm test: module hidden");
