/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/tree.h"

#include <stdlib.h>

#include "base/cleanup.h"

struct node {
	size_t child;	/* the first one, or TREE_ROOT: none */
	size_t sibling;	/* the next child of the same parent, or TREE_ROOT: none */
	size_t seen_from;	/* the climb that came by, counted from 1; 0: none did */
};

static size_t lowest_of_cycle(const size_t *parents, size_t on_it)
{
	size_t lowest = on_it;

	for (size_t at = parents[on_it]; at != on_it; at = parents[at])
		if (at < lowest)
			lowest = at;
	return lowest;
}

/* Climb from every node up to where somebody was before; whoever meets itself is in a cycle. */
static void cut_cycles(size_t *parents, size_t n, struct node *nodes)
{
	for (size_t i = 0; i < n; i++) {
		size_t at = i;

		while (at != TREE_ROOT && !nodes[at].seen_from) {
			nodes[at].seen_from = i + 1;
			at = parents[at];
		}
		if (at != TREE_ROOT && nodes[at].seen_from == i + 1)
			parents[lowest_of_cycle(parents, at)] = TREE_ROOT;
	}
}

/* Backwards, so that each list of children ascends. */
static void link_children(const size_t *parents, size_t n, struct node *nodes)
{
	for (size_t i = 0; i < n; i++)
		nodes[i].child = nodes[i].sibling = TREE_ROOT;
	for (size_t i = n; i-- > 0;)
		if (parents[i] != TREE_ROOT) {
			nodes[i].sibling = nodes[parents[i]].child;
			nodes[parents[i]].child = i;
		}
}

/* @root and all below it, from @places on. Returns how many that were. */
static size_t place(const size_t *parents, const struct node *nodes, size_t root,
		    struct tree_place *places)
{
	size_t at = root, depth = 0, placed = 0;

	for (;;) {
		places[placed++] = (struct tree_place){ at, depth };
		if (nodes[at].child != TREE_ROOT) {
			at = nodes[at].child;
			depth++;
			continue;
		}
		while (at != root && nodes[at].sibling == TREE_ROOT) {
			at = parents[at];
			depth--;
		}
		if (at == root)
			return placed;
		at = nodes[at].sibling;
	}
}

int tree_order(size_t *parents, size_t n, struct tree_place *places)
{
	cleanup(freep) struct node *nodes = calloc(n ? n : 1, sizeof(*nodes));
	size_t placed = 0;

	if (!nodes)
		return -ENOMEM;
	cut_cycles(parents, n, nodes);
	link_children(parents, n, nodes);
	for (size_t i = 0; i < n; i++)
		if (parents[i] == TREE_ROOT)
			placed += place(parents, nodes, i, places + placed);
	return 0;
}
