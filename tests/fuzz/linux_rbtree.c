/* SPDX-License-Identifier: Apache-2.0 */
#include "linux/rbtree.h"

#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/map.h"
#include "make/world.h"

#define BYTES 8192u	/* of guest memory that the input fills; the root is at its start */
#define NODES 256u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct made_struct types[] = {
	{ "rb_node", 24, { { "__rb_parent_color", 0, "u64", 0, 0, 0 },
		{ "rb_right", 8, "ptr", 0, 0, 0 }, { "rb_left", 16, "ptr", 0, 0, 0 } } },
};

static int visit(gva node, void *ctx, struct err *err)
{
	struct map *seen = ctx;

	(void)err;
	if (map_put(seen, node.v, 0) != 0 || seen->n > NODES)
		abort();
	return 0;
}

/* Inputs hold offsets: where a pointer is, the address of the memory is added to it. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct world *world;
	static gva root;
	struct map seen = { 0 };
	uint64_t *words;

	if (!world) {
		world = world_new();
		world_start(world, types, ARRAY_SIZE(types));
		root = world_alloc(world, BYTES);
	}
	words = world_at(world, root, BYTES);
	memset(words, 0, BYTES);
	memcpy(words, data, size < BYTES ? size : BYTES);
	for (size_t i = 0; i < BYTES / sizeof(*words); i++)
		if (words[i] && words[i] < BYTES)
			words[i] += root.v;
	if (rbtree_walk(world_kernel(world), world_view(world), root, NODES, visit, &seen, NULL) > 0)
		abort();
	map_free(&seen);
	return 0;
}
