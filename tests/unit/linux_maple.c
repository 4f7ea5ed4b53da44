/* SPDX-License-Identifier: Apache-2.0 */
#include "linux/maple.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "base/cleanup.h"
#include "make/world.h"

#define LEAF   1ull
#define RANGE  2ull
#define ARANGE 3ull
#define SLOTS  16u
#define ASLOTS 10u

static const struct made_struct types[] = {
	{ "maple_tree", 16, { { "ma_flags", 4, "u32", 0, 0, 0 }, { "ma_root", 8, "ptr", 0, 0, 0 } } },
	{ "maple_range_64", 256, { { "parent", 0, "ptr", 0, 0, 0 },
		{ "pivot", 8, "u64", SLOTS - 1, 0, 0 }, { "slot", 128, "ptr", SLOTS, 0, 0 } } },
	{ "maple_arange_64", 256, { { "parent", 0, "ptr", 0, 0, 0 },
		{ "pivot", 8, "u64", ASLOTS - 1, 0, 0 }, { "slot", 80, "ptr", ASLOTS, 0, 0 } } },
};

struct guest {
	struct world *world;
	gva tree;
};

static int start(void **state)
{
	static struct guest g;

	g.world = world_new();
	world_start(g.world, types, ARRAY_SIZE(types));
	g.tree = world_alloc(g.world, 16);
	*state = &g;
	return 0;
}

static int end(void **state)
{
	struct guest *g = *state;

	world_end(&g->world);
	return 0;
}

/* Nodes are aligned to 256 bytes: their low bits say what they are. */
static gva new_node(struct guest *g)
{
	gva at = world_alloc(g->world, 512);

	return gva_of((at.v + 255) & ~255ull);
}

static void set_slot(struct guest *g, gva node, uint64_t type, unsigned i, uint64_t pivot,
		     uint64_t entry)
{
	unsigned slots = type == ARANGE ? 80 : 128;

	if (i < (type == ARANGE ? ASLOTS : SLOTS) - 1)
		world_put(g->world, gva_add(node, 8 + 8 * i), pivot);
	world_put(g->world, gva_add(node, slots + 8 * i), entry);
}

static void set_root(struct guest *g, gva node, uint64_t type)
{
	world_set(g->world, g->tree, "maple_tree.ma_root", node.v | type << 3 | 2);
}

static uint64_t child(gva node, uint64_t type)
{
	return node.v | type << 3 | 4;
}

static int find(struct guest *g, uint64_t index, struct maple_range *ret)
{
	return maple_find(world_kernel(g->world), world_view(g->world), g->tree, index, ret, NULL);
}

static void expect(struct guest *g, uint64_t index, uint64_t first, uint64_t last, uint64_t entry)
{
	struct maple_range range;

	assert_int_equal(find(g, index, &range), 0);
	assert_int_equal(range.first, first);
	assert_int_equal(range.last, last);
	assert_int_equal(range.entry, entry);
}

static void one_node_of_ranges(void **state)
{
	struct guest *g = *state;
	struct maple_range range;
	gva leaf = new_node(g);

	assert_int_equal(find(g, 5, &range), -ENOENT);
	set_root(g, leaf, LEAF);
	set_slot(g, leaf, LEAF, 0, 0xfff, 0);
	set_slot(g, leaf, LEAF, 1, 0x1fff, 0x1000);
	set_slot(g, leaf, LEAF, 2, 0x2fff, 0);
	set_slot(g, leaf, LEAF, 3, 0x4fff, 0x3000);
	set_slot(g, leaf, LEAF, 4, UINT64_MAX, 0);
	expect(g, 0x1000, 0x1000, 0x1fff, 0x1000);
	expect(g, 0x1fff, 0x1000, 0x1fff, 0x1000);
	expect(g, 0x4000, 0x3000, 0x4fff, 0x3000);
	assert_int_equal(find(g, 0, &range), -ENOENT);
	assert_int_equal(find(g, 0x2000, &range), -ENOENT);
	assert_int_equal(find(g, UINT64_MAX, &range), -ENOENT);
}

static void two_levels(void **state)
{
	struct guest *g = *state;
	gva top = new_node(g), low = new_node(g), high = new_node(g);

	set_root(g, top, ARANGE);
	set_slot(g, top, ARANGE, 0, 0xffff, child(low, LEAF));
	set_slot(g, top, ARANGE, 1, UINT64_MAX, child(high, LEAF));
	set_slot(g, low, LEAF, 0, 0x7fff, 0x11);
	set_slot(g, low, LEAF, 1, 0xffff, 0x22);
	set_slot(g, high, LEAF, 0, 0x1ffff, 0x33);
	set_slot(g, high, LEAF, 1, 0, 0x44);		/* up to the end */
	expect(g, 0x1234, 0, 0x7fff, 0x11);
	expect(g, 0x8000, 0x8000, 0xffff, 0x22);
	expect(g, 0x10000, 0x10000, 0x1ffff, 0x33);
	expect(g, UINT64_MAX, 0x20000, UINT64_MAX, 0x44);
}

static void a_node_that_leads_to_itself(void **state)
{
	struct guest *g = *state;
	struct maple_range range;
	gva top = new_node(g);

	set_root(g, top, RANGE);
	set_slot(g, top, RANGE, 0, 0, child(top, RANGE));
	assert_int_equal(find(g, 5, &range), -ENOENT);	/* slot 1 has none */
	set_slot(g, top, RANGE, 0, UINT64_MAX, child(top, RANGE));
	assert_int_equal(find(g, 5, &range), -ELOOP);
}

