/* SPDX-License-Identifier: Apache-2.0 */
#include "monitor/parent.h"

#include <fcntl.h>
#include <inttypes.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/now.h"

#define UUID "80594000-334a-47f6-9927-1e04f54aefea"
#define WANTS "guest 'web' { xen_events = yes }"

/* The parent with a guest, as far as Xen's events go, and the role's end of its channel. */
static struct setting {
	struct parent parent;
	struct fleet_guest guest;
	struct ward ward;
	struct channel role;
	struct channel_rule rules[XEN_EVENTS_RULES];	/* the role's: it hears, and does nothing */
	bool dom0, spawn_fails;
	unsigned started, alarms, worked;
	char incidents[1024];
	char event[512];
} s;

/* The linker leads the calls of parent_xen.c here; see meson.build. */
bool __wrap_xen_is_control_domain(void);
int __wrap_spawn_role(const char *role, const char *subject, int channel, struct spawned *ret,
		      struct err *err);
void __wrap_schedule_alarm(struct schedule *schedule, uint64_t guest, uint64_t now);
void __wrap_parent_work(struct parent *parent);
void __wrap_parent_incident(struct parent *parent, uint64_t guest, const char *fmt, ...)
	printf_like(3, 4);
int __wrap_ward_tell_event(struct ward *ward, const struct event *event);

bool __wrap_xen_is_control_domain(void)
{
	return s.dom0;
}

/* A process that does nothing; the test has its end of the channel. */
int __wrap_spawn_role(const char *role, const char *subject, int channel, struct spawned *ret,
		      struct err *err)
{
	static const struct xen_events_handlers nobody;
	int alone[2];
	char none;

	assert_string_equal(role, XEN_EVENTS_ROLE);
	assert_null(subject);
	if (s.spawn_fails)
		return err_set(err, -EAGAIN, "no more processes");
	assert_int_equal(pipe(alone), 0);
	ret->pid = fork();
	if (!ret->pid) {
		close_range(3, ~0u, 0);
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		pause();
		_exit(0);
	}
	/* Until it has none of the test's descriptors: to close one is the end of a channel. */
	close(alone[1]);
	assert_int_equal(read(alone[0], &none, 1), 0);
	close(alone[0]);
	ret->pidfd = (int)syscall(SYS_pidfd_open, ret->pid, 0);
	assert_true(ret->pid > 0 && ret->pidfd >= 0);
	channel_close(&s.role);
	xen_events_rules(&nobody, s.rules);
	channel_init(&s.role, fcntl(channel, F_DUPFD_CLOEXEC, 0), ROLE_XEN, ROLE_STARTER, s.rules,
		     XEN_EVENTS_RULES);
	s.started++;
	return 0;
}

void __wrap_schedule_alarm(struct schedule *schedule, uint64_t guest, uint64_t now)
{
	(void)schedule;
	(void)now;
	assert_int_equal(guest, s.ward.number);
	s.alarms++;
}

void __wrap_parent_work(struct parent *parent)
{
	assert_ptr_equal(parent, &s.parent);
	s.worked++;
}

void __wrap_parent_incident(struct parent *parent, uint64_t guest, const char *fmt, ...)
{
	size_t n = strlen(s.incidents);
	va_list args;

	assert_ptr_equal(parent, &s.parent);
	n += (size_t)snprintf(s.incidents + n, sizeof(s.incidents) - n, "%" PRIu64 ": ", guest);
	va_start(args, fmt);
	n += (size_t)vsnprintf(s.incidents + n, sizeof(s.incidents) - n, fmt, args);
	va_end(args);
	snprintf(s.incidents + n, sizeof(s.incidents) - n, "; ");
}

int __wrap_ward_tell_event(struct ward *ward, const struct event *event)
{
	char *text = json_dumps(event->object, JSON_SORT_KEYS);

	assert_ptr_equal(ward, &s.ward);
	assert_int_equal(event->kind, EVENT_REGISTER_WRITE);
	assert_true(event->after_ns < event->before_ns);
	snprintf(s.event, sizeof(s.event), "%s", text);
	free(text);
	return 0;
}

static void configure(const char *text)
{
	struct err err = { 0 };

	config_free(&s.parent.config);
	if (config_parse("f", text, strlen(text), &s.parent.config, &err) < 0)
		fail_msg("%s", err.text);
}

