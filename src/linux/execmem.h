/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HVSM_LINUX_EXECMEM_H
#define HVSM_LINUX_EXECMEM_H

#include "linux/kernel.h"

/* Memory for code, as the kernel's allocators gave it out. */
struct execmem_block {
	gva start;
	uint64_t size_bytes;
};

/**
 * execmem_at - the block that was given out around an address
 * An area of its own, or, from 6.16 on, a part of a large one that is kept for code
 * (mm/execmem.c, execmem_cache).
 *
 * Return: 0, -ENOENT (nothing was given out there), -ENOTSUP (no account of it that hvsm
 *         knows), or an error as vmap_at() and maple_find().
 */
nodiscard int execmem_at(const struct kernel *kernel, struct view *view, gva at,
			 struct execmem_block *ret, struct err *err);

#endif
