/* SPDX-License-Identifier: Apache-2.0 */
#include "base/glob.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

static void stars_and_question_marks(void **state)
{
	(void)state;
	assert_true(glob_match("", ""));
	assert_true(glob_match("*", ""));
	assert_true(glob_match("**", "abc"));
	assert_true(glob_match("a*c", "ac"));
	assert_true(glob_match("a*c", "abcbc"));
	assert_true(glob_match("*a*b*", "xxaxxbxx"));
	assert_true(glob_match("?b?", "abc"));
	assert_true(glob_match("web-*", "web-"));
	assert_false(glob_match("", "a"));
	assert_false(glob_match("a", ""));
	assert_false(glob_match("?", ""));
	assert_false(glob_match("a*c", "abcb"));
	assert_false(glob_match("web-*", "aweb-1"));
	assert_false(glob_match("*a*b*", "xxbxxaxx"));
	assert_false(glob_match("abc", "abcd"));
	assert_false(glob_match("abcd", "abc"));
}

static void brackets_stand_for_themselves(void **state)
{
	(void)state;
	assert_true(glob_match("sys_call_table[62]", "sys_call_table[62]"));
	assert_false(glob_match("sys_call_table[62]", "sys_call_table6"));
	assert_true(glob_match("a\\x1b", "a\\x1b"));
}

/* With a matcher that tries every way to cut the text this would take longer than a life. */
static void many_stars_on_a_long_text(void **state)
{
	char pattern[121], text[4097];

	(void)state;
	for (size_t i = 0; i < sizeof(pattern) - 1; i += 2)
		memcpy(&pattern[i], "*a", 2);
	pattern[sizeof(pattern) - 1] = '\0';
	memset(text, 'a', sizeof(text) - 1);
	text[sizeof(text) - 2] = 'b';
	text[sizeof(text) - 1] = '\0';
	assert_false(glob_match(pattern, text));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(stars_and_question_marks),
		cmocka_unit_test(brackets_stand_for_themselves),
		cmocka_unit_test(many_stars_on_a_long_text),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
