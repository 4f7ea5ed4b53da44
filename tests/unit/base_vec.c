/* SPDX-License-Identifier: Apache-2.0 */
#include "base/vec.h"

#include <stdarg.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

struct pair {
	uint64_t a, b;
};

static void elements_keep_their_order(void **state)
{
	VEC(struct pair) pairs = {0};

	(void)state;
	for (uint64_t i = 0; i < 1000; i++) {
		struct pair *pair = vec_add(&pairs);

		assert_non_null(pair);
		pair->a = i;
	}
	assert_int_equal(pairs.n, 1000);
	for (uint64_t i = 0; i < 1000; i++)
		assert_int_equal(pairs.v[i].a, i);
	vec_free(&pairs);
}

static void new_elements_are_zero(void **state)
{
	VEC(struct pair) pairs = {0};

	(void)state;
	for (int i = 0; i < 100; i++) {
		struct pair *pair = vec_add(&pairs);

		assert_non_null(pair);
		assert_int_equal(pair->a | pair->b, 0);
		memset(pair, 0xff, sizeof(*pair));
		if (i % 3)	/* room that was used and given up is used again */
			pairs.n--;
	}
	vec_free(&pairs);
}

static void freed_array_may_be_used_again(void **state)
{
	VEC(int) numbers = {0};

	(void)state;
	assert_non_null(vec_add(&numbers));
	vec_free(&numbers);
	assert_null(numbers.v);
	assert_int_equal(numbers.n + numbers.room, 0);
	assert_non_null(vec_add(&numbers));
	vec_free(&numbers);
	vec_free(&numbers);
}

static void size_that_cannot_be_is_refused(void **state)
{
	void *v = NULL;
	size_t room = 0;

	(void)state;
	assert_int_equal(vec_grow(&v, &room, 0, SIZE_MAX / 2), -ENOMEM);
	room = SIZE_MAX / 2 + 1;
	assert_int_equal(vec_grow(&v, &room, room, 1), -ENOMEM);
	assert_null(v);
}

static void settled_array_may_still_grow(void **state)
{
	VEC(uint32_t) numbers = {0};

	(void)state;
	vec_settle(&numbers);
	assert_null(numbers.v);
	for (uint32_t i = 0; i < 100; i++) {
		uint32_t *number = vec_add(&numbers);

		assert_non_null(number);
		*number = i;
		if (i % 10 == 0)
			vec_settle(&numbers);
		if (i % 10 == 0)
			assert_int_equal(numbers.room, numbers.n);
	}
	for (uint32_t i = 0; i < 100; i++)
		assert_int_equal(numbers.v[i], i);
	vec_free(&numbers);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(elements_keep_their_order),
		cmocka_unit_test(new_elements_are_zero),
		cmocka_unit_test(freed_array_may_be_used_again),
		cmocka_unit_test(settled_array_may_still_grow),
		cmocka_unit_test(size_that_cannot_be_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
