/* SPDX-License-Identifier: Apache-2.0 */
#include "report/ledger.h"

#include <jansson.h>
#include <setjmp.h>
#include <sqlite3.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/cleanup.h"
#include "make/report.h"

struct fixture {
	char dir[64];
	struct ledger *ledger;
	uint64_t sweeps;	/* reports that were added: each has its own time */
};

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	struct err err = {0};

	/* In memory where that can be: each report waits for its disk. */
	strcpy(f->dir, "/dev/shm/hvsm-ledger-XXXXXX");
	if (!mkdtemp(f->dir)) {
		strcpy(f->dir, "/tmp/hvsm-ledger-XXXXXX");
		assert_non_null(mkdtemp(f->dir));
	}
	if (ledger_open(f->dir, true, &f->ledger, &err) < 0)
		fail_msg("%s", err.text);
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

/* Store a report: which checks ended how, and what was found, as make_report() has it. */
static struct ledger_added add(struct fixture *f, const char *boot, const char *checks)
{
	const struct ledger_origin origin = { .boot = boot, .time_ns = ++f->sweeps * 1000 };
	cleanup(freep) char *report = make_report("web1", f->sweeps, checks);
	struct ledger_added added = {0};
	struct err err = {0};

	if (ledger_add(f->ledger, &origin, report, strlen(report), &added, &err) < 0)
		fail_msg("%s", err.text);
	return added;
}

struct found {
	unsigned n, open;
	struct ledger_finding last;	/* numbers only */
};

static int take_finding(const struct ledger_finding *finding, void *ctx, struct err *err)
{
	struct found *found = ctx;

	(void)err;
	found->n++;
	found->open += !finding->closed_in;
	found->last = *finding;
	return 0;
}

static struct found findings(struct fixture *f, const struct ledger_filter *filter)
{
	struct found found = {0};

	assert_int_equal(ledger_each_finding(f->ledger, filter, take_finding, &found, NULL), 0);
	return found;
}

static void a_finding_opens_stays_and_closes(void **state)
{
	struct fixture *f = *state;
	struct ledger_added added = add(f, "b1", "idt=clean");
	struct found found;

	assert_int_equal(added.seq, 1);
	assert_int_equal(added.opened + added.closed, 0);
	added = add(f, "b1", "idt=finding:1");
	assert_int_equal(added.opened, 1);
	assert_int_equal(add(f, "b1", "idt=finding:1").opened, 0);
	found = findings(f, NULL);
	assert_int_equal(found.open, 1);
	assert_int_equal(found.last.sweeps, 2);
	assert_int_equal(found.last.first_seen_ns, 2000);
	assert_int_equal(found.last.last_seen_ns, 3000);
	added = add(f, "b1", "idt=clean");
	assert_int_equal(added.closed, 1);
	found = findings(f, NULL);
	assert_int_equal(found.n, 1);
	assert_int_equal(found.open, 0);
	assert_int_equal(found.last.closed_ns, 4000);
	assert_int_equal(found.last.closed_in, 4);
}

static void a_finding_that_is_back_is_open_again(void **state)
{
	struct fixture *f = *state;
	struct found found;

	add(f, "b1", "idt=finding:1");
	add(f, "b1", "idt=clean");
	assert_int_equal(add(f, "b1", "idt=finding:1").opened, 1);
	found = findings(f, NULL);
	assert_int_equal(found.n, 1);
	assert_int_equal(found.open, 1);
	assert_int_equal(found.last.sweeps, 2);
	assert_int_equal(found.last.first_seen_ns, 1000);
	assert_int_equal(found.last.opened_in, 3);
}

/* What was not looked at may still be there. */
static void only_a_conclusive_check_closes(void **state)
{
	static const char *const keep[] = {
		"idt=inconclusive", "idt=not-covered", "other=clean", "",
		"idt=finding?:2",	/* another one, and not all was seen */
	};
	struct fixture *f = *state;

	add(f, "b1", "idt=finding:1");
	for (size_t i = 0; i < ARRAY_SIZE(keep); i++)
		assert_int_equal(add(f, "b1", keep[i]).closed, 0);
	assert_int_equal(findings(f, NULL).open, 2);
	assert_int_equal(add(f, "b1", "idt=finding:2").closed, 1);
	assert_int_equal(add(f, "b1", "idt=clean").closed, 1);
}

