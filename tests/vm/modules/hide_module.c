// SPDX-License-Identifier: GPL-2.0
/*
 * This module hides itself. HOW is any of these, joined by commas:
 *
 *	list		unlinked from the list of modules: not in /proc/modules, rmmod, kallsyms
 *	sysfs		taken out of the kset: not in /sys/module
 *	mod_tree	taken out of the tree that finds a module by an address
 *	all		the three above
 *	blank		its name is overwritten with zeros
 *	self		after "list": its links lead to itself, or, with "poison", nowhere
 *	poison
 *	unformed	its state says that it is not complete: /proc/modules leaves it out
 *	symbols		its symbol table has no entries
 *	wipe		... or zeros in all of them
 *	taint		its taints are taken back
 *	rename		it takes the name of another
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
MODULE_PARM_DESC(how, "list,sysfs,mod_tree,all,blank,self,poison,unformed,symbols,wipe,taint,rename");

static struct mutex *mutex;
static struct latch_tree_root *tree;
static struct list_head *head;
static struct module *(*find_module_at)(unsigned long address);
static char name[MODULE_NAME_LEN];
static bool off_list, off_tree, blanked, forged;

/* What was forged, as it was. */
static unsigned long taints;
static unsigned int symbols;
static Elf_Sym *saved;

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

static bool wanted(const char *what);

static int save(void)
{
	size_t bytes = THIS_MODULE->kallsyms->num_symtab * sizeof(*saved);

	taints = THIS_MODULE->taints;
	symbols = THIS_MODULE->kallsyms->num_symtab;
	saved = vmalloc(bytes);
	if (saved)
		memcpy(saved, THIS_MODULE->kallsyms->symtab, bytes);
	return saved ? 0 : -ENOMEM;
}

/* What becomes read-only, and gets its final symbol table, once its init function is over. */
static void forge(bool yes)
{
	struct mod_kallsyms *kallsyms = THIS_MODULE->kallsyms;

	if (yes == forged)
		return;
	if (wanted("unformed"))
		THIS_MODULE->state = yes ? MODULE_STATE_UNFORMED : MODULE_STATE_LIVE;
	if (wanted("symbols"))
		kallsyms->num_symtab = yes ? 0 : symbols;
	if (wanted("wipe") && yes)
		memset(kallsyms->symtab, 0, symbols * sizeof(*saved));
	if (wanted("wipe") && !yes)
		memcpy(kallsyms->symtab, saved, symbols * sizeof(*saved));
	if (wanted("taint"))
		THIS_MODULE->taints = yes ? 0 : taints;
	if (wanted("rename"))
		strscpy(THIS_MODULE->name, yes ? "ext4" : name, sizeof(name));
	forged = yes;
}

static int forge_set(const char *value, const struct kernel_param *param)
{
	bool yes;
	int r = kstrtobool(value, &yes);

	if (!r && mutex && yes && !saved)
		r = save();
	if (!r && mutex)
		forge(yes);
	return r;
}

static const struct kernel_param_ops forge_ops = { .set = forge_set };
module_param_cb(forge, &forge_ops, NULL, 0200);
MODULE_PARM_DESC(forge, "written once it lives: 1 does, 0 undoes what is no list");

static void restore(void)
{
	mutex_lock(mutex);
	if (off_tree)
		change_tree(true);
	if (off_list)
		list_add_rcu(&THIS_MODULE->list, head);	/* whatever its links led to */
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
	if (!*how)
		return -EINVAL;

	memcpy(name, THIS_MODULE->name, sizeof(name));
	if (all || wanted("sysfs"))
		kobject_del(&THIS_MODULE->mkobj.kobj);
	mutex_lock(mutex);
	if (all || wanted("mod_tree"))
		change_tree(false);
	if (all || wanted("list")) {
		list_del_rcu(&THIS_MODULE->list);
		if (wanted("self"))
			INIT_LIST_HEAD(&THIS_MODULE->list);
		if (wanted("poison"))
			THIS_MODULE->list.next = LIST_POISON1;
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
	vfree(saved);
}

module_init(hide_init);
module_exit(hide_exit);
MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("hvsm test: module hidden");
