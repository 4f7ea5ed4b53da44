/* SPDX-License-Identifier: Apache-2.0 */
#include "keeper/patience.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
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

static void the_next_run_knows_of_it(void **state)
{
	struct patience patience = { 0 }, next = { 0 };
	struct blob blob = { malloc(3), 3 };
	uint64_t since;

	(void)state;
	memcpy(blob.data, "abc", 3);
	assert_int_equal(patience_save(&patience, &blob), 0);
	assert_int_equal(blob.size, 3);
	for (uint64_t i = 0; i < PATIENCE_SAVED_MAX + 10; i++)
		assert_int_equal(patience_since(&patience, &i, sizeof(i), 100 + i, &since), 0);
	assert_int_equal(patience_save(&patience, &blob), 0);
	assert_memory_equal(blob.data, "abc", 3);
	assert_int_equal(patience_load(&next, blob.data + 3, blob.size - 3), 0);
	for (uint64_t i = 0; i < PATIENCE_SAVED_MAX + 10; i++) {
		assert_int_equal(patience_since(&next, &i, sizeof(i), 9999, &since), 0);
		assert_int_equal(since, i < 10 ? 9999 : 100 + i);	/* the newest */
	}
	assert_int_equal(patience_load(&next, blob.data, blob.size), -EBADMSG);
	blob_free(&blob);
	patience_free(&patience);
	patience_free(&next);
}

static void there_is_a_limit(void **state)
{
	struct patience patience = { 0 };
	uint64_t since;

	(void)state;
	for (uint64_t i = 0; i <= 2 * PATIENCE_MAX; i++)
		assert_int_equal(patience_since(&patience, &i, sizeof(i), i, &since), 0);
	assert_in_range(patience.all.n, 1, PATIENCE_MAX);
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

static void rarer_rounds_are_waited_for(void **state)
{
	const uint64_t s = 1000000000;

	(void)state;
	assert_int_equal(patience_rounds_ns(0), 60 * s);
	assert_int_equal(patience_rounds_ns(15 * s), 60 * s);
	assert_int_equal(patience_rounds_ns(120 * s), 480 * s);
	/* Not for what no agent does. */
	assert_int_equal(patience_rounds_ns(3600 * s), 2400 * s);
	assert_int_equal(patience_rounds_ns(UINT64_MAX), 2400 * s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(rarer_rounds_are_waited_for),
		cmocka_unit_test(the_first_time_counts),
		cmocka_unit_test(the_next_run_knows_of_it),
		cmocka_unit_test(there_is_a_limit),
		cmocka_unit_test(no_memory_is_an_error),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
