/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HVSM_LINUX_MAPLE_H
#define HVSM_LINUX_MAPLE_H

#include "linux/kernel.h"

/*
 * The kernel's maple trees (lib/maple_tree.c, 6.1 on): ranges of numbers, each with an entry.
 */
struct maple_range {
	uint64_t first, last;	/* both included */
	uint64_t entry;		/* not 0; a pointer, as a rule */
};

/**
 * maple_find - the range that holds @index
 * @tree: address of the struct maple_tree
 *
 * Return: 0, -ENOENT (no entry there), -EBADMSG (no such tree), -ELOOP (deeper than it can
 *         be), -ENOTSUP (a kernel without such trees), or an error of view_read().
 */
nodiscard int maple_find(const struct kernel *kernel, struct view *view, gva tree,
			 uint64_t index, struct maple_range *ret, struct err *err);

/* A negative return ends the walk. */
typedef int maple_fn(const struct maple_range *range, void *ctx, struct err *err);

/**
 * maple_walk - every range that has an entry, in ascending order
 * @max: ranges, more are -ELOOP
 *
 * Return: 0 (all was seen), what @visit returned, -EBADMSG (the tree contradicts itself; in a
 *         running guest it may be an update in flight), -ELOOP, -ENOTSUP (a kernel without such
 *         trees), or an error of view_read().
 */
nodiscard int maple_walk(const struct kernel *kernel, struct view *view, gva tree, uint32_t max,
			 maple_fn *visit, void *ctx, struct err *err);

#endif
