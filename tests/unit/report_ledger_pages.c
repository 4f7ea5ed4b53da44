/* SPDX-License-Identifier: Apache-2.0 */

/* What the ledger has, a page at a time and the newest first; and ledgers of earlier versions. */
#include "report/ledger.h"

#include <setjmp.h>
#include <sqlite3.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/cleanup.h"
#include "make/report.h"
#include "report/ledger_inside.h"

#define ENOUGH (-ECANCELED)

struct fixture {
	char dir[64];
	struct ledger *ledger;
	uint64_t sweeps;
};

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	strcpy(f->dir, "/dev/shm/hvsm-pages-XXXXXX");
	if (!mkdtemp(f->dir)) {
		strcpy(f->dir, "/tmp/hvsm-pages-XXXXXX");
		assert_non_null(mkdtemp(f->dir));
	}
	assert_int_equal(ledger_open(f->dir, true, &f->ledger, NULL), 0);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;
	char command[128];

	ledger_close(&f->ledger);
	snprintf(command, sizeof(command), "rm -rf '%s'", f->dir);
	assert_int_equal(system(command), 0);
	free(f);
	return 0;
}

static void add(struct fixture *f, const char *key, const char *name, const char *checks)
{
	const struct ledger_origin origin = {
		.guest = key, .boot = "b1", .time_ns = ++f->sweeps * 1000,
	};
	cleanup(freep) char *report = make_report(name, f->sweeps, checks);
	struct err err = { 0 };

	if (ledger_add(f->ledger, &origin, report, strlen(report), NULL, &err) < 0)
		fail_msg("%s", err.text);
}

/* One page of either, as "5 4 3" or "3:2 3:1". */
struct page {
	char text[256];
	size_t n, limit;
	uint64_t seq;	/* the place of the last one */
	char id[17];
};

static void put(struct page *page, const char *text)
{
	size_t n = strlen(page->text);

	snprintf(page->text + n, sizeof(page->text) - n, "%s%s", n ? " " : "", text);
	page->n++;
}

static int take_record(const struct ledger_record *record, void *ctx, struct err *err)
{
	struct page *page = ctx;
	char text[32];

	(void)err;
	if (page->n == page->limit)
		return ENOUGH;
	snprintf(text, sizeof(text), "%llu", (unsigned long long)record->seq);
	put(page, text);
	page->seq = record->seq;
	return 0;
}

static int take_finding(const struct ledger_finding *finding, void *ctx, struct err *err)
{
	struct page *page = ctx;
	char text[32];

	(void)err;
	if (page->n == page->limit)
		return ENOUGH;
	snprintf(text, sizeof(text), "%llu:%.2s", (unsigned long long)finding->opened_in,
		 finding->id + 14);
	put(page, text);
	page->seq = finding->opened_in;
	strcpy(page->id, finding->id);
	return 0;
}

static struct page records(struct fixture *f, struct ledger_filter filter, size_t limit)
{
	struct page page = { .limit = limit };
	int r = ledger_each(f->ledger, &filter, take_record, &page, NULL);

	assert_true(r == 0 || r == ENOUGH);
	return page;
}

static struct page findings(struct fixture *f, struct ledger_filter filter, size_t limit)
{
	struct page page = { .limit = limit };
	int r = ledger_each_finding(f->ledger, &filter, take_finding, &page, NULL);

	assert_true(r == 0 || r == ENOUGH);
	return page;
}

/* Two guests, one of which was called otherwise before, and is called as the other one's key. */
static void fill(struct fixture *f)
{
	add(f, "u1", "web1", "idt=finding:1,2");
	add(f, "u2", "db", "idt=finding:1");
	add(f, "u1", "u2", "idt=finding:1,2,3");
	add(f, "u2", "db", "idt=finding:1,4");
	add(f, "u1", "web1", "idt=finding:1,2,3,5");
}