static void findings_of_an_earlier_boot_close_in_the_next(void **state)
{
	struct fixture *f = *state;
	struct found found;

	add(f, "b1", "idt=finding:1 code=finding:2 log=finding:3");
	/* One is there again, one is not known, one is gone. */
	assert_int_equal(add(f, "b2", "idt=finding:1 code=inconclusive log=clean").closed, 2);
	found = findings(f, &(struct ledger_filter){ .open = true });
	assert_int_equal(found.n, 2);
	assert_int_equal(findings(f, NULL).n, 4);
}

static void guests_do_not_mix(void **state)
{
	const struct ledger_origin other = { .guest = "other" };
	cleanup(freep) char *report = make_report("web1", 99, "idt=clean");
	struct ledger_added added;
	struct fixture *f = *state;

	add(f, "b1", "idt=finding:1");
	assert_int_equal(ledger_add(f->ledger, &other, report, strlen(report), &added, NULL), 0);
	assert_int_equal(added.closed, 0);
	assert_int_equal(findings(f, &(struct ledger_filter){ .guest = "web1" }).open, 1);
	assert_int_equal(findings(f, &(struct ledger_filter){ .guest = "none" }).n, 0);
}

/* One of them is called by its process, for instance: what is the other's is not its own. */
static void guests_of_one_name_do_not_mix_by_their_keys(void **state)
{
	const struct ledger_origin other = { .guest = "web1@4711.1" };
	cleanup(freep) char *report = make_report("web1", 99, "idt=finding:2,3");
	struct fixture *f = *state;

	add(f, "b1", "idt=finding:1");
	assert_int_equal(ledger_add(f->ledger, &other, report, strlen(report), NULL, NULL), 0);
	assert_int_equal(findings(f, &(struct ledger_filter){ .guest = "web1" }).open, 3);
	assert_int_equal(findings(f, &(struct ledger_filter){ .key = "web1" }).open, 1);
	assert_int_equal(findings(f, &(struct ledger_filter){ .key = "web1@4711.1" }).open, 2);
	assert_int_equal(findings(f, &(struct ledger_filter){ .key = "4711" }).n, 0);
}

static void what_is_the_same_is_not_stored_again(void **state)
{
	cleanup(blob_free) struct blob first = {0}, second = {0};
	struct fixture *f = *state;
	struct ledger_added added;

	assert_int_equal(add(f, "b1", "idt=finding:1").same_as, 0);
	assert_int_equal(add(f, "b1", "idt=finding:1").same_as, 1);
	assert_int_equal(add(f, "b1", "idt=inconclusive").same_as, 0);
	added = add(f, "b1", "idt=finding:1");
	assert_int_equal(added.same_as, 1);
	assert_int_equal(add(f, "b2", "idt=finding:1").same_as, 0);
	assert_int_equal(ledger_report(f->ledger, 1, &first, NULL), 0);
	assert_int_equal(ledger_report(f->ledger, added.seq, &second, NULL), 0);
	assert_int_equal(first.size, second.size);
	assert_memory_equal(first.data, second.data, first.size);
	assert_int_equal(ledger_report(f->ledger, 77, &second, NULL), -ENOENT);
}

/* Who was killed before it was told that the report is stored gives it again. */
static void the_very_same_report_is_there_once(void **state)
{
	const struct ledger_origin origin = { .boot = "b1" };
	cleanup(freep) char *report = make_report("web1", 1, "idt=finding:1");
	struct ledger_added first, second;
	struct fixture *f = *state;
	struct ledger_head head;

	assert_int_equal(ledger_add(f->ledger, &origin, report, strlen(report), &first, NULL), 0);
	assert_int_equal(ledger_add(f->ledger, &origin, report, strlen(report), &second, NULL), 0);
	assert_int_equal(first.seq, second.seq);
	assert_memory_equal(first.hash, second.hash, sizeof(first.hash));
	assert_int_equal(ledger_head(f->ledger, &head, NULL), 0);
	assert_int_equal(head.seq, 1);
	assert_int_equal(findings(f, NULL).last.sweeps, 1);
}

