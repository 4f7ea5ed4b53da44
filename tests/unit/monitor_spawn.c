/* SPDX-License-Identifier: Apache-2.0 */
#include "monitor/spawn.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <cmocka.h>

#include "monitor/channel.h"

/* What this test is when it is executed for a role. */
static int act(const char *role)
{
	int open_fds = 0;
	char byte;

	if (!strcmp(role, "count")) {
		for (int fd = 4; fd < 256; fd++)
			open_fds += fcntl(fd, F_GETFD) >= 0;
		return open_fds;
	}
	/* "echo": until the starter says something, or is gone. */
	if (read(CHANNEL_FD, &byte, 1) != 1 || write(CHANNEL_FD, &byte, 1) != 1)
		return 9;
	return 7;
}

static int start(const char *role, struct spawned *process)
{
	struct err err = { 0 };
	int fds[2], r;

	assert_int_equal(channel_pair(fds, &err), 0);
	r = spawn_role(role, "a test", fds[1], process, &err);
	assert_int_equal(r, 0);
	close(fds[1]);
	return fds[0];
}

static void a_role_talks_over_its_channel(void **state)
{
	struct spawned process;
	struct pollfd ended;
	char byte = 'x', text[64];
	int fd = start("echo", &process);

	(void)state;
	assert_int_equal(spawn_wait(&process, 0, text, sizeof(text)), 0);
	ended = (struct pollfd){ .fd = process.pidfd, .events = POLLIN };
	assert_int_equal(write(fd, &byte, 1), 1);
	byte = 0;
	assert_int_equal(read(fd, &byte, 1), 1);
	assert_int_equal(byte, 'x');
	assert_int_equal(poll(&ended, 1, -1), 1);
	assert_int_equal(spawn_wait(&process, 1, text, sizeof(text)), 1);
	assert_string_equal(text, "exit status 7");
	assert_int_equal(process.pid, -1);
	close(fd);
}

static void it_has_no_other_descriptor(void **state)
{
	struct spawned process;
	char text[64];
	int leak = open("/dev/null", O_RDONLY), fd = start("count", &process);

	(void)state;
	assert_true(leak >= 0);
	assert_int_equal(spawn_wait(&process, 1, text, sizeof(text)), 1);
	assert_string_equal(text, "exit status 0");
	close(leak);
	close(fd);
}

static void it_can_be_killed(void **state)
{
	struct spawned process;
	char text[64];
	int fd = start("echo", &process);

	(void)state;
	assert_int_equal(kill(process.pid, SIGKILL), 0);
	assert_int_equal(spawn_wait(&process, 1, text, sizeof(text)), 1);
	assert_string_equal(text, "killed by SIGKILL");
	spawn_kill(&process);
	close(fd);
	fd = start("echo", &process);
	spawn_kill(&process);
	assert_int_equal(process.pidfd, -1);
	close(fd);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_role_talks_over_its_channel),
		cmocka_unit_test(it_has_no_other_descriptor),
		cmocka_unit_test(it_can_be_killed),
	};
	const char *role = spawn_role_of(argc, argv);

	if (role)
		return act(role);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
