/* SPDX-License-Identifier: Apache-2.0 */
#include "keeper/since.h"

#include <stdarg.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include "base/limits.h"

static struct since since;

static uint64_t get(const char *key, uint64_t now)
{
	uint64_t first = 0;

	assert_int_equal(since_get(&since, key, now, &first), 0);
	return first;
}

static void what_lasts_keeps_its_time(void **state)
{
	(void)state;
	since_begin(&since);
	assert_int_equal(get("a", 5), 5);
	assert_int_equal(get("b", 5), 5);
	since_end(&since);
	since_begin(&since);
	assert_int_equal(get("a", 9), 5);
	since_end(&since);
	since_begin(&since);
	assert_int_equal(get("a", 12), 5);
	assert_int_equal(get("b", 12), 12);	/* it was not so in between */
	since_end(&since);
	since_free(&since);
}

static void there_is_a_limit(void **state)
{
	uint64_t first;
	char key[16];

	(void)state;
	since_begin(&since);
	for (unsigned i = 0; i < SINCE_MAX; i++) {
		snprintf(key, sizeof(key), "%u", i);
		assert_int_equal(get(key, i), i);
	}
	assert_int_equal(since_get(&since, "more", 1, &first), -ELOOP);
	since_free(&since);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_lasts_keeps_its_time),
		cmocka_unit_test(there_is_a_limit),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
