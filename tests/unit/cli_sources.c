/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/sources.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "reference/baseline.h"
#include "reference/store.h"

static const struct kernel boot = { .boot = { .canary = 7 } };

static char dir[] = "/tmp/hvsm-sources-XXXXXX";

static int setup(void **state)
{
	(void)state;
	return mkdtemp(dir) ? 0 : -1;
}

static int teardown(void **state)
{
	char command[64];

	(void)state;
	snprintf(command, sizeof(command), "rm -rf '%s'", dir);
	return system(command);
}

static void option_then_environment_then_default(void **state)
{
	char first[] = "/first", last[] = "/last", *named[] = { first, last };
	struct arguments args = {0};

	(void)state;
	unsetenv("HVSM_STORE");
	assert_string_equal(sources_store(&args), STORE_DEFAULT);
	setenv("HVSM_STORE", "", 1);
	assert_string_equal(sources_store(&args), STORE_DEFAULT);
	setenv("HVSM_STORE", "/by/environment", 1);
	assert_string_equal(sources_store(&args), "/by/environment");
	args.store.v = named;
	args.store.n = 2;
	assert_string_equal(sources_store(&args), "/last");
}

/* Is there a record of @guest after a sweep like that? */
static int recorded_after(const char *guest, const struct session_report *report)
{
	struct sources sources = SOURCES_NONE;
	int r;

	assert_int_equal(baseline_open(dir, guest, &boot, &sources.baseline, NULL), 0);
	assert_int_equal(baseline_compare(sources.baseline, "a", "x", 1, NULL, NULL), BASELINE_NEW);
	sources_commit(&sources, report);
	sources_close(&sources);
	assert_null(sources.baseline);
	assert_int_equal(baseline_open(dir, guest, &boot, &sources.baseline, NULL), 0);
	r = baseline_compare(sources.baseline, "a", "x", 1, NULL, NULL);
	sources_close(&sources);
	return r;
}

/* What a rootkit or a half-booted kernel looks like must not become what is right. */
static void only_a_sound_sweep_is_recorded(void **state)
{
	struct session_report report = { .steady = true };

	(void)state;
	assert_int_equal(recorded_after("sound", &report), BASELINE_SAME);
	report.steady = false;
	assert_int_equal(recorded_after("rebooted", &report), BASELINE_NEW);
	report.steady = true;
	report.verdict = VERDICT_COMPROMISED;
	assert_int_equal(recorded_after("compromised", &report), BASELINE_NEW);
	report.verdict = VERDICT_SUSPICIOUS;
	assert_int_equal(recorded_after("odd", &report), BASELINE_SAME);
}

static void nothing_to_record_is_fine(void **state)
{
	struct sources none = SOURCES_NONE;
	const struct session_report report = { .steady = true };

	(void)state;
	sources_commit(&none, &report);
	sources_close(&none);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(option_then_environment_then_default),
		cmocka_unit_test(only_a_sound_sweep_is_recorded),
		cmocka_unit_test(nothing_to_record_is_fine),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