static void records_come_the_newest_first(void **state)
{
	struct fixture *f = *state;
	struct ledger_filter filter = { .newest = true };

	fill(f);
	assert_string_equal(records(f, filter, 9).text, "5 4 3 2 1");
	assert_string_equal(records(f, filter, 2).text, "5 4");
	filter.key = "u2";
	assert_string_equal(records(f, filter, 9).text, "4 2");
	filter.key = NULL;
	filter.guest = "web1";
	assert_string_equal(records(f, filter, 9).text, "5 1");
	filter.guest = "";
	assert_string_equal(records(f, filter, 9).text, "5 4 3 2 1");
	/* A key of one, and a name of the other. */
	filter.guest = "u2";
	assert_string_equal(records(f, filter, 9).text, "4 3 2");
	filter.newest = false;
	assert_string_equal(records(f, filter, 9).text, "2 3 4");
	filter.guest = "u1";
	assert_string_equal(records(f, filter, 9).text, "1 3 5");
	filter.after_seq = 1;
	filter.before_seq = 5;
	assert_string_equal(records(f, filter, 9).text, "3");
	filter.since_ns = 3001;
	assert_string_equal(records(f, filter, 9).text, "");
}

/* What comes meanwhile does not shift them. */
static void pages_follow_each_other(void **state)
{
	struct fixture *f = *state;
	struct ledger_filter filter = { .newest = true };
	struct page page;

	fill(f);
	page = records(f, filter, 2);
	add(f, "u2", "db", "idt=finding:1,4,6");
	filter.before_seq = page.seq;
	page = records(f, filter, 2);
	assert_string_equal(page.text, "3 2");
	filter.before_seq = page.seq;
	assert_string_equal(records(f, filter, 2).text, "1");
}

static void findings_come_the_newest_first(void **state)
{
	struct ledger_filter filter = { .newest = true };
	struct fixture *f = *state;

	fill(f);
	assert_string_equal(findings(f, filter, 9).text, "5:05 4:04 3:03 2:01 1:02 1:01");
	filter.key = "u1";
	assert_string_equal(findings(f, filter, 9).text, "5:05 3:03 1:02 1:01");
	filter.key = NULL;
	filter.guest = "web1";
	assert_string_equal(findings(f, filter, 2).text, "5:05 3:03");
	filter.guest = "u2";
	assert_string_equal(findings(f, filter, 9).text, "5:05 4:04 3:03 2:01 1:02 1:01");
	filter.before_seq = 3;
	assert_string_equal(findings(f, filter, 9).text, "2:01 1:02 1:01");
	filter.guest = NULL;
	filter.open = true;
	add(f, "u2", "db", "idt=finding:4");
	assert_string_equal(findings(f, filter, 9).text, "1:02 1:01");
}

/* A page may end between two that one record opened. */
static void pages_of_findings_follow_each_other(void **state)
{
	struct ledger_filter filter = { .newest = true };
	struct fixture *f = *state;
	char text[64] = "";
	struct page page;

	fill(f);
	page = findings(f, filter, 1);
	for (size_t i = 0; page.n; i++) {
		assert_true(i < 6);
		snprintf(text + strlen(text), sizeof(text) - strlen(text), "%s|", page.text);
		filter.before_seq = page.seq;
		filter.before_id = page.id;
		/* What is there again is new, and stands in no older page. */
		if (i == 2)
			add(f, "u1", "web1", "idt=finding:1,2,3,5,7");
		page = findings(f, filter, 1);
	}
	assert_string_equal(text, "5:05|4:04|3:03|2:01|1:02|1:01|");
}

/* --- what it costs --- */

static int count_steps(void *ctx)
{
	++*(unsigned *)ctx;
	return 0;
}

/* What SQLite does for one page of two, in tens of steps of its machine. */
static unsigned cost(struct fixture *f, const struct ledger_filter *filter, bool of_findings)
{
	unsigned steps = 0;

	sqlite3_progress_handler(f->ledger->database->sqlite, 10, count_steps, &steps);
	if (of_findings)
		assert_int_equal(findings(f, *filter, 2).n, 2);
	else
		assert_int_equal(records(f, *filter, 2).n, 2);
	sqlite3_progress_handler(f->ledger->database->sqlite, 0, NULL, NULL);
	return steps;
}

/* Each report opens one finding and closes the one before. */
static void many(struct fixture *f, const char *key, const char *name, unsigned n)
{
	char checks[64];

	for (unsigned i = 0; i < n; i++) {
		snprintf(checks, sizeof(checks), "idt=finding:%u", i + 1);
		add(f, key, name, checks);
	}
}

