/* SPDX-License-Identifier: Apache-2.0 */

/* What a guest is called, where its findings are kept by its UUID. */
#include "report/ledger.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/cleanup.h"
#include "make/report.h"

#define UUID "00256f4a-eb2b-4091-b809-584ff107a4e4"

static struct {
	struct ledger *ledger;
	uint64_t sweep;
	char directory[64];
} g;

static void add(const char *name, const char *checks)
{
	const struct ledger_origin origin = {
		.guest = UUID, .boot = "b1", .time_ns = ++g.sweep * 1000,
	};
	cleanup(freep) char *report = make_report(name, g.sweep, checks);
	struct err err = { 0 };

	if (ledger_add(g.ledger, &origin, report, strlen(report), NULL, &err) < 0)
		fail_msg("%s", err.text);
}

static int take(const struct ledger_finding *finding, void *ctx, struct err *err)
{
	(void)err;
	assert_string_equal(finding->guest, UUID);
	snprintf(ctx, 64, "%s", finding->name);
	return 0;
}

static void assert_called(const char *name, const struct ledger_filter *filter)
{
	char found[64] = "";

	assert_int_equal(ledger_each_finding(g.ledger, filter, take, found, NULL), 0);
	assert_string_equal(found, name);
}

static void it_is_called_as_when_it_was_seen_last(void **state)
{
	(void)state;
	add("web1", "idt=finding:1");
	assert_called("web1", NULL);
	add("web2", "idt=finding:1 code=inconclusive");
	assert_called("web2", NULL);
	assert_called("web2", &(struct ledger_filter){ .key = UUID });
	assert_called("web2", &(struct ledger_filter){ .guest = "web1" });
	add("web3", "idt=clean");
	assert_called("web2", NULL);
}

static void without_that_report_it_is_called_by_its_key(void **state)
{
	const struct ledger_retention keep = { .before_ns = 1u << 30 };

	(void)state;
	add("web1", "idt=finding:1");
	add("web1", "idt=inconclusive");
	assert_int_equal(ledger_expire(g.ledger, &keep, 1u << 30, NULL, NULL), 0);
	assert_called(UUID, NULL);
}

static int setup(void **state)
{
	(void)state;
	strcpy(g.directory, "/tmp/hvsm-name-XXXXXX");
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
		cmocka_unit_test_setup_teardown(it_is_called_as_when_it_was_seen_last, setup,
						teardown),
		cmocka_unit_test_setup_teardown(without_that_report_it_is_called_by_its_key, setup,
						teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
