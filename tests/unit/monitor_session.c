/* SPDX-License-Identifier: Apache-2.0 */
#include "monitor/session.h"

#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/syscall.h>
#include <cmocka.h>

#include "base/cleanup.h"
#include "monitor/protocol.h"
#include "monitor/sandbox.h"
#include "monitor/sentinel.h"

/* What scanners are that were taken over, or that die. */

static const struct identity guest = { .name = "web1", .target = "qemu:1", .hypervisor = "QEMU" };

#define REPORT                                                                  \
	"{\"schema\":\"hvsm.report/1\",\"guest\":{\"name\":\"web1\",\"uuid\":null,\"target\":" \
	"\"qemu:1\",\"hypervisor\":\"QEMU\"},\"kernel\":{},\"reference\":null,"  \
	"\"agent\":null,\"sweep\":{},\"verdict\":\"clean\",\"assurance\":\"none\"," \
	"\"checks\":[],\"findings\":[],\"processes\":[]}\n"

struct two {
	struct session session;
	struct channel scanner;
};

static int set_up(void **state)
{
	struct two *two = calloc(1, sizeof(*two));
	int fds[2];

	assert_non_null(two);
	assert_int_equal(channel_pair(fds, NULL), 0);
	two->session = SESSION_NONE;
	two->session.identity = guest;
	channel_init(&two->session.channel, fds[0], ROLE_STARTER, ROLE_SCANNER, protocol_rules,
		     protocol_rules_n);
	channel_init(&two->scanner, fds[1], ROLE_SCANNER, ROLE_STARTER, protocol_rules,
		     protocol_rules_n);
	*state = two;
	return 0;
}

static int tear_down(void **state)
{
	struct two *two = *state;

	session_end(&two->session);
	channel_close(&two->scanner);
	free(two);
	return 0;
}

static void say_ready(struct two *two, const char *release, const char *build_id,
		      const char *json)
{
	uint8_t room[8192];
	struct writer w = writer_of(room, sizeof(room));

	write_text(&w, release);
	write_text(&w, build_id);
	for (unsigned i = 0; i < 4; i++)
		write_u64(&w, i + 1);
	write_u32(&w, SANDBOX_USER);
	write_text(&w, json);
	assert_int_equal(channel_send_written(&two->scanner, MSG_READY, &w, NULL, 0, -1, NULL),
			 0);
}

static void say_report(struct two *two, uint32_t verdict, uint32_t flags, int fd)
{
	uint8_t room[16];
	struct writer w = writer_of(room, sizeof(room));

	write_u32(&w, verdict);
	write_u32(&w, 1);
	write_u32(&w, 0);
	write_u32(&w, flags);
	assert_int_equal(channel_send_written(&two->scanner, MSG_REPORT, &w, &fd, 1, -1, NULL),
			 0);
	close(fd);
}

static int seal(const char *text)
{
	int fd = sealed_make("report", text, strlen(text), NULL);

	assert_true(fd >= 0);
	return fd;
}

static void sweeping(struct two *two, uint32_t flags)
{
	assert_int_equal(session_sweep(&two->session, flags, NULL, 0, NULL, 0, NULL), 0);
}

static void is_ended(struct two *two, const char *why)
{
	struct err err = {0};

	assert_int_equal(session_next(&two->session, 1000, &err), -EPROTO);
	if (!strstr(err.text, why))
		fail_msg("'%s' does not say '%s'", err.text, why);
	assert_true(two->session.channel.dead);
	assert_null(two->session.report.json);
	assert_null(two->session.report.text.data);
}

static void kernel_is_told(void **state)
{
	struct two *two = *state;

	two->session.state = SESSION_OPENING;
	say_ready(two, "6.1.0-32-amd64", "0123abcd", "{\"os\":\"linux\"}");
	assert_int_equal(session_next(&two->session, 1000, NULL), 0);
	assert_int_equal(two->session.news, NEWS_READY);
	assert_string_equal(two->session.kernel.release, "6.1.0-32-amd64");
	assert_string_equal(two->session.kernel.build_id, "0123abcd");
	assert_int_equal(two->session.kernel.boot.canary, 2);
	assert_string_equal(two->session.kernel_json, "{\"os\":\"linux\"}");
	/* Once. */
	say_ready(two, "x", "", "{}");
	is_ended(two, "nobody asked for");
}

