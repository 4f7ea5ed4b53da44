/* SPDX-License-Identifier: Apache-2.0 */

/* Does the chain hold, and does all that hangs on it follow from it? */

#include <sodium.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "report/ledger_inside.h"
#include "report/ledger_parse.h"

/* Problems that are told: one record too few can make a thousand. */
#define TOLD_MAX 100

/* What reports said is kept for as many: guests change seldom, so records name the same again. */
#define KEPT 64

struct kept {
	uint8_t digest[LEDGER_HASH_BYTES];
	json_t *checks, *findings;	/* NULL: a free slot */
};

struct proof {
	struct ledger *ledger;
	const struct ledger_trusted *trusted;
	ledger_problem_fn *problem;
	void *ctx;
	int problems;
	struct ledger_head head;
	struct ledger_record checkpoint;	/* the last one; seq 0: there is none */
	uint64_t last;				/* the record that was seen last */
	uint8_t previous[LEDGER_HASH_BYTES];	/* its hash */
	bool head_seen;				/* the one that was noted elsewhere */
	struct kept kept[KEPT];
};

static int tell(struct proof *proof, struct err *err, uint64_t seq, const char *fmt, ...)
	printf_like(4, 5);

static int tell(struct proof *proof, struct err *err, uint64_t seq, const char *fmt, ...)
{
	char what[256];
	va_list args;
	int r;

	if (proof->problems++ >= TOLD_MAX)
		return 0;
	va_start(args, fmt);
	vsnprintf(what, sizeof(what), fmt, args);
	va_end(args);
	r = proof->problem(seq, what, proof->ctx, err);
	return r < 0 ? r : 0;
}

static bool same_hash(const uint8_t *a, const uint8_t *b)
{
	return !memcmp(a, b, LEDGER_HASH_BYTES);
}

static void proof_end(struct proof *proof)
{
	for (size_t i = 0; i < KEPT; i++) {
		json_decref(proof->kept[i].checks);
		json_decref(proof->kept[i].findings);
	}
}

/* --- the database as such --- */

static int check_database(struct proof *proof, struct err *err)
{
	cleanup(statement_end) sqlite3_stmt *statement = NULL;
	struct database *database = proof->ledger->database;
	int r = database_prepare(database, &statement, err, "PRAGMA integrity_check(10)", "");

	while (r >= 0 && (r = database_step(database, statement, err)) > 0) {
		const char *line = statement_text(statement, 0);

		r = strcmp(line, "ok") ? tell(proof, err, 0, "the database: %s", line) : 0;
	}
	return r;
}

/* What the tables of this version are, by SQLite itself. */
static int fresh_tables(sqlite3 **ret, struct err *err)
{
	int r = sqlite3_open(":memory:", ret);

	for (int i = 0; r == SQLITE_OK && i < ledger_database.version; i++)
		r = sqlite3_exec(*ret, ledger_database.steps[i], NULL, NULL, NULL);
	return r == SQLITE_OK ? 0 : err_set(err, -ENOMEM, "no memory for the ledger's tables");
}

static void sqlite_end(sqlite3 **sqlite)
{
	sqlite3_close_v2(*sqlite);
}

/* A view, a trigger, a table in the place of another one: whoever writes such lets us see less. */
static int check_tables(struct proof *proof, struct err *err)
{
	static const char sql[] = "SELECT type || name || tbl_name || coalesce(sql, '')"
				  " FROM sqlite_schema ORDER BY type, name";
	cleanup(statement_end) sqlite3_stmt *is = NULL, *should = NULL;
	cleanup(sqlite_end) sqlite3 *fresh = NULL;
	bool equal = true;
	int r = fresh_tables(&fresh, err), step = SQLITE_ROW;

	if (r >= 0 && sqlite3_prepare_v2(fresh, sql, -1, &should, NULL) != SQLITE_OK)
		r = err_set(err, -ENOMEM, "no memory for the ledger's tables");
	if (r >= 0)
		r = database_prepare(proof->ledger->database, &is, err, sql, "");
	while (r >= 0 && step == SQLITE_ROW && equal) {
		step = sqlite3_step(should);
		r = database_step(proof->ledger->database, is, err);
		if (r < 0)
			break;
		if ((step != SQLITE_ROW && step != SQLITE_DONE) ||
		    (step == SQLITE_ROW && !sqlite3_column_text(should, 0)) ||
		    (r > 0 && !sqlite3_column_text(is, 0)))
			return err_set(err, -ENOMEM, "no memory for the ledger's tables");
		equal = (r > 0) == (step == SQLITE_ROW) &&
			(!r || !strcmp(statement_text(is, 0), statement_text(should, 0)));
	}
	return r < 0 || equal ? r : tell(proof, err, 0, "the tables were changed");
}

