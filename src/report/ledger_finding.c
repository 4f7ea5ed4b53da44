/* SPDX-License-Identifier: Apache-2.0 */

/* Findings over sweeps: what a record does to them, and what they are. */

#include <sodium.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "report/ledger_inside.h"
#include "report/ledger_parse.h"

static const char *string_at(const json_t *object, const char *key)
{
	return json_string_value(json_object_get(object, key));
}

/* One report may have a finding twice: it is one sweep all the same. */
static int open_finding(struct database *database, const struct ledger_record *record,
			const json_t *finding, struct err *err)
{
	return database_do(
		database, err,
		"INSERT INTO finding VALUES(?1,?2,?3,?4,?5,?6,?7,?7,0,1,?8,?8,0)"
		" ON CONFLICT(guest, boot, id) DO UPDATE SET check_id = excluded.check_id,"
		" severity = excluded.severity, title = excluded.title,"
		" last_seen = max(first_seen, excluded.last_seen), closed = 0,"
		" sweeps = sweeps + (last_in <> excluded.last_in),"
		" opened_in = iif(closed_in, excluded.opened_in, opened_in),"
		" last_in = excluded.last_in, closed_in = 0",
		"ssssssii", record->guest, record->boot, string_at(finding, "id"),
		string_at(finding, "check"), string_at(finding, "severity"),
		string_at(finding, "title"), (int64_t)record->time_ns, (int64_t)record->seq);
}

/* An earlier boot's finding that is there again: this boot has one of its own. */
static int close_earlier(struct database *database, const struct ledger_record *record,
			 const json_t *finding, struct err *err)
{
	return database_do(database, err,
			   "UPDATE finding SET closed = max(last_seen, ?), closed_in = ? WHERE"
			   " guest = ? AND boot <> ? AND id = ? AND check_id = ?"
			   " AND closed_in = 0", "iissss",
			   (int64_t)record->time_ns, (int64_t)record->seq, record->guest,
			   record->boot, string_at(finding, "id"), string_at(finding, "check"));
}

/* What a check no longer has. */
static int close_missing(struct database *database, const struct ledger_record *record,
			 const char *check, struct err *err)
{
	return database_do(database, err,
			   "UPDATE finding SET closed = max(last_seen, ?1), closed_in = ?2"
			   " WHERE guest = ?3 AND check_id = ?4 AND closed_in = 0"
			   " AND last_in <> ?2", "iiss",
			   (int64_t)record->time_ns, (int64_t)record->seq, record->guest, check);
}

/* Is any finding of this guest open that the report does not have? Mostly there is none. */
static int any_missing(struct database *database, const struct ledger_record *record,
		       struct err *err)
{
	cleanup(statement_end) sqlite3_stmt *statement = NULL;
	int r = database_prepare(database, &statement, err,
				 "SELECT 1 FROM finding WHERE guest = ? AND closed_in = 0"
				 " AND last_in <> ? LIMIT 1", "si", record->guest,
				 (int64_t)record->seq);

	return r < 0 ? r : database_step(database, statement, err);
}

int findings_apply(struct database *database, const struct ledger_record *record,
		   const json_t *checks, const json_t *findings, struct err *err)
{
	json_t *finding, *check;
	size_t i;
	int r = 0;

	json_array_foreach(findings, i, finding) {
		r = open_finding(database, record, finding, err);
		if (r < 0)
			return r;
	}
	r = any_missing(database, record, err);
	if (r <= 0)
		return r;
	json_array_foreach(findings, i, finding) {
		r = close_earlier(database, record, finding, err);
		if (r < 0)
			return r;
	}
	json_array_foreach(checks, i, check) {
		r = parsed_is_conclusive(check) ?
			close_missing(database, record, string_at(check, "id"), err) : 0;
		if (r < 0)
			return r;
	}
	return 0;
}

/* --- reading --- */

#define COLUMNS "guest, boot, id, check_id, severity, title, first_seen, last_seen, closed," \
		" sweeps, opened_in, last_in, closed_in"
#define TEXTS_N   6
#define COLUMNS_N 13

/* No column of the table: what a guest is called is in its records. */
#define NAME   ", ifnull((SELECT nullif(name, '') FROM record WHERE seq = last_in), guest)"
#define NAME_N COLUMNS_N

