/* SPDX-License-Identifier: Apache-2.0 */
#include "ram/judged.h"

#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <cmocka.h>

/* One look at processes 10, 20 and 30, but @gone; how many of them were asked. */
static unsigned look(struct judged *judged, pid_t gone)
{
	unsigned asked = 0;

	judged_begin(judged);
	for (pid_t pid = 10; pid <= 30; pid += 10) {
		if (pid == gone || judged_skip(judged, pid))
			continue;
		judged_other(judged, pid);
		asked++;
	}
	return asked;
}

static void who_is_old_is_asked_now_and_then(void **state)
{
	struct judged judged = { 0 };
	unsigned asked = 0;

	(void)state;
	for (unsigned i = 0; i < JUDGED_TIMES; i++)
		assert_int_equal(look(&judged, 0), 3);
	for (unsigned i = 0; i < 10 * JUDGED_EVERY; i++)
		asked += look(&judged, 0);
	assert_int_equal(asked, 3 * 10);
	judged_free(&judged);
}

static void who_was_gone_is_new(void **state)
{
	struct judged judged = { 0 };

	(void)state;
	for (unsigned i = 0; i < 2 * JUDGED_TIMES; i++)
		look(&judged, 0);
	look(&judged, 20);
	for (unsigned i = 0; i < JUDGED_TIMES; i++) {
		judged_begin(&judged);
		assert_false(judged_skip(&judged, 20));
		judged_other(&judged, 20);
	}
	judged_free(&judged);
}

static void any_order_is_only_slower(void **state)
{
	struct judged judged = { 0 };

	(void)state;
	for (unsigned i = 0; i < 3 * JUDGED_TIMES; i++) {
		judged_begin(&judged);
		if (!judged_skip(&judged, 30))
			judged_other(&judged, 30);
		assert_false(judged_skip(&judged, 10));
		judged_other(&judged, 10);
	}
	judged_free(&judged);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(who_is_old_is_asked_now_and_then),
		cmocka_unit_test(who_was_gone_is_new),
		cmocka_unit_test(any_order_is_only_slower),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
