/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HVSM_LINUX_ROOTS_H
#define HVSM_LINUX_ROOTS_H

#include "base/map.h"
#include "base/vec.h"
#include "linux/task.h"

/*
 * Every page table that a CPU may run on, but the kernel's own: those of the processes, those
 * in the kernel's list of all (pgd_list, which new mappings are spread over), what each CPU
 * has loaded, and those that are kept for special work.
 */
enum root_kind {
	ROOT_PROCESS,		/* of an mm_struct */
	ROOT_EFI,		/* while the firmware is called (efi_mm) */
	ROOT_TRAMPOLINE,	/* on which CPUs start (real_mode_header) */
};

struct root {
	enum root_kind kind;
	struct space space;
	gva mm;			/* its mm_struct; 0: none */
	int32_t pid;		/* of the first process that has it; 0: none has */
	char comm[TASK_COMM_BYTES];
	uint32_t processes;
};

struct roots {
	VEC(struct root) list;
	struct map index;	/* physical address of the root → place in @list, + 1 */
};

/**
 * roots_read - find them all
 * @ret: zeroed; for roots_free(), whatever came back
 *
 * Where one place cannot be read, those of the others are there all the same.
 *
 * Return: 0, -EFAULT, -EBADMSG (something could not be read, in a running guest perhaps since
 *         it changed), -ENOENT (types), -ELOOP, -ENOMEM, -ESRCH.
 */
nodiscard int roots_read(const struct kernel *kernel, struct view *view, struct roots *ret,
			 struct err *err);

void roots_free(struct roots *roots);

/* The one at this physical address, or NULL. */
const struct root *roots_find(const struct roots *roots, gpa at);

/* "123 bash", "EFI", "the start of CPUs", "physical 0x…"; @buf: receives it, terminated. */
const char *root_name(const struct root *root, char *buf, size_t size);

#endif