int findings_digest(struct database *database, const char *table,
		    uint8_t ret[LEDGER_HASH_BYTES], struct err *err)
{
	cleanup(statement_end) sqlite3_stmt *statement = NULL;
	crypto_hash_sha256_state state;
	char sql[256];
	int r;

	snprintf(sql, sizeof(sql), "SELECT " COLUMNS " FROM %s ORDER BY guest, boot, id", table);
	r = database_prepare(database, &statement, err, sql, "");
	crypto_hash_sha256_init(&state);
	while (r >= 0 && (r = database_step(database, statement, err)) > 0)
		for (int i = 0; i < COLUMNS_N; i++) {
			const void *bytes = sqlite3_column_text(statement, i);
			uint32_t n = (uint32_t)sqlite3_column_bytes(statement, i);
			uint8_t size[4] = { (uint8_t)n, (uint8_t)(n >> 8), (uint8_t)(n >> 16),
					    (uint8_t)(n >> 24) };

			if (!bytes)
				return err_set(err, -ENOMEM, "no memory for a finding");
			crypto_hash_sha256_update(&state, size, sizeof(size));
			crypto_hash_sha256_update(&state, bytes, n);
		}
	if (r < 0)
		return r;
	crypto_hash_sha256_final(&state, ret);
	return 0;
}

static int visit_finding(sqlite3_stmt *row, ledger_finding_fn *visit, void *ctx, struct err *err)
{
	const struct ledger_finding finding = {
		.guest = statement_text(row, 0), .boot = statement_text(row, 1),
		.id = statement_text(row, 2), .check = statement_text(row, 3),
		.severity = statement_text(row, 4), .title = statement_text(row, 5),
		.first_seen_ns = statement_number(row, 6),
		.last_seen_ns = statement_number(row, 7), .closed_ns = statement_number(row, 8),
		.sweeps = statement_number(row, 9), .opened_in = statement_number(row, 10),
		.last_in = statement_number(row, 11), .closed_in = statement_number(row, 12),
		.name = statement_text(row, NAME_N),
	};

	return visit(&finding, ctx, err);
}

static int visit_row(sqlite3_stmt *row, ledger_finding_fn *visit, void *ctx, struct err *err)
{
	for (int i = 0; i <= TEXTS_N; i++) {
		const char *text = (const char *)
			sqlite3_column_text(row, i < TEXTS_N ? i : NAME_N);

		if (!text)
			return err_set(err, -ENOMEM, "no memory for a finding");
		if (!parsed_is_printable(text, strlen(text)))
			return err_set(err, -EBADMSG, "a finding in the ledger is damaged");
	}
	return visit_finding(row, visit, ctx, err);
}

#define FINDINGS \
	"SELECT " COLUMNS NAME " FROM finding WHERE max(last_seen, closed) >= ?2" \
	" AND max(opened_in, closed_in) > ?3 AND (?4 = 0 OR closed_in = 0)" \
	" AND (opened_in, id) < (?5, ?6)"
#define BY_KEY	" AND guest = ?1"
#define BY_NAME	" AND (guest = ?1 OR guest IN (SELECT guest FROM record WHERE name = ?1))"
#define BY_PLACE  " ORDER BY guest, boot, id"
#define BY_NEWEST " ORDER BY opened_in DESC, id DESC"

/* By a key, or of all guests, the newest are found by an index: whoever takes a few reads a few. */
static const char *const finding_sql[][2] = {
	[FILTER_ALL] = { FINDINGS " AND ?1 = ''" BY_PLACE, FINDINGS " AND ?1 = ''" BY_NEWEST },
	[FILTER_KEY] = { FINDINGS BY_KEY BY_PLACE, FINDINGS BY_KEY BY_NEWEST },
	[FILTER_NAME] = { FINDINGS BY_NAME BY_PLACE, FINDINGS BY_NAME BY_NEWEST },
};

int ledger_each_finding(struct ledger *ledger, const struct ledger_filter *filter,
			ledger_finding_fn *visit, void *ctx, struct err *err)
{
	static const struct ledger_filter all;
	const struct ledger_filter *f = filter ? filter : &all;
	cleanup(statement_end) sqlite3_stmt *statement = NULL;
	int r = !ledger ? ledger_none(err) :
		database_prepare(ledger->database, &statement, err,
				 finding_sql[filter_by(f)][f->newest], "siiiis", filter_guest(f),
				 sql_time(f->since_ns),
				 sql_time(f->after_seq), (int64_t)f->open, before_seq(f),
				 f->before_id ? f->before_id : "");

	if (r < 0)
		return r;
	while ((r = database_step(ledger->database, statement, err)) > 0) {
		r = visit_row(statement, visit, ctx, err);
		if (r < 0)
			break;
	}
	return r < 0 ? r : 0;
}
