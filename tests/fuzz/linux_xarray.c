/* SPDX-License-Identifier: Apache-2.0 */
#include "linux/xarray.h"

#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "make/world.h"

#define BYTES	 8192u	/* of guest memory that the input fills; the array is at its start */
#define ENTRIES	 512u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct made_struct types[] = {
	{ "xarray", 16, { { "xa_flags", 4, "u32", 0, 0, 0 }, { "xa_head", 8, "ptr", 0, 0, 0 } } },
	{ "xa_node", 576, {
		{ "shift", 0, "u8", 0, 0, 0 }, { "offset", 1, "u8", 0, 0, 0 },
		{ "parent", 8, "ptr", 0, 0, 0 }, { "slots", 40, "ptr", 64, 0, 0 } } },
};

static int count(uint64_t index, uint64_t entry, void *ctx, struct err *err)
{
	uint64_t *last = ctx;

	(void)err;
	if (!entry || (last[0] && index <= last[1]) || last[0]++ == ENTRIES)
		abort();
	last[1] = index;
	return 0;
}

/*
 * Whatever the tree is, no index comes twice, and no more entries than asked for; the last one is
 * found by its index.
 */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct world *world;
	static gva array;
	uint64_t last[2] = {0}, entry, first = 0;
	int r;

	if (!world) {
		world = world_new();
		world_start(world, types, ARRAY_SIZE(types));
		array = world_alloc(world, BYTES);
	}
	memset(world_at(world, array, BYTES), 0, BYTES);
	memcpy(world_at(world, array, BYTES), data, size < BYTES ? size : BYTES);
	r = xarray_walk(world_kernel(world), world_view(world), array, ENTRIES, count, last, NULL);
	if (r > 0)
		abort();
	if (r < 0 || !last[0])
		return 0;
	if (xarray_get(world_kernel(world), world_view(world), array, last[1], &entry, &first,
		       NULL) < 0 || first != last[1])
		abort();
	return 0;
}
