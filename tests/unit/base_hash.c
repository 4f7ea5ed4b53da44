/* SPDX-License-Identifier: Apache-2.0 */
#include "base/hash.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <cmocka.h>

static void secret_stays_the_same_and_is_odd(void **state)
{
	(void)state;
	assert_true(hash_secret() == hash_secret());
	assert_int_equal(hash_secret() & 1, 1);
}

static void every_byte_and_the_length_count(void **state)
{
	static const char text[] = "a name of some length, over eight bytes";
	char other[sizeof(text)];

	(void)state;
	for (size_t len = 0; len < sizeof(text); len++) {
		uint64_t hash = hash_bytes(text, len, 5);

		assert_true(hash == hash_bytes(text, len, 5));
		assert_true(hash != hash_bytes(text, len, 7));
		if (len + 1 < sizeof(text))
			assert_true(hash != hash_bytes(text, len + 1, 5));
		for (size_t i = 0; i < len; i++) {
			memcpy(other, text, sizeof(text));
			other[i] ^= 1;
			assert_true(hash != hash_bytes(other, len, 5));
		}
	}
	assert_true(hash_bytes("\0", 1, 5) != hash_bytes("\0\0", 2, 5));
}

/* Bits of the result hardly repeat each other over numbers that follow each other. */
static void numbers_spread(void **state)
{
	unsigned seen[256] = {0};

	(void)state;
	for (uint64_t i = 0; i < 25600; i++)
		seen[hash_number(i, 0x9e3779b97f4a7c15ull) >> 56]++;
	for (unsigned i = 0; i < 256; i++)
		assert_in_range(seen[i], 50, 200);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(secret_stays_the_same_and_is_odd),
		cmocka_unit_test(every_byte_and_the_length_count),
		cmocka_unit_test(numbers_spread),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
