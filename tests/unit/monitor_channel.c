/* SPDX-License-Identifier: Apache-2.0 */
#include "monitor/channel.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <cmocka.h>

#include "base/cleanup.h"

enum { HELLO = 1, GIVE = 2, ASK = 3, SILENT = 4, UNKNOWN = 99 };

static struct {
	unsigned hellos, gives;
	uint32_t number;
	char text[32];
	int answer;
} seen;

static int on_hello(struct channel *channel, struct message *message, void *ctx, struct err *err)
{
	const char *text;

	(void)channel;
	assert_ptr_equal(ctx, &seen);
	seen.hellos++;
	seen.number = bytes_u32(&message->body);
	text = bytes_text(&message->body);
	if (!text || !bytes_at_end(&message->body))
		return err_set(err, -EPROTO, "not a hello");
	snprintf(seen.text, sizeof(seen.text), "%s", text);
	return seen.answer;
}

static int on_give(struct channel *channel, struct message *message, void *ctx, struct err *err)
{
	(void)channel;
	(void)ctx;
	(void)err;
	assert_int_equal(message->fds_n, 2);
	seen.gives++;
	return 0;
}

static const struct channel_rule rules[] = {
	{ HELLO, "HELLO", ROLE_SCANNER, 8, 64, 0, 0, on_hello },
	{ GIVE, "GIVE", ROLE_SCANNER, 0, 0, 2, 2, on_give },
	{ SILENT, "SILENT", ROLE_SCANNER, 0, 8, 0, 1, NULL },
	{ ASK, "ASK", ROLE_STARTER, 0, 16, 0, 1, NULL },
};

struct two {
	struct channel starter, scanner;
};

static int set_up(void **state)
{
	struct two *two = calloc(1, sizeof(*two));
	int fds[2];

	assert_non_null(two);
	assert_int_equal(channel_pair(fds, NULL), 0);
	channel_init(&two->starter, fds[0], ROLE_STARTER, ROLE_SCANNER, rules,
		     ARRAY_SIZE(rules));
	channel_init(&two->scanner, fds[1], ROLE_SCANNER, ROLE_STARTER, rules,
		     ARRAY_SIZE(rules));
	memset(&seen, 0, sizeof(seen));
	*state = two;
	return 0;
}

static int tear_down(void **state)
{
	struct two *two = *state;

	channel_close(&two->starter);
	channel_close(&two->scanner);
	free(two);
	return 0;
}

/* How many descriptors this process has. */
static unsigned open_fds(void)
{
	unsigned n = 0;

	for (int fd = 0; fd < 256; fd++)
		n += fcntl(fd, F_GETFD) >= 0;
	return n;
}

/* As a scanner that does not care for rules. */
static void send_raw(struct two *two, uint32_t type, uint32_t says, const void *body, size_t size,
		     unsigned fds_n)
{
	uint8_t data[2 * CHANNEL_BODY_MAX];
	struct writer w = writer_of(data, sizeof(data));
	struct iovec part = { data, 0 };
	char control[CMSG_SPACE(sizeof(int) * 253)] __attribute__((aligned(8))) = {0};
	struct msghdr msg = { .msg_iov = &part, .msg_iovlen = 1 };
	int fds[253];

	write_u32(&w, type);
	write_u32(&w, says);
	write_bytes(&w, body, size);
	assert_true(writer_ok(&w));
	part.iov_len = w.n;
	for (unsigned i = 0; i < fds_n; i++)
		fds[i] = STDERR_FILENO;
	if (fds_n) {
		struct cmsghdr *c = (struct cmsghdr *)control;

		msg.msg_control = control;
		msg.msg_controllen = CMSG_SPACE(sizeof(int) * fds_n);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(sizeof(int) * fds_n);
		memcpy(CMSG_DATA(c), fds, sizeof(int) * fds_n);
	}
	assert_int_equal(sendmsg(two->scanner.fd, &msg, MSG_NOSIGNAL), w.n);
}

/* The peer is ended, what it sent is closed, and it will not be heard again. */
static void is_ended(struct two *two, const char *why)
{
	unsigned before = open_fds();
	struct err err = {0};
	char byte;

	assert_int_equal(channel_dispatch(&two->starter, &seen, 1000, &err), -EPROTO);
	if (!strstr(err.text, why))
		fail_msg("'%s' does not say '%s'", err.text, why);
	assert_true(two->starter.dead);
	assert_int_equal(open_fds(), before);
	assert_int_equal(recv(two->scanner.fd, &byte, 1, 0), 0);
	assert_int_equal(channel_dispatch(&two->starter, &seen, 1000, NULL), -EPROTO);
	assert_int_equal(channel_send(&two->starter, ASK, NULL, 0, NULL, 0, 0, NULL), -EPROTO);
}

static size_t hello(uint8_t *body, size_t room, const char *text)
{
	struct writer w = writer_of(body, room);

	write_u32(&w, 4711);
	write_text(&w, text);
	assert_true(writer_ok(&w));
	return w.n;
}

