/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/when.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <time.h>
#include <cmocka.h>

#include "base/cleanup.h"

#define NOW_NS (1740837731ull * 1000000000)	/* 2025-03-01T14:02:11Z */

static void times_that_people_write(void **state)
{
	static const struct {
		const char *text;
		uint64_t seconds;
	} cases[] = {
		{ "2025-03-01T14:02:11Z", 1740837731 },
		{ "2025-03-01T14:02:11.123456Z", 1740837731 },
		{ "2025-03-01 14:02:11", 1740837731 - 3600 },	/* local: an hour to the east */
		{ "2025-03-01 14:02", 1740837720 - 3600 },
		{ "2025-03-01", 1740787200 - 3600 },
		{ "2500-01-01T00:00:00Z", 16725225600 },
		{ "1970-01-01T00:00:00Z", 0 },
		{ "11s", 1740837720 },
		{ "2m", 1740837731 - 120 },
		{ "12h", 1740837731 - 43200 },
		{ "7d", 1740837731 - 604800 },
		{ "0d", 1740837731 },
	};
	uint64_t ns;

	(void)state;
	setenv("TZ", "EAST-1", 1);
	tzset();
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		assert_int_equal(when_read(cases[i].text, NOW_NS, &ns), 0);
		assert_int_equal(ns, cases[i].seconds * 1000000000);
	}
}

static void what_is_no_time(void **state)
{
	static const char *const cases[] = {
		"", "yesterday", "7", "d", "7w", "7dd", "-7d", "2025-13-01", "2025-03-01x",
		"2025-03-01T14:02:11ZZ", "999999999999d", "99999999999999999999999s",
		"1960-01-01T00:00:00Z", "2999-01-01",
	};
	uint64_t ns = 7;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		assert_int_equal(when_read(cases[i], NOW_NS, &ns), -EINVAL);
	assert_int_equal(ns, 7);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(times_that_people_write),
		cmocka_unit_test(what_is_no_time),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
