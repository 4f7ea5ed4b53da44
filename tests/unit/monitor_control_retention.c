/* SPDX-License-Identifier: Apache-2.0 */
#include "monitor/control.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/cleanup.h"
#include "make/report.h"
#include "report/ledger.h"

#define HOUR (3600ull * 1000000000)
#define DAY  (24 * HOUR)
#define NOW  (20000 * DAY)

struct setting {
	struct control control;
	char directory[64];
};

static void set_up(struct setting *s, const char *text)
{
	struct err err = { 0 };

	*s = (struct setting){ 0 };
	strcpy(s->directory, "/tmp/hvsm-retention-XXXXXX");
	assert_non_null(mkdtemp(s->directory));
	/* The clock stood for long. */
	control_clock(&s->control, NOW - 2 * HOUR, HOUR);
	control_clock(&s->control, NOW - HOUR, 2 * HOUR);
	if (ledger_open(s->directory, true, &s->control.ledger, &err) < 0 ||
	    config_parse("f", text, strlen(text), &s->control.config, &err) < 0)
		fail_msg("%s", err.text);
}

static void tear_down(struct setting *s)
{
	char command[128];

	ledger_close(&s->control.ledger);
	config_free(&s->control.config);
	for (size_t i = 0; i < CONTROL_INCIDENTS_MAX; i++)
		free(s->control.incidents[i].text);
	snprintf(command, sizeof(command), "rm -rf '%s'", s->directory);
	assert_int_equal(system(command), 0);
}

static void add_with(struct setting *s, uint64_t time_ns, const char *checks)
{
	const struct ledger_origin origin = { .boot = "b", .time_ns = time_ns };
	cleanup(freep) char *report = make_report("web1", time_ns / HOUR, checks);
	struct err err = { 0 };

	if (ledger_add(s->control.ledger, &origin, report, strlen(report), NULL, &err) < 0)
		fail_msg("%s", err.text);
}

static void add(struct setting *s, uint64_t time_ns)
{
	add_with(s, time_ns, "");
}

/* Records up to this one are gone. */
static uint64_t removed(const struct setting *s)
{
	struct ledger_head head;

	assert_int_equal(ledger_head(s->control.ledger, &head, NULL), 0);
	return head.removed;
}

static void what_is_too_old_goes_once_an_hour(void **state)
{
	struct setting s;

	(void)state;
	set_up(&s, "retention_days = 2\nretention_mib = 0");
	add(&s, NOW - 3 * DAY);
	add(&s, NOW - DAY);
	add(&s, NOW);
	control_expire(&s.control, 5, NOW);
	assert_int_equal(removed(&s), 1);
	/* The second is too old by now, but it was looked at a moment ago. */
	control_expire(&s.control, 5 + HOUR - 1, NOW + DAY + HOUR);
	assert_int_equal(removed(&s), 1);
	control_expire(&s.control, 5 + HOUR, NOW + DAY + HOUR);
	assert_int_equal(removed(&s), 2);
	assert_int_equal(ledger_verify(s.control.ledger, NULL, NULL, NULL, NULL), 0);
	tear_down(&s);
}

/* All but the newest would be too old. */
static void what_a_clock_that_jumps_makes_old_stays(void **state)
{
	const uint64_t jumped = NOW + 1000 * DAY;
	struct setting s;

	(void)state;
	set_up(&s, "retention_days = 2\nretention_mib = 0");
	add(&s, NOW - 3 * DAY);
	add(&s, NOW - DAY);
	add(&s, NOW);
	control_clock(&s.control, jumped, 3 * HOUR);
	assert_int_equal(s.control.incidents_n, 1);
	assert_non_null(strstr(s.control.incidents[0].text, "forward by 86400000 s"));
	control_expire(&s.control, 3 * HOUR, jumped);
	control_clock(&s.control, jumped + HOUR - 1, 4 * HOUR - 1);
	control_expire(&s.control, 4 * HOUR, jumped + HOUR - 1);
	assert_int_equal(removed(&s), 0);
	/* It is set right: what is really too old goes when that stood. */
	control_clock(&s.control, NOW + HOUR, 4 * HOUR);
	assert_int_equal(s.control.incidents_n, 2);
	assert_non_null(strstr(s.control.incidents[1].text, "back by 86400000 s"));
	control_expire(&s.control, 5 * HOUR, NOW + HOUR);
	assert_int_equal(removed(&s), 0);
	control_clock(&s.control, NOW + 2 * HOUR, 5 * HOUR);
	control_expire(&s.control, 5 * HOUR + 1, NOW + 2 * HOUR);
	assert_int_equal(removed(&s), 1);
	tear_down(&s);
}

