/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/table.h"

#include <stdarg.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/cleanup.h"

static const struct column columns[] = {
	{ "PID", true },
	{ "COMM", false },
	{ "ARGS", false },
};

static void assert_printed(const struct table *table, size_t width, const char *expected)
{
	cleanup(freep) char *text = NULL;
	size_t size;
	FILE *to = open_memstream(&text, &size);

	assert_non_null(to);
	assert_int_equal(table_print(table, width, to, NULL), 0);
	fclose(to);
	assert_string_equal(text, expected);
}

static void add_row(struct table *table, int pid, const char *comm, const char *args)
{
	table_text(table, "%d", pid);
	table_text(table, "%s", comm);
	table_text(table, "%s", args);
}

static void numbers_stand_right_and_words_left(void **state)
{
	cleanup(table_free) struct table table = table_of(columns, ARRAY_SIZE(columns));

	(void)state;
	add_row(&table, 1, "init", "/sbin/init");
	add_row(&table, 12345, "sh", "sh -c x");
	assert_printed(&table, 0,
		       "  PID  COMM  ARGS\n"
		       "    1  init  /sbin/init\n"
		       "12345  sh    sh -c x\n");
}

static void nothing_trails(void **state)
{
	cleanup(table_free) struct table table = table_of(columns, ARRAY_SIZE(columns));

	(void)state;
	add_row(&table, 1, "kthreadd", "");
	add_row(&table, 2, "", "");
	assert_printed(&table, 0,
		       "PID  COMM      ARGS\n"
		       "  1  kthreadd\n"
		       "  2\n");
}

static void rows_are_cut_to_the_width(void **state)
{
	cleanup(table_free) struct table table = table_of(columns, ARRAY_SIZE(columns));

	(void)state;
	add_row(&table, 1, "init", "a long list of arguments");
	assert_printed(&table, 15,
		       "PID  COMM  ARGS\n"
		       "  1  init  a lo\n");
	assert_printed(&table, 10,
		       "PID  COMM\n"
		       "  1  init\n");
	assert_printed(&table, 7,
		       "PID  CO\n"
		       "  1  in\n");
}

static void wide_characters_are_not_cut_apart(void **state)
{
	cleanup(table_free) struct table table = table_of(columns, ARRAY_SIZE(columns));

	(void)state;
	add_row(&table, 1, "日本語", "x");
	add_row(&table, 2, "grün", "y");
	assert_printed(&table, 0,
		       "PID  COMM    ARGS\n"
		       "  1  日本語  x\n"
		       "  2  grün    y\n");
	assert_printed(&table, 8,
		       "PID  COM\n"
		       "  1  日\n"
		       "  2  grü\n");
}

static void guest_text_is_escaped(void **state)
{
	cleanup(table_free) struct table table = table_of(columns, ARRAY_SIZE(columns));

	(void)state;
	add_row(&table, 1, "a\nb", "\033[2J");
	assert_printed(&table, 0,
		       "PID  COMM    ARGS\n"
		       "  1  a\\x0ab  \\x1b[2J\n");
}

static void one_long_cell_does_not_spread_all_rows(void **state)
{
	cleanup(table_free) struct table table = table_of(columns, ARRAY_SIZE(columns));
	char word[101], expected[256];

	(void)state;
	memset(word, 'x', sizeof(word) - 1);
	word[sizeof(word) - 1] = '\0';
	add_row(&table, 1, word, "a");
	add_row(&table, 2, "sh", "b");
	snprintf(expected, sizeof(expected),
		 "PID  COMM  ARGS\n  1  %s  a\n  2  sh    b\n", word);
	assert_printed(&table, 0, expected);
}

static void heading_of_an_empty_table(void **state)
{
	cleanup(table_free) struct table table = table_of(columns, ARRAY_SIZE(columns));

	(void)state;
	assert_printed(&table, 0, "PID  COMM  ARGS\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(numbers_stand_right_and_words_left),
		cmocka_unit_test(nothing_trails),
		cmocka_unit_test(rows_are_cut_to_the_width),
		cmocka_unit_test(wide_characters_are_not_cut_apart),
		cmocka_unit_test(guest_text_is_escaped),
		cmocka_unit_test(one_long_cell_does_not_spread_all_rows),
		cmocka_unit_test(heading_of_an_empty_table),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