static void files_are_private(void **state)
{
	static const char *const names[] = {
		"ledger.db", "ledger.db-wal", "ledger.db-shm", "key", "key.pub", "lock",
	};
	struct fixture *f = *state;
	char path[128];
	struct stat st;

	add(f, "b1", "idt=clean");
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		snprintf(path, sizeof(path), "%s/%s", f->dir, names[i]);
		assert_int_equal(stat(path, &st), 0);
		assert_int_equal(st.st_mode & 0777, 0600);
	}
	ledger_close(&f->ledger);
	assert_int_equal(chmod(f->dir, 0777), 0);
	assert_int_equal(ledger_open(f->dir, true, &f->ledger, NULL), -EACCES);
	assert_int_equal(ledger_open(f->dir, false, &f->ledger, NULL), -EACCES);
}

/* --- verify --- */

static int print_problem(uint64_t seq, const char *what, void *ctx, struct err *err)
{
	(void)err;
	assert_true(*what);
	if (ctx)
		print_message("# %llu: %s\n", (unsigned long long)seq, what);
	return 0;
}

/* As somebody who only reads, whatever the writer has. */
static int verify(struct fixture *f, const struct ledger_trusted *trusted)
{
	cleanup(ledger_close) struct ledger *ledger = NULL;
	struct err err = {0};
	int r = ledger_open(f->dir, false, &ledger, &err);

	if (r >= 0)
		r = ledger_verify(ledger, trusted, print_problem, NULL, &err);
	if (r < 0 && r != -EBADMSG)
		fail_msg("%s", err.text);
	return r;
}

/* Change the database as somebody would who has no key. */
static void tamper(struct fixture *f, const char *sql)
{
	char path[128], *why = NULL;
	sqlite3 *sqlite;

	ledger_close(&f->ledger);
	snprintf(path, sizeof(path), "%s/ledger.db", f->dir);
	assert_int_equal(sqlite3_open(path, &sqlite), SQLITE_OK);
	sqlite3_exec(sqlite, "PRAGMA synchronous = OFF", NULL, NULL, NULL);
	if (sqlite3_exec(sqlite, sql, NULL, NULL, &why) != SQLITE_OK)
		fail_msg("%s: %s", sql, why);
	assert_int_equal(sqlite3_close(sqlite), SQLITE_OK);
}

static void shell(struct fixture *f, const char *what)
{
	char command[512];

	snprintf(command, sizeof(command), "cd '%s' && %s", f->dir, what);
	assert_int_equal(system(command), 0);
}

/* The database as one file, which nobody has open; for blob_free(). */
static struct blob save(struct fixture *f)
{
	struct blob blob = {0};
	struct stat st;
	char path[128];
	FILE *file;

	tamper(f, "PRAGMA journal_mode = DELETE");
	snprintf(path, sizeof(path), "%s/ledger.db", f->dir);
	file = fopen(path, "rb");
	assert_non_null(file);
	assert_int_equal(fstat(fileno(file), &st), 0);
	blob.size = (size_t)st.st_size;
	blob.data = malloc(blob.size);
	assert_int_equal(fread(blob.data, 1, blob.size, file), blob.size);
	fclose(file);
	return blob;
}

static void restore(struct fixture *f, const struct blob *blob)
{
	char path[128];
	FILE *file;

	snprintf(path, sizeof(path), "%s/ledger.db", f->dir);
	file = fopen(path, "wb");
	assert_non_null(file);
	assert_int_equal(fwrite(blob->data, 1, blob->size, file), blob->size);
	assert_int_equal(fclose(file), 0);
}

/* Reports of two boots; some are gone, so that there is a checkpoint; findings, open and closed. */
static void fill(struct fixture *f)
{
	const struct ledger_retention keep = { .before_ns = 3000 };
	uint64_t removed = 0;

	add(f, "b1", "idt=finding:1 code=finding:2");
	add(f, "b1", "idt=clean");
	add(f, "b1", "idt=clean log=finding:3,4");
	add(f, "b2", "idt=finding:1 code=inconclusive");
	assert_int_equal(ledger_expire(f->ledger, &keep, 4500, &removed, NULL), 0);
	assert_int_equal(removed, 2);
	add(f, "b2", "idt=finding:1 code=clean");
	add(f, "b2", "idt=finding:1 code=clean");
	add(f, "b2", "idt=clean log=clean");
}

static int one_text(void *ctx, int n, char **values, char **names)
{
	(void)n;
	(void)names;
	strcat(strcat(ctx, values[0]), " ");
	return 0;
}

