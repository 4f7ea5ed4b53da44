/* SPDX-License-Identifier: Apache-2.0 */
#include "base/columns.h"

#include <stdarg.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

static void characters_are_counted_not_bytes(void **state)
{
	(void)state;
	assert_int_equal(columns_of(""), 0);
	assert_int_equal(columns_of("systemd"), 7);
	assert_int_equal(columns_of("grün"), 4);
	assert_int_equal(columns_of("€"), 1);
}

static void wide_characters_count_two(void **state)
{
	(void)state;
	assert_int_equal(columns_of("日本"), 4);
	assert_int_equal(columns_of("😀"), 2);
	assert_int_equal(columns_of("한글"), 4);
}

static void cut_between_characters(void **state)
{
	(void)state;
	assert_int_equal(columns_fit("systemd", 3), 3);
	assert_int_equal(columns_fit("systemd", 70), 7);
	assert_int_equal(columns_fit("grün", 3), 4);
	assert_int_equal(columns_fit("日本", 3), 3);
	assert_int_equal(columns_fit("日本", 1), 0);
	assert_int_equal(columns_fit("x", 0), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(characters_are_counted_not_bytes),
		cmocka_unit_test(wide_characters_count_two),
		cmocka_unit_test(cut_between_characters),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
