/* SPDX-License-Identifier: Apache-2.0 */
#include "linux/xarray.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/cleanup.h"
#include "make/world.h"

#define MAX 1000u

static const struct made_struct types[] = {
	{ "xarray", 16, { { "xa_flags", 4, "u32", 0, 0, 0 }, { "xa_head", 8, "ptr", 0, 0, 0 } } },
	{ "xa_node", 576, {
		{ "shift", 0, "u8", 0, 0, 0 }, { "offset", 1, "u8", 0, 0, 0 },
		{ "parent", 8, "ptr", 0, 0, 0 }, { "slots", 40, "ptr", 64, 0, 0 } } },
};

struct tree {
	struct world *world;
	gva array;
	uint64_t indices[MAX];
	uint64_t entries[MAX];
	unsigned n;
	int stop_at;		/* entry at which the visitor gives up; 0: never */
};

static int start(void **state)
{
	struct tree *t = calloc(1, sizeof(*t));

	t->world = world_new();
	world_start(t->world, types, ARRAY_SIZE(types));
	t->array = world_alloc(t->world, 16);
	*state = t;
	return 0;
}

static int end(void **state)
{
	struct tree *t = *state;

	world_end(&t->world);
	free(t);
	return 0;
}

static gva make_node(struct tree *t, gva parent, unsigned slot, unsigned shift)
{
	gva node = world_alloc(t->world, 576);

	world_set(t->world, node, "xa_node.shift", shift);
	world_set(t->world, node, "xa_node.offset", slot);
	world_set(t->world, node, "xa_node.parent", parent.v);
	if (parent.v)
		world_put(t->world, gva_add(world_member(t->world, parent, "xa_node.slots"),
					    8 * slot), node.v + 2);
	else
		world_set(t->world, t->array, "xarray.xa_head", node.v + 2);
	return node;
}

static void set_slot(struct tree *t, gva node, unsigned slot, uint64_t entry)
{
	world_put(t->world, gva_add(world_member(t->world, node, "xa_node.slots"), 8 * slot),
		  entry);
}

static int note(uint64_t index, uint64_t entry, void *ctx, struct err *err)
{
	struct tree *t = ctx;

	assert_true(t->n < MAX);
	t->indices[t->n] = index;
	t->entries[t->n++] = entry;
	return t->stop_at && (int)t->n == t->stop_at ? err_set(err, -ECANCELED, "enough") : 0;
}

static int walk(struct tree *t, uint32_t max)
{
	struct err err = {0};
	int r;

	t->n = 0;
	r = xarray_walk(world_kernel(t->world), world_view(t->world), t->array, max, note, t, &err);
	assert_int_equal(err.code, r);
	assert_true(r == 0 || err.text[0]);
	return r;
}

static void an_empty_array_has_no_entries(void **state)
{
	struct tree *t = *state;

	assert_int_equal(walk(t, MAX), 0);
	assert_int_equal(t->n, 0);
}

static void a_single_entry_needs_no_node(void **state)
{
	struct tree *t = *state;

	world_set(t->world, t->array, "xarray.xa_head", 0xffff888012345678);
	assert_int_equal(walk(t, MAX), 0);
	assert_int_equal(t->n, 1);
	assert_int_equal(t->indices[0], 0);
	assert_int_equal(t->entries[0], 0xffff888012345678);
}

static void entries_come_by_ascending_index(void **state)
{
	struct tree *t = *state;
	gva root = make_node(t, gva_of(0), 0, 12), middle, leaf;

	middle = make_node(t, root, 0, 6);
	leaf = make_node(t, middle, 0, 0);
	set_slot(t, leaf, 1, 0xffff888000000100);
	set_slot(t, leaf, 63, 0xffff888000000200);
	middle = make_node(t, root, 63, 6);
	leaf = make_node(t, middle, 2, 0);
	set_slot(t, leaf, 3, 7);			/* a value: lowest bit set */
	assert_int_equal(walk(t, MAX), 0);
	assert_int_equal(t->n, 3);
	assert_int_equal(t->indices[0], 1);
	assert_int_equal(t->indices[1], 63);
	assert_int_equal(t->indices[2], (63 << 12) + (2 << 6) + 3);
	assert_int_equal(t->entries[2], 7);
}