static void set_up(const char *text)
{
	struct ward **slot;

	s = (struct setting){
		.dom0 = true,
		.role = CHANNEL_NONE,
		.parent.xen = { .process = SPAWNED_NONE, .channel = CHANNEL_NONE },
		.guest = { .number = 3, .xen = true, .name = (char *)(uintptr_t)"web",
			   .uuid = (char *)(uintptr_t)UUID, .target = (char *)(uintptr_t)"xen:7" },
		.ward = { .number = 3, .seen_up = true, .pidfd = -1 },
	};
	s.ward.parent = &s.parent;
	s.ward.guest = &s.guest;
	configure(text);
	assert_int_equal(loop_init(&s.parent.loop, 1000, NULL), 0);
	slot = vec_add(&s.parent.wards);
	assert_non_null(slot);
	*slot = &s.ward;
}

static void tear_down(void)
{
	channel_close(&s.role);
	channel_close(&s.parent.xen.channel);
	spawn_kill(&s.parent.xen.process);
	loop_deinit(&s.parent.loop);
	vec_free(&s.parent.wards);
	config_free(&s.parent.config);
}

/* What the parent's loop does with what is there for it. */
static void parent_reads(void)
{
	struct loop *loop = &s.parent.loop;
	struct epoll_event event;

	while (epoll_wait(loop->epoll, &event, 1, 0) == 1) {
		struct loop_source source = loop->sources.v[event.data.u32];

		assert_non_null(source.fn);
		assert_int_equal(source.fn(source.fd, event.events, source.ctx, NULL), 0);
	}
}

/* What the role hears next: "setup", "watch 7 UUID", "leave 7"; "": nothing; "end". */
static const char *hears(void)
{
	static char text[128];
	struct message message;
	const char *uuid;
	uint32_t id;
	int r = channel_receive(&s.role, &message, 0, NULL);

	text[0] = '\0';
	if (r == -EPIPE)
		return "end";
	if (r < 0)
		return text;
	snprintf(text, sizeof(text), "%s", message.rule->name);
	if (message.rule->type == XEN_EVENTS_WATCH) {
		assert_int_equal(xen_events_read_domain(&message, &id, &uuid, NULL), 0);
		snprintf(text, sizeof(text), "watch %u %s", id, uuid);
	} else if (message.rule->type == XEN_EVENTS_LEAVE) {
		snprintf(text, sizeof(text), "leave %u", bytes_u32(&message.body));
	}
	message_deinit(&message);
	return text;
}

/* Up to where the role watches the guest, or has refused to. */
static void asked(const char *why)
{
	parent_xen_tend(&s.parent);
	assert_string_equal(hears(), "setup");
	assert_string_equal(hears(), "watch 7 " UUID);
	assert_int_equal(xen_events_send_answer(&s.role, 7, why, NULL), 0);
	parent_reads();
}

/* Nobody wants events; but somebody may have left a ring, which is given back. */
static void in_dom0_it_is_started_once_in_any_case(void **state)
{
	(void)state;
	set_up("guest '*' { }");
	parent_xen_tend(&s.parent);
	assert_string_equal(hears(), "setup");
	assert_int_equal(s.started, 1);
	/* It may end by itself as soon as it has done that. */
	parent_xen_tend(&s.parent);
	assert_string_equal(hears(), "end");
	parent_xen_tend(&s.parent);
	assert_true(s.parent.xen.process.pid > 0);
	assert_int_equal(kill(s.parent.xen.process.pid, SIGKILL), 0);
	while (s.parent.xen.process.pid > 0)
		parent_xen_tend(&s.parent);
	parent_xen_tend(&s.parent);
	assert_int_equal(s.started, 1);
	assert_string_equal(s.incidents, "");
	tear_down();
}

static void elsewhere_nothing_is_started_that_nobody_wants(void **state)
{
	(void)state;
	set_up("guest '*' { }");
	s.dom0 = false;
	parent_xen_tend(&s.parent);
	parent_xen_tend(&s.parent);
	assert_int_equal(s.started, 0);
	tear_down();
}