/* What a query gives, parted by blanks. */
static void query(struct fixture *f, const char *sql, char ret[1024])
{
	char path[128];
	sqlite3 *sqlite;

	snprintf(path, sizeof(path), "%s/ledger.db", f->dir);
	*ret = '\0';
	assert_int_equal(sqlite3_open(path, &sqlite), SQLITE_OK);
	assert_int_equal(sqlite3_exec(sqlite, sql, one_text, ret, NULL), SQLITE_OK);
	sqlite3_close(sqlite);
}

/* Each column of each row, each in several ways. */
static unsigned flip_all(struct fixture *f, const struct blob *good, const char *table,
			 const char *key)
{
	static const char *const changes[][4] = {
		{ "INTEGER", "%s + 100", "-%s - 1", "%s + 4294967296" },
		{ "TEXT", "'x' || %s", "%s || char(0) || 'x'", "%s || ' ' || %s" },
		{ "BLOB", "CAST(substr(%s, 2) || 'x' AS BLOB)", "x''",
		  "CAST(%s || x'00' AS BLOB)" },
	};
	char sql[512], columns[1024], keys[1024], *rest = NULL;
	unsigned n = 0;

	snprintf(sql, sizeof(sql), "SELECT name || ':' || type FROM pragma_table_info('%s')",
		 table);
	query(f, sql, columns);
	snprintf(sql, sizeof(sql), "SELECT quote(%s) FROM %s", key, table);
	query(f, sql, keys);
	for (char *column = strtok_r(columns, " ", &rest); column;
	     column = strtok_r(NULL, " ", &rest)) {
		char *type = strchr(column, ':'), copy[1024], *more = NULL;

		*type++ = '\0';
		strcpy(copy, keys);
		for (char *row = strtok_r(copy, " ", &more); row; row = strtok_r(NULL, " ", &more))
			for (size_t i = 0; i < 9; i++) {
				char value[128];

				if (strcmp(type, changes[i / 3][0]))
					continue;
				snprintf(value, sizeof(value), changes[i / 3][1 + i % 3], column,
					 column);
				snprintf(sql, sizeof(sql), "UPDATE %s SET %s = %s WHERE %s = %s",
					 table, column, value, key, row);
				tamper(f, sql);
				if (verify(f, NULL) == 0)
					fail_msg("not found: %s", sql);
				restore(f, good);
				n++;
			}
	}
	return n;
}

static void every_changed_column_is_found(void **state)
{
	cleanup(blob_free) struct blob good = {0};
	struct fixture *f = *state;
	unsigned n = 0;

	fill(f);
	assert_int_equal(verify(f, NULL), 0);
	good = save(f);
	assert_int_equal(verify(f, NULL), 0);
	n += flip_all(f, &good, "record", "seq");
	n += flip_all(f, &good, "content", "digest");
	n += flip_all(f, &good, "finding", "boot || id");
	n += flip_all(f, &good, "snapshot", "boot || id");
	n += flip_all(f, &good, "head", "seq");
	assert_in_range(n, 300, 1000);
	assert_int_equal(verify(f, NULL), 0);
}

