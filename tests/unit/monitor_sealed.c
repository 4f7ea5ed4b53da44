/* SPDX-License-Identifier: Apache-2.0 */
#include "monitor/sealed.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <cmocka.h>

#include "base/cleanup.h"

static void what_is_sealed_stays(void **state)
{
	cleanup(fd_close) int fd = sealed_make("test", "hello", 5, NULL);
	struct sealed sealed;

	(void)state;
	assert_true(fd >= 0);
	assert_true(write(fd, "x", 1) < 0);
	assert_true(ftruncate(fd, 2) < 0);
	assert_true(ftruncate(fd, 200) < 0);
	assert_ptr_equal(mmap(NULL, 5, PROT_WRITE, MAP_SHARED, fd, 0), MAP_FAILED);
	assert_int_equal(sealed_map(fd, 5, &sealed, NULL), 0);
	assert_int_equal(sealed.size, 5);
	assert_memory_equal(sealed.data, "hello", 5);
	sealed_unmap(&sealed);
	assert_null(sealed.data);
}

static void nothing_can_be_sealed(void **state)
{
	cleanup(fd_close) int fd = sealed_make("test", NULL, 0, NULL);
	struct sealed sealed;

	(void)state;
	assert_int_equal(sealed_map(fd, 0, &sealed, NULL), 0);
	assert_int_equal(sealed.size, 0);
	sealed_unmap(&sealed);
}

static void longer_than_agreed_is_refused(void **state)
{
	cleanup(fd_close) int fd = sealed_make("test", "hello", 5, NULL);
	struct sealed sealed;

	(void)state;
	assert_int_equal(sealed_map(fd, 4, &sealed, NULL), -EPROTO);
}

/* Each seal that is missing lets its sender change it under our eyes. */
static void what_is_not_sealed_is_refused(void **state)
{
	const int seals[] = { F_SEAL_SEAL, F_SEAL_SHRINK, F_SEAL_GROW, F_SEAL_WRITE };
	struct sealed sealed;

	(void)state;
	for (size_t without = 0; without < ARRAY_SIZE(seals); without++) {
		cleanup(fd_close) int fd = memfd_create("test", MFD_ALLOW_SEALING);

		assert_int_equal(write(fd, "hello", 5), 5);
		for (size_t i = ARRAY_SIZE(seals); i-- > 0; )
			if (i != without)
				assert_int_equal(fcntl(fd, F_ADD_SEALS, seals[i]), 0);
		assert_int_equal(sealed_map(fd, 5, &sealed, NULL), -EPROTO);
	}
}

static void file_and_pipe_are_refused(void **state)
{
	cleanup(fd_close) int file = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	struct sealed sealed;
	int ends[2];

	(void)state;
	assert_true(file >= 0);
	assert_int_equal(sealed_map(file, SIZE_MAX, &sealed, NULL), -EPROTO);
	assert_int_equal(pipe(ends), 0);
	assert_int_equal(sealed_map(ends[0], SIZE_MAX, &sealed, NULL), -EPROTO);
	close(ends[0]);
	close(ends[1]);
	assert_int_equal(sealed_map(-1, SIZE_MAX, &sealed, NULL), -EPROTO);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_sealed_stays),
		cmocka_unit_test(nothing_can_be_sealed),
		cmocka_unit_test(longer_than_agreed_is_refused),
		cmocka_unit_test(what_is_not_sealed_is_refused),
		cmocka_unit_test(file_and_pipe_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
