/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/progress.h"

#include <stdarg.h>
#include <setjmp.h>
#include <poll.h>
#include <pty.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/cleanup.h"

/* Long enough for a busy host; the line comes after one second. */
#define PATIENCE_MS 60000

/* What stderr has been told so far, on a terminal. */
struct terminal {
	int master, old_stderr;
	char text[4096];
	size_t n;
};

static int setup(void **state)
{
	static struct terminal terminal;
	int slave;

	memset(&terminal, 0, sizeof(terminal));
	if (openpty(&terminal.master, &slave, NULL, NULL, NULL) < 0)
		return -1;
	terminal.old_stderr = dup(STDERR_FILENO);
	dup2(slave, STDERR_FILENO);
	close(slave);
	*state = &terminal;
	return 0;
}

static int teardown(void **state)
{
	struct terminal *terminal = *state;

	dup2(terminal->old_stderr, STDERR_FILENO);
	close(terminal->old_stderr);
	close(terminal->master);
	return 0;
}

/* Until @what was written, or nothing more is to be expected within @ms. */
static bool wait_for(struct terminal *terminal, const char *what, int ms)
{
	struct pollfd fd = { .fd = terminal->master, .events = POLLIN };

	while (!strstr(terminal->text, what)) {
		ssize_t n;

		if (poll(&fd, 1, ms) != 1)
			return false;
		n = read(fd.fd, terminal->text + terminal->n,
			 sizeof(terminal->text) - 1 - terminal->n);
		if (n <= 0)
			return false;
		terminal->n += (size_t)n;
	}
	return true;
}

static void long_work_is_told_and_wiped(void **state)
{
	struct terminal *terminal = *state;
	struct progress *progress = progress_begin("attaching to \033[2Jx");

	assert_non_null(progress);
	assert_true(wait_for(terminal, "hvsm: attaching to \\x1b[2Jx … 1 s", PATIENCE_MS));
	progress_end(&progress);
	assert_null(progress);
	assert_true(wait_for(terminal, "\r\033[K", PATIENCE_MS));
	assert_string_equal(terminal->text + terminal->n - strlen("\r\033[K"), "\r\033[K");
}

static void short_work_says_nothing(void **state)
{
	struct terminal *terminal = *state;
	struct progress *progress = progress_begin("x");

	progress_end(&progress);
	assert_false(wait_for(terminal, "x", 0));
	assert_int_equal(terminal->n, 0);
}

static void nobody_is_told_where_nobody_looks(void **state)
{
	struct progress *progress;
	int fds[2];

	(void)state;
	assert_int_equal(pipe(fds), 0);
	dup2(fds[1], STDERR_FILENO);
	progress = progress_begin("x");
	assert_null(progress);
	progress_end(&progress);
	close(fds[0]);
	close(fds[1]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(long_work_is_told_and_wiped, setup, teardown),
		cmocka_unit_test_setup_teardown(short_work_says_nothing, setup, teardown),
		cmocka_unit_test_setup_teardown(nobody_is_told_where_nobody_looks, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