static void every_other_tampering_is_found(void **state)
{
	static const char *const sql[] = {
		"DELETE FROM record WHERE seq = 5",
		"DELETE FROM record WHERE seq = 3",
		"DELETE FROM record WHERE seq = (SELECT max(seq) FROM record)",
		"DELETE FROM record",
		"DELETE FROM head",
		"DELETE FROM content",
		"DELETE FROM content WHERE rowid = (SELECT max(rowid) FROM content)",
		"DELETE FROM finding",
		"DELETE FROM finding WHERE closed_in > 0",
		"DELETE FROM snapshot",
		"DELETE FROM record; DELETE FROM head; DELETE FROM content; DELETE FROM finding;"
		"DELETE FROM snapshot",
		/* Two reports change places; one is there twice, at the end, and in the middle. */
		"UPDATE record SET seq = 99 WHERE seq = 6; UPDATE record SET seq = 6 WHERE seq = 7;"
		"UPDATE record SET seq = 7 WHERE seq = 99",
		"CREATE TEMP TABLE t AS SELECT * FROM record WHERE seq = 8; UPDATE t SET seq = 9;"
		"INSERT INTO record SELECT * FROM t",
		"CREATE TEMP TABLE t AS SELECT * FROM record WHERE seq = 7;"
		"UPDATE record SET seq = -seq WHERE seq >= 7; UPDATE record SET seq = 1 - seq"
		" WHERE seq < 0; INSERT INTO record SELECT * FROM t",
		"UPDATE content SET text = (SELECT text FROM content ORDER BY rowid LIMIT 1)",
		"INSERT INTO content VALUES(x'00', x'00')",
		"INSERT INTO head SELECT * FROM head",
		"INSERT INTO finding SELECT guest, boot, '0000000000000000', check_id, severity,"
		" title, first_seen, last_seen, closed, sweeps, opened_in, last_in, closed_in"
		" FROM finding LIMIT 1",
		"CREATE TRIGGER t AFTER INSERT ON record BEGIN DELETE FROM content; END",
		"CREATE VIEW v AS SELECT 1",
		"CREATE TABLE more(x)",
		"DROP INDEX record_print",
		"ALTER TABLE record RENAME TO r; CREATE VIEW record AS SELECT * FROM r",
		/* The whole end of it: what is left is as it was then, but for the head. */
		"DELETE FROM record WHERE seq > 5; DELETE FROM finding; INSERT INTO finding SELECT *"
		" FROM snapshot; DELETE FROM content WHERE digest NOT IN (SELECT content FROM record);"
		"UPDATE head SET seq = 5, hash = (SELECT hash FROM record WHERE seq = 5)",
	};
	cleanup(blob_free) struct blob good = {0};
	struct fixture *f = *state;

	fill(f);
	good = save(f);
	for (size_t i = 0; i < ARRAY_SIZE(sql); i++) {
		tamper(f, sql[i]);
		if (verify(f, NULL) == 0)
			fail_msg("not found: %s", sql[i]);
		restore(f, &good);
	}
	assert_int_equal(verify(f, NULL), 0);
}

/* What somebody without the key cannot do is not done by hvsm itself for him. */
static void a_head_that_is_not_signed_is_not_signed_anew(void **state)
{
	cleanup(freep) char *report = make_report("web1", 99, "idt=clean");
	struct fixture *f = *state;

	fill(f);
	tamper(f, "DELETE FROM record WHERE seq = 8; UPDATE head SET seq = 7,"
	       " hash = (SELECT hash FROM record WHERE seq = 7)");
	assert_int_equal(ledger_open(f->dir, true, &f->ledger, NULL), 0);
	assert_int_equal(ledger_add(f->ledger, NULL, report, strlen(report), NULL, NULL),
			 -EBADMSG);
	assert_int_equal(ledger_expire(f->ledger, &(struct ledger_retention){ .before_ns = 1 }, 0,
				       NULL, NULL), -EBADMSG);
	assert_true(verify(f, NULL) > 0);
}

/* An older copy of everything is right in itself: only who noted a head can tell. */
static void an_older_copy_is_found_by_a_noted_head(void **state)
{
	struct ledger_trusted trusted = {0};
	struct fixture *f = *state;
	struct ledger_head head;
	uint8_t other[LEDGER_KEY_BYTES] = {0};

	add(f, "b1", "idt=finding:1");
	ledger_close(&f->ledger);
	shell(f, "mkdir old && cp ledger.db* old/");
	assert_int_equal(ledger_open(f->dir, true, &f->ledger, NULL), 0);
	add(f, "b1", "idt=clean");
	assert_int_equal(ledger_head(f->ledger, &head, NULL), 0);
	trusted = (struct ledger_trusted){ .key = head.key, .head = head.hash };
	add(f, "b1", "idt=inconclusive");
	assert_int_equal(verify(f, &trusted), 0);
	trusted.key = other;
	assert_true(verify(f, &trusted) > 0);
	trusted.key = head.key;
	ledger_close(&f->ledger);
	shell(f, "rm ledger.db* && cp old/* .");
	assert_int_equal(verify(f, NULL), 0);
	assert_true(verify(f, &trusted) > 0);
}

