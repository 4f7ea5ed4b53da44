/* SPDX-License-Identifier: Apache-2.0 */
#include "check/syscall_entries.h"

/*
 * The table of 64-bit system calls. Kernels that dispatch by code (x64_sys_call) keep the
 * table for their tracers only; what is changed there is still a change that nobody but an
 * attacker makes.
 */
static int syscall_table_run(struct check_run *run, struct err *err)
{
	static const struct syscall_entries tables[] = {
		{ "sys_call_table", SYSCALL_64 },
		{ "x32_sys_call_table", SYSCALL_X32 },
	};
	gva at;
	int r = kernel_symbol(check_kernel(run), tables[0].symbol, &at, err);

	if (r < 0)
		return r;
	return syscall_entries_check(run, tables, ARRAY_SIZE(tables), err);
}

CHECK(syscall_table,
	.id = "syscall-table",
	.group = GROUP_POINTERS,
	.title = "System call table entry does not lead to its system call",
	.proves = "Every entry of the 64-bit system call tables leads to the start of the "
		  "function that belongs to its number.",
	.techniques = TECHNIQUES("T1014", "T1574.013"),
	.fuel_max = 20000,
	.worth = 8,
	.run = syscall_table_run);