static void it_is_asked_for_once_the_guest_runs(void **state)
{
	(void)state;
	set_up(WANTS);
	s.ward.seen_up = false;
	parent_xen_tend(&s.parent);
	assert_string_equal(hears(), "setup");
	assert_string_equal(hears(), "");
	s.ward.seen_up = true;
	parent_xen_tend(&s.parent);
	assert_string_equal(hears(), "watch 7 " UUID);
	parent_xen_tend(&s.parent);
	assert_string_equal(hears(), "");
	assert_int_equal(s.started, 1);
	tear_down();
}

static void guests_of_another_kind_are_not_asked_for(void **state)
{
	(void)state;
	set_up(WANTS);
	s.guest.xen = false;
	parent_xen_tend(&s.parent);
	assert_string_equal(hears(), "setup");
	assert_string_equal(hears(), "");
	/* Without a UUID it could be a later one that has its number. */
	s.guest.xen = true;
	s.guest.uuid = NULL;
	parent_xen_tend(&s.parent);
	assert_false(s.ward.xen_events.asked);
	tear_down();
}

static void a_write_is_an_event_and_an_alarm(void **state)
{
	struct xen_events_write write = {
		.domain = 7, .n = 12,
		.last = { .vcpu = 1, .reg = 4, .before = 0x3006f0, .after = 0x2006f0 },
	};

	(void)state;
	set_up(WANTS);
	asked(NULL);
	assert_int_equal(xen_events_send_write(&s.role, &write, NULL), 0);
	parent_reads();
	assert_string_equal(s.event, "{\"after\": \"0x2006f0\", \"before\": \"0x3006f0\", \"count\": 12, "
			    "\"register\": \"CR4\", \"vcpu\": 1}");
	assert_int_equal(s.alarms, 1);
	assert_int_equal(s.worked, 1);
	assert_string_equal(s.incidents, "");
	/* Of one that was not asked for, or that went, nothing is told. */
	write.domain = 8;
	assert_int_equal(xen_events_send_write(&s.role, &write, NULL), 0);
	write.domain = 7;
	s.ward.xen_events.asked = false;
	assert_int_equal(xen_events_send_write(&s.role, &write, NULL), 0);
	parent_reads();
	assert_int_equal(s.alarms, 1);
	tear_down();
}

static void a_refusal_is_told_once_and_asked_about_later(void **state)
{
	uint64_t now = now_ns(CLOCK_MONOTONIC);

	(void)state;
	set_up(WANTS);
	asked("taken");
	assert_string_equal(s.incidents, "3: Xen tells no events of web: taken; ");
	assert_false(s.ward.xen_events.asked);
	assert_true(s.ward.xen_events.next > now + 30 * 1000000000ull);
	parent_xen_tend(&s.parent);
	assert_string_equal(hears(), "");
	for (int i = 0; i < 2; i++) {
		s.ward.xen_events.next = 0;
		parent_xen_tend(&s.parent);
		assert_string_equal(hears(), "watch 7 " UUID);
		assert_int_equal(xen_events_send_answer(&s.role, 7, "taken", NULL), 0);
		parent_reads();
	}
	assert_string_equal(s.incidents, "3: Xen tells no events of web: taken; ");
	/* Told in between, it is news when they end. */
	s.ward.xen_events.next = 0;
	parent_xen_tend(&s.parent);
	assert_string_equal(hears(), "watch 7 " UUID);
	assert_int_equal(xen_events_send_answer(&s.role, 7, NULL, NULL), 0);
	assert_int_equal(xen_events_send_answer(&s.role, 7, "too often", NULL), 0);
	parent_reads();
	assert_non_null(strstr(s.incidents, "web: too often"));
	tear_down();
}

static void a_process_that_ends_is_started_again_later_each_time(void **state)
{
	uint64_t before = 0, wait = 0;

	(void)state;
	set_up(WANTS);
	for (unsigned i = 1; i <= 12; i++) {
		s.parent.xen.next = 0;
		parent_xen_tend(&s.parent);
		assert_int_equal(s.started, i);
		assert_true(s.ward.xen_events.asked);
		channel_close(&s.role);
		before = now_ns(CLOCK_MONOTONIC);
		parent_reads();
		assert_false(s.ward.xen_events.asked);
		assert_int_equal(s.parent.xen.process.pid, -1);
		assert_true(s.parent.xen.next - before >= wait);
		wait = s.parent.xen.next - before;
		if (wait > 50 * 1000000000ull)
			wait = 50 * 1000000000ull;
		/* Not before its time. */
		parent_xen_tend(&s.parent);
		assert_int_equal(s.started, i);
	}
	assert_true(s.parent.xen.next - before < 61 * 1000000000ull);
	/* A person hears of it once. */
	assert_null(strstr(strchr(s.incidents, ';') + 2, "not told"));
	/* One that works is well again. */
	s.parent.xen.next = 0;
	asked(NULL);
	assert_int_equal(s.parent.xen.failures, 0);
	tear_down();
}