static int check_head(struct proof *proof, struct err *err)
{
	const struct ledger_trusted *trusted = proof->trusted;
	int r = chain_head(proof->ledger, &proof->head, err);

	if (!r)
		r = tell(proof, err, 0, "the head of the chain is not signed with the key");
	if (r >= 0 && trusted && trusted->key &&
	    memcmp(trusted->key, proof->ledger->key, LEDGER_KEY_BYTES))
		r = tell(proof, err, 0, "the ledger has another key");
	return r;
}

/* Where the chain begins now: what the last checkpoint says of those that were removed. */
static int check_beginning(struct proof *proof, struct err *err)
{
	cleanup(statement_end) sqlite3_stmt *statement = NULL;
	struct database *database = proof->ledger->database;
	int r = database_prepare(database, &statement, err, "SELECT " CHAIN_COLUMNS
				 " FROM record WHERE kind = 2 ORDER BY seq DESC LIMIT 1", "");

	if (r >= 0)
		r = database_step(database, statement, err);
	if (r > 0)
		r = chain_row(statement, &proof->checkpoint, err);
	if (r == -EBADMSG)
		r = 0;		/* which is told when it is its turn */
	else if (r >= 0 && proof->checkpoint.seq) {
		memcpy(proof->previous, proof->checkpoint.report, LEDGER_HASH_BYTES);
		proof->last = proof->checkpoint.refers;
	}
	if (r < 0)
		return r;
	proof->head_seen = proof->last && proof->trusted && proof->trusted->head &&
			   same_hash(proof->trusted->head, proof->previous);
	return proof->last == proof->head.removed ? 0 :
		tell(proof, err, 0, "%llu records were removed, but a checkpoint says %llu",
		     (unsigned long long)proof->head.removed, (unsigned long long)proof->last);
}

/* --- records --- */

/* What a report said, if it is there, and what it was. 1: @ret has it. */
static int load_content(struct proof *proof, const struct ledger_record *record,
			const struct kept **ret, struct err *err)
{
	struct kept *kept = &proof->kept[record->content[0] % KEPT];
	cleanup(parsed_free) struct parsed parsed = {0};
	cleanup(blob_free) struct blob text = {0};
	int r;

	*ret = kept;
	if (kept->checks && same_hash(kept->digest, record->content))
		return 1;
	r = ledger_report(proof->ledger, record->seq, &text, err);
	if (r >= 0)
		r = parsed_read(text.data, text.size, &parsed, err);
	if (r == -ENOENT || r == -EBADMSG || r == -ELOOP)
		return tell(proof, err, record->seq, r == -ENOENT ? "its report is missing" :
			    "its report was changed");
	if (r < 0)
		return r;
	json_decref(kept->checks);
	json_decref(kept->findings);
	kept->checks = json_incref(parsed.checks);
	kept->findings = json_incref(parsed.findings);
	memcpy(kept->digest, record->content, LEDGER_HASH_BYTES);
	return 1;
}

static int check_content(struct proof *proof, const struct ledger_record *record,
			 struct err *err)
{
	const struct kept *kept;
	int r;

	if (record->kind == LEDGER_CHECKPOINT)
		return 0;
	r = load_content(proof, record, &kept, err);
	if (r <= 0 || record->seq <= proof->checkpoint.seq)
		return r;
	return findings_apply(proof->ledger->database, record, kept->checks, kept->findings, err);
}

static int check_record(struct proof *proof, const struct ledger_record *record, struct err *err)
{
	uint8_t hash[LEDGER_HASH_BYTES];
	int r = 0;

	chain_hash(proof->previous, record, hash);
	if (!same_hash(hash, record->hash))
		r = tell(proof, err, record->seq, "it was changed, or stands in another's place");
	else if (!chain_is_signed(record, proof->ledger->key))
		r = tell(proof, err, record->seq, "it is not signed with the key");
	if (r >= 0)
		r = check_content(proof, record, err);
	if (proof->trusted && proof->trusted->head &&
	    same_hash(proof->trusted->head, record->hash))
		proof->head_seen = true;
	memcpy(proof->previous, record->hash, LEDGER_HASH_BYTES);
	return r;
}