/* A page costs what is in it, not what is in the ledger. */
static void a_page_is_not_paid_for_by_the_rest(void **state)
{
	static const struct ledger_filter filters[] = {
		{ .newest = true }, { .newest = true, .key = "u1" },
		{ .newest = true, .guest = "web1" }, { .newest = true, .guest = "u1" },
		{ .key = "u1" }, { .guest = "web1" },
		{ .newest = true, .before_seq = 20 },
	};
	unsigned before[ARRAY_SIZE(filters)][2];
	struct fixture *f = *state;

	many(f, "u1", "web1", 20);
	many(f, "u2", "db", 20);
	for (size_t i = 0; i < ARRAY_SIZE(filters); i++)
		for (int k = 0; k < 2; k++)
			before[i][k] = cost(f, &filters[i], k);
	many(f, "u2", "db", 400);
	for (size_t i = 0; i < ARRAY_SIZE(filters); i++)
		for (int k = 0; k < 2; k++) {
			unsigned after = cost(f, &filters[i], k);

			if (after > before[i][k] + 10)
				fail_msg("filter %zu of %d: %u steps, then %u", i, k, before[i][k],
					 after);
		}
}

/* Storing one does not, either: of the guest's own, which has the indexes to choose from. */
static void a_report_is_not_paid_for_by_the_rest(void **state)
{
	struct fixture *f = *state;
	unsigned few = 0, lots = 0;

	many(f, "u1", "web1", 20);
	sqlite3_progress_handler(f->ledger->database->sqlite, 10, count_steps, &few);
	add(f, "u1", "web1", "idt=clean");
	sqlite3_progress_handler(f->ledger->database->sqlite, 0, NULL, NULL);
	for (unsigned i = 0; i < 400; i++)
		add(f, "u1", "web1", i % 2 ? "idt=clean" : "idt=inconclusive");
	sqlite3_progress_handler(f->ledger->database->sqlite, 10, count_steps, &lots);
	add(f, "u1", "web1", "idt=clean");
	sqlite3_progress_handler(f->ledger->database->sqlite, 0, NULL, NULL);
	if (lots > few + 10)
		fail_msg("%u steps, then %u", few, lots);
}

/* --- earlier versions --- */

/* Version 1, as it was made: the ledger's own steps must never be changed, only added to. */
#define FINDINGS_1                                                                           \
	"guest TEXT NOT NULL, boot TEXT NOT NULL, id TEXT NOT NULL, check_id TEXT NOT NULL," \
	" severity TEXT NOT NULL, title TEXT NOT NULL, first_seen INTEGER NOT NULL,"         \
	" last_seen INTEGER NOT NULL, closed INTEGER NOT NULL, sweeps INTEGER NOT NULL,"     \
	" opened_in INTEGER NOT NULL, last_in INTEGER NOT NULL, closed_in INTEGER NOT NULL," \
	" PRIMARY KEY(guest, boot, id)"
static const char version_1[] =
	"CREATE TABLE record("
	"  seq INTEGER PRIMARY KEY, kind INTEGER NOT NULL, time INTEGER NOT NULL,"
	"  refers INTEGER NOT NULL, guest TEXT NOT NULL, boot TEXT NOT NULL,"
	"  name TEXT NOT NULL, started INTEGER NOT NULL, duration INTEGER NOT NULL,"
	"  verdict TEXT NOT NULL, assurance TEXT NOT NULL, findings INTEGER NOT NULL,"
	"  report BLOB NOT NULL, content BLOB NOT NULL, print BLOB NOT NULL,"
	"  hash BLOB NOT NULL, signature BLOB NOT NULL) STRICT;"
	"CREATE INDEX record_print ON record(guest, boot, print) WHERE kind = 0;"
	"CREATE INDEX record_report ON record(report);"
	"CREATE INDEX record_content ON record(content);"
	"CREATE TABLE content(digest BLOB NOT NULL UNIQUE, text BLOB NOT NULL) STRICT;"
	"CREATE TABLE finding(" FINDINGS_1 ") STRICT, WITHOUT ROWID;"
	"CREATE INDEX finding_open ON finding(guest, check_id) WHERE closed_in = 0;"
	"CREATE TABLE snapshot(" FINDINGS_1 ") STRICT, WITHOUT ROWID;"
	"CREATE TABLE head("
	"  seq INTEGER NOT NULL, removed INTEGER NOT NULL, time INTEGER NOT NULL,"
	"  hash BLOB NOT NULL, signature BLOB NOT NULL) STRICT;"
	"PRAGMA user_version = 1;";

static const char *const versions[] = { version_1 };

