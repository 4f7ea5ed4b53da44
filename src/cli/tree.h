/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HVSM_CLI_TREE_H
#define HVSM_CLI_TREE_H

#include <stddef.h>

#include "base/err.h"

/* A node's parent is no other node. */
#define TREE_ROOT ((size_t)-1)

struct tree_place {
	size_t node;
	size_t depth;	/* 0: root */
};

/**
 * tree_order - nodes in the order in which a tree is printed
 * @parents: of each node, its index or TREE_ROOT. A guest may have made a cycle: it is cut
 *           here, its node of the lowest index becomes a root, and so nothing is lost.
 * @places:  receives all @n nodes, each once: parents before children, siblings by index
 *
 * Return: 0, -ENOMEM.
 */
nodiscard int tree_order(size_t *parents, size_t n, struct tree_place *places);

#endif
