/* SPDX-License-Identifier: Apache-2.0 */
#include "monitor/backoff.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#define NS_PER_MS 1000000ull
#define SERVICE	  (BACKOFF_SERVICE_MS * NS_PER_MS)

static uint64_t next_ms(struct backoff *backoff, uint64_t served_ns)
{
	return backoff_next(backoff, served_ns, 200, 3200) / NS_PER_MS;
}

static void an_accident_is_over_at_once(void **state)
{
	struct backoff backoff = { 0 };

	(void)state;
	assert_int_equal(next_ms(&backoff, 0), 0);
	/* Long after it there may be another one. */
	assert_int_equal(next_ms(&backoff, 3600 * SERVICE), 0);
	assert_int_equal(next_ms(&backoff, SERVICE), 0);
}

static void who_ends_all_the_time_waits_longer_each_time(void **state)
{
	static const uint64_t ms[] = { 0, 200, 400, 800, 1600, 3200, 3200, 3200 };
	struct backoff backoff = { 0 };

	(void)state;
	for (size_t i = 0; i < sizeof(ms) / sizeof(*ms); i++)
		assert_int_equal(next_ms(&backoff, SERVICE - 1), ms[i]);
}

static void service_makes_up_for_ends_one_by_one(void **state)
{
	struct backoff backoff = { 0 };

	(void)state;
	for (int i = 0; i < 5; i++)
		assert_true(next_ms(&backoff, 0) <= 1600);
	/* One made up for, and one more: as before. */
	assert_int_equal(next_ms(&backoff, SERVICE), 1600);
	assert_int_equal(next_ms(&backoff, 2 * SERVICE), 800);
	assert_int_equal(next_ms(&backoff, 3 * SERVICE), 200);
	assert_int_equal(next_ms(&backoff, 100 * SERVICE), 0);
	assert_int_equal(next_ms(&backoff, 0), 200);
}

static void so_many_ends_are_counted_that_no_number_overflows(void **state)
{
	struct backoff backoff = { .ends = UINT32_MAX };

	(void)state;
	assert_int_equal(next_ms(&backoff, 0), 3200);
	assert_int_equal(backoff.ends, UINT32_MAX);
	assert_int_equal(next_ms(&backoff, UINT64_MAX), 3200);
	backoff.ends = 3;
	assert_int_equal(next_ms(&backoff, UINT64_MAX), 0);
	backoff.ends = 40;
	assert_int_equal(backoff_next(&backoff, 0, UINT32_MAX, UINT32_MAX) / NS_PER_MS, UINT32_MAX);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_accident_is_over_at_once),
		cmocka_unit_test(who_ends_all_the_time_waits_longer_each_time),
		cmocka_unit_test(service_makes_up_for_ends_one_by_one),
		cmocka_unit_test(so_many_ends_are_counted_that_no_number_overflows),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
