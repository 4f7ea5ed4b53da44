/* SPDX-License-Identifier: Apache-2.0 */
#include "monitor/parent.h"

#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/cleanup.h"
#include "monitor/sealed.h"

/* The parent with one guest, as far as reactions go, and control's end of its channel. */
struct setting {
	struct parent parent;
	struct channel control;
	struct channel_rule rules[LINK_RULES];	/* control's: it hears, and does nothing */
	struct fleet_guest guest, *guests[1];
};

#define PROGRAM "/usr/bin/env"	/* is run without a shell */

static void set_up(struct setting *s, const char *text)
{
	static const struct link_handlers parents = { .react = parent_on_react };
	static const struct link_handlers nobody;
	struct err err = { 0 };
	int fds[2];

	*s = (struct setting){ .guest = {
		.number = 7, .key = (char *)(uintptr_t)"k", .name = (char *)(uintptr_t)"web-1",
	} };
	s->guests[0] = &s->guest;
	s->parent.fleet.guests.v = s->guests;
	s->parent.fleet.guests.n = 1;
	s->parent.control_ready = true;
	if (config_parse("f", text, strlen(text), &s->parent.config, &err) < 0)
		fail_msg("%s", err.text);
	assert_int_equal(channel_pair(fds, &err), 0);
	link_rules(&parents, s->parent.rules);
	link_rules(&nobody, s->rules);
	channel_init(&s->parent.link, fds[0], ROLE_STARTER, ROLE_CONTROL, s->parent.rules,
		     LINK_RULES);
	channel_init(&s->control, fds[1], ROLE_CONTROL, ROLE_STARTER, s->rules, LINK_RULES);
	assert_int_equal(loop_init(&s->parent.loop, 1000, &err), 0);
	assert_int_equal(parent_reaction_start(&s->parent, &err), 0);
}

static void tear_down(struct setting *s)
{
	parent_reaction_stop(&s->parent);
	loop_deinit(&s->parent.loop);
	config_free(&s->parent.config);
	channel_close(&s->parent.link);
	channel_close(&s->control);
}

/* Control asks for it. Return: of the parent's handler. */
static int ask(struct setting *s, uint64_t guest, const char *reaction, const char *message)
{
	const struct link_react react = {
		.guest = guest, .reaction = reaction, .finding = "00000000000000aa",
		.about = "high, idt: A gate",
	};
	struct err err = { 0 };

	assert_int_equal(link_send_react(&s->control, &react, message, &err), 0);
	return channel_dispatch(&s->parent.link, &s->parent, 0, &err);
}

/* "outcome kind told; " of what control is told. */
static const char *heard(struct setting *s)
{
	static char list[1024];
	struct message message;
	struct link_audit audit;
	struct err err = { 0 };
	size_t n = 0;

	*list = '\0';
	while (channel_receive(&s->control, &message, 0, &err) == 0) {
		assert_int_equal(message.rule->type, LINK_AUDIT);
		assert_int_equal(link_read_audit(&message, &audit, &err), 0);
		assert_string_equal(audit.guest, "k");
		assert_string_equal(audit.finding, "00000000000000aa");
		n += (size_t)snprintf(list + n, sizeof(list) - n, "%s %s%s; ",
				      audit_outcome_name(audit.outcome), audit.kind,
				      audit.told ? "" : " again");
		message_deinit(&message);
	}
	return list;
}

#define REACTIONS                                                             \
	"reaction tell { kind = log\n per_hour = 1 }\n"                       \
	"reaction call { kind = run\n program = " PROGRAM "\n}\n"             \
	"reaction other { kind = log }\n"

static void a_reaction_is_carried_out_and_told_of(void **state)
{
	struct setting s;

	(void)state;
	set_up(&s, REACTIONS "mode = enforce\n guest 'web-*' { reactions = { tell, call } }");
	assert_int_equal(ask(&s, 7, "tell", "{}"), 0);
	assert_string_equal(heard(&s), "done log; ");
	assert_int_equal(ask(&s, 7, "call", "{}"), 0);
	assert_string_equal(heard(&s), "started run; ");
	while (reactor_running(s.parent.reactor)) {
		struct pollfd ready = { .fd = reactor_fd(s.parent.reactor), .events = POLLIN };

		assert_int_equal(poll(&ready, 1, -1), 1);
		reactor_dispatch(s.parent.reactor);
	}
	assert_string_equal(heard(&s), "done run; ");
	tear_down(&s);
}

static void to_observe_is_the_default(void **state)
{
	struct setting s;

	(void)state;
	set_up(&s, REACTIONS "guest 'web-*' { reactions = { call } }");
	assert_int_equal(ask(&s, 7, "call", "{}"), 0);
	assert_string_equal(heard(&s), "observed run; ");
	assert_int_equal(reactor_running(s.parent.reactor), 0);
	tear_down(&s);
}

static void control_gets_no_more_than_the_guest_has(void **state)
{
	struct setting s;

	(void)state;
	set_up(&s, REACTIONS "mode = enforce\n guest 'web-*' { reactions = { tell } }\n"
		   "guest 'db-*' { reactions = { call, other } }");
	assert_int_equal(ask(&s, 7, "call", "{}"), 0);
	assert_string_equal(heard(&s), "failed none; ");
	assert_int_equal(ask(&s, 7, "no-such", "{}"), 0);
	assert_string_equal(heard(&s), "failed none; ");
	/* A guest that went is no guest. */
	assert_int_equal(ask(&s, 8, "tell", "{}"), 0);
	assert_string_equal(heard(&s), "");
	tear_down(&s);
	set_up(&s, REACTIONS "guest '*' { watch = no\n reactions = { tell } }");
	assert_int_equal(ask(&s, 7, "tell", "{}"), 0);
	assert_string_equal(heard(&s), "failed none; ");
	tear_down(&s);
}

static void a_rate_that_is_used_up_is_told_each_time(void **state)
{
	struct setting s;

	(void)state;
	set_up(&s, REACTIONS "guest '*' { reactions = { tell } }");
	for (int i = 0; i < 3; i++)
		assert_int_equal(ask(&s, 7, "tell", "{}"), 0);
	assert_string_equal(heard(&s), "done log; rate-limited log; rate-limited log again; ");
	tear_down(&s);
}

static void a_message_is_one_line(void **state)
{
	struct setting s;

	(void)state;
	set_up(&s, REACTIONS "guest '*' { reactions = { tell } }");
	assert_int_equal(ask(&s, 7, "tell", "{}\n{}"), -EPROTO);
	assert_string_equal(heard(&s), "");
	tear_down(&s);
}

static void what_is_under_way_ends_with_the_daemon(void **state)
{
	struct setting s;

	(void)state;
	set_up(&s, "mode = enforce\nreaction call { kind = run\n program = /usr/bin/env\n"
		   "arguments = { sleep, 1000 } }\nguest '*' { reactions = { call } }");
	assert_int_equal(ask(&s, 7, "call", "{}"), 0);
	assert_int_equal(reactor_running(s.parent.reactor), 1);
	parent_reaction_stop(&s.parent);
	assert_string_equal(heard(&s), "started run; failed run; ");
	tear_down(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_reaction_is_carried_out_and_told_of),
		cmocka_unit_test(to_observe_is_the_default),
		cmocka_unit_test(control_gets_no_more_than_the_guest_has),
		cmocka_unit_test(a_rate_that_is_used_up_is_told_each_time),
		cmocka_unit_test(a_message_is_one_line),
		cmocka_unit_test(what_is_under_way_ends_with_the_daemon),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
