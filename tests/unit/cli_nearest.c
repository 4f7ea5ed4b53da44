/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/nearest.h"

#include <stdarg.h>
#include <setjmp.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "base/cleanup.h"

static const char *const names[] = {
	"syscall-table", "syscall32-table", "idt", "hidden-task", "hidden-module",
};

static const char *name(size_t i, const void *ctx)
{
	(void)ctx;
	return names[i];
}

static void assert_nearest(const char *word, const char *expected)
{
	char buf[64];

	assert_string_equal(nearest(word, name, ARRAY_SIZE(names), NULL, buf, sizeof(buf)),
			    expected);
}

static void mistyped_name_is_found(void **state)
{
	(void)state;
	assert_nearest("hiden-task", "hidden-task");
	assert_nearest("sycall-table", "syscall-table, syscall32-table");
	assert_nearest("itd", "idt");
}

static void part_of_a_name_is_found(void **state)
{
	(void)state;
	assert_nearest("hidden", "hidden-task, hidden-module");
	assert_nearest("table", "syscall-table, syscall32-table");
}

static void other_words_are_near_to_nothing(void **state)
{
	char word[200];

	(void)state;
	assert_nearest("xyzzy", "");
	assert_nearest("x", "");
	assert_nearest("", "");
	memset(word, 'a', sizeof(word) - 1);
	word[sizeof(word) - 1] = '\0';
	assert_nearest(word, "");
}

static void answer_is_cut_between_names(void **state)
{
	char buf[16];

	(void)state;
	nearest("hidden", name, ARRAY_SIZE(names), NULL, buf, sizeof(buf));
	assert_string_equal(buf, "hidden-task");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(mistyped_name_is_found),
		cmocka_unit_test(part_of_a_name_is_found),
		cmocka_unit_test(other_words_are_near_to_nothing),
		cmocka_unit_test(answer_is_cut_between_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
