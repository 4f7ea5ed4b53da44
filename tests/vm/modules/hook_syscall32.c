// SPDX-License-Identifier: GPL-2.0
/*
 * Hook a 32-bit system call: the entry of ia32_sys_call_table where the kernel has that table, and otherwise
 * the direct branch in ia32_sys_call that took its place (1e3ad78334a6 and its backports).
 */
#include "lab.h"

static unsigned int nr = 20;
module_param(nr, uint, 0444);
MODULE_PARM_DESC(nr, "number of the 32-bit system call (default: getpid)");
static char *symbol = "__ia32_sys_getpid";
module_param(symbol, charp, 0444);
MODULE_PARM_DESC(symbol, "the function of that call, for kernels without a table");
static char how[16];
module_param_string(how, how, sizeof(how), 0444);
MODULE_PARM_DESC(how, "read: what was changed, 'table' or 'branch'");
LAB_STUB();

static unsigned long *entry;
static struct lab_branch branch;

static int hook_table(unsigned long *table)
{
	unsigned long stub = (unsigned long)lab_stub;

	if (nr >= 400)
		return -EINVAL;
	strscpy(how, "table", sizeof(how));
	entry = &table[nr];
	lab_target = *entry;
	return lab_poke(entry, &stub, sizeof(stub));
}

static int hook_branch(void)
{
	u8 *dispatch = lab_symbol("ia32_sys_call");
	unsigned long function = (unsigned long)lab_symbol(symbol);
	int r;

	if (!dispatch || !function)
		return -ENOENT;
	strscpy(how, "branch", sizeof(how));
	r = lab_find_branch(dispatch, &function, 1, &branch);
	if (r)
		return r;
	lab_target = branch.target;
	return lab_set_branch(&branch, (unsigned long)lab_stub);
}

static int __init hook_init(void)
{
	unsigned long *table;
	int r = lab_init();

	if (r)
		return r;
	table = (unsigned long *)lab_lookup("ia32_sys_call_table");
	return table ? hook_table(table) : hook_branch();
}

static void __exit hook_exit(void)
{
	unsigned long original = lab_target;
	int r = entry ? lab_poke(entry, &original, sizeof(original)) :
			lab_set_branch(&branch, original);

	if (r)
		pr_err("hook_syscall32: the call stays hooked\n");
	lab_drain();
}

module_init(hook_init);
module_exit(hook_exit);
MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("hvsm test: 32-bit system call hooked");
