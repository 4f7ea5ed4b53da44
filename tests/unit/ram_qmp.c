/* SPDX-License-Identifier: Apache-2.0 */
#include "ram/qmp.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <setjmp.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/cleanup.h"
#include "base/limits.h"

#define GREETING "{\"QMP\": {\"version\": {}, \"capabilities\": []}}\r\n"
#define DONE	 "{\"return\": {}}\r\n"

/* What the other end does, step by step; it hangs up after the last one. */
enum deed { SAY, HEAR, FLOOD, DRIP, WAIT };

struct step {
	enum deed deed;
	const char *text;	/* SAY once, FLOOD and DRIP without end */
};

struct peer {
	int fd;
	const struct step *steps;
	size_t n;
	char heard[4096];	/* all of it */
	pthread_t thread;
};

static bool send_all(int fd, const char *text)
{
	size_t n = strlen(text);

	while (n) {
		ssize_t sent = send(fd, text, n, MSG_NOSIGNAL);

		if (sent <= 0)
			return false;
		text += sent;
		n -= (size_t)sent;
	}
	return true;
}

/* One line; false when the client hung up. */
static bool hear(struct peer *peer)
{
	size_t n = strlen(peer->heard);
	char c;

	while (read(peer->fd, &c, 1) == 1) {
		if (n + 1 < sizeof(peer->heard))
			peer->heard[n++] = c;
		if (c == '\n')
			return true;
	}
	return false;
}

static void *act(void *arg)
{
	struct peer *peer = arg;
	bool there = true;

	for (size_t i = 0; i < peer->n && there; i++) {
		switch (peer->steps[i].deed) {
		case SAY:
			there = send_all(peer->fd, peer->steps[i].text);
			break;
		case FLOOD:
			while (send_all(peer->fd, peer->steps[i].text))
				;
			break;
		case DRIP:
			while (send_all(peer->fd, peer->steps[i].text))
				usleep(1000);
			break;
		case HEAR:
			there = hear(peer);
			break;
		case WAIT:
			while (hear(peer))
				;
			break;
		}
	}
	shutdown(peer->fd, SHUT_RDWR);
	return NULL;
}

