/* SPDX-License-Identifier: Apache-2.0 */
#include "ram/remote.h"

#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <setjmp.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/addr.h"
#include "base/cleanup.h"

#define PAGE  GUEST_PAGE_SIZE
#define PAGES 4096u		/* 16 MiB */

/* A process that has touched every page of the second quarter of its memory, and page 0. */
struct child {
	pid_t pid;
	uint64_t at;
};

/* Does it sleep, having done all that it does? */
static bool asleep(pid_t pid)
{
	char path[64], line[256] = "";
	cleanup(file_close) FILE *file = NULL;
	const char *state;

	snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	file = fopen(path, "r");
	state = file && fgets(line, sizeof(line), file) ? strrchr(line, ')') : NULL;
	return state && state[2] == 'S';
}

static void become_another(int signal)
{
	(void)signal;
	execl("/bin/sleep", "sleep", "1000", (char *)NULL);
	_exit(1);
}

static void start(struct child *child)
{
	uint8_t *memory = mmap(NULL, PAGES * PAGE, PROT_READ | PROT_WRITE,
			       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	int ready[2];
	char c;

	assert_true(memory != MAP_FAILED);
	assert_int_equal(madvise(memory, PAGES * PAGE, MADV_NOHUGEPAGE), 0);
	assert_int_equal(pipe(ready), 0);
	child->at = (uintptr_t)memory;
	child->pid = fork();
	if (!child->pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		signal(SIGUSR1, become_another);
		memory[0] = 0x11;
		for (unsigned i = PAGES / 4; i < PAGES / 2; i++)
			memset(memory + (size_t)i * PAGE, (int)(i % 251) + 1, PAGE);
		(void)!write(ready[1], "", 1);
		for (;;)
			pause();
	}
	assert_int_equal(read(ready[0], &c, 1), 1);
	close(ready[0]);
	close(ready[1]);
	munmap(memory, PAGES * PAGE);
	while (!asleep(child->pid))
		usleep(1000);
}

static void stop(const struct child *child)
{
	kill(child->pid, SIGKILL);
	waitpid(child->pid, NULL, 0);
}

static void open_remote(const struct child *child, struct remote *remote)
{
	struct proc proc;

	assert_int_equal(proc_init(&proc, child->pid, NULL), 0);
	assert_int_equal(remote_init(remote, &proc, NULL), 0);
}

/* A number of kB in a file of /proc/PID. The counters of "status" are estimates. */
static long kilobytes(pid_t pid, const char *name, const char *key)
{
	char path[64], line[256];
	cleanup(file_close) FILE *file = NULL;

	snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, name);
	file = fopen(path, "r");
	while (file && fgets(line, sizeof(line), file))
		if (!strncmp(line, key, strlen(key)))
			return strtol(line + strlen(key) + 1, NULL, 10);
	fail_msg("no %s", key);
	return 0;
}

static uint8_t expected(uint64_t offset)
{
	unsigned page = (unsigned)(offset / PAGE);

	if (!offset)
		return 0x11;
	return page >= PAGES / 4 && page < PAGES / 2 ? (uint8_t)(page % 251 + 1) : 0;
}

static void memory_is_read_as_it_is(void **state)
{
	static const struct { uint64_t at; size_t len; } reads[] = {
		{ 0, 1 }, { 0, PAGE }, { 5, 3 * PAGE }, { PAGES / 4 * PAGE - 100, 200 },
		{ PAGES / 2 * PAGE - 7, 8 }, { 0, PAGES * PAGE }, { 17, PAGES * PAGE - 17 },
		{ PAGES / 4 * PAGE + 9, 1 << 20 }, { PAGES * PAGE - 1, 1 },
	};
	cleanup(remote_deinit) struct remote remote = REMOTE_NONE;
	cleanup(freep) uint8_t *buf = malloc(PAGES * PAGE);
	struct child child;

	(void)state;
	start(&child);
	open_remote(&child, &remote);
	for (size_t i = 0; i < ARRAY_SIZE(reads); i++) {
		memset(buf, 0xee, reads[i].len);
		assert_int_equal(remote_read(&remote, child.at + reads[i].at, buf, reads[i].len,
					     NULL, NULL, NULL), 0);
		for (size_t j = 0; j < reads[i].len; j++)
			if (buf[j] != expected(reads[i].at + j))
				fail_msg("read %zu, byte %zu: %#x", i, j, buf[j]);
	}
	stop(&child);
}

static void reading_leaves_no_trace(void **state)
{
	static const struct { const char *name, *key; } keys[] = {
		{ "smaps_rollup", "Rss:" }, { "smaps_rollup", "Anonymous:" },
		{ "smaps_rollup", "AnonHugePages:" }, { "status", "VmPTE:" },
	};
	cleanup(remote_deinit) struct remote remote = REMOTE_NONE;
	cleanup(freep) uint8_t *buf = malloc(PAGES * PAGE);
	long before[ARRAY_SIZE(keys)];
	struct child child;

	(void)state;
	start(&child);
	for (size_t i = 0; i < ARRAY_SIZE(keys); i++)
		before[i] = kilobytes(child.pid, keys[i].name, keys[i].key);
	open_remote(&child, &remote);
	for (int n = 0; n < 20; n++) {
		assert_int_equal(remote_read(&remote, child.at, buf, PAGES * PAGE, NULL, NULL,
					     NULL), 0);
		for (uint64_t at = 0; at < PAGES * PAGE; at += PAGE)
			assert_int_equal(remote_read(&remote, child.at + at, buf, PAGE, NULL,
						     NULL, NULL), 0);
	}
	for (size_t i = 0; i < ARRAY_SIZE(keys); i++)
		assert_int_equal(kilobytes(child.pid, keys[i].name, keys[i].key), before[i]);
	stop(&child);
}

