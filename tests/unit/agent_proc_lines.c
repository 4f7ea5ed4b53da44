/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/proc_lines.h"

#include <fcntl.h>
#include <stdarg.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <cmocka.h>

static struct proc_lines lines;
static unsigned seen, stop_at;
static size_t longest, last;

static bool on_line(const char *line, size_t len, void *ctx)
{
	(void)ctx;
	assert_null(memchr(line, '\n', len));
	longest = len > longest ? len : longest;
	last = len;
	return ++seen != stop_at;
}

/* A file of this text; the descriptor stands at its start. */
static int made(const char *text, size_t len)
{
	int fd = memfd_create("lines", 0);

	assert_int_equal(write(fd, text, len), len);
	lseek(fd, 0, SEEK_SET);
	seen = stop_at = 0;
	longest = last = 0;
	return fd;
}

static void lines_with_and_without_an_end(void **state)
{
	int fd = made("one\n\nthree", 10);

	(void)state;
	assert_int_equal(proc_lines_read(&lines, fd, 0, on_line, NULL), 0);
	assert_int_equal(seen, 3);
	assert_int_equal(last, 5);
	assert_int_equal(lines.reads, 1);
	close(fd);
	fd = made("", 0);
	assert_int_equal(proc_lines_read(&lines, fd, 0, on_line, NULL), 0);
	assert_int_equal(seen, 0);
	assert_int_equal(lines.reads, 0);
	close(fd);
}

static void a_line_longer_than_the_buffer_is_cut_once(void **state)
{
	size_t len = 5 * PROC_LINES_BYTES + 77;
	char *text = malloc(len + 5);
	int fd;

	(void)state;
	memset(text, 'x', len);
	memcpy(text + len, "\nend\n", 5);
	fd = made(text, len + 5);
	assert_int_equal(proc_lines_read(&lines, fd, 0, on_line, NULL), 0);
	assert_int_equal(seen, 2);
	assert_int_equal(longest, PROC_LINES_BYTES);
	assert_int_equal(last, 3);
	assert_true(lines.reads > 1);
	close(fd);

	/* As the file's last, and without an end. */
	fd = made(text, len);
	assert_int_equal(proc_lines_read(&lines, fd, 0, on_line, NULL), 0);
	assert_int_equal(seen, 1);
	close(fd);
	free(text);
}

static void one_that_has_enough_is_not_called_again(void **state)
{
	int fd = made("1\n2\n3\n4\n", 8);

	(void)state;
	stop_at = 2;
	assert_int_equal(proc_lines_read(&lines, fd, 0, on_line, NULL), 0);
	assert_int_equal(seen, 2);
	close(fd);
}

static void a_list_without_an_end_has_one(void **state)
{
	size_t len = PROC_LINES_MAX + PROC_LINES_BYTES;
	char *text = malloc(len);
	int fd;

	(void)state;
	memset(text, '\n', len);
	fd = made(text, len);
	assert_int_equal(proc_lines_read(&lines, fd, 0, on_line, NULL), -ELOOP);
	assert_true(seen >= PROC_LINES_MAX);
	close(fd);
	free(text);
}

static void a_page_that_is_not_full_is_the_last(void **state)
{
	char text[4000];
	int fd;

	(void)state;
	memset(text, 'x', sizeof(text));
	memcpy(text, "1\n2\n", 4);
	fd = made(text, 3000);
	assert_int_equal(proc_lines_read(&lines, fd, 1000, on_line, NULL), 0);
	assert_int_equal(seen, 3);
	assert_int_equal(lines.reads, 1);
	close(fd);
	/* One that may have ended for lack of room is asked again. */
	fd = made(text, sizeof(text));
	assert_int_equal(proc_lines_read(&lines, fd, 1000, on_line, NULL), 0);
	assert_int_equal(seen, 3);
	assert_int_equal(lseek(fd, 0, SEEK_CUR), sizeof(text));
	close(fd);
}

static void errors_are_told(void **state)
{
	(void)state;
	seen = 0;
	assert_int_equal(proc_lines_read(&lines, -1, 0, on_line, NULL), -EBADF);
	assert_int_equal(proc_open(AT_FDCWD, "/nowhere/at/all"), -ENOENT);
	assert_int_equal(seen, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lines_with_and_without_an_end),
		cmocka_unit_test(a_line_longer_than_the_buffer_is_cut_once),
		cmocka_unit_test(one_that_has_enough_is_not_called_again),
		cmocka_unit_test(a_list_without_an_end_has_one),
		cmocka_unit_test(a_page_that_is_not_full_is_the_last),
		cmocka_unit_test(errors_are_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
