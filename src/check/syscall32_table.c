/* SPDX-License-Identifier: Apache-2.0 */
#include "check/syscall_entries.h"

/* The table of system calls of 32-bit programs, where the kernel has one. */
static int syscall32_table_run(struct check_run *run, struct err *err)
{
	static const struct syscall_entries tables[] = {
		{ "ia32_sys_call_table", SYSCALL_IA32 },
	};

	return syscall_entries_check(run, tables, ARRAY_SIZE(tables), err);
}

CHECK(syscall32_table,
	.id = "syscall32-table",
	.group = GROUP_POINTERS,
	.title = "32-bit system call table entry does not lead to its system call",
	.proves = "Every entry of the 32-bit system call table leads to the start of the "
		  "function that belongs to its number.",
	.techniques = TECHNIQUES("T1014", "T1574.013"),
	.fuel_max = 20000,
	.run = syscall32_table_run);
