/* SPDX-License-Identifier: Apache-2.0 */

/* Every Nth send, receive and wait of a conversation fails, in each way that it may. */
#include "monitor/channel.h"

#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/cleanup.h"

/* The linker leads calls of these here; see meson.build. */
ssize_t __wrap_sendmsg(int fd, const struct msghdr *msg, int flags);
ssize_t __wrap_recvmsg(int fd, struct msghdr *msg, int flags);
int __wrap_poll(struct pollfd *fds, nfds_t n, int timeout_ms);
ssize_t __real_sendmsg(int fd, const struct msghdr *msg, int flags);
ssize_t __real_recvmsg(int fd, struct msghdr *msg, int flags);
int __real_poll(struct pollfd *fds, nfds_t n, int timeout_ms);

/* The @nth call from now on fails so; 0: none. */
static struct {
	unsigned nth, calls;
	int code;
} fault;

static bool fails(void)
{
	if (++fault.calls != fault.nth)
		return false;
	errno = fault.code;
	return true;
}

ssize_t __wrap_sendmsg(int fd, const struct msghdr *msg, int flags)
{
	return fails() ? -1 : __real_sendmsg(fd, msg, flags);
}

ssize_t __wrap_recvmsg(int fd, struct msghdr *msg, int flags)
{
	return fails() ? -1 : __real_recvmsg(fd, msg, flags);
}

int __wrap_poll(struct pollfd *fds, nfds_t n, int timeout_ms)
{
	return fails() ? -1 : __real_poll(fds, n, timeout_ms);
}

enum { GIVE = 1, TAKEN = 2 };

struct heard {
	unsigned gives, takens;
};

static int on_give(struct channel *channel, struct message *message, void *ctx, struct err *err)
{
	struct heard *heard = ctx;
	char text[4];

	heard->gives++;
	/* What comes is whole, and its descriptor leads where it did. */
	assert_int_equal(bytes_u32(&message->body), heard->gives);
	assert_int_equal(pread(message->fds[0], text, sizeof(text), 0), 0);
	return channel_send(channel, TAKEN, NULL, 0, NULL, 0, 1000, err);
}

static int on_taken(struct channel *channel, struct message *message, void *ctx, struct err *err)
{
	struct heard *heard = ctx;

	(void)channel;
	(void)message;
	(void)err;
	heard->takens++;
	return 0;
}

static const struct channel_rule rules[] = {
	{ GIVE, "GIVE", ROLE_SCANNER, 4, 4, 1, 1, on_give },
	{ TAKEN, "TAKEN", ROLE_STARTER, 0, 0, 0, 0, on_taken },
};

/* As long as it goes: three things are given, and each is acknowledged. */
static int converse(struct channel *starter, struct channel *scanner, struct heard *heard,
		    struct err *err)
{
	cleanup(fd_close) int file = open("/dev/null", O_RDONLY | O_CLOEXEC);
	int r = 0;

	for (uint8_t n = 1; n <= 3 && r >= 0; n++) {
		const uint8_t body[4] = { n };

		r = channel_send(scanner, GIVE, body, sizeof(body), &file, 1, 1000, err);
		if (r >= 0)
			r = channel_dispatch(starter, heard, 1000, err);
		if (r >= 0)
			r = channel_dispatch(scanner, heard, 1000, err);
	}
	return r;
}

static int next_fd(void)
{
	int fd = dup(0);

	close(fd);
	return fd;
}

/* Once through; how many calls there were. */
static unsigned run(unsigned nth, int code, bool passes)
{
	const int first = next_fd();
	struct channel starter, scanner;
	struct heard heard = { 0 };
	struct err err = { 0 };
	int fds[2], r;

	assert_int_equal(channel_pair(fds, &err), 0);
	channel_init(&starter, fds[0], ROLE_STARTER, ROLE_SCANNER, rules, 2);
	channel_init(&scanner, fds[1], ROLE_SCANNER, ROLE_STARTER, rules, 2);
	fault.calls = 0;
	fault.nth = nth;
	fault.code = code;
	r = converse(&starter, &scanner, &heard, &err);
	fault.nth = 0;
	if (passes || !nth) {
		assert_int_equal(r, 0);
		assert_int_equal(heard.gives, 3);
		assert_int_equal(heard.takens, 3);
	} else {
		/* It is an error that has a text; nothing is acknowledged that was not given. */
		assert_true(r < 0);
		assert_true(err.code == r && *err.text);
		assert_true(heard.takens <= heard.gives && heard.gives <= 3);
	}
	channel_close(&starter);
	channel_close(&scanner);
	assert_int_equal(next_fd(), first);
	return fault.calls;
}

static void every_failed_call_is_an_error_or_made_good(void **state)
{
	static const struct {
		int code;
		bool passes;
	} faults[] = {
		{ EINTR, true }, { EAGAIN, true }, { ECONNRESET, false }, { ENOMEM, false },
		{ ENOBUFS, false }, { EIO, false },
	};
	unsigned calls = run(0, 0, true);

	(void)state;
	assert_int_equal(calls, 18);
	for (size_t i = 0; i < ARRAY_SIZE(faults); i++)
		for (unsigned nth = 1; nth <= calls; nth++)
			run(nth, faults[i].code, faults[i].passes);
}

/* Where it has to wait, that may be broken off, too. */
static void a_wait_that_is_broken_off_goes_on(void **state)
{
	const int codes[] = { EINTR, ENOMEM };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(codes); i++) {
		struct channel starter;
		struct message message;
		struct err err = { 0 };
		int fds[2];

		assert_int_equal(channel_pair(fds, &err), 0);
		channel_init(&starter, fds[0], ROLE_STARTER, ROLE_SCANNER, rules, 2);
		/* The first call waits. */
		fault.calls = 0;
		fault.nth = 1;
		fault.code = codes[i];
		assert_int_equal(channel_receive(&starter, &message, 10, &err),
				 codes[i] == EINTR ? -ETIMEDOUT : -codes[i]);
		fault.nth = 0;
		channel_close(&starter);
		close(fds[1]);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_failed_call_is_an_error_or_made_good),
		cmocka_unit_test(a_wait_that_is_broken_off_goes_on),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
