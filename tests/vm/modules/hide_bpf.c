// SPDX-License-Identifier: GPL-2.0
/*
 * Take a BPF program, map or link out of the table by which bpf(2) finds it by its number, as
 * bpftool does; unloading puts it back. It goes on doing what it did.
 */
#include <linux/idr.h>
#include <linux/spinlock.h>

#include "lab.h"

static char *what = "prog";
module_param(what, charp, 0444);
MODULE_PARM_DESC(what, "prog, map, link");

static int id;
module_param(id, int, 0444);
MODULE_PARM_DESC(id, "its number");

static struct idr *table;
static spinlock_t *lock;
static void *object;

static int __init hide_init(void)
{
	char name[32];
	int r = lab_init();

	if (r)
		return r;
	snprintf(name, sizeof(name), "%s_idr", what);
	table = lab_symbol(name);
	snprintf(name, sizeof(name), "%s_idr_lock", what);
	lock = lab_symbol(name);
	if (!table || !lock)
		return -ENOENT;
	spin_lock_bh(lock);
	object = idr_remove(table, id);
	spin_unlock_bh(lock);
	return object ? 0 : -ENOENT;
}

static void __exit hide_exit(void)
{
	int r;

	idr_preload(GFP_KERNEL);
	spin_lock_bh(lock);
	r = idr_alloc(table, object, id, id + 1, GFP_ATOMIC);
	spin_unlock_bh(lock);
	idr_preload_end();
	if (r < 0)
		pr_err("hide_bpf: %s %d stays hidden: %d\n", what, id, r);
}

module_init(hide_init);
module_exit(hide_exit);
MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("hvsm test: BPF object hidden");