static void run(sqlite3 *sqlite, const char *sql)
{
	char *why = NULL;

	if (sqlite3_exec(sqlite, sql, NULL, NULL, &why) != SQLITE_OK)
		fail_msg("%s: %s", sql, why);
}

/* Put the same rows into tables of an earlier version. */
static void make_older(struct fixture *f, const char *tables)
{
	char path[128], sql[256];
	sqlite3 *sqlite;

	ledger_close(&f->ledger);
	snprintf(path, sizeof(path), "%s/older.db", f->dir);
	assert_int_equal(sqlite3_open(path, &sqlite), SQLITE_OK);
	run(sqlite, "PRAGMA auto_vacuum = INCREMENTAL; PRAGMA journal_mode = WAL");
	run(sqlite, tables);
	snprintf(sql, sizeof(sql), "ATTACH '%s/ledger.db' AS now", f->dir);
	run(sqlite, sql);
	run(sqlite, "INSERT INTO main.record SELECT * FROM now.record;"
	    "INSERT INTO main.content SELECT * FROM now.content;"
	    "INSERT INTO main.finding SELECT * FROM now.finding;"
	    "INSERT INTO main.snapshot SELECT * FROM now.snapshot;"
	    "INSERT INTO main.head SELECT * FROM now.head; DETACH now");
	assert_int_equal(sqlite3_close(sqlite), SQLITE_OK);
	snprintf(sql, sizeof(sql), "cd '%s' && rm -f ledger.db* && mv older.db ledger.db && "
		 "rm -f older.db-*", f->dir);
	assert_int_equal(system(sql), 0);
}

static int print_problem(uint64_t seq, const char *what, void *ctx, struct err *err)
{
	(void)ctx;
	(void)err;
	print_message("# %llu: %s\n", (unsigned long long)seq, what);
	return 0;
}

static void goes_on(struct fixture *f, const char *tables)
{
	const struct ledger_filter newest = { .newest = true, .guest = "web1" }, all = { 0 };
	struct ledger_head before, after;
	struct ledger *reader = NULL;
	struct page was;

	fill(f);
	was = findings(f, all, 99);
	assert_int_equal(ledger_head(f->ledger, &before, NULL), 0);
	make_older(f, tables);
	/* Who only reads changes nothing, and says why. */
	assert_int_equal(ledger_open(f->dir, false, &reader, NULL), -ENOTSUP);
	assert_int_equal(ledger_open(f->dir, true, &f->ledger, NULL), 0);
	assert_int_equal(ledger_head(f->ledger, &after, NULL), 0);
	assert_memory_equal(&before, &after, sizeof(after));
	assert_int_equal(ledger_verify(f->ledger, NULL, print_problem, NULL, NULL), 0);
	assert_string_equal(findings(f, all, 99).text, was.text);
	assert_string_equal(records(f, newest, 2).text, "5 1");
	add(f, "u1", "web1", "idt=clean");
	ledger_close(&f->ledger);
	assert_int_equal(ledger_open(f->dir, false, &f->ledger, NULL), 0);
	assert_int_equal(ledger_verify(f->ledger, NULL, print_problem, NULL, NULL), 0);
	assert_string_equal(records(f, newest, 2).text, "6 5");
}

static void a_ledger_of_an_earlier_version_goes_on(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(versions); i++) {
		if (i) {
			teardown(state);
			setup(state);
		}
		goes_on(*state, versions[i]);
	}
}

/* All that there ever were are tried. */
static void no_version_is_left_out(void **state)
{
	(void)state;
	assert_int_equal(ledger_database.version, ARRAY_SIZE(versions) + 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(records_come_the_newest_first, setup, teardown),
		cmocka_unit_test_setup_teardown(pages_follow_each_other, setup, teardown),
		cmocka_unit_test_setup_teardown(findings_come_the_newest_first, setup, teardown),
		cmocka_unit_test_setup_teardown(pages_of_findings_follow_each_other, setup,
						teardown),
		cmocka_unit_test_setup_teardown(a_page_is_not_paid_for_by_the_rest, setup,
						teardown),
		cmocka_unit_test_setup_teardown(a_report_is_not_paid_for_by_the_rest, setup,
						teardown),
		cmocka_unit_test_setup_teardown(a_ledger_of_an_earlier_version_goes_on, setup,
						teardown),
		cmocka_unit_test(no_version_is_left_out),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
