/* SPDX-License-Identifier: Apache-2.0 */

/* The disk fails: each call that the ledger, or SQLite for it, makes of the kernel, in each way. */
#include "report/ledger.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/cleanup.h"
#include "make/faults.h"
#include "make/report.h"
#include "make/torture_store.h"

#define SWEEPS 4

/* Who is interrupted, or served in part, goes on: that may not be so for ever. */
static const int codes[] = { EIO, ENOSPC, EINTR, EAGAIN, FAULT_SHORT };
#define LASTING_CODES 2

static char dir[64], path[96];
static char *reports[SWEEPS];

static int no_problem(uint64_t seq, const char *what, void *ctx, struct err *err)
{
	(void)ctx;
	(void)err;
	print_message("# report %llu: %s\n", (unsigned long long)seq, what);
	return 0;
}

static int take_sweep(const struct ledger_record *record, void *ctx, struct err *err)
{
	unsigned *seen = ctx;

	(void)err;
	if (record->kind != LEDGER_CHECKPOINT)
		seen[record->duration_us - 1000]++;	/* make_report() */
	return 0;
}

/* Each sweep of @wanted is there once, and what was not given is not. */
static void assert_whole(struct ledger *ledger, const bool *wanted, const bool *given)
{
	unsigned seen[SWEEPS] = { 0 };

	assert_int_equal(ledger_verify(ledger, NULL, no_problem, NULL, NULL), 0);
	assert_int_equal(ledger_each(ledger, NULL, take_sweep, seen, NULL), 0);
	for (size_t i = 0; i < SWEEPS; i++)
		assert_in_range(seen[i], wanted[i], given[i]);
}

static int add(struct ledger *ledger, size_t i, struct err *err)
{
	const struct ledger_origin origin = { .boot = "b1", .time_ns = (i + 1) * 1000 };
	struct ledger_added added, before;
	int r;

	memset(&before, 0xa5, sizeof(before));
	added = before;
	r = ledger_add(ledger, &origin, reports[i], strlen(reports[i]), &added, err);
	assert_int_equal(r < 0, !memcmp(&added, &before, sizeof(added)));
	return r;
}

/* Once through, each report until it fails; true: a call was made to fail. */
static bool run(unsigned nth, int code, bool goes_on)
{
	cleanup(ledger_close) struct ledger *ledger = NULL;
	bool stored[SWEEPS] = { false }, given[SWEEPS] = { false }, failed = false;
	static bool all[SWEEPS] = { true, true, true, true };
	struct err err = { 0 };
	int r;

	torture_remove_files(path);
	(goes_on ? fault_set_on : fault_set)(nth, code);
	r = ledger_open(path, true, &ledger, &err);
	assert_true(r >= 0 ? ledger != NULL : !ledger && err.code == r && *err.text);
	for (size_t i = 0; ledger && i < SWEEPS; i++) {
		err = (struct err){ 0 };
		given[i] = true;
		r = add(ledger, i, &err);
		stored[i] = r >= 0;
		assert_true(r >= 0 || (err.code == r && *err.text));
	}
	if (ledger)
		ledger_close(&ledger);
	fault_end(&failed);
	/* Now all is well again. What was not acknowledged is given once more. */
	err = (struct err){ 0 };
	if (ledger_open(path, true, &ledger, &err) < 0)
		fail_msg("call %u, %d: %s", nth, code, err.text);
	assert_whole(ledger, stored, given);
	for (size_t i = 0; i < SWEEPS; i++)
		if (!stored[i] && add(ledger, i, &err) < 0)
			fail_msg("call %u, %d: %s", nth, code, err.text);
	assert_whole(ledger, all, all);
	return failed;
}

/* From the first call to the last one, and beyond: there nothing fails. */
static void torture(bool goes_on)
{
	for (size_t i = 0; i < (goes_on ? LASTING_CODES : ARRAY_SIZE(codes)); i++) {
		unsigned nth, last = 0, faults = 0;

		/* Those that cannot be short are passed over. EIO at each call, others at some. */
		for (nth = 1; nth < last + 40 && nth < 2000; nth += i || goes_on ? 7 : 1) {
			if (!run(nth, codes[i], goes_on))
				continue;
			last = nth;
			faults++;
		}
		assert_in_range(nth, 60, 1999);
		assert_in_range(faults, 10, nth);
	}
}

static void one_call_fails(void **state)
{
	(void)state;
	torture(false);
}

static void all_calls_fail_from_one_on(void **state)
{
	(void)state;
	torture(true);
}

static int set_up(void **state)
{
	static const char *const checks[SWEEPS] = {
		"idt=finding:1 log=finding:2,3", "idt=clean log=finding:2", "idt=clean log=finding:2",
		"idt=clean log=clean",
	};

	(void)state;
	for (size_t i = 0; i < SWEEPS; i++)
		reports[i] = make_report("web1", i, checks[i]);
	if (torture_directory("faults", dir, sizeof(dir)) < 0)
		return -1;
	snprintf(path, sizeof(path), "%s/ledger", dir);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	for (size_t i = 0; i < SWEEPS; i++)
		free(reports[i]);
	torture_remove_files(path);
	rmdir(path);
	return rmdir(dir);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_call_fails),
		cmocka_unit_test(all_calls_fail_from_one_on),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
