/* SPDX-License-Identifier: Apache-2.0 */
#include "ram/window.h"

#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#define PAGE 4096u

/* Three windows' worth, of which only some pages are there. */
#define FILE_BYTES (2 * WINDOW_BYTES + (64u << 10))
#define FILLED_BYTES (64u << 10)
#define HIGH_AT (2 * WINDOW_BYTES)
#define MIDDLE_AT (WINDOW_BYTES + (1u << 20))

#define SOMEBODY 65534u

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

	return fstat(fd, &status) == 0 ? status.st_blocks : -1;
}

static uint8_t copy[FILLED_BYTES];
static unsigned reads;

static void take(const uint8_t *from, size_t len, void *ctx)
{
	(void)ctx;
	memcpy(copy, from, len < sizeof(copy) ? len : sizeof(copy));
	reads++;
}

/* Is it read in place? @copy has it then. */
static bool in_place(struct windows *windows, int fd, uint64_t offset, size_t len)
{
	return windows_read(windows, fd, offset, len, take, NULL) == 0;
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

		assert_true(in_place(&windows, fd, at[i], len));
		assert_memory_equal(copy, bytes + inside, len);
	}
	/* What the guest writes is seen at once. */
	assert_int_equal(pwrite(fd, "new", 3, PAGE), 3);
	assert_true(in_place(&windows, fd, PAGE, PAGE));
	assert_memory_equal(copy, "new", 3);
	windows_close(&windows);
	close(fd);
}

static void what_is_not_there_does_not_come(void **state)
{
	struct windows windows = {0};
	int fd = guests_file();
	blkcnt_t before = blocks(fd);

	(void)state;
	reads = 0;
	assert_false(in_place(&windows, fd, FILLED_BYTES, PAGE));
	assert_false(in_place(&windows, fd, FILLED_BYTES - 1, 2));
	assert_false(in_place(&windows, fd, MIDDLE_AT - PAGE, 2 * PAGE));
	assert_int_equal(reads, 0);
	assert_true(in_place(&windows, fd, FILLED_BYTES - 1, 1));
	assert_int_equal(blocks(fd), before);

	/* Its balloon took a page that was there, and that was read. */
	assert_true(in_place(&windows, fd, 0, FILLED_BYTES));
	assert_int_equal(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 2 * PAGE, PAGE),
			 0);
	before = blocks(fd);
	assert_false(in_place(&windows, fd, 0, FILLED_BYTES));
	assert_false(in_place(&windows, fd, 2 * PAGE + 5, 1));
	assert_true(in_place(&windows, fd, 3 * PAGE, PAGE));
	assert_int_equal(blocks(fd), before);
	windows_close(&windows);
	close(fd);
}

static void too_much_or_across_windows_or_behind_the_end_is_copied(void **state)
{
	struct windows windows = {0};
	int fd = guests_file();

	(void)state;
	assert_false(in_place(&windows, fd, 0, 0));
	assert_false(in_place(&windows, fd, 0, WINDOW_READ_MAX + 1));
	assert_int_equal(pwrite(fd, bytes, sizeof(bytes), WINDOW_BYTES - PAGE), sizeof(bytes));
	assert_false(in_place(&windows, fd, WINDOW_BYTES - PAGE, PAGE + 1));
	assert_true(in_place(&windows, fd, WINDOW_BYTES - PAGE, PAGE));
	assert_true(in_place(&windows, fd, FILE_BYTES - 1, 1));
	assert_false(in_place(&windows, fd, FILE_BYTES - 1, 2));
	assert_false(in_place(&windows, fd, FILE_BYTES, 1));
	assert_false(in_place(&windows, fd, UINT64_MAX - 1, 1));
	windows_close(&windows);
	close(fd);
}

/* Of these somebody could cut the end off. */
static void other_files_are_copied(void **state)
{
	const int fds[] = { made(0, 0), made(MFD_ALLOW_SEALING, 0),
			    made(MFD_ALLOW_SEALING, F_SEAL_GROW) };

	(void)state;
	for (size_t i = 0; i < sizeof(fds) / sizeof(fds[0]); i++) {
		struct windows windows = {0};

		assert_false(in_place(&windows, fds[i], 0, PAGE));
		assert_true(windows.refused);
		assert_false(in_place(&windows, fds[i], 0, PAGE));
		windows_close(&windows);
		close(fds[i]);
	}
}

