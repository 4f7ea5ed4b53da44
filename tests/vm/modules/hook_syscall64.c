// SPDX-License-Identifier: GPL-2.0
/*
 * Replace an entry of sys_call_table by a function of this module that calls the original.
 *
 * Kernels that dispatch through x64_sys_call (6.9, and stable kernels since the mitigation of
 * BHI, 1e3ad78334a6) keep the table for tracing only: there the entry changes and nothing else does, and
 * the hook is never reached. hook_dispatch is for those.
 */
#include "lab.h"

static unsigned int nr = 39;
module_param(nr, uint, 0444);
MODULE_PARM_DESC(nr, "number of the system call (default: getpid)");
LAB_STUB();

static unsigned long *entry;

static int __init hook_init(void)
{
	unsigned long stub = (unsigned long)lab_stub;
	unsigned long *table;
	int r = lab_init();

	if (r)
		return r;
	table = lab_symbol("sys_call_table");
	if (!table)
		return -ENOENT;
	if (nr >= 300)
		return -EINVAL;
	entry = &table[nr];
	lab_target = *entry;
	return lab_poke(entry, &stub, sizeof(stub));
}

static void __exit hook_exit(void)
{
	unsigned long original = lab_target;

	if (lab_poke(entry, &original, sizeof(original)))
		pr_err("hook_syscall64: the entry stays hooked\n");
	lab_drain();
}

module_init(hook_init);
module_exit(hook_exit);
MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("hvsm test: 64-bit system call table entry replaced");