/* Who starts at a wrong time does not remove anything for its age at once. */
static void sizes_count_whatever_the_clock_says(void **state)
{
	char checks[4096];
	struct setting s;

	(void)state;
	set_up(&s, "retention_days = 1\nretention_mib = 1");
	s.control.steady = (struct steady){ 0 };
	control_clock(&s.control, NOW, HOUR);
	/* Some 100 KiB each: one more finding, or less. */
	for (unsigned i = 0; i < 16; i++) {
		size_t n = (size_t)snprintf(checks, sizeof(checks), "idt=finding:%u", i + 1);

		for (unsigned k = 100; k < 600; k++)
			n += (size_t)snprintf(checks + n, sizeof(checks) - n, ",%u", k);
		add_with(&s, DAY + i * HOUR, checks);
	}
	control_expire(&s.control, 0, NOW);
	assert_in_range(removed(&s), 1, 14);
	tear_down(&s);
}

static void nothing_goes_where_nothing_is_set(void **state)
{
	struct setting s;

	(void)state;
	set_up(&s, "retention_days = 0\nretention_mib = 0");
	add(&s, DAY);
	add(&s, NOW);
	control_expire(&s.control, 0, NOW);
	assert_int_equal(removed(&s), 0);
	tear_down(&s);
	/* A clock that was never set is before all that may be kept. */
	set_up(&s, "retention_days = 36500");
	add(&s, DAY);
	add(&s, NOW);
	control_expire(&s.control, 0, NOW);
	assert_int_equal(removed(&s), 0);
	tear_down(&s);
}

static void what_goes_wrong_is_told(void **state)
{
	struct setting s;
	struct err err = { 0 };

	(void)state;
	set_up(&s, "");
	add(&s, DAY);
	ledger_close(&s.control.ledger);
	/* Before it is set up there is none. */
	control_expire(&s.control, 0, NOW);
	assert_int_equal(s.control.incidents_n, 0);
	assert_int_equal(ledger_open(s.directory, false, &s.control.ledger, &err), 0);
	control_expire(&s.control, 0, NOW);
	assert_int_equal(s.control.incidents_n, 1);
	tear_down(&s);
}

/* SQLite would write on into a file that has no name. */
static void who_took_the_ledger_away_is_noticed(void **state)
{
	cleanup(freep) char *report = make_report("web1", 99, "");
	char command[128];
	struct setting s;

	(void)state;
	set_up(&s, "");
	add(&s, NOW);
	assert_false(ledger_is_moved(s.control.ledger));
	snprintf(command, sizeof(command), "rm '%s'/ledger.db*", s.directory);
	assert_int_equal(system(command), 0);
	assert_true(ledger_is_moved(s.control.ledger));
	assert_int_equal(ledger_add(s.control.ledger, NULL, report, strlen(report), NULL, NULL),
			 -ESTALE);
	ledger_close(&s.control.ledger);
	assert_int_equal(ledger_add(s.control.ledger, NULL, report, strlen(report), NULL, NULL),
			 -ENOTCONN);
	tear_down(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_too_old_goes_once_an_hour),
		cmocka_unit_test(what_a_clock_that_jumps_makes_old_stays),
		cmocka_unit_test(sizes_count_whatever_the_clock_says),
		cmocka_unit_test(who_took_the_ledger_away_is_noticed),
		cmocka_unit_test(nothing_goes_where_nothing_is_set),
		cmocka_unit_test(what_goes_wrong_is_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
