/* SPDX-License-Identifier: Apache-2.0 */
#include "base/keep.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

static const char keys[200];
static unsigned released[200];

static void release(void *object)
{
	++*(unsigned *)object;
}

static void objects_are_found_and_let_go_of_once(void **state)
{
	struct keep keep = {0};

	(void)state;
	for (size_t i = 0; i < 200; i++) {
		assert_null(keep_get(&keep, &keys[i]));
		assert_int_equal(keep_put(&keep, &keys[i], &released[i], release), 0);
	}
	for (size_t i = 0; i < 200; i++) {
		assert_ptr_equal(keep_get(&keep, &keys[i]), &released[i]);
		assert_int_equal(released[i], 0);
	}
	keep_free(&keep);
	for (size_t i = 0; i < 200; i++) {
		assert_null(keep_get(&keep, &keys[i]));
		assert_int_equal(released[i], 1);
	}
	keep_free(&keep);
	assert_int_equal(keep_put(&keep, &keys[7], &released[7], release), 0);
	assert_ptr_equal(keep_get(&keep, &keys[7]), &released[7]);
	keep_free(&keep);
	assert_int_equal(released[7], 2);
	assert_int_equal(released[0], 1);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(objects_are_found_and_let_go_of_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
