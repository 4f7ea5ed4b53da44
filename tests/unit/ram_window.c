/* SPDX-License-Identifier: Apache-2.0 */
#include "ram/window.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#define PAGE 4096u

/* Three windows' worth, of which only some pages are there. */
#define FILE_BYTES (2 * WINDOW_BYTES + (64u << 10))
#define FILLED_BYTES (64u << 10)
#define HIGH_AT (2 * WINDOW_BYTES)
#define MIDDLE_AT (WINDOW_BYTES + (1u << 20))

static uint8_t bytes[FILLED_BYTES];

static int made(unsigned flags, unsigned seals)
{
	static const off_t at[] = { 0, MIDDLE_AT, HIGH_AT };
	int fd = memfd_create("guest", MFD_CLOEXEC | flags);

	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, FILE_BYTES), 0);
	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = (uint8_t)(i * 7 + 1);
	for (size_t i = 0; i < sizeof(at) / sizeof(at[0]); i++)
		assert_int_equal(pwrite(fd, bytes, sizeof(bytes), at[i]), sizeof(bytes));
	if (seals)
		assert_int_equal(fcntl(fd, F_ADD_SEALS, seals), 0);
	return fd;
}

static int guests_file(void)
{
	return made(MFD_ALLOW_SEALING, F_SEAL_GROW | F_SEAL_SHRINK);
}

static blkcnt_t blocks(int fd)
{
	struct stat status;

	assert_int_equal(fstat(fd, &status), 0);
	return status.st_blocks;
}

static void what_is_there_is_read_where_it_is(void **state)
{
	static const uint64_t at[] = { 0, PAGE, 5, MIDDLE_AT, HIGH_AT, 0, HIGH_AT + 1, MIDDLE_AT };
	struct windows windows = {0};
	int fd = guests_file();

	(void)state;
	for (size_t i = 0; i < sizeof(at) / sizeof(at[0]); i++) {
		uint64_t inside = at[i] >= HIGH_AT ? at[i] - HIGH_AT :
				  at[i] >= MIDDLE_AT ? at[i] - MIDDLE_AT : at[i];
		size_t len = sizeof(bytes) - inside;
		const uint8_t *there = windows_peek(&windows, fd, at[i], len);

		assert_non_null(there);
		assert_memory_equal(there, bytes + inside, len);
	}
	/* What the guest writes is seen at once. */
	assert_int_equal(pwrite(fd, "new", 3, PAGE), 3);
	assert_memory_equal(windows_peek(&windows, fd, PAGE, PAGE), "new", 3);
	windows_close(&windows);
	close(fd);
}

static void what_is_not_there_does_not_come(void **state)
{
	struct windows windows = {0};
	int fd = guests_file();
	blkcnt_t before = blocks(fd);

	(void)state;
	assert_null(windows_peek(&windows, fd, FILLED_BYTES, PAGE));
	assert_null(windows_peek(&windows, fd, FILLED_BYTES - 1, 2));
	assert_null(windows_peek(&windows, fd, MIDDLE_AT - PAGE, 2 * PAGE));
	assert_non_null(windows_peek(&windows, fd, FILLED_BYTES - 1, 1));
	assert_int_equal(blocks(fd), before);

	/* Its balloon took a page that was there, and that was read. */
	assert_non_null(windows_peek(&windows, fd, 0, FILLED_BYTES));
	assert_int_equal(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 2 * PAGE, PAGE),
			 0);
	before = blocks(fd);
	assert_null(windows_peek(&windows, fd, 0, FILLED_BYTES));
	assert_null(windows_peek(&windows, fd, 2 * PAGE + 5, 1));
	assert_non_null(windows_peek(&windows, fd, 3 * PAGE, PAGE));
	assert_int_equal(blocks(fd), before);
	windows_close(&windows);
	close(fd);
}

static void too_much_or_across_windows_is_copied(void **state)
{
	struct windows windows = {0};
	int fd = guests_file();

	(void)state;
	assert_null(windows_peek(&windows, fd, 0, 0));
	assert_null(windows_peek(&windows, fd, 0, WINDOW_PEEK_MAX + 1));
	assert_int_equal(pwrite(fd, bytes, sizeof(bytes), WINDOW_BYTES - PAGE), sizeof(bytes));
	assert_null(windows_peek(&windows, fd, WINDOW_BYTES - PAGE, PAGE + 1));
	assert_non_null(windows_peek(&windows, fd, WINDOW_BYTES - PAGE, PAGE));
	windows_close(&windows);
	close(fd);
}

/* Of these somebody could cut the end off, or nobody would tell us what is there. */
static void other_files_are_copied(void **state)
{
	const int fds[] = { made(0, 0), made(MFD_ALLOW_SEALING, 0),
			    made(MFD_ALLOW_SEALING, F_SEAL_GROW), guests_file() };

	(void)state;
	assert_int_equal(fchmod(fds[3], 0600), 0);
	for (size_t i = 0; i < sizeof(fds) / sizeof(fds[0]); i++) {
		struct windows windows = {0};

		assert_null(windows_peek(&windows, fds[i], 0, PAGE));
		assert_true(windows.refused);
		assert_null(windows_peek(&windows, fds[i], 0, PAGE));
		windows_close(&windows);
		close(fds[i]);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_there_is_read_where_it_is),
		cmocka_unit_test(what_is_not_there_does_not_come),
		cmocka_unit_test(too_much_or_across_windows_is_copied),
		cmocka_unit_test(other_files_are_copied),
	};

	return cmocka_run_group_tests_name("ram/window", tests, NULL, NULL);
}
