// SPDX-License-Identifier: GPL-2.0
/*
 * Switches of what protects the kernel: at load each of those below is turned on, and each can be set by writing
 * "NAME VALUE" to the parameter "set". Exit leaves them as they were at load.
 *
 * With LSM=1 the first hook of the capability module is taken out instead, from its list or by its key.
 */
#include <linux/lsm_hooks.h>
#include <linux/version.h>
#include "lab.h"

struct item {
	const char *name;
	int size, on;
	int *at;
	int saved;
};

static struct item items[] = {
	{ "audit_enabled", 4, 1 },
	{ "sig_enforce", 1, 1 },
	{ "kernel_locked_down", 4, 1 },
	{ "kexec_load_disabled", 4, 1 },
};

static bool lsm;
module_param(lsm, bool, 0444);

static int set_item(const char *value, const struct kernel_param *param)
{
	char name[32];
	int to;

	if (sscanf(value, "%31s %d", name, &to) != 2)
		return -EINVAL;
	for (int i = 0; i < ARRAY_SIZE(items); i++)
		if (items[i].at && !strcmp(items[i].name, name))
			return lab_poke(items[i].at, &to, items[i].size);
	return -ENOENT;
}

static const struct kernel_param_ops set_ops = { .set = set_item };
module_param_cb(set, &set_ops, NULL, 0200);

#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 12, 0)
static int *enabled;
static int was;

static int take_hook(struct security_hook_list *hooks)
{
	int off = 0;

	enabled = &hooks->scalls->active->key.enabled.counter;
	was = *enabled;
	return lab_poke(enabled, &off, sizeof(off));
}

static int give_hook(void)
{
	return enabled ? lab_poke(enabled, &was, sizeof(was)) : 0;
}
#else
static struct hlist_node *node, **back;

static int set_link(struct hlist_node *to, struct hlist_node **pprev)
{
	int r = lab_poke(back, &to, sizeof(to));

	return r || !node->next ? r : lab_poke(&node->next->pprev, &pprev, sizeof(pprev));
}

static int take_hook(struct security_hook_list *hooks)
{
	node = &hooks->list;
	back = node->pprev;
	return set_link(node->next, back);
}

static int give_hook(void)
{
	return node ? set_link(node, &node->next) : 0;
}
#endif

static int __init posture_init(void)
{
	struct security_hook_list *hooks;
	int r = lab_init();

	if (r)
		return r;
	if (lsm) {
		hooks = lab_symbol("capability_hooks");
		return hooks ? take_hook(hooks) : -ENOENT;
	}
	for (int i = 0; i < ARRAY_SIZE(items) && !r; i++) {
		items[i].at = lab_symbol(items[i].name);
		if (!items[i].at)
			return -ENOENT;
		memcpy(&items[i].saved, items[i].at, items[i].size);
		r = lab_poke(items[i].at, &items[i].on, items[i].size);
	}
	return r;
}

static void __exit posture_exit(void)
{
	int r = give_hook();

	for (int i = 0; i < ARRAY_SIZE(items) && !r; i++)
		if (items[i].at)
			r = lab_poke(items[i].at, &items[i].saved, items[i].size);
	if (r)
		pr_err("posture: not undone\n");
}

module_init(posture_init);
module_exit(posture_exit);
MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("hvsm test: protection switched off");
