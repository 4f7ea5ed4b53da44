/* SPDX-License-Identifier: Apache-2.0 */
#include "monitor/landlock.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

/* What a child says of itself by how it ends; /bin/true ends with 0. */
enum { ALL_AS_IT_SHOULD_BE = 42, NO_LANDLOCK = 77 };

struct fixture {
	char dir[64], in[96], out[96];	/* a directory with two */
};

static void make_file(const char *dir, const char *name)
{
	char path[128];
	int fd;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, "text", 4), 4);
	close(fd);
}

static int set_up(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	assert_non_null(f);
	strcpy(f->dir, "/tmp/hvsm-landlock-XXXXXX");
	assert_non_null(mkdtemp(f->dir));
	snprintf(f->in, sizeof(f->in), "%s/in", f->dir);
	snprintf(f->out, sizeof(f->out), "%s/out", f->dir);
	assert_int_equal(mkdir(f->in, 0700), 0);
	assert_int_equal(mkdir(f->out, 0700), 0);
	make_file(f->in, "file");
	make_file(f->out, "file");
	*state = f;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;
	char command[128];

	snprintf(command, sizeof(command), "rm -rf '%s'", f->dir);
	assert_int_equal(system(command), 0);
	free(f);
	return 0;
}

/* In a process of its own, since none comes back from it. */
static int in_child(const struct fixture *f, bool read, const struct landlock_place *places,
		    size_t n, int (*tries)(const struct fixture *f))
{
	pid_t child = fork();
	int status;

	assert_true(child >= 0);
	if (!child) {
		int r = prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ? -errno :
			landlock_deny(read, places, n, NULL);

		_exit(r == -EOPNOTSUPP ? NO_LANDLOCK : r < 0 ? 99 : tries(f));
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFEXITED(status));
	if (WEXITSTATUS(status) == NO_LANDLOCK)
		skip();
	return WEXITSTATUS(status);
}

/* 0, or the errno of open(). */
static int opens(const char *dir, const char *name, int flags)
{
	char path[128];
	int fd;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	fd = open(path, flags | O_CLOEXEC, 0600);
	if (fd < 0)
		return errno;
	close(fd);
	return 0;
}

static int tries_all(const struct fixture *f)
{
	if (opens(f->in, "file", O_RDONLY) != EACCES)
		return 1;
	if (opens(f->in, "file", O_WRONLY) != EACCES)
		return 2;
	if (opens(f->in, "new", O_WRONLY | O_CREAT) != EACCES)
		return 3;
	if (mkdir(f->in, 0700) == 0 || opens("/", "", O_RDONLY | O_DIRECTORY) != EACCES)
		return 4;
	return ALL_AS_IT_SHOULD_BE;
}

static void without_exceptions_no_file_is_to_be_had(void **state)
{
	assert_int_equal(in_child(*state, false, NULL, 0, tries_all), ALL_AS_IT_SHOULD_BE);
}

static int renames(const char *from_dir, const char *from, const char *to_dir, const char *to)
{
	char old[128], new[128];

	snprintf(old, sizeof(old), "%s/%s", from_dir, from);
	snprintf(new, sizeof(new), "%s/%s", to_dir, to);
	return rename(old, new) < 0 ? errno : 0;
}

static int removes(const char *dir, const char *name)
{
	char path[128];

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	return unlink(path) < 0 ? errno : 0;
}

static int makes_inside(const struct fixture *f)
{
	char sub[112];

	snprintf(sub, sizeof(sub), "%s/sub", f->in);
	if (opens(f->in, "file", O_RDWR) || opens(f->in, "new", O_RDWR | O_CREAT | O_EXCL))
		return 1;
	if (mkdir(sub, 0700) < 0 || renames(f->in, "new", f->in, "newer") ||
	    removes(f->in, "newer"))
		return 2;
	/* Whose is in a directory need not be able to lose it. */
	if (!renames(f->in, "sub", f->in, "other") || rmdir(sub) == 0)
		return 6;
	/* What is read may lie anywhere, and nothing is made, written or moved there. */
	if (opens(f->out, "file", O_RDONLY) || opens("/", "", O_RDONLY | O_DIRECTORY))
		return 3;
	if (opens(f->out, "file", O_WRONLY) != EACCES ||
	    opens(f->out, "new", O_WRONLY | O_CREAT) != EACCES ||
	    removes(f->out, "file") != EACCES)
		return 4;
	if (!renames(f->in, "file", f->out, "moved") || !renames(f->out, "file", f->in, "moved"))
		return 5;
	return ALL_AS_IT_SHOULD_BE;
}

static void where_it_may_make_files_it_does_and_reads_all(void **state)
{
	const struct fixture *f = *state;
	const struct landlock_place places[] = { { f->in, true }, { "/nowhere/at/all", true } };

	assert_int_equal(in_child(f, true, places, 2, makes_inside), ALL_AS_IT_SHOULD_BE);
}

static int writes_inside(const struct fixture *f)
{
	if (opens(f->in, "file", O_RDWR) || opens(f->in, "", O_TMPFILE | O_RDWR))
		return 1;
	if (opens(f->in, "new", O_WRONLY | O_CREAT) != EACCES || removes(f->in, "file") != EACCES)
		return 2;
	return ALL_AS_IT_SHOULD_BE;
}

static void where_it_may_write_it_makes_nothing_with_a_name(void **state)
{
	const struct fixture *f = *state;
	const struct landlock_place place = { f->in, false };

	assert_int_equal(in_child(f, true, &place, 1, writes_inside), ALL_AS_IT_SHOULD_BE);
}

static int executes(const struct fixture *f)
{
	(void)f;
	execl("/bin/true", "true", NULL);
	return errno == EACCES ? ALL_AS_IT_SHOULD_BE : 1;
}

static void nothing_is_executed(void **state)
{
	const struct landlock_place place = { "/", true };

	assert_int_equal(in_child(*state, true, &place, 1, executes), ALL_AS_IT_SHOULD_BE);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(without_exceptions_no_file_is_to_be_had),
		TEST(where_it_may_make_files_it_does_and_reads_all),
		TEST(where_it_may_write_it_makes_nothing_with_a_name),
		TEST(nothing_is_executed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