static void runs_are_what_was_touched(void **state)
{
	cleanup(remote_deinit) struct remote remote = REMOTE_NONE;
	uint64_t at, end, start_at, len, sum = 0;
	struct child child;

	(void)state;
	start(&child);
	open_remote(&child, &remote);
	end = child.at + PAGES * PAGE;
	for (at = child.at; remote_next(&remote, at, end, &start_at, &len, NULL) == 0;
	     at = start_at + len) {
		assert_true(len && start_at >= at && start_at + len <= end);
		for (uint64_t i = start_at; i < start_at + len; i += PAGE)
			assert_int_not_equal(expected(i - child.at), 0);
		sum += len;
	}
	assert_int_equal(sum, (PAGES / 4 + 1) * PAGE);
	stop(&child);
}

static int absent_is(void *ctx, uint64_t at, void *buf, size_t len, struct err *err)
{
	(void)at;
	(void)err;
	memset(buf, *(const int *)ctx, len);
	return *(const int *)ctx == 0x99 ? -EFAULT : 0;
}

static void what_is_absent_comes_from_below(void **state)
{
	cleanup(remote_deinit) struct remote remote = REMOTE_NONE;
	uint8_t buf[2 * PAGE];
	struct child child;
	int fill = 0x77;

	(void)state;
	start(&child);
	open_remote(&child, &remote);
	assert_int_equal(remote_read(&remote, child.at, buf, sizeof(buf), absent_is, &fill,
				     NULL), 0);
	assert_int_equal(buf[0], 0x11);
	assert_int_equal(buf[PAGE], 0x77);
	fill = 0x99;
	assert_int_equal(remote_read(&remote, child.at, buf, sizeof(buf), absent_is, &fill,
				     NULL), -EFAULT);
	stop(&child);
}

static void a_process_that_ended_is_told(void **state)
{
	cleanup(remote_deinit) struct remote remote = REMOTE_NONE;
	cleanup(freep) uint8_t *buf = malloc(1 << 20);
	uint64_t start_at, len;
	struct err err = { 0 };
	struct child child;

	(void)state;
	start(&child);
	open_remote(&child, &remote);
	assert_int_equal(proc_alive(&remote.proc, NULL), 0);
	stop(&child);
	assert_int_equal(proc_alive(&remote.proc, &err), -ESRCH);
	assert_int_equal(remote_read(&remote, child.at, buf, PAGE, NULL, NULL, &err), -ESRCH);
	assert_int_equal(remote_read(&remote, child.at, buf, 1 << 20, NULL, NULL, &err), -ESRCH);
	assert_int_equal(remote_next(&remote, child.at, child.at + PAGE, &start_at, &len, &err),
			 -ESRCH);
	assert_int_equal(err.code, -ESRCH);
}

static bool is_called(pid_t pid, const char *name)
{
	char path[64], line[64] = "";
	cleanup(file_close) FILE *file = NULL;

	snprintf(path, sizeof(path), "/proc/%d/comm", (int)pid);
	file = fopen(path, "r");
	return file && fgets(line, sizeof(line), file) && !strncmp(line, name, strlen(name));
}

/* Who was killed gives his memory up before he ends, and so does who executes another program. */
static void memory_that_was_given_up_is_told_as_an_end(void **state)
{
	cleanup(remote_deinit) struct remote remote = REMOTE_NONE;
	uint64_t start_at, len;
	struct err err = { 0 };
	struct child child;
	uint8_t buf[16];

	(void)state;
	start(&child);
	open_remote(&child, &remote);
	assert_int_equal(remote_read(&remote, child.at, buf, sizeof(buf), NULL, NULL, &err), 0);
	kill(child.pid, SIGUSR1);
	while (!is_called(child.pid, "sleep"))
		usleep(1000);
	assert_int_equal(proc_alive(&remote.proc, NULL), 0);
	assert_int_equal(remote_read(&remote, child.at, buf, sizeof(buf), NULL, NULL, &err),
			 -ESRCH);
	assert_non_null(strstr(err.text, "ended"));
	assert_int_equal(remote_next(&remote, child.at, child.at + PAGE, &start_at, &len, &err),
			 -ESRCH);
	stop(&child);
}

static void memory_that_is_not_mapped(void **state)
{
	cleanup(remote_deinit) struct remote remote = REMOTE_NONE;
	struct child child;
	uint8_t buf[16];

	(void)state;
	start(&child);
	open_remote(&child, &remote);
	/* Nothing is there, so nothing is touched; whoever asks has looked at the areas. */
	assert_int_equal(remote_read(&remote, PAGE, buf, sizeof(buf), NULL, NULL, NULL), 0);
	assert_int_equal(remote_read(&remote, 1ull << 62, buf, sizeof(buf), NULL, NULL, NULL),
			 -EFAULT);
	stop(&child);
}

static void no_such_process(void **state)
{
	struct proc proc;
	struct err err = { 0 };

	(void)state;
	assert_int_equal(proc_init(&proc, 0, &err), -EINVAL);
	assert_int_equal(proc_init(&proc, -1, &err), -EINVAL);
	assert_int_equal(proc_init(&proc, 0x7fffffff, &err), -ESRCH);
	assert_int_equal(err.code, -ESRCH);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(memory_is_read_as_it_is),
		cmocka_unit_test(reading_leaves_no_trace),
		cmocka_unit_test(runs_are_what_was_touched),
		cmocka_unit_test(what_is_absent_comes_from_below),
		cmocka_unit_test(a_process_that_ended_is_told),
		cmocka_unit_test(memory_that_was_given_up_is_told_as_an_end),
		cmocka_unit_test(memory_that_is_not_mapped),
		cmocka_unit_test(no_such_process),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
