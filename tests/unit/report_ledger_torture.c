/* SPDX-License-Identifier: Apache-2.0 */
#include "report/ledger.h"

#include <setjmp.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/cleanup.h"
#include "make/report.h"
#include "make/torture.h"
#include "make/torture_store.h"

/*
 * Whatever fails, and whenever the writer ends: what was acknowledged is there, once, and the
 * ledger can be proved.
 */
static char dir[64], path[96];

/*
 * jansson keeps its own memory, which does not fail: its lexer (2.14) loses a character then, and
 * ends the process by an assertion.
 */
static int use_our_memory(void **state)
{

	(void)state;
	if (torture_directory("ledger", dir, sizeof(dir)) < 0)
		return -1;
	snprintf(path, sizeof(path), "%s/ledger", dir);
	return torture_sqlite();
}

static void remove_ledger(void)
{
	torture_remove_files(path);
	rmdir(path);
	assert_int_not_equal(access(path, F_OK), 0);
}

static int remove_all(void **state)
{
	(void)state;
	remove_ledger();
	return rmdir(dir);
}

static int no_problem(uint64_t seq, const char *what, void *ctx, struct err *err)
{
	(void)ctx;
	(void)err;
	print_message("# report %llu: %s\n", (unsigned long long)seq, what);
	return 0;
}

static int take_sweep(const struct ledger_record *record, void *ctx, struct err *err)
{
	uint8_t *seen = ctx;
	uint64_t sweep = record->duration_us - 1000;	/* make_report() */

	(void)err;
	if (record->kind != LEDGER_CHECKPOINT)
		seen[sweep]++;
	return 0;
}

#define SWEEPS_MAX 100000
static uint8_t seen[SWEEPS_MAX];

/* It is intact, and has each of the first @acknowledged sweeps once; @tried others at most. */
static void assert_whole(uint64_t acknowledged, uint64_t tried)
{
	cleanup(ledger_close) struct ledger *ledger = NULL;
	struct err err = {0};
	int r = ledger_open(path, true, &ledger, &err);

	if (r < 0)
		fail_msg("%s", err.text);
	assert_int_equal(ledger_verify(ledger, NULL, no_problem, NULL, NULL), 0);
	memset(seen, 0, sizeof(seen));
	assert_int_equal(ledger_each(ledger, NULL, take_sweep, seen, NULL), 0);
	for (uint64_t i = 1; i <= acknowledged; i++)
		assert_int_equal(seen[i], 1);
	for (uint64_t i = acknowledged + 1; i < SWEEPS_MAX; i++)
		assert_in_range(seen[i], 0, i <= tried);
}

static int add(struct ledger *ledger, uint64_t sweep)
{
	static const char *const checks[] = {
		"idt=finding:1 log=finding:2,3", "idt=clean log=finding:2", "idt=inconclusive",
		"idt=clean log=clean", "idt=finding:1 log=inconclusive",
	};
	cleanup(freep) char *report = make_report("web1", sweep, checks[sweep / 2 % 5]);
	const struct ledger_origin origin = { .boot = "b1", .time_ns = sweep * 1000 };

	return ledger_add(ledger, &origin, report, strlen(report), NULL, NULL);
}

/* --- memory --- */

static char *reports[3];

static struct err why;

static int write_it(void)
{
	cleanup(ledger_close) struct ledger *ledger = NULL;
	const struct ledger_retention keep = { .before_ns = 2500 };
	int r = ledger_open(path, true, &ledger, &why);

	for (uint64_t i = 0; r >= 0 && i < ARRAY_SIZE(reports); i++) {
		const struct ledger_origin origin = { .boot = "b1", .time_ns = (i + 1) * 1000 };

		r = ledger_add(ledger, &origin, reports[i], strlen(reports[i]), NULL, &why);
	}
	return r < 0 ? r : ledger_expire(ledger, &keep, 4000, NULL, &why);
}

static int one_finding(const struct ledger_finding *finding, void *ctx, struct err *err)
{
	(void)finding;
	(void)ctx;
	(void)err;
	return 0;
}

