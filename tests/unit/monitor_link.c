/* SPDX-License-Identifier: Apache-2.0 */
#include "monitor/link.h"

#include <fcntl.h>
#include <stdarg.h>
#include <setjmp.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "monitor/event_line.h"

static const struct link_handlers nobody;
static struct channel_rule rules[LINK_RULES];

static void two_ends(struct channel *parent, struct channel *control)
{
	struct err err = { 0 };
	int fds[2];

	link_rules(&nobody, rules);
	assert_int_equal(channel_pair(fds, &err), 0);
	channel_init(parent, fds[0], ROLE_STARTER, ROLE_CONTROL, rules, LINK_RULES);
	channel_init(control, fds[1], ROLE_CONTROL, ROLE_STARTER, rules, LINK_RULES);
}

static void a_guest_arrives_as_it_was_sent(void **state)
{
	const struct link_guest sent = {
		.number = 1ull << 40, .state = GUEST_PAUSED, .key = "k", .name = "n\n", .uuid = NULL,
		.target = "qemu:1", .hypervisor = "", .reason = "why", .share_ppm = 1,
		.stretch_ppm = 2, .cpu_ns = 3, .memory_bytes = 4, .restarts = 5,
	};
	struct channel parent, control;
	struct message message;
	struct link_guest got;
	struct err err = { 0 };

	(void)state;
	two_ends(&parent, &control);
	assert_int_equal(link_send_guest(&parent, &sent, &err), 0);
	assert_int_equal(channel_receive(&control, &message, 0, &err), 0);
	assert_int_equal(message.rule->type, LINK_GUEST);
	assert_int_equal(link_read_guest(&message, &got, &err), 0);
	assert_true(got.number == sent.number);
	assert_int_equal(got.state, GUEST_PAUSED);
	assert_string_equal(got.name, "n\n");
	assert_null(got.uuid);
	assert_string_equal(got.hypervisor, "");
	assert_int_equal(got.restarts, 5);
	message_deinit(&message);
	channel_close(&parent);
	channel_close(&control);
}

static void setup_brings_its_socket(void **state)
{
	const struct link_setup sent = {
		.uid = LINK_SELF, .gid = 9, .ledger = "/l", .started_ns = 1, .host_us_per_s = 2,
		.retention_days = 3, .retention_mib = 4,
	};
	struct channel parent, control;
	struct message message;
	struct link_setup got;
	struct err err = { 0 };
	int fd = open("/dev/null", O_RDONLY);

	(void)state;
	two_ends(&parent, &control);
	assert_int_equal(link_send_setup(&parent, &sent, fd, &err), 0);
	assert_int_equal(channel_receive(&control, &message, 0, &err), 0);
	assert_int_equal(message.fds_n, 1);
	assert_int_equal(link_read_setup(&message, &got, &err), 0);
	assert_true(got.uid == LINK_SELF && got.gid == 9 && got.retention_mib == 4);
	assert_string_equal(got.ledger, "/l");
	message_deinit(&message);
	close(fd);
	channel_close(&parent);
	channel_close(&control);
}

static void control_may_not_say_what_is_the_parents(void **state)
{
	struct channel parent, control;
	struct err err = { 0 };

	(void)state;
	two_ends(&parent, &control);
	assert_int_equal(link_send_number(&control, LINK_GONE, 1, NULL, &err), -EINVAL);
	assert_int_equal(link_send_number(&parent, LINK_SCAN, 1, NULL, &err), -EINVAL);
	channel_close(&parent);
	channel_close(&control);
}

static void lines_that_are_no_events_are_left_out(void **state)
{
	static const char text[] =
		"{\"schema\":\"hvsm.event/1\",\"event\":\"exec\"}\n"
		"no JSON\n\n"
		"{\"schema\":\"hvsm.report/1\",\"event\":\"exec\"}\n"
		"{\"schema\":\"hvsm.event/1\",\"event\":\"paused\"}\n"
		"{\"schema\":\"hvsm.event/1\",\"event\":\"resumed\"}";
	struct bytes rest = bytes_of(text, sizeof(text) - 1);
	struct event_line line;

	(void)state;
	assert_true(event_line_next(&rest, &line));
	assert_false(line.paused || line.resumed);
	assert_true(event_line_next(&rest, &line));
	assert_true(line.paused && line.n == strlen("{\"schema\":\"hvsm.event/1\",\"event\":"
						    "\"paused\"}"));
	assert_true(event_line_next(&rest, &line));
	assert_true(line.resumed);
	assert_false(event_line_next(&rest, &line));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_guest_arrives_as_it_was_sent),
		cmocka_unit_test(setup_brings_its_socket),
		cmocka_unit_test(control_may_not_say_what_is_the_parents),
		cmocka_unit_test(lines_that_are_no_events_are_left_out),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
