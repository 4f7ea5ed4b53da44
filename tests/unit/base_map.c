/* SPDX-License-Identifier: Apache-2.0 */
#include "base/map.h"

#include <stdarg.h>
#include <setjmp.h>
#include <stdlib.h>
#include <cmocka.h>

#define MANY 100000u

static void an_empty_map_has_nothing(void **state)
{
	struct map map = {0};
	uint32_t value = 7;

	(void)state;
	assert_false(map_get(&map, 1, &value));
	assert_false(map_get(&map, 0, NULL));
	assert_int_equal(value, 7);
	map_free(&map);
}

static void keys_keep_their_values_while_it_grows(void **state)
{
	struct map map = {0};
	uint32_t value;

	(void)state;
	for (uint32_t i = 0; i < MANY; i++)
		assert_int_equal(map_put(&map, 0xffff888000000000ull + i * 64ull, i), 0);
	assert_int_equal(map.n, MANY);
	for (uint32_t i = 0; i < MANY; i++) {
		assert_true(map_get(&map, 0xffff888000000000ull + i * 64ull, &value));
		assert_int_equal(value, i);
		assert_false(map_get(&map, 0xffff888000000000ull + i * 64ull + 8, NULL));
	}
	map_free(&map);
}

static void a_second_put_gives_a_new_value(void **state)
{
	struct map map = {0};
	uint32_t value = 0;

	(void)state;
	assert_int_equal(map_put(&map, 5, 1), 0);
	assert_int_equal(map_put(&map, 5, 2), 1);
	assert_true(map_get(&map, 5, &value));
	assert_int_equal(value, 2);
	assert_int_equal(map.n, 1);
	map_free(&map);
}

static void zero_is_no_key(void **state)
{
	struct map map = {0};

	(void)state;
	assert_int_equal(map_put(&map, 0, 1), -EINVAL);
	assert_int_equal(map.n, 0);
	map_free(&map);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_empty_map_has_nothing),
		cmocka_unit_test(keys_keep_their_values_while_it_grows),
		cmocka_unit_test(a_second_put_gives_a_new_value),
		cmocka_unit_test(zero_is_no_key),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