static int quiet(uint64_t seq, const char *what, void *ctx, struct err *err)
{
	(void)seq;
	(void)what;
	(void)ctx;
	(void)err;
	return 0;
}

static int read_it(void)
{
	cleanup(ledger_close) struct ledger *ledger = NULL;
	cleanup(blob_free) struct blob report = {0};
	int r = ledger_open(path, false, &ledger, &why);

	if (r >= 0)
		r = ledger_each_finding(ledger, NULL, one_finding, NULL, &why);
	if (r >= 0)
		r = ledger_report(ledger, 3, &report, &why);
	if (r >= 0)
		r = ledger_verify(ledger, NULL, quiet, NULL, &why);
	assert_true(r <= 0);	/* nothing is told as changed because memory ran out */
	return r;
}

/*
 * Let @work fail at an allocation: each of the first 200, then one in five of the 2,000 that there
 * are, most of them SQLite's own. Each time on a new ledger, or on the one there is.
 */
static void torture(int (*work)(void), bool anew)
{
	uint64_t n, count = 1;
	int r = 0;

	for (n = 1; count >= n || r < 0; n += n < 200 ? 1 : 5) {
		if (anew)
			remove_ledger();
		torture_allocation(n);
		r = work();
		count = torture_allocations();
		torture_allocation(0);
		if (r < 0 && r != -ENOMEM)
			fail_msg("%llu: %s", (unsigned long long)n, why.text);
		sqlite3_shutdown();
		if (r < 0 && n % 16 == 0)
			assert_true(work() >= 0);
	}
	assert_true(r >= 0);
	assert_in_range(n, 100, 100000);
}

static void make_reports(void)
{
	reports[0] = make_report("web1", 1, "idt=finding:1,2");
	reports[1] = make_report("web1", 2, "idt=finding:1,2");
	reports[2] = make_report("web1", 3, "idt=clean log=inconclusive");
}

static void free_reports(void)
{
	for (size_t i = 0; i < ARRAY_SIZE(reports); i++)
		free(reports[i]);
}

static void writing_without_memory(void **state)
{
	(void)state;
	remove_ledger();
	make_reports();
	torture(write_it, true);
	free_reports();
	remove_ledger();
}

/* What is read is not changed by it, so it need not be made anew. */
static void reading_without_memory(void **state)
{
	(void)state;
	make_reports();
	remove_ledger();
	assert_int_equal(write_it(), 0);
	torture(read_it, false);
	free_reports();
	remove_ledger();
}

/* --- a writer that is killed --- */

/* Store one report after the other, and say of each that it is there. */
static _Noreturn void write_on(int acknowledge, uint64_t from)
{
	struct ledger *ledger = NULL;
	const struct ledger_retention keep = { .bytes_max = 1 << 30 };

	if (ledger_open(path, true, &ledger, NULL) < 0)
		_exit(1);
	for (uint64_t sweep = from;; sweep++) {
		if (add(ledger, sweep) < 0 ||
		    write(acknowledge, &sweep, sizeof(sweep)) != sizeof(sweep))
			_exit(2);
		if (sweep % 7 == 0 && ledger_expire(ledger, &keep, 0, NULL, NULL) < 0)
			_exit(3);
	}
}

/*
 * Kill a writer after it has acknowledged some, @delay_us later. What it was about to store when
 * it died may be there, or not; given again it is there once.
 */
static uint64_t kill_one(uint64_t from, unsigned reports_n, unsigned delay_us)
{
	uint64_t last = from - 1;
	int fds[2], status;
	pid_t pid;

	assert_int_equal(pipe(fds), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (!pid) {
		close(fds[0]);
		write_on(fds[1], from);
	}
	close(fds[1]);
	for (unsigned i = 0; i < reports_n; i++)
		assert_int_equal(read(fds[0], &last, sizeof(last)), sizeof(last));
	usleep(delay_us);
	kill(pid, SIGKILL);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status));
	while (read(fds[0], &from, sizeof(from)) == sizeof(from))
		last = from;
	close(fds[0]);
	return last;
}