static void reserved_retry_and_sibling_entries_are_none(void **state)
{
	struct tree *t = *state;
	gva root = make_node(t, gva_of(0), 0, 0);

	set_slot(t, root, 0, 257 << 2 | 2);	/* XA_ZERO_ENTRY */
	set_slot(t, root, 1, 256 << 2 | 2);	/* XA_RETRY_ENTRY */
	set_slot(t, root, 2, 0xffff888000000100);
	set_slot(t, root, 3, 2 << 2 | 2);	/* sibling of slot 2 */
	assert_int_equal(walk(t, MAX), 0);
	assert_int_equal(t->n, 1);
}

static void the_tree_may_span_all_indices(void **state)
{
	struct tree *t = *state;
	gva node = make_node(t, gva_of(0), 0, 60);

	for (unsigned shift = 54;; shift -= 6) {
		node = make_node(t, node, shift == 54 ? 15 : 63, shift);
		if (!shift)
			break;
	}
	set_slot(t, node, 63, 0xffff888000000100);
	assert_int_equal(walk(t, MAX), 0);
	assert_int_equal(t->indices[0], UINT64_MAX);
}

static void an_index_beyond_64_bits_is_refused(void **state)
{
	struct tree *t = *state;
	gva root = make_node(t, gva_of(0), 0, 60);

	make_node(t, root, 16, 54);
	assert_int_equal(walk(t, MAX), -EBADMSG);
}

static void forged_shifts_are_refused(void **state)
{
	static const uint8_t roots[] = { 1, 5, 7, 61, 64, 66, 120, 255 };
	struct tree *t = *state;
	gva root = make_node(t, gva_of(0), 0, 12), child;

	for (size_t i = 0; i < sizeof(roots); i++) {
		world_set(t->world, root, "xa_node.shift", roots[i]);
		set_slot(t, root, 0, 0xffff888000000100);
		assert_int_equal(walk(t, MAX), -EBADMSG);
		assert_int_equal(t->n, 0);
	}
	world_set(t->world, root, "xa_node.shift", 12);
	for (unsigned shift = 0; shift < 256; shift++) {
		child = make_node(t, root, 0, shift);
		set_slot(t, child, 0, 0xffff888000000100);
		assert_int_equal(walk(t, MAX), shift == 6 ? 0 : -EBADMSG);
	}
}

static void a_cycle_is_refused(void **state)
{
	struct tree *t = *state;
	gva root = make_node(t, gva_of(0), 0, 6);

	set_slot(t, root, 5, root.v + 2);
	assert_int_equal(walk(t, MAX), -EBADMSG);
	/* Even if it claims to be its own parent. */
	world_set(t->world, root, "xa_node.parent", root.v);
	world_set(t->world, root, "xa_node.offset", 5);
	assert_int_equal(walk(t, MAX), -EBADMSG);
}

static void one_node_in_two_slots_is_refused(void **state)
{
	struct tree *t = *state;
	gva root = make_node(t, gva_of(0), 0, 6), child = make_node(t, root, 1, 0);

	set_slot(t, root, 2, child.v + 2);
	assert_int_equal(walk(t, MAX), -EBADMSG);
}

static void a_node_of_another_tree_is_refused(void **state)
{
	struct tree *t = *state;
	gva root = make_node(t, gva_of(0), 0, 6), child = make_node(t, root, 1, 0);

	world_set(t->world, child, "xa_node.parent", world_alloc(t->world, 576).v);
	assert_int_equal(walk(t, MAX), -EBADMSG);
}

static void a_node_below_the_last_level_is_refused(void **state)
{
	struct tree *t = *state;
	gva root = make_node(t, gva_of(0), 0, 0);

	make_node(t, root, 0, 0);
	assert_int_equal(walk(t, MAX), -EBADMSG);
}

