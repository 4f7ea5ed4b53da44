/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HVSM_LINUX_SYSCALL_H
#define HVSM_LINUX_SYSCALL_H

#include "linux/kernel.h"

/*
 * System calls: which function must stand behind which number. The numbers are ABI
 * (arch/x86/entry/syscalls/syscall_{64,32}.tbl), the functions' names follow from them
 * (arch/x86/include/asm/syscall_wrapper.h, from ebeb8c82ffaf (4.17) on).
 */
enum syscall_abi {
	SYSCALL_64,
	SYSCALL_IA32,	/* int 0x80, and sysenter and syscall of 32-bit programs */
	SYSCALL_X32,
};

/* The name of a system call: "kill"; of several alternatives the first. NULL: not known. */
const char *syscall_name(enum syscall_abi abi, uint32_t number, char *buf, size_t size);

enum syscall_fit {
	SYSCALL_RIGHT,	/* the number's own function; for numbers unknown here: any function */
	SYSCALL_OTHER,	/* a system call's function, but the number's own is another */
	SYSCALL_FOREIGN,	/* no system call's function */
};

/**
 * syscall_judge - does @handler belong to system call @number?
 * @expected: receives the symbol that should be there ("__x64_sys_kill"), or what kind of
 *            symbol; cut to @size
 */
enum syscall_fit syscall_judge(const struct kernel *kernel, enum syscall_abi abi,
			       uint32_t number, gva handler, char *expected, size_t size);

/* Is @handler the function of "not implemented"? */
bool syscall_is_ni(const struct kernel *kernel, gva handler);

#endif