static void what_is_said_arrives(void **state)
{
	struct two *two = *state;
	uint8_t body[64];
	size_t n = hello(body, sizeof(body), "web1");
	int fds[2] = { STDIN_FILENO, STDERR_FILENO };
	unsigned before = open_fds();

	assert_int_equal(channel_send(&two->scanner, HELLO, body, n, NULL, 0, -1, NULL), 0);
	assert_int_equal(channel_send(&two->scanner, GIVE, NULL, 0, fds, 2, -1, NULL), 0);
	assert_int_equal(channel_dispatch(&two->starter, &seen, 1000, NULL), 0);
	assert_int_equal(channel_dispatch(&two->starter, &seen, 1000, NULL), 0);
	assert_int_equal(seen.hellos, 1);
	assert_int_equal(seen.gives, 1);
	assert_int_equal(seen.number, 4711);
	assert_string_equal(seen.text, "web1");
	assert_int_equal(open_fds(), before);
}

static void descriptors_can_be_taken(void **state)
{
	struct two *two = *state;
	struct message message;
	int fds[2] = { STDIN_FILENO, STDERR_FILENO }, taken;

	assert_int_equal(channel_send(&two->scanner, GIVE, NULL, 0, fds, 2, -1, NULL), 0);
	assert_int_equal(channel_receive(&two->starter, &message, 1000, NULL), 0);
	assert_int_equal(message.fds_n, 2);
	assert_true(fcntl(message.fds[0], F_GETFD) & FD_CLOEXEC);
	taken = take_fd(&message.fds[0]);
	message_deinit(&message);
	assert_true(fcntl(taken, F_GETFD) >= 0);
	close(taken);
}

static void unlisted_type_ends_the_peer(void **state)
{
	send_raw(*state, UNKNOWN, 0, NULL, 0, 0);
	is_ended(*state, "not for it to send");
}

static void type_of_the_other_side_ends_the_peer(void **state)
{
	send_raw(*state, ASK, 0, NULL, 0, 0);
	is_ended(*state, "not for it to send");
}

static void short_body_ends_the_peer(void **state)
{
	send_raw(*state, HELLO, 4, "aaaa", 4, 0);
	is_ended(*state, "HELLO of 4 bytes");
}

static void long_body_ends_the_peer(void **state)
{
	char body[65] = {0};

	send_raw(*state, HELLO, sizeof(body), body, sizeof(body), 0);
	is_ended(*state, "HELLO of 65 bytes");
}

static void body_beyond_every_limit_ends_the_peer(void **state)
{
	static char body[CHANNEL_BODY_MAX + 1];

	send_raw(*state, HELLO, sizeof(body), body, sizeof(body), 2);
	is_ended(*state, "too large");
}

static void wrong_size_in_the_header_ends_the_peer(void **state)
{
	send_raw(*state, HELLO, 9, "aaaaaaaa", 8, 0);
	is_ended(*state, "says 9 bytes and has 8");
}

static void header_that_is_cut_ends_the_peer(void **state)
{
	struct two *two = *state;

	assert_int_equal(send(two->scanner.fd, "abc", 3, 0), 3);
	is_ended(two, "a message of 3 bytes");
}

static void unexpected_descriptor_ends_the_peer(void **state)
{
	uint8_t body[64];
	size_t n = hello(body, sizeof(body), "x");

	send_raw(*state, HELLO, (uint32_t)n, body, n, 1);
	is_ended(*state, "with 1 descriptors");
}

static void missing_descriptor_ends_the_peer(void **state)
{
	send_raw(*state, GIVE, 0, NULL, 0, 1);
	is_ended(*state, "with 1 descriptors");
}

static void more_descriptors_than_any_message_has_end_the_peer(void **state)
{
	send_raw(*state, GIVE, 0, NULL, 0, 253);
	is_ended(*state, "too large");
}

/* That is not its fault, and said so; what did arrive is closed. */
static void descriptors_for_which_there_is_no_room(void **state)
{
	struct two *two = *state;

	for (unsigned room = 0; room < 2; room++) {
		unsigned before = open_fds();
		struct rlimit limit, less;
		struct err err = {0};
		int next = dup(STDERR_FILENO), r;

		if (room) {
			tear_down(state);
			set_up(state);
			two = *state;
		}
		close(next);
		send_raw(two, GIVE, 0, NULL, 0, 2);
		assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
		less = limit;
		less.rlim_cur = (rlim_t)next + room;
		assert_int_equal(setrlimit(RLIMIT_NOFILE, &less), 0);
		r = channel_dispatch(&two->starter, &seen, 1000, &err);
		assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
		assert_int_equal(r, -EMFILE);
		assert_non_null(strstr(err.text, "could not be received"));
		assert_true(two->starter.dead);
		assert_int_equal(open_fds(), before);
	}
}

