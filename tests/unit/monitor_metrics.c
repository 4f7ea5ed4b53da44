/* SPDX-License-Identifier: Apache-2.0 */
#include "monitor/metrics.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/cleanup.h"

static char *text;
static size_t text_n;

static struct metrics begin(void)
{
	return (struct metrics){ .to = open_memstream(&text, &text_n) };
}

/* What was written; freed. */
static void expect(const struct metrics *metrics, const char *expected)
{
	assert_int_equal(fclose(metrics->to), 0);
	assert_string_equal(text, expected);
	free(text);
}

static void a_family_has_its_samples(void **state)
{
	const struct metrics_label labels[] = { { "a", "1" }, { NULL, NULL }, { "b", "" } };
	struct metrics metrics = begin();

	(void)state;
	metrics_family(&metrics, "x_total", METRICS_COUNTER, "What it is.");
	metrics_count(&metrics, NULL, 0, UINT64_MAX);
	metrics_count(&metrics, labels, ARRAY_SIZE(labels), 0);
	metrics_real(&metrics, labels + 1, 1, 0.25);
	expect(&metrics, "# HELP x_total What it is.\n# TYPE x_total counter\n"
			 "x_total 18446744073709551615\nx_total{a=\"1\",b=\"\"} 0\n"
			 "x_total 0.250000000\n");
}

static void values_cannot_leave_their_quotes(void **state)
{
	const struct metrics_label label = { "guest", "a\\\"} 1\nx{b=\"\n\\" };
	struct metrics metrics = begin();

	(void)state;
	metrics.name = "x";
	metrics_count(&metrics, &label, 1, 1);
	expect(&metrics, "x{guest=\"a\\\\\\\"} 1\\nx{b=\\\"\\n\\\\\"} 1\n");
}

static void durations_are_cumulative(void **state)
{
	struct metrics_durations durations = { { 0 }, 0 };
	struct metrics metrics = begin();

	(void)state;
	metrics_took(&durations, 0);
	metrics_took(&durations, 1000);
	metrics_took(&durations, 1001);
	metrics_took(&durations, 30000001);
	metrics.name = "d";
	metrics_durations(&metrics, &durations);
	expect(&metrics, "d_bucket{le=\"0.001\"} 2\nd_bucket{le=\"0.0025\"} 3\n"
			 "d_bucket{le=\"0.005\"} 3\nd_bucket{le=\"0.01\"} 3\n"
			 "d_bucket{le=\"0.025\"} 3\nd_bucket{le=\"0.05\"} 3\n"
			 "d_bucket{le=\"0.1\"} 3\nd_bucket{le=\"0.25\"} 3\n"
			 "d_bucket{le=\"0.5\"} 3\nd_bucket{le=\"1\"} 3\nd_bucket{le=\"5\"} 3\n"
			 "d_bucket{le=\"30\"} 3\nd_bucket{le=\"+Inf\"} 4\n"
			 "d_sum 30.002002\nd_count 4\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_family_has_its_samples),
		cmocka_unit_test(values_cannot_leave_their_quotes),
		cmocka_unit_test(durations_are_cumulative),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
