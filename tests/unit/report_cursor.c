/* SPDX-License-Identifier: Apache-2.0 */
#include "report/cursor.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <cmocka.h>

#include "base/cleanup.h"

static void what_is_written_is_read(void **state)
{
	static const struct cursor cursors[] = {
		{ 1, "" }, { 17, "0123456789abcdef" }, { 999999999999999999, "ffffffffffffffff" },
	};
	char text[CURSOR_TEXT_MAX];
	struct cursor read;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cursors); i++) {
		cursor_text(&cursors[i], text);
		assert_true(cursor_read(text, strlen(text), true, &read));
		assert_true(read.seq == cursors[i].seq);
		assert_string_equal(read.id, cursors[i].id);
	}
}

static void what_is_none_is_refused(void **state)
{
	static const char *const texts[] = {
		"", "0", "-", "x", "1x", " 1", "+1", "-1", "1-", "1-0123456789abcde",
		"1-0123456789abcdef0", "1-0123456789abcdeF", "1_0123456789abcdef",
		"0-0123456789abcdef", "1000000000000000000",
	};
	struct cursor read = { 4711, "" };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(texts); i++)
		if (cursor_read(texts[i], strlen(texts[i]), true, &read))
			fail_msg("'%s' is taken", texts[i]);
	/* Of what has no such ids. */
	assert_false(cursor_read("17-0123456789abcdef", 19, false, &read));
	assert_true(read.seq == 4711);
}

/* It stands in a query, with something behind it. */
static void no_more_is_read_than_was_given(void **state)
{
	struct cursor read;

	(void)state;
	assert_true(cursor_read("17-0123456789abcdef&x", 2, true, &read));
	assert_true(read.seq == 17 && !*read.id);
	assert_false(cursor_read("17-0123456789abcdef", 18, true, &read));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_written_is_read),
		cmocka_unit_test(what_is_none_is_refused),
		cmocka_unit_test(no_more_is_read_than_was_given),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