static void without_its_key_nothing_is_added(void **state)
{
	struct fixture *f = *state;

	add(f, "b1", "idt=finding:1");
	ledger_close(&f->ledger);
	shell(f, "mv key old-key");
	assert_int_equal(ledger_open(f->dir, true, &f->ledger, NULL), -EBADMSG);
	assert_int_equal(verify(f, NULL), 0);	/* its public half is enough */
	shell(f, "rm key.pub && mkdir other");
	assert_int_equal(ledger_open(f->dir, true, &f->ledger, NULL), -EBADMSG);
	shell(f, "mv old-key key");
	assert_int_equal(ledger_open(f->dir, true, &f->ledger, NULL), 0);
	assert_int_equal(verify(f, NULL), 0);
	shell(f, "echo 00 >key.pub");
	assert_int_equal(verify(f, NULL), -EBADMSG);
}

/* All of them make the ledger, and write; somebody reads meanwhile, and nothing is ever wrong. */
static void several_writers_and_a_reader(void **state)
{
	struct fixture *f = *state;
	struct ledger_head head;
	int status, left = 3;

	ledger_close(&f->ledger);
	shell(f, "rm ledger.db* key*");
	for (int child = 0; child < 3; child++) {
		pid_t pid = fork();

		assert_true(pid >= 0);
		if (pid)
			continue;
		if (ledger_open(f->dir, true, &f->ledger, NULL) < 0)
			_exit(1);
		f->sweeps = (uint64_t)child * 1000;
		for (int i = 0; i < 20; i++)
			add(f, i < 10 ? "b1" : "b2", i % 2 ? "idt=finding:1" : "idt=clean");
		_exit(0);
	}
	assert_int_equal(ledger_open(f->dir, true, &f->ledger, NULL), 0);
	while (left) {
		pid_t pid = waitpid(-1, &status, WNOHANG);

		assert_true(pid >= 0);
		if (pid)
			assert_int_equal(status, 0);
		left -= pid > 0;
		assert_int_equal(verify(f, NULL), 0);
	}
	assert_int_equal(ledger_head(f->ledger, &head, NULL), 0);
	assert_int_equal(head.seq, 60);
	assert_int_equal(verify(f, NULL), 0);
}

/* --- retention --- */

static void what_expires_leaves_the_rest_provable(void **state)
{
	struct fixture *f = *state;
	struct ledger_head head;
	uint64_t removed = 0;

	for (unsigned i = 0; i < 40; i++) {
		const struct ledger_retention keep = {
			.before_ns = f->sweeps > 5 ? (f->sweeps - 5) * 1000 : 0,
		};
		uint64_t n = 0;

		add(f, "b1", i % 3 ? "idt=finding:1 log=finding:7" : i % 2 ? "idt=clean" : "idt=finding:2");
		if (i % 4 == 3) {
			assert_int_equal(ledger_expire(f->ledger, &keep, f->sweeps * 1000, &n, NULL), 0);
			removed += n;
		}
		assert_int_equal(verify(f, NULL), 0);
	}
	assert_int_equal(ledger_head(f->ledger, &head, NULL), 0);
	assert_int_equal(head.removed, removed);
	assert_in_range(removed, 30, head.seq - 5);
	/* One that is open stays, however old it is. */
	assert_int_equal(findings(f, &(struct ledger_filter){ .open = true }).open, 1);
	assert_int_equal(ledger_expire(f->ledger, &(struct ledger_retention){
		.before_ns = UINT64_MAX / 4 }, f->sweeps * 1000, &removed, NULL), 0);
	assert_int_equal(findings(f, &(struct ledger_filter){ .open = true }).open, 1);
	assert_int_equal(verify(f, NULL), 0);
	add(f, "b1", "idt=clean log=clean");
	assert_int_equal(findings(f, &(struct ledger_filter){ .open = true }).open, 0);
	assert_int_equal(verify(f, NULL), 0);
}

static void the_file_does_not_grow_beyond_its_limit(void **state)
{
	const struct ledger_retention keep = { .bytes_max = 300000 };
	struct fixture *f = *state;
	struct stat st = {0};
	char path[128], boot[16];
	uint64_t removed = 0, n;

	for (unsigned i = 0; i < 400; i++) {
		snprintf(boot, sizeof(boot), "b%u", i);
		add(f, boot, "idt=finding:1 log=finding:7 a=clean b=clean c=inconclusive");
		if (i % 20 == 19) {
			assert_int_equal(ledger_expire(f->ledger, &keep, 0, &n, NULL), 0);
			removed += n;
		}
	}
	assert_true(removed > 50);
	assert_int_equal(verify(f, NULL), 0);
	ledger_close(&f->ledger);
	snprintf(path, sizeof(path), "%s/ledger.db", f->dir);
	assert_int_equal(stat(path, &st), 0);
	assert_in_range(st.st_size, 100000, 330000);
	assert_int_equal(verify(f, NULL), 0);
}