static void nodes_that_are_none(void **state)
{
	struct guest *g = *state;
	struct maple_range range;

	for (uint64_t type = 0; type < 16; type++) {
		set_root(g, world_nowhere(), type);
		assert_int_equal(find(g, 5, &range),
				 type >= LEAF && type <= ARANGE ? -EFAULT : -EBADMSG);
	}
	set_root(g, gva_of(0x10000), LEAF);
	assert_int_equal(find(g, 5, &range), -EBADMSG);
}

static void pivots_out_of_order(void **state)
{
	struct guest *g = *state;
	struct maple_range range;
	gva leaf = new_node(g);

	set_root(g, leaf, LEAF);
	set_slot(g, leaf, LEAF, 0, 0x2000, 0x11);
	set_slot(g, leaf, LEAF, 1, 0x1000, 0x22);
	assert_int_equal(find(g, 0x3000, &range), -EBADMSG);
}

/* --- walks --- */

struct seen {
	struct maple_range v[8];
	unsigned n;
};

static int note(const struct maple_range *range, void *ctx, struct err *err)
{
	struct seen *seen = ctx;

	(void)err;
	assert_true(seen->n < ARRAY_SIZE(seen->v));
	seen->v[seen->n++] = *range;
	return range->entry == 0x99 ? -ECANCELED : 0;
}

static int walk(struct guest *g, uint32_t max, struct seen *seen)
{
	seen->n = 0;
	return maple_walk(world_kernel(g->world), world_view(g->world), g->tree, max, note, seen,
			  NULL);
}

static void walk_over_two_levels(void **state)
{
	struct guest *g = *state;
	gva top = new_node(g), low = new_node(g), high = new_node(g);
	struct seen seen;

	assert_int_equal(walk(g, 8, &seen), 0);		/* empty */
	assert_int_equal(seen.n, 0);
	set_root(g, top, ARANGE);
	set_slot(g, top, ARANGE, 0, 0xffff, child(low, LEAF));
	set_slot(g, top, ARANGE, 1, UINT64_MAX, child(high, LEAF));
	set_slot(g, low, LEAF, 0, 0x7fff, 0x11);
	set_slot(g, low, LEAF, 1, 0x8fff, 0);
	set_slot(g, low, LEAF, 2, 0xffff, 0x22);
	set_slot(g, high, LEAF, 0, 0x1ffff, 0x33);
	set_slot(g, high, LEAF, 1, 0, 0x44);
	assert_int_equal(walk(g, 8, &seen), 0);
	assert_int_equal(seen.n, 4);
	assert_int_equal(seen.v[0].first, 0);
	assert_int_equal(seen.v[1].first, 0x9000);
	assert_int_equal(seen.v[1].last, 0xffff);
	assert_int_equal(seen.v[2].first, 0x10000);
	assert_int_equal(seen.v[3].first, 0x20000);
	assert_int_equal(seen.v[3].last, UINT64_MAX);
	assert_int_equal(seen.v[3].entry, 0x44);
	assert_int_equal(walk(g, 4, &seen), 0);
	assert_int_equal(walk(g, 3, &seen), -ELOOP);
	set_slot(g, low, LEAF, 2, 0xffff, 0x99);
	assert_int_equal(walk(g, 8, &seen), -ECANCELED);
	assert_int_equal(seen.n, 2);
}

static void walk_over_a_full_leaf(void **state)
{
	struct guest *g = *state;
	gva leaf = new_node(g);
	struct seen seen;

	set_root(g, leaf, LEAF);
	for (unsigned i = 0; i < SLOTS; i++)
		set_slot(g, leaf, LEAF, i, 0x1000 * (i + 1) - 1, i % 4 == 3 ? 0x1000 + i : 0);
	assert_int_equal(walk(g, 8, &seen), 0);
	assert_int_equal(seen.n, 4);
	assert_int_equal(seen.v[3].first, 0xf000);
	assert_int_equal(seen.v[3].last, UINT64_MAX);
	assert_int_equal(seen.v[3].entry, 0x100f);
}

static void walk_over_what_is_no_tree(void **state)
{
	struct guest *g = *state;
	gva top = new_node(g);
	struct seen seen;

	set_root(g, top, RANGE);
	set_slot(g, top, RANGE, 0, UINT64_MAX, child(top, RANGE));
	assert_int_equal(walk(g, 8, &seen), -ELOOP);
	set_slot(g, top, RANGE, 0, UINT64_MAX, 0x10000);
	assert_int_equal(walk(g, 8, &seen), -EBADMSG);
	set_slot(g, top, RANGE, 0, UINT64_MAX, child(world_nowhere(), LEAF));
	assert_int_equal(walk(g, 8, &seen), -EFAULT);
	set_root(g, top, LEAF);
	set_slot(g, top, LEAF, 0, 0x2000, 0x11);
	set_slot(g, top, LEAF, 1, 0x1000, 0x22);
	assert_int_equal(walk(g, 8, &seen), -EBADMSG);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, start, end)
		TEST(one_node_of_ranges),
		TEST(two_levels),
		TEST(a_node_that_leads_to_itself),
		TEST(nodes_that_are_none),
		TEST(pivots_out_of_order),
		TEST(walk_over_two_levels),
		TEST(walk_over_a_full_leaf),
		TEST(walk_over_what_is_no_tree),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
