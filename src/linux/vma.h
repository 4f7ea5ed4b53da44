/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HVSM_LINUX_VMA_H
#define HVSM_LINUX_VMA_H

#include <stdbool.h>
#include <stdint.h>

#include "linux/task.h"

/*
 * Areas of a process's memory: mm_struct → vm_area_struct, as /proc/PID/maps lists them. A list
 * and a red-black tree up to 6.0, a maple tree since (d4af56c5c7c6).
 */

enum {				/* vma.flags: include/linux/mm.h */
	VMA_READ	= 1 << 0,
	VMA_WRITE	= 1 << 1,
	VMA_EXEC	= 1 << 2,
	VMA_SHARED	= 1 << 3,
	VMA_GROWSDOWN	= 1 << 8,
};

struct vma {
	gva at;			/* vm_area_struct */
	uint64_t start, end;	/* [start, end) in the process's address space */
	uint64_t flags;		/* VMA_* and all other bits of vm_flags */
	uint64_t page;		/* where in the file it begins, in pages */
	gva file;		/* struct file; 0: anonymous */
	gva anon;		/* anon_vma: it has, or had, pages of the process's own */
	gva ops;		/* vm_operations_struct; 0: anonymous */
};

/* What a mm_struct says of its areas. */
struct vma_space {
	gva at;			/* mm_struct */
	uint64_t code_start, code_end;	/* of the program, as exec() loaded it */
	uint64_t heap_start, heap_end;	/* brk(2) */
	uint64_t stack_start;		/* of the first thread, its highest address */
	uint64_t env_start, env_end;	/* its environment */
	gva exe;		/* struct file of the program; 0: none */
};

/**
 * vma_space - a process's memory as a whole
 * @mm: mm_struct: task.mm, not 0
 * Return: 0, -ENOENT (types), or an error as view_read().
 */
nodiscard int vma_space(const struct kernel *kernel, struct view *view, gva mm,
			struct vma_space *ret, struct err *err);

/* A negative return ends the walk. */
typedef int vma_fn(const struct vma *vma, void *ctx, struct err *err);

/**
 * vma_walk - every area, in ascending order
 *
 * Each is one copy, which names this mm_struct, lies where its tree has it, and begins behind
 * the one before; there are as many as the mm_struct counts. In a running guest what changes
 * meanwhile fails with -EBADMSG.
 *
 * Return: 0 (all were seen), what @visit returned, -EBADMSG, -EFAULT, -ELOOP (limits), -ENOENT
 *         (types), -ESRCH.
 */
nodiscard int vma_walk(const struct kernel *kernel, struct view *view, gva mm, vma_fn *visit,
		       void *ctx, struct err *err);

/**
 * vma_find - the area that holds an address
 * In a running guest "none does" is what several looks at fresh pages agree on: the view may forget
 * its pages.
 *
 * Return: 0, -ENOENT (none does), or as vma_walk().
 */
nodiscard int vma_find(const struct kernel *kernel, struct view *view, gva mm, uint64_t address,
		       struct vma *ret, struct err *err);

/*
 * Is it one that the kernel put there with pages of its own: vDSO, vvar, the slots of uprobes
 * (mm/mmap.c: _install_special_mapping())?
 */
bool vma_is_special(const struct kernel *kernel, const struct vma *vma);

/* Does it hold the program's break, or lie within it? */
static inline bool vma_is_heap(const struct vma *vma, const struct vma_space *space)
{
	return !vma->file.v && vma->start < space->heap_end && vma->end > space->heap_start;
}

/* Is it the first thread's stack, or a part of it with rights of its own? */
static inline bool vma_is_stack(const struct vma *vma, const struct vma_space *space)
{
	return vma->flags & VMA_GROWSDOWN ||
	       (vma->start <= space->stack_start && space->stack_start < vma->end);
}

/* "[stack]", "[heap]", "anonymous", "file": for findings. */
const char *vma_kind(const struct vma *vma, const struct vma_space *space);

/* "7f00…-7f01… rwxp". @buf has room for VMA_TEXT_BYTES; it is returned. */
#define VMA_TEXT_BYTES 48u
const char *vma_print(const struct vma *vma, char *buf);

#endif
