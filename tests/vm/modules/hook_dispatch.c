// SPDX-License-Identifier: GPL-2.0
/*
 * Patch the code that dispatches 64-bit system calls: one direct branch leads into this module.
 *
 * In x64_sys_call it is the branch to one system call's function. Kernels without it call through a register in
 * do_syscall_64: with retpolines that is a direct call of a thunk, and then every system call comes by here.
 */
#include "lab.h"

static unsigned int nr = 39;
module_param(nr, uint, 0444);
MODULE_PARM_DESC(nr, "number of the system call (default: getpid), where each has its own branch");
LAB_STUB();

static struct lab_branch branch;

static int find_thunk_call(u8 *code)
{
	static const char * const regs[] = {
		"rax", "rbx", "rcx", "rdx", "rsi", "rdi", "rbp",
		"r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15",
	};
	unsigned long thunks[ARRAY_SIZE(regs)];
	char name[32];

	for (int i = 0; i < ARRAY_SIZE(regs); i++) {
		snprintf(name, sizeof(name), "__x86_indirect_thunk_%s", regs[i]);
		thunks[i] = lab_lookup(name);
	}
	return lab_find_branch(code, thunks, ARRAY_SIZE(regs), &branch);
}

static int __init hook_init(void)
{
	unsigned long *table;
	u8 *dispatch;
	int r = lab_init();

	if (r)
		return r;
	table = lab_symbol("sys_call_table");
	if (!table || nr >= 300)
		return -EINVAL;
	dispatch = (u8 *)lab_lookup("x64_sys_call");
	if (dispatch) {
		r = lab_find_branch(dispatch, &table[nr], 1, &branch);
	} else {
		dispatch = lab_symbol("do_syscall_64");
		r = dispatch ? find_thunk_call(dispatch) : -ENOENT;
	}
	if (r) {
		pr_err("hook_dispatch: no branch to patch in %ps\n", dispatch);
		return r;
	}
	lab_target = branch.target;
	pr_info("hook_dispatch: branch at %pS led to %pS\n", branch.disp, (void *)lab_target);
	return lab_set_branch(&branch, (unsigned long)lab_stub);
}

static void __exit hook_exit(void)
{
	if (lab_set_branch(&branch, lab_target))
		pr_err("hook_dispatch: the branch stays patched\n");
	lab_drain();
}

module_init(hook_init);
module_exit(hook_exit);
MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("hvsm test: system call dispatch patched");
