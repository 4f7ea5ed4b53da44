/* SPDX-License-Identifier: Apache-2.0 */
#include "monitor/link.h"

#include <fcntl.h>
#include <jansson.h>
#include <stdarg.h>
#include <setjmp.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/cleanup.h"
#include "monitor/event_line.h"
#include "monitor/sealed.h"

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
		.reboots = 6,
		.alarms = 7,
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
	assert_int_equal(got.reboots, 6);
	assert_int_equal(got.alarms, 7);
	message_deinit(&message);
	channel_close(&parent);
	channel_close(&control);
}

static void setup_brings_its_socket(void **state)
{
	const struct link_setup sent = {
		.uid = LINK_SELF, .gid = 9, .ledger = "/l", .started_ns = 1, .host_us_per_s = 2,
		.clock = { .known = true, .base_ns = -3, .seen_ns = 4, .since_ns = 5 },
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
	assert_true(got.uid == LINK_SELF && got.gid == 9 && got.host_us_per_s == 2);
	assert_string_equal(got.ledger, "/l");
	assert_true(!got.clock.begun && got.clock.known && !got.clock.stands);
	assert_true(got.clock.base_ns == -3 && got.clock.seen_ns == 4 && got.clock.since_ns == 5);
	message_deinit(&message);
	close(fd);
	channel_close(&parent);
	channel_close(&control);
}

static void a_reaction_arrives_with_its_message(void **state)
{
	struct link_react sent = {
		.guest = 1ull << 33, .reaction = "page", .finding = "00000000000000aa", .about = "high",
	};
	cleanup(sealed_unmap) struct sealed text = { 0 };
	struct channel parent, control;
	struct message message;
	struct link_react got;
	struct err err = { 0 };

	(void)state;
	two_ends(&parent, &control);
	assert_int_equal(link_send_react(&control, &sent, "{}", &err), 0);
	assert_int_equal(channel_receive(&parent, &message, 0, &err), 0);
	assert_int_equal(message.rule->type, LINK_REACT);
	assert_int_equal(link_read_react(&message, &got, &err), 0);
	assert_true(got.guest == sent.guest);
	assert_string_equal(got.reaction, "page");
	assert_string_equal(got.finding, sent.finding);
	assert_string_equal(got.about, "high");
	assert_int_equal(sealed_map(message.fds[0], 16, &text, &err), 0);
	assert_int_equal(text.size, 2);
	message_deinit(&message);
	/* What is no id goes into no file name, line or environment. */
	sent.finding = "../../etc/passwd";
	assert_int_equal(link_send_react(&control, &sent, "{}", &err), 0);
	assert_int_equal(channel_receive(&parent, &message, 0, &err), 0);
	assert_int_equal(link_read_react(&message, &got, &err), -EPROTO);
	message_deinit(&message);
	assert_int_equal(link_send_react(&parent, &sent, "{}", &err), -EINVAL);
	channel_close(&parent);
	channel_close(&control);
}

static void what_became_of_it_arrives(void **state)
{
	struct link_audit sent = {
		.time_ns = 1, .duration_ns = 2, .told = true, .outcome = AUDIT_TIMED_OUT,
		.guest = "k", .reaction = "page", .kind = "run", .finding = "", .text = "why",
	};
	struct channel parent, control;
	struct message message;
	struct link_audit got;
	struct err err = { 0 };

	(void)state;
	two_ends(&parent, &control);
	assert_int_equal(link_send_audit(&parent, &sent, &err), 0);
	assert_int_equal(channel_receive(&control, &message, 0, &err), 0);
	assert_int_equal(link_read_audit(&message, &got, &err), 0);
	assert_true(got.time_ns == 1 && got.duration_ns == 2 && got.told);
	assert_int_equal(got.outcome, AUDIT_TIMED_OUT);
	assert_string_equal(got.guest, "k");
	assert_string_equal(got.kind, "run");
	assert_string_equal(got.finding, "");
	assert_string_equal(got.text, "why");
	message_deinit(&message);
	sent.outcome = AUDIT_BUSY + 1;
	assert_int_equal(link_send_audit(&parent, &sent, &err), 0);
	assert_int_equal(channel_receive(&control, &message, 0, &err), 0);
	assert_int_equal(link_read_audit(&message, &got, &err), -EPROTO);
	message_deinit(&message);
	assert_int_equal(link_send_audit(&control, &sent, &err), -EINVAL);
	channel_close(&parent);
	channel_close(&control);
}

static void a_place_for_http_arrives_with_its_key(void **state)
{
	static const uint8_t token[LINK_TOKEN_BYTES] = "a token";
	int fd = open("/dev/null", O_RDONLY);
	const struct link_http sent = {
		.serial = 7, .socket = fd, .token = token, .cert = "CERT", .key = "KEY",
	}, off = { .serial = 8, .socket = -1, .cert = "CERT", .key = "KEY" };
	struct channel parent, control;
	cleanup(sealed_unmap) struct sealed tls = { 0 };
	struct message message;
	struct link_http got;
	struct err err = { 0 };

	(void)state;
	two_ends(&parent, &control);
	assert_int_equal(link_send_http(&parent, &sent, &err), 0);
	assert_int_equal(channel_receive(&control, &message, 0, &err), 0);
	assert_int_equal(link_read_http(&message, &got, &err), 0);
	assert_int_equal(got.serial, 7);
	assert_memory_equal(got.token, token, sizeof(token));
	assert_true(got.socket >= 0);
	assert_int_equal(sealed_map(got.tls, LINK_TLS_MAX, &tls, &err), 0);
	assert_int_equal(tls.size, 9);
	assert_memory_equal(tls.data, "CERT\0KEY", 9);
	message_deinit(&message);
	assert_int_equal(link_send_http(&parent, &off, &err), 0);
	assert_int_equal(channel_receive(&control, &message, 0, &err), 0);
	assert_int_equal(link_read_http(&message, &got, &err), 0);
	assert_true(got.serial == 8 && got.socket == -1 && got.tls == -1 && !got.token);
	message_deinit(&message);
	channel_close(&parent);
	channel_close(&control);
	close(fd);
}

/* It says that there are certificate and key, and has no descriptor of them. */
static void a_place_for_http_without_its_key_is_none(void **state)
{
	uint8_t body[6 + LINK_TOKEN_BYTES] = { [5] = 1 };
	int fd = open("/dev/null", O_RDONLY);
	struct channel parent, control;
	struct message message;
	struct link_http got;
	struct err err = { 0 };

	(void)state;
	two_ends(&parent, &control);
	assert_int_equal(channel_send(&parent, LINK_HTTP, body, sizeof(body), &fd, 1, 0, &err), 0);
	assert_int_equal(channel_receive(&control, &message, 0, &err), 0);
	assert_int_equal(link_read_http(&message, &got, &err), -EPROTO);
	message_deinit(&message);
	channel_close(&parent);
	channel_close(&control);
	close(fd);
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

static void an_event_is_of_the_guest_whose_scanner_says_it(void **state)
{
	static const char forged[] = "{\"schema\":\"hvsm.event/1\",\"event\":\"exec\",\"guest\":"
				     "{\"name\":\"other\"},\"object\":{\"comm\":\"\\\\x1b[2J\"}}\n"
				     "{\"schema\":\"hvsm.event/1\",\"event\":\"exec\","
				     "\"object\":{\"comm\":\"\\u001b[2J\"}}\n"
				     "{\"schema\":\"hvsm.event/1\",\"event\":\"\u202e\"}\n";
	const struct identity identity = { .name = "web1", .target = "qemu:1" };
	struct bytes rest = bytes_of(forged, sizeof(forged) - 1);
	struct event_line line;
	char *text;
	json_t *json;

	(void)state;
	assert_true(event_line_next(&rest, &line));
	text = event_line_of(&line, &identity);
	assert_non_null(text);
	assert_null(strchr(text, '\033'));
	json = json_loads(text, 0, NULL);
	assert_string_equal(json_string_value(json_object_get(json_object_get(json, "guest"),
							      "name")), "web1");
	assert_string_equal(json_string_value(json_object_get(json, "event")), "exec");
	json_decref(json);
	free(text);
	/* What is not escaped, or turns the order of what is read, is shown to nobody. */
	assert_true(event_line_next(&rest, &line));
	assert_null(event_line_of(&line, &identity));
	assert_true(event_line_next(&rest, &line));
	assert_null(event_line_of(&line, &identity));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_guest_arrives_as_it_was_sent),
		cmocka_unit_test(setup_brings_its_socket),
		cmocka_unit_test(a_reaction_arrives_with_its_message),
		cmocka_unit_test(what_became_of_it_arrives),
		cmocka_unit_test(a_place_for_http_arrives_with_its_key),
		cmocka_unit_test(a_place_for_http_without_its_key_is_none),
		cmocka_unit_test(control_may_not_say_what_is_the_parents),
		cmocka_unit_test(lines_that_are_no_events_are_left_out),
		cmocka_unit_test(an_event_is_of_the_guest_whose_scanner_says_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
