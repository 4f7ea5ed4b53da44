/* SPDX-License-Identifier: Apache-2.0 */
#include "base/bytes.h"

#include <stdarg.h>
#include <setjmp.h>
#include <cmocka.h>

static const uint8_t data[] = {
	0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x07, 0x08,
	0x09, 0x0a, 0x0b, 0x0c, 0x0d, 0x0e, 0x0f,
};

static void numbers_are_little_endian(void **state)
{
	struct bytes b = bytes_of(data, sizeof(data));

	(void)state;
	assert_int_equal(bytes_u8(&b), 0x01);
	assert_int_equal(bytes_u16(&b), 0x0302);
	assert_int_equal(bytes_u32(&b), 0x07060504);
	assert_true(bytes_u64(&b) == 0x0f0e0d0c0b0a0908ull);
	assert_true(bytes_ok(&b));
	assert_int_equal(b.left, 0);
}

static void read_past_the_end_gives_zero_and_stays_bad(void **state)
{
	struct bytes b = bytes_of(data, 3);

	(void)state;
	assert_int_equal(bytes_u32(&b), 0);
	assert_false(bytes_ok(&b));
	assert_int_equal(bytes_u8(&b), 0);	/* though a byte is there */
	assert_null(bytes_take(&b, 1));
	assert_false(bytes_ok(&b));
}

static void copy_past_the_end_leaves_zeros(void **state)
{
	uint8_t to[8] = { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff };
	const uint8_t zeros[8] = { 0 };
	struct bytes b = bytes_of(data, 7);

	(void)state;
	bytes_copy(&b, to, sizeof(to));
	assert_memory_equal(to, zeros, sizeof(to));
}

static void taking_huge_lengths_does_not_wrap(void **state)
{
	struct bytes b = bytes_of(data, sizeof(data));

	(void)state;
	assert_non_null(bytes_take(&b, 1));
	assert_null(bytes_take(&b, SIZE_MAX));
	assert_false(bytes_ok(&b));
}

static void slice_is_inside_or_bad(void **state)
{
	struct bytes whole = bytes_of(data, sizeof(data)), part;

	(void)state;
	part = bytes_slice(&whole, 4, 2);
	assert_int_equal(bytes_u16(&part), 0x0605);
	assert_int_equal(bytes_u8(&part), 0);
	assert_false(bytes_ok(&part));

	part = bytes_slice(&whole, sizeof(data), 0);
	assert_true(bytes_ok(&part));
	part = bytes_slice(&whole, sizeof(data) + 1, 0);
	assert_false(bytes_ok(&part));
	part = bytes_slice(&whole, 2, SIZE_MAX);
	assert_false(bytes_ok(&part));

	whole.bad = true;
	part = bytes_slice(&whole, 0, 1);
	assert_false(bytes_ok(&part));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(numbers_are_little_endian),
		cmocka_unit_test(read_past_the_end_gives_zero_and_stays_bad),
		cmocka_unit_test(copy_past_the_end_leaves_zeros),
		cmocka_unit_test(taking_huge_lengths_does_not_wrap),
		cmocka_unit_test(slice_is_inside_or_bad),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