/* As a scanner is: not the file's owner, with rights to nothing. */
static int as_somebody(int fd, gid_t group, bool wanted)
{
	struct windows windows = {0};
	blkcnt_t before = blocks(fd);

	if (setresgid(group, group, group) < 0 || setresuid(SOMEBODY, SOMEBODY, SOMEBODY) < 0)
		return 2;
	if (in_place(&windows, fd, 0, FILLED_BYTES) != wanted)
		return 3;
	return !in_place(&windows, fd, FILLED_BYTES, PAGE) && blocks(fd) == before ? 0 : 4;
}

/* A user is told what is not there, or he is not believed. */
static void who_is_not_told_the_truth_copies(void **state)
{
	static const struct { mode_t mode; gid_t group; bool wanted; } all[] = {
		{ 0777, SOMEBODY, true }, { 0666, SOMEBODY, true }, { 0600, SOMEBODY, false },
		{ 0755, SOMEBODY, false },
		/* What the group may goes before what others may. */
		{ 0757, 0, false }, { 0770, 0, true },
	};

	(void)state;
	if (geteuid() != 0)
		skip();
	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		int fd = guests_file(), status;
		pid_t child;

		assert_int_equal(fchmod(fd, all[i].mode), 0);
		child = fork();
		if (child == 0)
			_exit(as_somebody(fd, all[i].group, all[i].wanted));
		assert_int_equal(waitpid(child, &status, 0), child);
		assert_int_equal(status, 0);
		close(fd);
	}
}

/* Where a page is broken; here one behind the file's end. */
static void read_what_is_not_there(const uint8_t *from, size_t len, void *ctx)
{
	const volatile uint8_t *behind = from + len + PAGE;

	(void)ctx;
	reads += 1 + *behind;
}

static void a_page_that_cannot_be_read_is_no_end(void **state)
{
	struct windows windows = {0};
	int fd = guests_file();

	(void)state;
	windows_catch();	/* cmocka has its own handler in each test */
	reads = 0;
	assert_true(in_place(&windows, fd, 0, PAGE));
	assert_int_equal(windows_read(&windows, fd, FILE_BYTES - PAGE, PAGE,
				      read_what_is_not_there, NULL), -EAGAIN);
	assert_int_equal(reads, 2);
	/* Nothing stays of what took its place, and all is copied from now on. */
	assert_true(windows.refused && !windows.v[0].map && !windows.v[1].map);
	assert_false(in_place(&windows, fd, 0, PAGE));
	close(fd);
}

/* What is no read of a window is the end. */
static void another_fault_ends_the_process(void **state)
{
	pid_t child = fork();
	int status;

	(void)state;
	if (child == 0) {
		int fd = guests_file();
		const volatile uint8_t *map = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, fd,
						   FILE_BYTES);

		windows_catch();
		signal(SIGILL, SIG_DFL);
		_exit(*map);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFSIGNALED(status));
}

static void nothing_is_read_in_place_before_faults_are_caught(void **state)
{
	struct windows windows = {0};
	int fd = guests_file();

	(void)state;
	assert_false(in_place(&windows, fd, 0, PAGE));
	windows_catch();
	assert_true(in_place(&windows, fd, 0, PAGE));
	windows_close(&windows);
	close(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nothing_is_read_in_place_before_faults_are_caught),
		cmocka_unit_test(what_is_there_is_read_where_it_is),
		cmocka_unit_test(what_is_not_there_does_not_come),
		cmocka_unit_test(too_much_or_across_windows_or_behind_the_end_is_copied),
		cmocka_unit_test(other_files_are_copied),
		cmocka_unit_test(who_is_not_told_the_truth_copies),
		cmocka_unit_test(a_page_that_cannot_be_read_is_no_end),
		cmocka_unit_test(another_fault_ends_the_process),
	};

	return cmocka_run_group_tests_name("ram/window", tests, NULL, NULL);
}
