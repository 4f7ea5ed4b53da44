/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/version.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <cmocka.h>

#include "agent/cache.h"

/* What is looked at is what stat(2) says, by descriptor, by path, and by a link of /proc. */
static void assert_like_stat(const struct version *version, const struct stat *stat)
{
	assert_int_equal(version->stat.st_dev, stat->st_dev);
	assert_int_equal(version->stat.st_ino, stat->st_ino);
	assert_int_equal(version->stat.st_mode, stat->st_mode);
	assert_int_equal(version->stat.st_nlink, stat->st_nlink);
	assert_int_equal(version->stat.st_uid, stat->st_uid);
	assert_int_equal(version->stat.st_size, stat->st_size);
	assert_int_equal(version->stat.st_mtim.tv_sec, stat->st_mtim.tv_sec);
	assert_int_equal(version->stat.st_mtim.tv_nsec, stat->st_mtim.tv_nsec);
	assert_int_equal(version->stat.st_ctim.tv_sec, stat->st_ctim.tv_sec);
	assert_int_equal(version->stat.st_ctim.tv_nsec, stat->st_ctim.tv_nsec);
}

static void it_is_what_stat_says(void **state)
{
	int fd = memfd_create("version", MFD_CLOEXEC);
	struct version version;
	struct stat stat;
	char link[32];

	(void)state;
	assert_true(fd >= 0);
	assert_int_equal(write(fd, "text", 4), 4);
	assert_int_equal(fstat(fd, &stat), 0);
	assert_int_equal(version_of_fd(fd, &version), 0);
	assert_like_stat(&version, &stat);
	assert_int_equal(version.verity, 0);
	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	for (int sync = 0; sync < 2; sync++) {
		memset(&version, 0xff, sizeof(version));
		assert_int_equal(version_of_path(link, sync, &version), 0);
		assert_like_stat(&version, &stat);
		assert_int_equal(version.verity, 0);
	}
	close(fd);
}

static void a_failure_leaves_it_as_it_was(void **state)
{
	struct version version = { .verity = 7 };

	(void)state;
	assert_int_equal(version_of_fd(-1, &version), -EBADF);
	assert_int_equal(version_of_path("/nonexistent", true, &version), -ENOENT);
	assert_int_equal(version.verity, 7);
}

static void another_digest_of_fs_verity_is_another_version(void **state)
{
	struct version version = {0};
	struct cache_key before = cache_key_of(&version), after;

	(void)state;
	version.verity = 1;
	after = cache_key_of(&version);
	assert_memory_not_equal(&before, &after, sizeof(before));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(it_is_what_stat_says),
		cmocka_unit_test(a_failure_leaves_it_as_it_was),
		cmocka_unit_test(another_digest_of_fs_verity_is_another_version),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
