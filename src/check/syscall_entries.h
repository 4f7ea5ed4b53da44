/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HVSM_CHECK_SYSCALL_ENTRIES_H
#define HVSM_CHECK_SYSCALL_ENTRIES_H

#include "base/cleanup.h"
#include "check/check.h"
#include "linux/owner.h"
#include "linux/syscall.h"

/* What the checks of system calls share. */
struct syscall_entries {
	const char *symbol;
	enum syscall_abi abi;
};

/**
 * syscall_entries_check - judge every entry of tables of system calls
 * A kernel without one of the tables has nothing to judge there.
 *
 * Return: 0, or an error as view_read().
 */
nodiscard int syscall_entries_check(struct check_run *run, const struct syscall_entries *tables,
				    size_t n, struct err *err);

/**
 * syscall_entry_finding - report a number that leads to the wrong place
 * @place:   what leads there: "sys_call_table", "x64_sys_call"
 * @at:      where that is written: the entry, or the instruction
 * @handler: where it leads
 *
 * Return: the finding, as check_finding() gives it.
 */
struct finding *syscall_entry_finding(struct check_run *run, struct owners *owners,
				      const char *place, enum syscall_abi abi, uint32_t number,
				      gva at, gva handler, enum syscall_fit fit,
				      const char *expected);

#endif