/* --- what is not ours --- */

/* As of a scanner that has something else in every sweep, and never says that it is over. */
static void what_is_open_does_not_grow_without_end(void **state)
{
	static const char more[] =
		"INSERT INTO finding WITH RECURSIVE n(i) AS (SELECT 2 UNION ALL SELECT i + 1 FROM n"
		" WHERE i < 131072) SELECT guest, boot, printf('%016x', i), check_id, severity,"
		" title, first_seen, last_seen, closed, sweeps, opened_in, last_in, closed_in"
		" FROM finding, n";
	const struct ledger_origin origin = { .boot = "b" };
	cleanup(freep) char *report = make_report("web1", 98, "log=finding?:ffffff");
	struct fixture *f = *state;
	struct err err = {0};

	add(f, "b", "idt=finding?:1");
	tamper(f, more);
	assert_int_equal(ledger_open(f->dir, true, &f->ledger, NULL), 0);
	assert_int_equal(ledger_add(f->ledger, &origin, report, strlen(report), NULL, &err),
			 -ELOOP);
	assert_string_equal(err.text, "over 131072 findings are open in this guest");
	assert_int_equal(findings(f, NULL).n, 131072);
	/* What is no more can be said, and then there is room. */
	assert_int_equal(add(f, "b", "idt=clean").closed, 131072);
	assert_int_equal(ledger_add(f->ledger, &origin, report, strlen(report), NULL, NULL), 0);
}

static void what_is_no_report_is_refused(void **state)
{
	static const struct {
		const char *from, *to;
		int code;
	} cases[] = {
		{ "hvsm.report/1", "hvsm.report/2", -EBADMSG },
		{ "\"clean\"", "\"fine\"", -EBADMSG },
		{ "\"web1\"", "7", -EBADMSG },
		{ "\"web1\"", "\"\\u001b[2J\"", -EBADMSG },
		{ "\"web1\"", "\"a\\nb\"", -EBADMSG },
		{ "\"web1\"", "\"\\u202e\"", -EBADMSG },
		{ "\"web1\"", "\"\\u0000\"", -EBADMSG },
		{ "\"Linux version\"", "\"\\u009b\"", -EBADMSG },
		{ "\"Linux version\"", "[[[[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]]]]", -ELOOP },
		{ "0000000000000001", "000000000000000g", -EBADMSG },
		{ "\"high\"", "\"worst\"", -EBADMSG },
		{ "2025-03-01T", "2025-13-01T", -EBADMSG },
		{ ".0000", ",0000", -EBADMSG },
		{ "\"target\"", "\"name\"", -EBADMSG },	/* twice */
		{ "\"duration_us\": 1", "\"duration_us\": -1", -EBADMSG },
		{ "}", "", -EBADMSG },
	};
	struct fixture *f = *state;

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		cleanup(freep) char *report = make_report("web1", 1, "idt=finding:1 log=clean");
		cleanup(freep) char *changed = NULL;
		char *at = strstr(report, cases[i].from);
		struct err err = {0};

		assert_non_null(at);
		assert_true(asprintf(&changed, "%.*s%s%s", (int)(at - report), report, cases[i].to,
				     at + strlen(cases[i].from)) > 0);
		if (ledger_add(f->ledger, NULL, changed, strlen(changed), NULL, &err) !=
		    cases[i].code)
			fail_msg("%s: %s", cases[i].to, err.text);
		assert_true(*err.text);
	}
	assert_int_equal(ledger_add(f->ledger, &(struct ledger_origin){ .guest = "a\nb" }, "{}", 2,
				    NULL, NULL), -EINVAL);
	assert_int_equal(verify(f, NULL), 0);
}

/* --- reading only --- */