static void kernel_that_cannot_be_ends_it(void **state)
{
	struct two *two = *state;

	two->session.state = SESSION_OPENING;
	say_ready(two, "6.1", "../../evil", "{}");
	is_ended(two, "a kernel that is none");
}

static void kernel_that_steers_a_terminal_ends_it(void **state)
{
	struct two *two = *state;

	two->session.state = SESSION_OPENING;
	say_ready(two, "6.1", "", "{\"banner\":\"\033[2J\"}");
	is_ended(two, "a kernel that is none");
}

static void report_is_told(void **state)
{
	struct two *two = *state;

	sweeping(two, SWEEP_JSON);
	say_report(two, VERDICT_CLEAN, SWEEP_JSON, seal(REPORT));
	assert_int_equal(session_next(&two->session, 1000, NULL), 0);
	assert_int_equal(two->session.news, NEWS_REPORT);
	assert_int_equal(two->session.report.verdict, VERDICT_CLEAN);
	assert_true(two->session.report.steady);
	assert_true(json_is_object(two->session.report.json));
	/* And again. */
	sweeping(two, 0);
	say_report(two, VERDICT_SUSPICIOUS, 0, seal("suspicious  web1\n"));
	assert_int_equal(session_next(&two->session, 1000, NULL), 0);
	assert_null(two->session.report.json);
	assert_int_equal(two->session.report.text.size, 17);
}

static void report_that_nobody_asked_for_ends_it(void **state)
{
	say_report(*state, VERDICT_CLEAN, 0, seal("clean\n"));
	is_ended(*state, "nobody asked for");
}

static void report_of_another_kind_ends_it(void **state)
{
	sweeping(*state, SWEEP_JSON);
	say_report(*state, VERDICT_CLEAN, 0, seal("clean\n"));
	is_ended(*state, "nobody asked for");
}

static void verdict_that_is_none_ends_it(void **state)
{
	sweeping(*state, 0);
	say_report(*state, VERDICT_COMPROMISED + 1, 0, seal("clean\n"));
	is_ended(*state, "nobody asked for");
}

static void report_that_contradicts_its_verdict_ends_it(void **state)
{
	sweeping(*state, SWEEP_JSON);
	say_report(*state, VERDICT_COMPROMISED, SWEEP_JSON, seal(REPORT));
	is_ended(*state, "none of this guest");
}

static void report_that_can_still_be_changed_ends_it(void **state)
{
	int fd = open("/dev/zero", O_RDONLY | O_CLOEXEC);

	sweeping(*state, 0);
	say_report(*state, VERDICT_CLEAN, 0, fd);
	is_ended(*state, "not sealed");
}

/* Nobody here reads it; but it is handed on, and a way into the guest must not be. */
static void report_that_is_no_bytes_is_not_handed_on(void **state)
{
	struct two *two = *state;

	two->session.unread = true;
	sweeping(two, SWEEP_JSON);
	say_report(two, VERDICT_CLEAN, SWEEP_JSON, open("/proc/self/mem", O_RDONLY | O_CLOEXEC));
	is_ended(two, "not sealed");
	assert_int_equal(two->session.report.fd, -1);
}

static void events_that_are_no_bytes_are_not_handed_on(void **state)
{
	struct two *two = *state;
	int fd = open("/proc/self/mem", O_RDONLY | O_CLOEXEC);

	assert_int_equal(session_look(&two->session, true, 0, NULL), 0);
	assert_int_equal(channel_send(&two->scanner, MSG_EVENTS, "\1\0\0\0\0\0\0\0", 8, &fd, 1, -1,
				      NULL), 0);
	close(fd);
	is_ended(two, "not sealed");
	assert_int_equal(two->session.events, -1);
}

/* LOOK, and EVENTS without any, but with @changed. */
static int say_changed(struct two *two, uint32_t changed)
{
	uint8_t room[8];
	struct writer w = writer_of(room, sizeof(room));

	write_u32(&w, 0);
	write_u32(&w, changed);
	assert_int_equal(session_look(&two->session, true, 0, NULL), 0);
	assert_int_equal(channel_send_written(&two->scanner, MSG_EVENTS, &w, NULL, 0, -1, NULL), 0);
	return session_next(&two->session, 1000, NULL);
}

static void regions_that_changed_are_news_and_others_end_it(void **state)
{
	struct two *two = *state;

	assert_int_equal(say_changed(two, SENTINEL_BIT(SENTINEL_GATES)), 0);
	assert_int_equal(two->session.news, NEWS_EVENTS);
	assert_int_equal(two->session.changed, SENTINEL_BIT(SENTINEL_GATES));
	assert_int_equal(say_changed(two, 0), 0);
	assert_int_equal(two->session.changed, 0);
	assert_int_equal(say_changed(two, SENTINEL_BIT(SENTINEL_REGIONS)), -EPROTO);
}