static int check_row(struct proof *proof, sqlite3_stmt *statement, struct err *err)
{
	const uint64_t expected = proof->last + 1;
	struct ledger_record record = {0};
	struct err why = {0};
	int r = chain_row(statement, &record, &why), t = 0;

	if (r == -ENOMEM)
		return err_set(err, r, "%s", why.text);
	proof->last = record.seq;
	if (record.seq != expected)
		t = tell(proof, err, record.seq, "it stands where record %llu should be",
			 (unsigned long long)expected);
	if (t < 0)
		return t;
	return r < 0 ? tell(proof, err, record.seq, "it is none that hvsm wrote") :
	       check_record(proof, &record, err);
}

static int check_records(struct proof *proof, struct err *err)
{
	cleanup(statement_end) sqlite3_stmt *statement = NULL;
	struct database *database = proof->ledger->database;
	int r = database_prepare(database, &statement, err, "SELECT " CHAIN_COLUMNS
				 " FROM record ORDER BY seq", "");

	while (r >= 0 && (r = database_step(database, statement, err)) > 0)
		r = check_row(proof, statement, err);
	if (r < 0)
		return r;
	if (proof->last != proof->head.seq || !same_hash(proof->previous, proof->head.hash))
		r = tell(proof, err, 0, "the chain ends with record %llu, its head says %llu",
			 (unsigned long long)proof->last, (unsigned long long)proof->head.seq);
	if (r >= 0 && proof->trusted && proof->trusted->head && !proof->head_seen)
		r = tell(proof, err, 0, "the head that is known from elsewhere is not in it");
	return r;
}

/* --- what follows from them --- */

static int tell_if_any(struct proof *proof, const char *sql, const char *what, struct err *err)
{
	cleanup(statement_end) sqlite3_stmt *statement = NULL;
	struct database *database = proof->ledger->database;
	int r = database_prepare(database, &statement, err, sql, "");

	if (r >= 0)
		r = database_step(database, statement, err);
	return r > 0 ? tell(proof, err, 0, "%s", what) : r;
}

static int check_rest(struct proof *proof, struct err *err)
{
	static const struct {
		const char *sql, *what;
	} rules[] = {
		{ "SELECT 1 WHERE (SELECT count(*) FROM head) > 1", "there are several heads" },
		{ "SELECT 1 FROM content WHERE NOT EXISTS"
		  " (SELECT 1 FROM record WHERE content = digest AND kind < 2)",
		  "a report belongs to no record" },
		{ "SELECT * FROM main.finding EXCEPT SELECT * FROM temp.finding",
		  "a finding does not follow from the reports" },
		{ "SELECT * FROM temp.finding EXCEPT SELECT * FROM main.finding",
		  "a finding is missing, or was changed" },
	};
	int r = 0;

	for (size_t i = 0; r >= 0 && i < ARRAY_SIZE(rules); i++)
		r = tell_if_any(proof, rules[i].sql, rules[i].what, err);
	return r;
}

/* The findings as of the last checkpoint, to do again what was done since. */
static int check_snapshot(struct proof *proof, struct err *err)
{
	struct database *database = proof->ledger->database;
	uint8_t digest[LEDGER_HASH_BYTES];
	int r = database_run(database, "CREATE TEMP TABLE finding(" FINDING_COLUMNS ") STRICT;"
			     "INSERT INTO temp.finding SELECT * FROM main.snapshot", err);

	if (r < 0)
		return r;
	if (!proof->checkpoint.seq)
		return tell_if_any(proof, "SELECT 1 FROM snapshot",
				   "there are findings of a checkpoint, but none is there", err);
	r = findings_digest(database, "snapshot", digest, err);
	if (r < 0 || same_hash(digest, proof->checkpoint.content))
		return r;
	return tell(proof, err, proof->checkpoint.seq, "its findings were changed");
}

static int verify(struct proof *proof, struct err *err)
{
	static int (*const steps[])(struct proof *proof, struct err *err) = {
		check_database, check_tables, check_head, check_beginning, check_snapshot,
		check_records, check_rest,
	};
	int r = 0;

	for (size_t i = 0; r >= 0 && i < ARRAY_SIZE(steps); i++)
		r = steps[i](proof, err);
	return r;
}

int ledger_verify(struct ledger *ledger, const struct ledger_trusted *trusted,
		  ledger_problem_fn *problem, void *ctx, struct err *err)
{
	cleanup(proof_end) struct proof proof = {
		.ledger = ledger, .trusted = trusted, .problem = problem, .ctx = ctx,
	};
	int r = database_run(ledger->database, "PRAGMA temp_store = MEMORY; BEGIN", err);

	if (r < 0)
		return r;
	r = verify(&proof, err);
	if (r == -EBADMSG)	/* it cannot even be read */
		r = tell(&proof, err, 0, "the database is damaged");
	database_undo(ledger->database);	/* with what was made for this only */
	return r < 0 ? r : proof.problems;
}