static int start(struct peer *peer, const struct step *steps, size_t n)
{
	int fds[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
	*peer = (struct peer){ .fd = fds[1], .steps = steps, .n = n };
	assert_int_equal(pthread_create(&peer->thread, NULL, act, peer), 0);
	return fds[0];
}

static void finish(struct peer *peer)
{
	pthread_join(peer->thread, NULL);
	close(peer->fd);
}

/*
 * What qmp_open() and then one command make of a peer. Only where the time shall run out is it
 * short, or a busy host would fail the others.
 */
#define PATIENT_MS	30000
#define IMPATIENT_MS	50

static int talk(const struct step *steps, size_t n, int patience_ms, struct peer *peer,
		char **answer)
{
	struct qmp *qmp = NULL;
	struct err err = { 0 };
	int r = qmp_open(start(peer, steps, n), patience_ms, patience_ms, &qmp, &err);

	if (r == 0)
		r = qmp_human(qmp, "info mtree", answer, &err);
	if (r < 0) {
		assert_int_equal(err.code, r);
		assert_string_not_equal(err.text, "");
	}
	qmp_close(&qmp);
	finish(peer);
	return r;
}

static void expect(const struct step *steps, size_t n, int code)
{
	struct peer peer;
	char *answer = NULL;

	assert_int_equal(talk(steps, n, code == -ETIMEDOUT ? IMPATIENT_MS : PATIENT_MS, &peer,
			      &answer), code);
	assert_null(answer);
}

static void expect_text(const struct step *steps, size_t n, const char *text)
{
	struct peer peer;
	cleanup(freep) char *answer = NULL;

	assert_int_equal(talk(steps, n, PATIENT_MS, &peer, &answer), 0);
	assert_string_equal(answer, text);
}

#define EXPECT(code, ...)                                       \
	do {                                                    \
		const struct step steps_[] = { __VA_ARGS__ };   \
		expect(steps_, ARRAY_SIZE(steps_), code);       \
	} while (0)

#define EXPECT_TEXT(text, ...)                                  \
	do {                                                    \
		const struct step steps_[] = { __VA_ARGS__ };   \
		expect_text(steps_, ARRAY_SIZE(steps_), text);  \
	} while (0)

#define OPENED { SAY, GREETING }, { HEAR, NULL }, { SAY, DONE }, { HEAR, NULL }

static void an_answer_is_returned(void **state)
{
	(void)state;
	EXPECT_TEXT("a\r\nb", OPENED, { SAY, "{\"return\": \"a\\r\\nb\"}\r\n" }, { WAIT, NULL });
}

static void events_are_skipped(void **state)
{
	(void)state;
	EXPECT_TEXT("x", { SAY, GREETING }, { HEAR, NULL },
		    { SAY, "{\"event\": \"STOP\", \"data\": {}}\r\n" DONE }, { HEAR, NULL },
		    { SAY, "{\"event\": \"A\"}{\"event\": \"B\"}{\"return\": \"x\"}" },
		    { WAIT, NULL });
}

static void pretty_messages_of_many_lines_are_whole(void **state)
{
	(void)state;
	EXPECT_TEXT("{\"}", { SAY, "{\n    \"QMP\": {\n    }\n}\n" }, { HEAR, NULL },
		    { SAY, "{\n  \"return\": {\n" }, { SAY, "  }\n}\n" }, { HEAR, NULL },
		    { SAY, "{\n  \"return\":\n  \"{\\" }, { SAY, "\"}\"\n}\n" }, { WAIT, NULL });
}

static void a_refusal_is_told(void **state)
{
	static const struct step steps[] = {
		OPENED, { SAY, "{\"error\": {\"class\": \"CommandNotFound\", \"desc\": \"no\"}}" },
		{ WAIT, NULL },
	};

	(void)state;
	expect(steps, ARRAY_SIZE(steps), -ENOTSUP);
	EXPECT(-ENOTSUP, OPENED, { SAY, "{\"error\": [1]}" }, { WAIT, NULL });
}

static void nothing_is_sent_before_the_greeting(void **state)
{
	static const struct step steps[] = { { SAY, "220 mail.example ESMTP\r\n" }, { WAIT, NULL } };
	struct peer peer;
	char *answer = NULL;

	(void)state;
	assert_int_equal(talk(steps, ARRAY_SIZE(steps), IMPATIENT_MS, &peer, &answer),
			 -ETIMEDOUT);
	assert_string_equal(peer.heard, "");
}

static void no_vcpu_is_stopped(void **state)
{
	static const struct step steps[] = { OPENED, { SAY, "{\"return\": \"\"}" }, { WAIT, NULL } };
	cleanup(freep) char *answer = NULL;
	struct peer peer;

	(void)state;
	assert_int_equal(talk(steps, ARRAY_SIZE(steps), PATIENT_MS, &peer, &answer), 0);
	assert_string_equal(peer.heard,
			    "{\"execute\":\"qmp_capabilities\"}\n"
			    "{\"execute\":\"human-monitor-command\","
			    "\"arguments\":{\"command-line\":\"info mtree\"}}\n");
}

static void a_silent_peer_costs_its_time_and_no_more(void **state)
{
	(void)state;
	EXPECT(-ETIMEDOUT, { WAIT, NULL });
	EXPECT(-ETIMEDOUT, { SAY, GREETING }, { WAIT, NULL });
	EXPECT(-ETIMEDOUT, OPENED, { WAIT, NULL });
}

static void a_peer_that_drips_does_not_stretch_the_time(void **state)
{
	(void)state;
	EXPECT(-ETIMEDOUT, { DRIP, " " });
	EXPECT(-ETIMEDOUT, OPENED, { SAY, "{\"return\": \"" }, { DRIP, "x" });
}

static void a_peer_that_hangs_up(void **state)
{
	(void)state;
	EXPECT(-EBADMSG, { SAY, "" });
	EXPECT(-EBADMSG, { SAY, "{\"QMP\"" });
	EXPECT(-EBADMSG, OPENED, { SAY, "{\"return\": \"half" });
}

static void another_protocol_is_refused(void **state)
{
	(void)state;
	EXPECT(-EBADMSG, { SAY, "{\"jsonrpc\": \"2.0\"}\n" }, { WAIT, NULL });
	EXPECT(-EBADMSG, { SAY, "hello {} there" }, { WAIT, NULL });
	EXPECT(-EBADMSG, { SAY, "{\"QMP\": 1}" }, { WAIT, NULL });
}

static void messages_that_are_not_json(void **state)
{
	(void)state;
	EXPECT(-EBADMSG, OPENED, { SAY, "{\"return\": \"\xff\xfe\"}" }, { WAIT, NULL });
	EXPECT(-EBADMSG, OPENED, { SAY, "{\"return\": \"\\u0000\"}" }, { WAIT, NULL });
	EXPECT(-EBADMSG, OPENED, { SAY, "{return}" }, { WAIT, NULL });
	EXPECT(-EBADMSG, OPENED, { SAY, "}{" }, { SAY, "}" }, { WAIT, NULL });
}

static void an_answer_of_another_type(void **state)
{
	(void)state;
	EXPECT(-EBADMSG, OPENED, { SAY, "{\"return\": {}}" }, { WAIT, NULL });
	EXPECT(-EBADMSG, OPENED, { SAY, "{\"return\": null}" }, { WAIT, NULL });
}

static void nesting_without_end(void **state)
{
	static char deep[8192], endless[65536];

	(void)state;
	for (size_t i = 0; i + 5 < sizeof(endless); i += 5)
		memcpy(endless + i, "{\"a\":", 5);
	for (size_t i = 0; i < 1000; i++)
		memcpy(deep + i * 5, "{\"a\":", 5);
	strcpy(deep + 5000, "1");
	memset(deep + 5001, '}', 1000);
	deep[6001] = '\0';
	/* Well-formed, and no answer. */
	EXPECT(-ETIMEDOUT, OPENED, { SAY, deep }, { WAIT, NULL });
	EXPECT(-ELOOP, OPENED, { FLOOD, endless });
}

static void a_message_without_end_is_bounded(void **state)
{
	static char chunk[65536];

	(void)state;
	memset(chunk, 'x', sizeof(chunk) - 1);
	EXPECT(-ELOOP, { SAY, "{\"QMP\": \"" }, { FLOOD, chunk });
	EXPECT(-ELOOP, OPENED, { SAY, "{\"return\": \"" }, { FLOOD, chunk });
}

static void events_without_end_are_bounded(void **state)
{
	(void)state;
	EXPECT(-ELOOP, OPENED, { FLOOD, "{\"event\": \"A\"}" });
	EXPECT(-ELOOP, OPENED, { FLOOD, "{}{}{}{}{}{}{}{}" });
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_answer_is_returned),
		cmocka_unit_test(events_are_skipped),
		cmocka_unit_test(pretty_messages_of_many_lines_are_whole),
		cmocka_unit_test(a_refusal_is_told),
		cmocka_unit_test(nothing_is_sent_before_the_greeting),
		cmocka_unit_test(no_vcpu_is_stopped),
		cmocka_unit_test(a_silent_peer_costs_its_time_and_no_more),
		cmocka_unit_test(a_peer_that_drips_does_not_stretch_the_time),
		cmocka_unit_test(a_peer_that_hangs_up),
		cmocka_unit_test(another_protocol_is_refused),
		cmocka_unit_test(messages_that_are_not_json),
		cmocka_unit_test(an_answer_of_another_type),
		cmocka_unit_test(nesting_without_end),
		cmocka_unit_test(a_message_without_end_is_bounded),
		cmocka_unit_test(events_without_end_are_bounded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