static void say_prepared(struct two *two, int fd)
{
	assert_true(fd >= 0);
	assert_int_equal(channel_send(&two->scanner, MSG_PREPARED, NULL, 0, &fd, 1, -1, NULL), 0);
	close(fd);
}

static void profile_is_told(void **state)
{
	struct two *two = *state;
	cleanup(fd_close) int vmlinux = seal("a kernel");

	assert_int_equal(session_prepare(&two->session, vmlinux, NULL), 0);
	say_prepared(two, seal("a profile"));
	assert_int_equal(session_next(&two->session, 1000, NULL), 0);
	assert_int_equal(two->session.news, NEWS_PREPARED);
	assert_true(two->session.profile >= 0);
	/* Once. */
	say_prepared(two, seal("another"));
	is_ended(two, "nobody asked for");
}

/* A scanner has a guest, and says nothing to those of others. */
static void profile_that_nobody_asked_for_ends_it(void **state)
{
	struct two *two = *state;

	sweeping(two, 0);
	say_prepared(two, seal("a profile"));
	is_ended(two, "nobody asked for");
	assert_int_equal(two->session.profile, -1);
}

static void profile_that_can_still_be_changed_ends_it(void **state)
{
	struct two *two = *state;
	cleanup(fd_close) int vmlinux = seal("a kernel");

	assert_int_equal(session_prepare(&two->session, vmlinux, NULL), 0);
	say_prepared(two, open("/proc/self/mem", O_RDONLY | O_CLOEXEC));
	is_ended(two, "not sealed");
	assert_int_equal(two->session.profile, -1);
}

/* A line of the log each. */
static void remarks_without_end_end_it(void **state)
{
	struct two *two = *state;
	unsigned n = 0;
	int r;

	do {
		assert_int_equal(channel_send(&two->scanner, MSG_SAID, "\1\0\0\0a\0", 6, NULL, 0,
					      -1, NULL), 0);
		r = session_next(&two->session, 1000, NULL);
		assert_true(r < 0 || two->session.news == NEWS_SAID);
	} while (r >= 0 && ++n < 1000);
	assert_int_equal(r, -EPROTO);
	assert_true(n > 4);
	assert_true(n < 1000);
}

static void last_words_are_the_last(void **state)
{
	struct two *two = *state;

	for (unsigned i = 0; i < 2; i++)
		assert_int_equal(channel_send(&two->scanner, MSG_FORBIDDEN, "*\0\0\0", 4, NULL, 0,
					      -1, NULL), 0);
	assert_int_equal(session_next(&two->session, 1000, NULL), 0);
	is_ended(two, "after its last");
}

/* It says that it is done with what it never read: who tells it more does not wait for it. */
static void scanner_that_does_not_read_is_not_waited_for(void **state)
{
	struct two *two = *state;
	struct err err = {0};
	int r;

	do
		r = session_look(&two->session, true, 0, &err);
	while (r >= 0);
	assert_int_equal(r, -EPROTO);
	assert_non_null(strstr(err.text, "does not read"));
	assert_true(two->session.channel.dead);
}

static void report_that_steers_a_terminal_ends_it(void **state)
{
	sweeping(*state, 0);
	say_report(*state, VERDICT_CLEAN, 0, seal("\033]52;c;AAAA\a\n"));
	is_ended(*state, "not text");
}

static void failure_is_told_and_another_sweep_may_follow(void **state)
{
	struct two *two = *state;
	uint8_t room[64];
	struct writer w = writer_of(room, sizeof(room));

	sweeping(two, 0);
	write_u32(&w, (uint32_t)-ESTALE);
	write_text(&w, "it rebooted");
	assert_int_equal(channel_send_written(&two->scanner, MSG_FAILED, &w, NULL, 0, -1, NULL),
			 0);
	assert_int_equal(session_next(&two->session, 1000, NULL), 0);
	assert_int_equal(two->session.news, NEWS_FAILED);
	assert_int_equal(two->session.failed.code, -ESTALE);
	assert_string_equal(two->session.failed.text, "it rebooted");
	sweeping(two, 0);
}

