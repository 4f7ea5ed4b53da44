/* SPDX-License-Identifier: Apache-2.0 */
#include "monitor/settings.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/cleanup.h"
#include "check/check.h"

/* What is planned for a guest; @ret: as settings_plan(). */
static int plan(const char *text, const char *name, bool *wanted, struct schedule_plan *ret)
{
	cleanup(config_free) struct config *config = NULL;
	struct err err = { 0 };

	if (config_parse("f", text, strlen(text), &config, &err) < 0)
		fail_msg("%s", err.text);
	return settings_plan(config, name, "b9c1", wanted, ret);
}

/* How many checks are wanted, and whether this one is. */
static size_t count(const bool *wanted, const char *id, bool *has)
{
	size_t checks_n, n = 0;
	const struct check *const *checks = checks_all(&checks_n);

	*has = false;
	for (size_t i = 0; i < checks_n; i++) {
		n += wanted[i];
		*has |= wanted[i] && !strcmp(checks[i]->id, id);
	}
	return n;
}

static void sections_choose_checks_and_periods(void **state)
{
	struct schedule_plan planned;
	bool wanted[1024], has;
	size_t all;

	(void)state;
	checks_all(&all);
	assert_true(all > 10 && all <= ARRAY_SIZE(wanted));
	assert_int_equal(plan("", "web-1", wanted, &planned), 1);
	assert_int_equal(count(wanted, "idt", &has), all);
	assert_int_equal(planned.look_ms, 100);

	assert_int_equal(plan("cheap_period_ms = 700\n"
			      "guest 'web-*' { look_period_ms = 250\n dear_period_ms = 9000\n"
			      "cpu_percent = 3\n skip = { idt } }", "web-1", wanted, &planned), 1);
	assert_int_equal(count(wanted, "idt", &has), all - 1);
	assert_false(has);
	assert_int_equal(planned.look_ms, 250);
	assert_int_equal(planned.period_ms[0], 700);
	assert_int_equal(planned.period_ms[2], 9000);
	assert_int_equal(planned.us_per_s, 30000);

	assert_int_equal(plan("guest 'b9*' { checks = { idt } }", "web-1", wanted, &planned), 1);
	assert_int_equal(count(wanted, "idt", &has), 1);
	assert_true(has);
}

static void who_is_not_to_be_watched_is_not(void **state)
{
	static const char text[] = "guest '*' { watch = no }\nguest 'web-*' { watch = yes }";
	struct schedule_plan planned;
	bool wanted[1024];

	(void)state;
	assert_int_equal(plan(text, "web-1", wanted, &planned), 1);
	assert_int_equal(plan(text, "db-1", wanted, &planned), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sections_choose_checks_and_periods),
		cmocka_unit_test(who_is_not_to_be_watched_is_not),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
