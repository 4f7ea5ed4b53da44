/* SPDX-License-Identifier: Apache-2.0 */
#include "monitor/xen_events.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "base/limits.h"
#include "monitor/link.h"

#define UUID "80594000-334a-47f6-9927-1e04f54aefea"

/* Both ends, and what each heard. */
struct ends {
	struct channel parent, role;
	struct channel_rule rules[2][XEN_EVENTS_RULES];
	struct xen_events_write write;
	uint32_t domain;
	char text[64];
	bool nothing;		/* the text was none */
};

static int on_write(struct channel *channel, struct message *message, void *ctx, struct err *err)
{
	(void)channel;
	return xen_events_read_write(message, &((struct ends *)ctx)->write, err);
}

static int on_domain(struct channel *channel, struct message *message, void *ctx,
		     struct err *err)
{
	struct ends *ends = ctx;
	const char *text;
	int r = xen_events_read_domain(message, &ends->domain, &text, err);

	(void)channel;
	if (r < 0)
		return r;
	ends->nothing = !text;
	snprintf(ends->text, sizeof(ends->text), "%s", text ? text : "");
	return 0;
}

static void open_ends(struct ends *ends)
{
	static const struct xen_events_handlers parent = { .answer = on_domain, .write = on_write };
	static const struct xen_events_handlers role = { .watch = on_domain };
	int fds[2];

	*ends = (struct ends){ 0 };
	assert_int_equal(channel_pair(fds, NULL), 0);
	xen_events_rules(&parent, ends->rules[0]);
	xen_events_rules(&role, ends->rules[1]);
	channel_init(&ends->parent, fds[0], ROLE_STARTER, ROLE_XEN, ends->rules[0], XEN_EVENTS_RULES);
	channel_init(&ends->role, fds[1], ROLE_XEN, ROLE_STARTER, ends->rules[1], XEN_EVENTS_RULES);
}

static void close_ends(struct ends *ends)
{
	channel_close(&ends->parent);
	channel_close(&ends->role);
}

static void what_is_said_is_heard(void **state)
{
	const struct xen_events_write write = {
		.domain = 7, .last = { .vcpu = 3, .reg = 4, .before = 0x3006f0, .after = 0x2006f0 }, .n = 12,
	};
	struct ends ends;

	(void)state;
	open_ends(&ends);
	assert_int_equal(xen_events_send_watch(&ends.parent, 7, UUID, NULL), 0);
	assert_int_equal(channel_dispatch(&ends.role, &ends, 0, NULL), 0);
	assert_int_equal(ends.domain, 7);
	assert_string_equal(ends.text, UUID);
	assert_int_equal(xen_events_send_answer(&ends.role, 9, "taken", NULL), 0);
	assert_int_equal(channel_dispatch(&ends.parent, &ends, 0, NULL), 0);
	assert_int_equal(ends.domain, 9);
	assert_string_equal(ends.text, "taken");
	assert_int_equal(xen_events_send_answer(&ends.role, 9, NULL, NULL), 0);
	assert_int_equal(channel_dispatch(&ends.parent, &ends, 0, NULL), 0);
	assert_true(ends.nothing);
	assert_int_equal(xen_events_send_write(&ends.role, &write, NULL), 0);
	assert_int_equal(channel_dispatch(&ends.parent, &ends, 0, NULL), 0);
	assert_memory_equal(&ends.write, &write, sizeof(write));
	close_ends(&ends);
}

static int hears(struct xen_events_write write)
{
	struct ends ends;
	int r;

	open_ends(&ends);
	assert_int_equal(xen_events_send_write(&ends.role, &write, NULL), 0);
	r = channel_dispatch(&ends.parent, &ends, 0, NULL);
	close_ends(&ends);
	return r;
}

static void what_cannot_be_is_refused(void **state)
{
	struct ends ends;

	(void)state;
	assert_int_equal(hears((struct xen_events_write){ .n = 1 }), 0);
	assert_int_equal(hears((struct xen_events_write){ .n = 0 }), -EPROTO);
	assert_int_equal(hears((struct xen_events_write){ .n = 1, .last.reg = 3 }), -EPROTO);
	open_ends(&ends);
	assert_int_equal(xen_events_send_answer(&ends.role, XEN_DOMAINS_MAX, NULL, NULL), 0);
	assert_int_equal(channel_dispatch(&ends.parent, &ends, 0, NULL), -EPROTO);
	close_ends(&ends);
}

/* A parent that does not read is no reason to leave a ring unread. */
static void a_parent_that_does_not_read_is_not_waited_for(void **state)
{
	const struct xen_events_write write = { .n = 1 };
	struct ends ends;
	int r = 0;

	(void)state;
	open_ends(&ends);
	for (unsigned i = 0; i < 100000 && r == 0; i++)
		r = xen_events_send_write(&ends.role, &write, NULL);
	assert_int_equal(r, -ETIMEDOUT);
	assert_int_equal(channel_dispatch(&ends.parent, &ends, 0, NULL), 0);
	assert_int_equal(xen_events_send_write(&ends.role, &write, NULL), 0);
	close_ends(&ends);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_said_is_heard),
		cmocka_unit_test(what_cannot_be_is_refused),
		cmocka_unit_test(a_parent_that_does_not_read_is_not_waited_for),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