static void descriptors_without_a_message_end_the_peer(void **state)
{
	struct two *two = *state;
	char control[CMSG_SPACE(sizeof(int))] __attribute__((aligned(8))) = {0};
	struct msghdr msg = { .msg_control = control, .msg_controllen = sizeof(control) };
	struct cmsghdr *c = (struct cmsghdr *)control;
	int fd = STDERR_FILENO;

	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof(fd));
	memcpy(CMSG_DATA(c), &fd, sizeof(fd));
	assert_int_equal(sendmsg(two->scanner.fd, &msg, MSG_NOSIGNAL), 0);
	is_ended(two, "a message of 0 bytes");
}

static void body_that_its_handler_refuses_ends_the_peer(void **state)
{
	/* A string whose length leads beyond the body, and one with a NUL in it. */
	send_raw(*state, HELLO, 9, "\1\0\0\0\5\0\0\0a", 9, 0);
	is_ended(*state, "not a hello");
}

static void string_with_a_nul_ends_the_peer(void **state)
{
	send_raw(*state, HELLO, 12, "\1\0\0\0\3\0\0\0a\0b", 12, 0);
	is_ended(*state, "not a hello");
}

static void message_that_nobody_asked_for_ends_the_peer(void **state)
{
	send_raw(*state, SILENT, 0, NULL, 0, 0);
	is_ended(*state, "nobody asked for");
}

static void failure_of_a_handler_does_not_end_the_peer(void **state)
{
	struct two *two = *state;
	uint8_t body[64];
	size_t n = hello(body, sizeof(body), "x");

	seen.answer = -ENOMEM;
	send_raw(two, HELLO, (uint32_t)n, body, n, 0);
	assert_int_equal(channel_dispatch(&two->starter, &seen, 1000, NULL), -ENOMEM);
	assert_false(two->starter.dead);
}

static void what_we_may_not_say_is_not_said(void **state)
{
	struct two *two = *state;
	int fds[2] = { 0, 2 };

	assert_int_equal(channel_send(&two->starter, HELLO, "12345678", 8, NULL, 0, 0, NULL),
			 -EINVAL);
	assert_int_equal(channel_send(&two->starter, ASK, "12345678901234567", 17, NULL, 0, 0,
				      NULL), -EINVAL);
	assert_int_equal(channel_send(&two->starter, ASK, NULL, 0, fds, 2, 0, NULL), -EINVAL);
	assert_int_equal(channel_dispatch(&two->scanner, NULL, 0, NULL), -ETIMEDOUT);
}

static void peer_that_does_not_read_is_not_waited_for(void **state)
{
	struct two *two = *state;
	int r = 0;

	for (unsigned i = 0; i < 100000 && r == 0; i++)
		r = channel_send(&two->starter, ASK, "0123456789abcdef", 16, NULL, 0, 1, NULL);
	assert_int_equal(r, -ETIMEDOUT);
	assert_false(two->starter.dead);
}

static void peer_that_is_gone_is_told(void **state)
{
	struct two *two = *state;

	channel_close(&two->scanner);
	assert_int_equal(channel_dispatch(&two->starter, &seen, -1, NULL), -EPIPE);
	assert_int_equal(channel_send(&two->starter, ASK, NULL, 0, NULL, 0, -1, NULL), -EPIPE);
}

static void last_words_are_heard(void **state)
{
	struct two *two = *state;
	uint8_t body[64];
	size_t n = hello(body, sizeof(body), "bye");

	send_raw(two, HELLO, (uint32_t)n, body, n, 0);
	channel_close(&two->scanner);
	assert_int_equal(channel_dispatch(&two->starter, &seen, -1, NULL), 0);
	assert_string_equal(seen.text, "bye");
	assert_int_equal(channel_dispatch(&two->starter, &seen, -1, NULL), -EPIPE);
}

#define TWO(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TWO(what_is_said_arrives),
		TWO(descriptors_can_be_taken),
		TWO(unlisted_type_ends_the_peer),
		TWO(type_of_the_other_side_ends_the_peer),
		TWO(short_body_ends_the_peer),
		TWO(long_body_ends_the_peer),
		TWO(body_beyond_every_limit_ends_the_peer),
		TWO(wrong_size_in_the_header_ends_the_peer),
		TWO(header_that_is_cut_ends_the_peer),
		TWO(unexpected_descriptor_ends_the_peer),
		TWO(missing_descriptor_ends_the_peer),
		TWO(more_descriptors_than_any_message_has_end_the_peer),
		TWO(descriptors_for_which_there_is_no_room),
		TWO(descriptors_without_a_message_end_the_peer),
		TWO(body_that_its_handler_refuses_ends_the_peer),
		TWO(string_with_a_nul_ends_the_peer),
		TWO(message_that_nobody_asked_for_ends_the_peer),
		TWO(failure_of_a_handler_does_not_end_the_peer),
		TWO(what_we_may_not_say_is_not_said),
		TWO(peer_that_does_not_read_is_not_waited_for),
		TWO(peer_that_is_gone_is_told),
		TWO(last_words_are_heard),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