static void wild_nodes_are_refused(void **state)
{
	struct tree *t = *state;
	gva root = make_node(t, gva_of(0), 0, 6);

	set_slot(t, root, 0, 0x00007fff00000002);	/* user space */
	assert_int_equal(walk(t, MAX), -EBADMSG);
	set_slot(t, root, 0, root.v + 4 + 2);		/* not aligned */
	assert_int_equal(walk(t, MAX), -EBADMSG);
	set_slot(t, root, 0, world_nowhere().v + 2);
	assert_int_equal(walk(t, MAX), -EFAULT);
	set_slot(t, root, 0, 0xfffffffffffffffe);	/* the last bytes of all */
	assert_true(walk(t, MAX) < 0);
	set_slot(t, root, 0, 300 << 2 | 2);		/* internal, and none that there is */
	assert_int_equal(walk(t, MAX), -EBADMSG);
	world_set(t->world, t->array, "xarray.xa_head", 300 << 2 | 2);
	assert_int_equal(walk(t, MAX), -EBADMSG);
	world_set(t->world, t->array, "xarray.xa_head", world_nowhere().v + 2);
	assert_int_equal(walk(t, MAX), -EFAULT);
}

static void more_entries_than_allowed_end_by_the_limit(void **state)
{
	struct tree *t = *state;
	gva root = make_node(t, gva_of(0), 0, 0);

	for (unsigned i = 0; i < 64; i++)
		set_slot(t, root, i, 0xffff888000000100);
	assert_int_equal(walk(t, 64), 0);
	assert_int_equal(walk(t, 63), -ELOOP);
	assert_int_equal(t->n, 63);
}

/* 64 × 64 nodes with nothing in them: no entry is ever counted. */
static void empty_nodes_end_by_the_limit(void **state)
{
	struct tree *t = *state;
	gva root = make_node(t, gva_of(0), 0, 12);

	for (unsigned i = 0; i < 64; i++) {
		gva middle = make_node(t, root, i, 6);

		for (unsigned k = 0; k < 64; k++)
			make_node(t, middle, k, 0);
	}
	assert_int_equal(walk(t, 5000), 0);
	assert_int_equal(walk(t, MAX), -ELOOP);
	assert_int_equal(t->n, 0);
}

static void the_visitor_can_end_the_walk(void **state)
{
	struct tree *t = *state;
	gva root = make_node(t, gva_of(0), 0, 0);

	set_slot(t, root, 0, 0xffff888000000100);
	set_slot(t, root, 1, 0xffff888000000100);
	t->stop_at = 1;
	assert_int_equal(walk(t, MAX), -ECANCELED);
	assert_int_equal(t->n, 1);
}

/* The types are the guest's as well. */
static void forged_types_are_refused(void **state)
{
	static const struct made_member good[] = {
		{ "shift", 0, "u8", 0, 0, 0 }, { "offset", 1, "u8", 0, 0, 0 },
		{ "parent", 8, "ptr", 0, 0, 0 }, { "slots", 40, "ptr", 64, 0, 0 } };
	static const struct {
		uint32_t size, member, at, count;
	} forged[] = {
		{ 576, 3, 40, 63 },		/* no chunk of this size */
		{ 576, 3, 72, 64 },		/* slots beyond the node */
		{ 576, 3, 0x10000000, 64 },
		{ 576, 0, 0x10000000, 0 },
		{ 576, 1, 576, 0 },
		{ 576, 2, 569, 0 },
		{ 0x10000000, 3, 40, 64 },
		{ 0, 3, 40, 64 },
	};
	(void)state;

	for (size_t i = 0; i < ARRAY_SIZE(forged); i++) {
		struct made_struct made[2] = { types[0], { "xa_node", forged[i].size, {{0}} } };
		struct tree t = {0};

		memcpy(made[1].members, good, sizeof(good));
		made[1].members[forged[i].member].at = forged[i].at;
		made[1].members[forged[i].member].count = forged[i].count;
		t.world = world_new();
		world_start(t.world, made, 2);
		t.array = world_alloc(t.world, 16);
		world_set(t.world, t.array, "xarray.xa_head", world_alloc(t.world, 576).v + 2);
		assert_int_equal(walk(&t, MAX), -EBADMSG);
		world_end(&t.world);
	}
}

static int get(struct tree *t, uint64_t index, uint64_t *entry, uint64_t *first)
{
	*entry = *first = 0;
	return xarray_get(world_kernel(t->world), world_view(t->world), t->array, index, entry,
			  first, NULL);
}

