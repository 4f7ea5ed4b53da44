// SPDX-License-Identifier: GPL-2.0
/*
 * A file of /proc/sys/kernel leads into this module, or into the middle of the kernel's function: its table's
 * proc_handler is replaced.
 */
#include <linux/sysctl.h>
#include "lab.h"

static char *name = "ostype";
module_param(name, charp, 0444);
MODULE_PARM_DESC(name, "of a file in /proc/sys/kernel");
static int offset;
module_param(offset, int, 0444);
MODULE_PARM_DESC(offset, "into the function that the handler was: leads into the middle of it");
LAB_STUB();

static struct ctl_table *table;

/* Of what the kernel registered under kernel/: uts_kern_table in all versions. */
static struct ctl_table *find(void)
{
	struct ctl_table *at = lab_symbol("uts_kern_table");

	for (int i = 0; at && i < 16 && at[i].procname; i++)
		if (!strcmp(at[i].procname, name))
			return &at[i];
	return NULL;
}

static int __init hook_init(void)
{
	unsigned long to = (unsigned long)lab_stub;
	int r = lab_init();

	if (r)
		return r;
	table = find();
	if (!table)
		return -ENOENT;
	lab_target = (unsigned long)table->proc_handler;
	if (offset)
		to = lab_target + offset;
	return lab_poke(&table->proc_handler, &to, sizeof(to));
}

static void __exit hook_exit(void)
{
	if (lab_poke(&table->proc_handler, &lab_target, sizeof(lab_target)))
		pr_err("hook_sysctl: the handler stays\n");
	lab_drain();
}

module_init(hook_init);
module_exit(hook_exit);
MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("hvsm test: handler of a sysctl replaced");