static void what_it_fails_for_is_told(void **state)
{
	uint8_t body[64];
	struct writer w = writer_of(body, sizeof(body));

	(void)state;
	set_up(WANTS);
	parent_xen_tend(&s.parent);
	write_text(&w, "no libxenctrl");
	assert_int_equal(channel_send_written(&s.role, XEN_EVENTS_FAILED, &w, NULL, 0, 0, NULL), 0);
	parent_reads();
	assert_string_equal(s.incidents, "0: Xen's events are not told: no libxenctrl; ");
	s.spawn_fails = true;
	s.parent.xen.next = 0;
	parent_xen_tend(&s.parent);
	assert_non_null(strstr(s.incidents, "not told: no more processes"));
	tear_down();
}

/* It is outside the parent, and maybe taken over: what cannot be ends it. */
static void what_it_may_not_say_ends_it(void **state)
{
	const struct xen_events_write write = { .domain = 7, .n = 1, .last.reg = 3 };

	(void)state;
	set_up(WANTS);
	asked(NULL);
	assert_int_equal(xen_events_send_write(&s.role, &write, NULL), 0);
	parent_reads();
	assert_int_equal(s.parent.xen.process.pid, -1);
	assert_int_equal(s.alarms, 0);
	assert_non_null(strstr(s.incidents, "not told"));
	tear_down();
}

static void what_is_wanted_no_more_is_given_back(void **state)
{
	(void)state;
	set_up(WANTS);
	asked(NULL);
	configure("guest '*' { }");
	parent_xen_tend(&s.parent);
	assert_string_equal(hears(), "leave 7");
	assert_false(s.ward.xen_events.asked);
	/* Nobody else wants any: it ends. */
	parent_xen_tend(&s.parent);
	assert_string_equal(hears(), "end");
	tear_down();
}

static void a_guest_that_goes_is_given_back_if_it_was_watched(void **state)
{
	(void)state;
	set_up(WANTS);
	parent_xen_leave(&s.parent, &s.ward);
	asked(NULL);
	parent_xen_leave(&s.parent, &s.ward);
	assert_string_equal(hears(), "leave 7");
	tear_down();
}

static void at_the_end_it_is_waited_for(void **state)
{
	struct message message;
	pid_t pid;

	(void)state;
	set_up(WANTS);
	asked(NULL);
	pid = s.parent.xen.process.pid;
	/* It ends by itself: a process of the test's stands for it. */
	if (!fork()) {
		channel_close(&s.parent.xen.channel);
		while (channel_receive(&s.role, &message, -1, NULL) == 0)
			;
		kill(pid, SIGUSR1);
		_exit(0);
	}
	channel_close(&s.role);
	parent_xen_stop(&s.parent);
	assert_int_equal(s.parent.xen.process.pid, -1);
	assert_int_equal(s.parent.xen.channel.fd, -1);
	parent_xen_stop(&s.parent);
	tear_down();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(in_dom0_it_is_started_once_in_any_case),
		cmocka_unit_test(elsewhere_nothing_is_started_that_nobody_wants),
		cmocka_unit_test(it_is_asked_for_once_the_guest_runs),
		cmocka_unit_test(guests_of_another_kind_are_not_asked_for),
		cmocka_unit_test(a_write_is_an_event_and_an_alarm),
		cmocka_unit_test(a_refusal_is_told_once_and_asked_about_later),
		cmocka_unit_test(a_process_that_ends_is_started_again_later_each_time),
		cmocka_unit_test(what_it_fails_for_is_told),
		cmocka_unit_test(what_it_may_not_say_ends_it),
		cmocka_unit_test(what_is_wanted_no_more_is_given_back),
		cmocka_unit_test(a_guest_that_goes_is_given_back_if_it_was_watched),
		cmocka_unit_test(at_the_end_it_is_waited_for),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
