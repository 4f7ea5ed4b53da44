/* SPDX-License-Identifier: Apache-2.0 */
#include "base/names.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

static void each_name_leads_to_its_number(void **state)
{
	enum { N = 5000, EACH = 16 };
	static char pool[N * EACH];
	struct names names;
	char name[EACH];

	(void)state;
	assert_int_equal(names_init(&names, pool, N), 0);
	for (uint32_t i = 0; i < N; i++) {
		int len = snprintf(pool + i * EACH, EACH, "name_%u", i);

		names_add(&names, i + 1, i * EACH, (size_t)len);
	}
	for (uint32_t i = 0; i < N; i++) {
		int len = snprintf(name, sizeof(name), "name_%u", i);

		assert_int_equal(names_find(&names, name, (size_t)len), i + 1);
	}
	assert_int_equal(names_find(&names, "name_5000", 9), 0);
	assert_int_equal(names_find(&names, "name_", 5), 0);
	assert_int_equal(names_find(&names, "", 0), 0);
	names_free(&names);
	names_free(&names);
}

static void part_of_a_name_is_enough_to_ask_for_it(void **state)
{
	static const char pool[] = "task\0task_struct";
	struct names names;

	(void)state;
	assert_int_equal(names_init(&names, pool, 2), 0);
	names_add(&names, 1, 0, 4);
	names_add(&names, 2, 5, 11);
	assert_int_equal(names_find(&names, "task_struct.pid", 11), 2);
	assert_int_equal(names_find(&names, "task_struct.pid", 4), 1);
	names_free(&names);
}

/* A million equal names are what a forged table may hold. */
static void last_of_equal_names_is_found(void **state)
{
	enum { N = 1 << 20 };
	static const char pool[] = "same\0other";
	struct names names;

	(void)state;
	assert_int_equal(names_init(&names, pool, N), 0);
	names_add(&names, N, 5, 5);
	for (uint32_t i = 1; i < N; i++)
		names_add(&names, i, 0, 4);
	for (unsigned i = 0; i < 100000; i++)
		assert_int_equal(names_find(&names, "same", 4), N - 1);
	assert_int_equal(names_find(&names, "other", 5), N);
	names_free(&names);
}

static void no_names(void **state)
{
	struct names names;

	(void)state;
	assert_int_equal(names_init(&names, "", 0), 0);
	assert_int_equal(names_find(&names, "x", 1), 0);
	names_free(&names);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_name_leads_to_its_number),
		cmocka_unit_test(part_of_a_name_is_enough_to_ask_for_it),
		cmocka_unit_test(last_of_equal_names_is_found),
		cmocka_unit_test(no_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