static void one_entry_is_found_by_its_index(void **state)
{
	struct tree *t = *state;
	gva root = make_node(t, gva_of(0), 0, 6), leaf = make_node(t, root, 2, 0);
	uint64_t entry, first;

	set_slot(t, leaf, 5, 0xffff888000000100);
	set_slot(t, leaf, 6, (257u << 2) | 2);
	assert_int_equal(get(t, 2 * 64 + 5, &entry, &first), 0);
	assert_int_equal(entry, 0xffff888000000100);
	assert_int_equal(first, 2 * 64 + 5);
	assert_int_equal(get(t, 2 * 64 + 6, &entry, &first), -ENOENT);
	assert_int_equal(get(t, 2 * 64 + 4, &entry, &first), -ENOENT);
	assert_int_equal(get(t, 5, &entry, &first), -ENOENT);
	/* Beyond what the tree spans: not the entry that its lower bits name. */
	assert_int_equal(get(t, 4096 + 2 * 64 + 5, &entry, &first), -ENOENT);
	assert_int_equal(get(t, UINT64_MAX, &entry, &first), -ENOENT);
}

static void without_a_node_there_is_index_0_only(void **state)
{
	struct tree *t = *state;
	uint64_t entry, first;

	assert_int_equal(get(t, 0, &entry, &first), -ENOENT);
	world_set(t->world, t->array, "xarray.xa_head", 0xffff888012345678);
	assert_int_equal(get(t, 0, &entry, &first), 0);
	assert_int_equal(entry, 0xffff888012345678);
	assert_int_equal(get(t, 1, &entry, &first), -ENOENT);
}

/* A folio: in its node the other slots name the first, or it stands in a node further up. */
static void an_entry_of_several_indices_is_found_by_each(void **state)
{
	struct tree *t = *state;
	gva root = make_node(t, gva_of(0), 0, 6), leaf = make_node(t, root, 1, 0);
	uint64_t entry, first;

	set_slot(t, leaf, 8, 0xffff888000000100);
	for (unsigned i = 9; i < 16; i++)
		set_slot(t, leaf, i, (8u << 2) | 2);
	set_slot(t, root, 4, 0xffff888000000200);
	set_slot(t, root, 5, (4u << 2) | 2);
	assert_int_equal(get(t, 64 + 13, &entry, &first), 0);
	assert_int_equal(entry, 0xffff888000000100);
	assert_int_equal(first, 64 + 8);
	assert_int_equal(get(t, 5 * 64 + 63, &entry, &first), 0);
	assert_int_equal(entry, 0xffff888000000200);
	assert_int_equal(first, 4 * 64);
	set_slot(t, leaf, 9, (20u << 2) | 2);	/* none that comes later */
	assert_int_equal(get(t, 64 + 9, &entry, &first), -ENOENT);
	set_slot(t, leaf, 10, leaf.v + 2);
	assert_int_equal(get(t, 64 + 10, &entry, &first), -EBADMSG);
	world_set(t->world, leaf, "xa_node.parent", leaf.v);
	assert_int_equal(get(t, 64 + 13, &entry, &first), -EBADMSG);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, start, end)

int main(void)
{
	static const struct CMUnitTest tests[] = {
		TEST(an_empty_array_has_no_entries),
		TEST(a_single_entry_needs_no_node),
		TEST(entries_come_by_ascending_index),
		TEST(reserved_retry_and_sibling_entries_are_none),
		TEST(the_tree_may_span_all_indices),
		TEST(an_index_beyond_64_bits_is_refused),
		TEST(forged_shifts_are_refused),
		TEST(a_cycle_is_refused),
		TEST(one_node_in_two_slots_is_refused),
		TEST(a_node_of_another_tree_is_refused),
		TEST(a_node_below_the_last_level_is_refused),
		TEST(wild_nodes_are_refused),
		TEST(more_entries_than_allowed_end_by_the_limit),
		TEST(empty_nodes_end_by_the_limit),
		TEST(the_visitor_can_end_the_walk),
		TEST(forged_types_are_refused),
		TEST(one_entry_is_found_by_its_index),
		TEST(without_a_node_there_is_index_0_only),
		TEST(an_entry_of_several_indices_is_found_by_each),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
