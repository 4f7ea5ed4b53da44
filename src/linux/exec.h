/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HVSM_LINUX_EXEC_H
#define HVSM_LINUX_EXEC_H

#include "base/vec.h"
#include "linux/kernel.h"
#include "linux/owner.h"

/*
 * All memory that the kernel can execute: the kernel half of its page tables, and who owns
 * each run of it.
 */
struct exec_range {
	gva start;
	uint64_t size_bytes;
	unsigned rights;	/* MAP_*: MAP_EXEC always; MAP_WRITE is alarming */
	struct owner owner;	/* of the whole range; symbol of its first byte */
};

struct exec_ranges {
	VEC(struct exec_range) list;	/* ascending, disjoint; split where the owner changes */
	uint64_t bytes;
};

/**
 * exec_read - every executable page of the kernel's half, page tables first
 * @owners: of the same view
 * @ret:    zeroed; give it to exec_free() whatever came back
 *
 * Return: 0, or the first error, with what was seen until then.
 */
nodiscard int exec_read(const struct kernel *kernel, struct view *view, struct owners *owners,
			struct exec_ranges *ret, struct err *err);

void exec_free(struct exec_ranges *ranges);

#endif