static void failure_that_is_none_ends_it(void **state)
{
	struct two *two = *state;
	uint8_t room[64];
	struct writer w = writer_of(room, sizeof(room));

	write_u32(&w, 1);
	write_text(&w, "it worked");
	assert_int_equal(channel_send_written(&two->scanner, MSG_FAILED, &w, NULL, 0, -1, NULL),
			 0);
	is_ended(two, "a failure that is none");
}

static void question_that_is_none_ends_it(void **state)
{
	struct two *two = *state;

	sweeping(two, 0);
	assert_int_equal(channel_send(&two->scanner, MSG_NEED_TRUST, "1234", 4, NULL, 0, -1,
				      NULL), 0);
	is_ended(two, "NEED_TRUST that is none");
}

static void question_outside_of_a_sweep_ends_it(void **state)
{
	struct two *two = *state;

	two->session.state = SESSION_IDLE;
	assert_int_equal(channel_send(&two->scanner, MSG_NEED_TRUST, NULL, 0, NULL, 0, -1, NULL),
			 0);
	is_ended(two, "NEED_TRUST outside of a sweep");
}

/* --- processes --- */

/* A scanner that does that when it is told to sweep. */
static void start(struct two *two, void (*act)(void))
{
	static const struct sandbox_limits limits = {
		.memory_bytes = 64u << 20, .file_bytes = 1u << 20, .fds = 16,
	};
	struct message message;
	struct sandbox sandbox;

	two->session.process.pid = fork();
	assert_true(two->session.process.pid >= 0);
	if (!two->session.process.pid) {
		signal(SIGILL, SIG_DFL);	/* not cmocka's, whose it is now */
		if (sandbox_prepare(&sandbox, two->scanner.fd, MSG_FORBIDDEN, NULL) < 0 ||
		    sandbox_enter(&sandbox, &limits, NULL) < 0 ||
		    channel_receive(&two->scanner, &message, -1, NULL) < 0)
			_exit(99);
		act();
		_exit(7);
	}
	channel_close(&two->scanner);
	two->session.process.pidfd = pidfd_open(two->session.process.pid, 0);
	assert_true(two->session.process.pidfd >= 0);
}

static void ends_with(struct two *two, void (*act)(void), const char *how)
{
	struct err err = {0};

	start(two, act);
	sweeping(two, 0);
	assert_int_equal(session_wait(&two->session, NEWS_REPORT, NULL, &err), -EPIPE);
	if (!strstr(err.text, how))
		fail_msg("'%s' does not say '%s'", err.text, how);
	assert_int_equal(two->session.process.pid, -1);
}

static void connect_out(void)
{
	syscall(SYS_connect, 0, NULL, 0);
}

static void trap(void)
{
	__builtin_trap();
}

static void nothing(void)
{
}

static void forbidden_system_call_is_named(void **state)
{
	ends_with(*state, connect_out, "made system call 42 (connect)");
}

static void signal_is_named(void **state)
{
	ends_with(*state, trap, "has ended: killed by SIGILL");
}

static void early_end_is_told(void **state)
{
	ends_with(*state, nothing, "has ended: exit status 7");
}

#define TWO(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TWO(kernel_is_told),
		TWO(kernel_that_cannot_be_ends_it),
		TWO(kernel_that_steers_a_terminal_ends_it),
		TWO(report_is_told),
		TWO(report_that_nobody_asked_for_ends_it),
		TWO(report_of_another_kind_ends_it),
		TWO(verdict_that_is_none_ends_it),
		TWO(report_that_contradicts_its_verdict_ends_it),
		TWO(report_that_can_still_be_changed_ends_it),
		TWO(report_that_steers_a_terminal_ends_it),
		TWO(failure_is_told_and_another_sweep_may_follow),
		TWO(failure_that_is_none_ends_it),
		TWO(report_that_is_no_bytes_is_not_handed_on),
		TWO(events_that_are_no_bytes_are_not_handed_on),
		TWO(regions_that_changed_are_news_and_others_end_it),
		TWO(profile_is_told),
		TWO(profile_that_nobody_asked_for_ends_it),
		TWO(profile_that_can_still_be_changed_ends_it),
		TWO(remarks_without_end_end_it),
		TWO(last_words_are_the_last),
		TWO(scanner_that_does_not_read_is_not_waited_for),
		TWO(question_that_is_none_ends_it),
		TWO(question_outside_of_a_sweep_ends_it),
		TWO(forbidden_system_call_is_named),
		TWO(signal_is_named),
		TWO(early_end_is_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
