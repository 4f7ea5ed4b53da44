/* SPDX-License-Identifier: Apache-2.0 */
#include "report/human.h"

#include <stdarg.h>
#include <setjmp.h>
#include <stdlib.h>
#include <time.h>
#include <cmocka.h>

static void bytes(void **state)
{
	char buf[HUMAN_MAX];

	(void)state;
	assert_string_equal(human_bytes(0, buf, sizeof(buf)), "0 B");
	assert_string_equal(human_bytes(1023, buf, sizeof(buf)), "1023 B");
	assert_string_equal(human_bytes(4096, buf, sizeof(buf)), "4.00 KiB");
	assert_string_equal(human_bytes(512ull << 20, buf, sizeof(buf)), "512 MiB");
	assert_string_equal(human_bytes(45613056, buf, sizeof(buf)), "43.5 MiB");
	assert_string_equal(human_bytes(UINT64_MAX, buf, sizeof(buf)), "16777216 TiB");
}

static void durations(void **state)
{
	char buf[HUMAN_MAX];

	(void)state;
	assert_string_equal(human_duration(0, buf, sizeof(buf)), "0 ns");
	assert_string_equal(human_duration(870000, buf, sizeof(buf)), "870 us");
	assert_string_equal(human_duration(3420000, buf, sizeof(buf)), "3.42 ms");
	assert_string_equal(human_duration(12000000000, buf, sizeof(buf)), "12.0 s");
}

static void times(void **state)
{
	char buf[HUMAN_MAX];

	(void)state;
	setenv("TZ", "UTC", 1);
	tzset();
	assert_string_equal(human_time(1700000000999999999, buf, sizeof(buf)),
			    "2023-11-14 22:13:20");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(bytes),
		cmocka_unit_test(durations),
		cmocka_unit_test(times),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
