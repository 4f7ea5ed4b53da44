/* SPDX-License-Identifier: Apache-2.0 */

/* Reports that are stored while somebody sets the host's clock. */
#include "report/ledger.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/cleanup.h"
#include "make/report.h"

static struct {
	struct ledger *ledger;
	uint64_t sweep;
	char directory[64];
} g;

static void add(uint64_t time_ns, const char *boot, const char *checks)
{
	const struct ledger_origin origin = { .boot = boot, .time_ns = time_ns };
	cleanup(freep) char *report = make_report("web1", ++g.sweep, checks);
	struct err err = { 0 };

	if (ledger_add(g.ledger, &origin, report, strlen(report), NULL, &err) < 0)
		fail_msg("%s", err.text);
}

/* The strings are gone once it was visited. */
static int take(const struct ledger_finding *finding, void *ctx, struct err *err)
{
	(void)err;
	assert_true(finding->first_seen_ns <= finding->last_seen_ns);
	assert_true(!finding->closed_ns || finding->last_seen_ns <= finding->closed_ns);
	*(struct ledger_finding *)ctx = *finding;
	return 1;
}

static struct ledger_finding last(uint64_t since_ns)
{
	const struct ledger_filter filter = { .since_ns = since_ns };
	struct ledger_finding found = { 0 };

	assert_int_equal(ledger_each_finding(g.ledger, &filter, take, &found, NULL), 0);
	return found;
}

/* What came later is not said to have been before. */
static void times_of_findings_do_not_run_back(void **state)
{
	(void)state;
	add(101, "b1", "idt=finding:1");
	add(102, "b1", "idt=finding:1");
	assert_int_equal(last(0).last_seen_ns, 102);
	add(10, "b1", "idt=finding:1");
	assert_int_equal(last(0).first_seen_ns, 101);
	assert_int_equal(last(0).last_seen_ns, 101);
	assert_int_equal(last(0).sweeps, 3);
	add(201, "b1", "idt=finding:1");
	add(20, "b1", "idt=clean");
	assert_int_equal(last(0).last_seen_ns, 201);
	assert_int_equal(last(0).closed_ns, 201);
	/* As well where another boot's takes its place. */
	add(301, "b2", "idt=finding:2");
	add(30, "b3", "idt=finding:2");
	assert_int_equal(last(300).closed_ns, 301);
	assert_int_equal(ledger_verify(g.ledger, NULL, NULL, NULL, NULL), 0);
}

static int in_order(const struct ledger_record *record, void *ctx, struct err *err)
{
	uint64_t *before = ctx;

	(void)err;
	assert_int_equal(record->seq, *before + 1);
	*before = record->seq;
	return 0;
}

/* Where a clock runs back, numbers tell what came first; and nothing is left out. */
static void records_stay_in_the_order_in_which_they_came(void **state)
{
	uint64_t n = 0;

	(void)state;
	for (uint64_t i = 0; i < 10; i++)
		add(1000 - i, "b1", "idt=clean");
	assert_int_equal(ledger_each(g.ledger, NULL, in_order, &n, NULL), 0);
	assert_int_equal(n, 10);
}

static int setup(void **state)
{
	(void)state;
	strcpy(g.directory, "/tmp/hvsm-clock-XXXXXX");
	g.sweep = 0;
	return mkdtemp(g.directory) && ledger_open(g.directory, true, &g.ledger, NULL) >= 0 ? 0 : -1;
}

static int teardown(void **state)
{
	char command[128];

	(void)state;
	ledger_close(&g.ledger);
	snprintf(command, sizeof(command), "rm -rf '%s'", g.directory);
	return system(command);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(times_of_findings_do_not_run_back, setup, teardown),
		cmocka_unit_test_setup_teardown(records_stay_in_the_order_in_which_they_came,
						setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
