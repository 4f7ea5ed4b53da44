/* SPDX-License-Identifier: Apache-2.0 */
#include "keeper/patience.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "base/limits.h"
#include "make/torture.h"

static void the_first_time_counts(void **state)
{
	struct patience patience = { 0 };
	uint64_t since;

	(void)state;
	assert_int_equal(patience_since(&patience, "one", 3, 100, &since), 0);
	assert_int_equal(since, 100);
	assert_int_equal(patience_since(&patience, "two", 3, 200, &since), 0);
	assert_int_equal(since, 200);
	assert_int_equal(patience_since(&patience, "one", 3, 300, &since), 0);
	assert_int_equal(since, 100);
	patience_free(&patience);
	assert_int_equal(patience_since(&patience, "one", 3, 400, &since), 0);
	assert_int_equal(since, 400);
	patience_free(&patience);
}

static void there_is_a_limit(void **state)
{
	struct patience patience = { 0 };
	uint64_t since;

	(void)state;
	for (uint64_t i = 0; i <= 2 * PATIENCE_MAX; i++)
		assert_int_equal(patience_since(&patience, &i, sizeof(i), i, &since), 0);
	assert_in_range(patience.since_ns.n, 1, PATIENCE_MAX);
	assert_int_equal(since, 2 * PATIENCE_MAX);
	patience_free(&patience);
}

static void no_memory_is_an_error(void **state)
{
	struct patience patience = { 0 };
	uint64_t since, n;
	int r = -1;

	(void)state;
	for (n = 1; r < 0 && n < 10; n++) {
		torture_allocation(n);
		r = patience_since(&patience, "one", 3, 100, &since);
	}
	torture_allocation(0);
	assert_int_equal(r, 0);
	assert_in_range(n, 3, 9);
	assert_int_equal(since, 100);
	patience_free(&patience);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_first_time_counts),
		cmocka_unit_test(there_is_a_limit),
		cmocka_unit_test(no_memory_is_an_error),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
