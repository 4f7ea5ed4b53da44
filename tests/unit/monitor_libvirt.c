/* SPDX-License-Identifier: Apache-2.0 */
#include "monitor/libvirt.h"

#include <stdarg.h>
#include <setjmp.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/cleanup.h"
#include "monitor/link.h"

#define UUID "5b3e1c9a-0d0f-4a68-9f6e-1c2d3e4f5a6b"

/* Both ends, and what the parent heard. */
struct ends {
	struct channel parent, role;
	struct channel_rule rules[2][LIBVIRT_RULES];
	struct libvirt_domain heard;
	char uuid[64];
	struct libvirt_setup setup;
	char uri[64];
};

static int on_domain(struct channel *channel, struct message *message, void *ctx,
		     struct err *err)
{
	struct ends *ends = ctx;
	int r = libvirt_read_domain(message, &ends->heard, err);

	(void)channel;
	if (r >= 0)
		snprintf(ends->uuid, sizeof(ends->uuid), "%s", ends->heard.uuid);
	return r;
}

static int on_setup(struct channel *channel, struct message *message, void *ctx,
		    struct err *err)
{
	struct ends *ends = ctx;
	int r = libvirt_read_setup(message, &ends->setup, err);

	(void)channel;
	if (r >= 0)
		snprintf(ends->uri, sizeof(ends->uri), "%s", ends->setup.uri);
	return r;
}

static void open_ends(struct ends *ends)
{
	static const struct libvirt_handlers parent = { .domain = on_domain };
	static const struct libvirt_handlers role = { .setup = on_setup };
	int fds[2];

	*ends = (struct ends){ 0 };
	assert_int_equal(channel_pair(fds, NULL), 0);
	libvirt_rules(&parent, ends->rules[0]);
	libvirt_rules(&role, ends->rules[1]);
	channel_init(&ends->parent, fds[0], ROLE_STARTER, ROLE_LIBVIRT, ends->rules[0],
		     LIBVIRT_RULES);
	channel_init(&ends->role, fds[1], ROLE_LIBVIRT, ROLE_STARTER, ends->rules[1],
		     LIBVIRT_RULES);
}

static void close_ends(struct ends *ends)
{
	channel_close(&ends->parent);
	channel_close(&ends->role);
}

/* What the parent makes of a domain that the role tells of. */
static int hears(uint8_t what, uint8_t why, const char *uuid)
{
	const struct libvirt_domain domain = { (enum libvirt_what)what, (enum libvirt_why)why,
					       uuid };
	struct ends ends;
	int r;

	open_ends(&ends);
	assert_int_equal(libvirt_send_domain(&ends.role, &domain, NULL), 0);
	r = channel_dispatch(&ends.parent, &ends, 0, NULL);
	if (r == 0) {
		assert_int_equal(ends.heard.what, what);
		assert_int_equal(ends.heard.why, why);
		assert_string_equal(ends.uuid, uuid);
	}
	close_ends(&ends);
	return r;
}

static void a_domain_arrives_as_it_was_told(void **state)
{
	(void)state;
	assert_int_equal(hears(DOMAIN_PAUSED, WHY_MIGRATED, UUID), 0);
	assert_int_equal(hears(DOMAIN_CHANGED, WHY_DEVICE, UUID), 0);
}

static void what_is_no_domain_is_refused(void **state)
{
	(void)state;
	assert_int_equal(hears(DOMAIN_WHATS, WHY_NONE, UUID), -EPROTO);
	assert_int_equal(hears(DOMAIN_RUNS, LIBVIRT_WHYS, UUID), -EPROTO);
	assert_int_equal(hears(DOMAIN_RUNS, WHY_NONE, UUID "0"), -EPROTO);
	assert_int_equal(hears(DOMAIN_RUNS, WHY_NONE, "5b3e1c9a"), -EPROTO);
	assert_int_equal(hears(DOMAIN_RUNS, WHY_NONE, "5B3E1C9A-0d0f-4a68-9f6e-1c2d3e4f5a6b"),
			 -EPROTO);
}

static void setup_arrives_as_it_was_sent(void **state)
{
	const struct libvirt_setup setup = { 7, LINK_SELF, "qemu:///system" };
	struct ends ends;

	(void)state;
	open_ends(&ends);
	assert_int_equal(libvirt_send_setup(&ends.parent, &setup, NULL), 0);
	assert_int_equal(channel_dispatch(&ends.role, &ends, 0, NULL), 0);
	assert_int_equal(ends.setup.uid, 7);
	assert_int_equal(ends.setup.gid, LINK_SELF);
	assert_string_equal(ends.uri, "qemu:///system");
	close_ends(&ends);
}

/* The role may not say what the parent says, nor what control does. */
static void the_role_cannot_set_anything_up(void **state)
{
	const struct libvirt_setup setup = { 0, 0, "x" };
	struct ends ends;

	(void)state;
	open_ends(&ends);
	ends.role.self = ROLE_STARTER;
	assert_int_equal(libvirt_send_setup(&ends.role, &setup, NULL), 0);
	assert_int_equal(channel_dispatch(&ends.parent, &ends, 0, NULL), -EPROTO);
	close_ends(&ends);
}

static void assert_event(int event, int detail, int what, enum libvirt_why why)
{
	enum libvirt_why got = WHY_NONE;

	assert_int_equal(libvirt_of_event(event, detail, &got), what);
	if (what >= 0)
		assert_int_equal(got, why);
}

/* Numbers of libvirt-domain.h. */
static void events_have_their_meaning(void **state)
{
	(void)state;
	assert_event(2, 0, DOMAIN_RUNS, WHY_NONE);
	assert_event(3, 0, DOMAIN_PAUSED, WHY_BY_SOMEBODY);
	assert_event(3, 1, DOMAIN_PAUSED, WHY_MIGRATED);
	assert_event(3, 99, DOMAIN_PAUSED, WHY_NONE);
	assert_event(4, 0, DOMAIN_RUNS, WHY_NONE);
	assert_event(5, 3, DOMAIN_STOPPED, WHY_MIGRATED);
	assert_event(5, 99, DOMAIN_STOPPED, WHY_FAILED);
	assert_event(8, 0, DOMAIN_PAUSED, WHY_CRASHED);
	assert_event(99, 0, -1, WHY_NONE);
}

static void everything_has_words(void **state)
{
	(void)state;
	for (int what = 0; what < DOMAIN_WHATS; what++)
		for (int why = 0; why < LIBVIRT_WHYS; why++)
			assert_true(*libvirt_words((enum libvirt_what)what,
						   (enum libvirt_why)why));
	assert_string_equal(libvirt_words(DOMAIN_STOPPED, WHY_MIGRATED), "migrated away");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_domain_arrives_as_it_was_told),
		cmocka_unit_test(what_is_no_domain_is_refused),
		cmocka_unit_test(setup_arrives_as_it_was_sent),
		cmocka_unit_test(the_role_cannot_set_anything_up),
		cmocka_unit_test(events_have_their_meaning),
		cmocka_unit_test(everything_has_words),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
