/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/tree.h"

#include <stdarg.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

#include "base/cleanup.h"

static void assert_order(size_t *parents, size_t n, const struct tree_place *expected)
{
	struct tree_place places[16];

	assert_int_equal(tree_order(parents, n, places), 0);
	for (size_t i = 0; i < n; i++) {
		assert_int_equal(places[i].node, expected[i].node);
		assert_int_equal(places[i].depth, expected[i].depth);
	}
}

static void children_follow_their_parents(void **state)
{
	size_t parents[] = { TREE_ROOT, TREE_ROOT, 0, 2, 1, 0 };
	const struct tree_place expected[] = {
		{ 0, 0 }, { 2, 1 }, { 3, 2 }, { 5, 1 }, { 1, 0 }, { 4, 1 },
	};

	(void)state;
	assert_order(parents, 6, expected);
}

static void child_may_come_before_its_parent(void **state)
{
	size_t parents[] = { 2, 0, TREE_ROOT };
	const struct tree_place expected[] = { { 2, 0 }, { 0, 1 }, { 1, 2 } };

	(void)state;
	assert_order(parents, 3, expected);
}

static void nothing_is_lost_in_a_cycle(void **state)
{
	size_t parents[] = { 2, 2, 0, 3, 1 };
	const struct tree_place expected[] = {
		{ 0, 0 }, { 2, 1 }, { 1, 2 }, { 4, 3 }, { 3, 0 },
	};

	(void)state;
	assert_order(parents, 5, expected);
}

static void deep_trees_need_no_stack(void **state)
{
	enum { N = 1 << 20 };
	cleanup(freep) size_t *parents = calloc(N, sizeof(*parents));
	cleanup(freep) struct tree_place *places = calloc(N, sizeof(*places));

	(void)state;
	assert_true(parents && places);
	for (size_t i = 0; i < N; i++)
		parents[i] = i ? i - 1 : N - 1;	/* one cycle of them all */
	assert_int_equal(tree_order(parents, N, places), 0);
	assert_int_equal(places[N - 1].node, N - 1);
	assert_int_equal(places[N - 1].depth, N - 1);
}

static void empty_tree(void **state)
{
	(void)state;
	assert_int_equal(tree_order(NULL, 0, NULL), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(children_follow_their_parents),
		cmocka_unit_test(child_may_come_before_its_parent),
		cmocka_unit_test(nothing_is_lost_in_a_cycle),
		cmocka_unit_test(deep_trees_need_no_stack),
		cmocka_unit_test(empty_tree),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