static void a_writer_killed_a_hundred_times(void **state)
{
	uint64_t acknowledged = 0;
	unsigned random = 12345;

	(void)state;
	remove_ledger();
	for (unsigned i = 0; i < 100; i++) {
		random = random * 1103515245 + 12345;
		acknowledged = kill_one(acknowledged + 1, i % 4, (random >> 8) % 3000);
		if (i % 10 == 9)
			assert_whole(acknowledged, acknowledged + 1);
	}
	assert_in_range(acknowledged, 100, SWEEPS_MAX - 2);
	remove_ledger();
}

/* --- a disk that is full --- */

/* No file may grow beyond what RLIMIT_FSIZE says: write() fails as on a disk that is full. */
static void a_full_disk_loses_nothing_that_was_acknowledged(void **state)
{
	int status;
	pid_t pid;

	(void)state;
	remove_ledger();
	for (rlim_t limit = 20000; limit < 400000; limit += limit / 4) {
		const struct rlimit full = { limit, limit };
		uint64_t last = 0, sweep;
		int fds[2];

		assert_int_equal(pipe(fds), 0);
		pid = fork();
		assert_true(pid >= 0);
		if (!pid) {
			struct ledger *ledger = NULL;

			signal(SIGXFSZ, SIG_IGN);
			if (setrlimit(RLIMIT_FSIZE, &full) < 0 ||
			    ledger_open(path, true, &ledger, NULL) < 0)
				_exit(0);	/* not even that */
			for (sweep = 1; sweep < 2000 && add(ledger, sweep) >= 0; sweep++)
				if (write(fds[1], &sweep, sizeof(sweep)) < 0)
					_exit(1);
			_exit(sweep == 2000 ? 2 : 0);
		}
		close(fds[1]);
		while (read(fds[0], &sweep, sizeof(sweep)) == sizeof(sweep))
			last = sweep;
		close(fds[0]);
		assert_int_equal(waitpid(pid, &status, 0), pid);
		assert_int_equal(status, 0);	/* it did fail, and did not crash */
		assert_whole(last, last + 1);
		remove_ledger();
	}
}

/* Who may write nothing says so; who only reads can do that. */
static void a_store_that_is_read_only(void **state)
{
	cleanup(ledger_close) struct ledger *ledger = NULL;
	char file[128];
	int r;

	(void)state;
	remove_ledger();
	assert_int_equal(ledger_open(path, true, &ledger, NULL), 0);
	assert_int_equal(add(ledger, 1), 0);
	ledger_close(&ledger);
	snprintf(file, sizeof(file), "%s/ledger.db", path);
	assert_int_equal(chmod(file, 0400), 0);
	assert_int_equal(chmod(path, 0500), 0);
	assert_int_equal(chmod(dir, 0711), 0);
	if (geteuid() == 0) {	/* whom modes do not stop */
		pid_t pid = fork();
		int status;

		assert_true(pid >= 0);
		if (!pid) {
			if (chown(path, 65534, 65534) < 0 || chown(file, 65534, 65534) < 0 ||
			    setuid(65534) < 0)
				_exit(1);
			r = ledger_open(path, true, &ledger, NULL);
			_exit(r == -EACCES ? 0 : 2);
		}
		assert_int_equal(waitpid(pid, &status, 0), pid);
		assert_int_equal(status, 0);
	} else {
		assert_int_equal(ledger_open(path, true, &ledger, NULL), -EACCES);
	}
	assert_int_equal(ledger_open(path, false, &ledger, NULL), 0);
	assert_int_equal(ledger_verify(ledger, NULL, no_problem, NULL, NULL), 0);
	ledger_close(&ledger);
	assert_int_equal(chmod(path, 0700), 0);
	remove_ledger();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(writing_without_memory),
		cmocka_unit_test(reading_without_memory),
		cmocka_unit_test(a_writer_killed_a_hundred_times),
		cmocka_unit_test(a_full_disk_loses_nothing_that_was_acknowledged),
		cmocka_unit_test(a_store_that_is_read_only),
	};

	return cmocka_run_group_tests(tests, use_our_memory, remove_all);
}