static void reading_creates_nothing(void **state)
{
	cleanup(ledger_close) struct ledger *ledger = NULL;
	struct fixture *f = *state;
	char before[64], after[64];
	struct stat st;
	struct found found = {0};

	fill(f);
	/* While it is written; then a copy without the log's files; then where there is nothing. */
	assert_int_equal(verify(f, NULL), 0);
	ledger_close(&f->ledger);
	shell(f, "rm -f ledger.db-wal ledger.db-shm && mkdir empty");
	assert_int_equal(stat(f->dir, &st), 0);
	snprintf(before, sizeof(before), "%ld.%ld", st.st_mtim.tv_sec, st.st_mtim.tv_nsec);
	assert_int_equal(verify(f, NULL), 0);
	assert_int_equal(ledger_open(f->dir, false, &ledger, NULL), 0);
	assert_int_equal(ledger_each_finding(ledger, NULL, take_finding, &found, NULL), 0);
	assert_int_not_equal(found.n, 0);
	assert_int_equal(ledger_add(ledger, NULL, "{}", 2, NULL, NULL), -EINVAL);
	assert_int_equal(ledger_expire(ledger, &(struct ledger_retention){0}, 0, NULL, NULL),
			 -EINVAL);
	assert_int_equal(stat(f->dir, &st), 0);
	snprintf(after, sizeof(after), "%ld.%ld", st.st_mtim.tv_sec, st.st_mtim.tv_nsec);
	assert_string_equal(before, after);
	ledger_close(&ledger);
	strcat(f->dir, "/empty");
	assert_int_equal(ledger_open(f->dir, false, &ledger, NULL), -ENOENT);
	assert_int_equal(rmdir(f->dir), 0);
	assert_int_equal(ledger_open(f->dir, false, &ledger, NULL), -ENOENT);
	*strrchr(f->dir, '/') = '\0';
}

static void a_log_that_is_left_is_read(void **state)
{
	struct fixture *f = *state;

	fill(f);
	shell(f, "mkdir -m 0700 copy && cp ledger.db* key* copy/");	/* as if it had been killed */
	ledger_close(&f->ledger);
	strcat(f->dir, "/copy");
	assert_int_equal(verify(f, NULL), 0);
	shell(f, "rm ledger.db-shm");
	assert_int_equal(ledger_open(f->dir, false, &f->ledger, NULL), -ENOTSUP);
	*strrchr(f->dir, '/') = '\0';
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_finding_opens_stays_and_closes, setup, teardown),
		cmocka_unit_test_setup_teardown(a_finding_that_is_back_is_open_again, setup,
						teardown),
		cmocka_unit_test_setup_teardown(only_a_conclusive_check_closes, setup, teardown),
		cmocka_unit_test_setup_teardown(findings_of_an_earlier_boot_close_in_the_next,
						setup, teardown),
		cmocka_unit_test_setup_teardown(guests_do_not_mix, setup, teardown),
		cmocka_unit_test_setup_teardown(guests_of_one_name_do_not_mix_by_their_keys, setup,
						teardown),
		cmocka_unit_test_setup_teardown(what_is_the_same_is_not_stored_again, setup,
						teardown),
		cmocka_unit_test_setup_teardown(the_very_same_report_is_there_once, setup,
						teardown),
		cmocka_unit_test_setup_teardown(files_are_private, setup, teardown),
		cmocka_unit_test_setup_teardown(every_changed_column_is_found, setup, teardown),
		cmocka_unit_test_setup_teardown(every_other_tampering_is_found, setup, teardown),
		cmocka_unit_test_setup_teardown(a_head_that_is_not_signed_is_not_signed_anew, setup, teardown),
		cmocka_unit_test_setup_teardown(an_older_copy_is_found_by_a_noted_head, setup, teardown),
		cmocka_unit_test_setup_teardown(without_its_key_nothing_is_added, setup, teardown),
		cmocka_unit_test_setup_teardown(several_writers_and_a_reader, setup, teardown),
		cmocka_unit_test_setup_teardown(what_expires_leaves_the_rest_provable, setup, teardown),
		cmocka_unit_test_setup_teardown(the_file_does_not_grow_beyond_its_limit, setup, teardown),
		cmocka_unit_test_setup_teardown(what_is_open_does_not_grow_without_end, setup, teardown),
		cmocka_unit_test_setup_teardown(what_is_no_report_is_refused, setup, teardown),
		cmocka_unit_test_setup_teardown(reading_creates_nothing, setup, teardown),
		cmocka_unit_test_setup_teardown(a_log_that_is_left_is_read, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
