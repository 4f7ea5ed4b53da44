/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HVSM_LINUX_RBTREE_H
#define HVSM_LINUX_RBTREE_H

#include "guest/list.h"
#include "linux/kernel.h"

/* The kernel's red-black trees (include/linux/rbtree_types.h): the links, not the balance. */

/**
 * rbtree_walk - visit every node once, a parent before its children
 * @root: address of the struct rb_root, which holds the pointer to the topmost node
 * @max:  nodes, more are -ELOOP
 *
 * Every node must lead back to the parent through which it was reached, so no cycle and no
 * second way to a node passes.
 *
 * Return: as list_walk().
 */
nodiscard int rbtree_walk(const struct kernel *kernel, struct view *view, gva root, uint32_t max,
			  link_fn *visit, void *ctx, struct err *err);

/**
 * rbtree_find - search a tree by a key
 * @compare: which way to go from a node: < 0 to the left, > 0 to the right, 0 found;
 *           its error goes into *@r and ends the search
 *
 * Return: 0, -ENOENT (not in the tree), -ELOOP (deeper than a balanced tree can be), or an
 *         error of view_read().
 */
typedef int rbtree_compare_fn(gva node, void *ctx, int *r, struct err *err);
nodiscard int rbtree_find(const struct kernel *kernel, struct view *view, gva root,
			  rbtree_compare_fn *compare, void *ctx, gva *ret, struct err *err);

#endif
