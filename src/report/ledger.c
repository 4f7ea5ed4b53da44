/* SPDX-License-Identifier: Apache-2.0 */
#include "report/ledger.h"

#include <sodium.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/limits.h"
#include "base/now.h"
#include "report/ledger_inside.h"
#include "report/ledger_parse.h"

int ledger_open(const char *path, bool write, struct ledger **ret, struct err *err)
{
	cleanup(ledger_close) struct ledger *ledger = calloc(1, sizeof(*ledger));
	int r;

	if (!ledger)
		return err_set(err, -ENOMEM, "no memory for the ledger");
	ledger->writable = write;
	r = database_open_kind(path, write, &ledger_database, &ledger->database, err);
	if (r >= 0)
		r = chain_key(ledger, err);
	if (r < 0)
		return r;
	*ret = take_ptr(&ledger);
	return 0;
}

void ledger_close(struct ledger **ledger)
{
	if (!*ledger)
		return;
	database_close(&(*ledger)->database);
	sodium_memzero(*ledger, sizeof(**ledger));
	free(*ledger);
	*ledger = NULL;
}

/* What has none can be asked all the same. */
int ledger_none(struct err *err)
{
	return err_set(err, -ENOTCONN, "there is no ledger at the moment");
}

bool ledger_is_moved(const struct ledger *ledger)
{
	return ledger && database_is_moved(ledger->database);
}

/* --- adding --- */

static bool is_word(const char *text)
{
	size_t n = text ? strlen(text) : 1;

	return !text || (n && n <= PARSED_NAME_MAX && parsed_is_printable(text, n));
}

static struct ledger_record record_of(const struct parsed *parsed,
				      const struct ledger_origin *origin)
{
	struct ledger_record record = {
		.kind = LEDGER_REPORT,
		.time_ns = origin->time_ns ? origin->time_ns : now_ns(CLOCK_REALTIME),
		.guest = origin->guest ? origin->guest : parsed->guest,
		.boot = origin->boot ? origin->boot : parsed->boot,
		.name = parsed->name,
		.started_ns = parsed->started_ns, .duration_us = parsed->duration_us,
		.verdict = parsed->verdict, .assurance = parsed->assurance,
		.findings = json_array_size(parsed->findings),
	};

	memcpy(record.report, parsed->digest, LEDGER_HASH_BYTES);
	memcpy(record.content, parsed->digest, LEDGER_HASH_BYTES);
	memcpy(record.print, parsed->print, LEDGER_HASH_BYTES);
	return record;
}

/*
 * Was this very report stored before? Whoever was not told so gives it again. 1: yes. The plus
 * keeps SQLite from going through all of the guest's records: few have one digest.
 */
static int find_stored(struct ledger *ledger, const struct ledger_record *record,
		       struct ledger_added *added, struct err *err)
{
	cleanup(statement_end) sqlite3_stmt *statement = NULL;
	struct ledger_record stored;
	int r = database_prepare(ledger->database, &statement, err,
				 "SELECT " CHAIN_COLUMNS " FROM record"
				 " WHERE report = ? AND +guest = ? AND boot = ?"
				 " AND kind < 2", "bss", record->report,
				 (size_t)LEDGER_HASH_BYTES, record->guest, record->boot);

	if (r >= 0)
		r = database_step(ledger->database, statement, err);
	if (r <= 0)
		return r;
	r = chain_row(statement, &stored, err);
	if (r < 0)
		return r;
	*added = (struct ledger_added){ .seq = stored.seq, .same_as = stored.refers };
	memcpy(added->hash, stored.hash, LEDGER_HASH_BYTES);
	return 1;
}

/* Is there one that is the same? Then name it, else store the report. */
static int put_content(struct ledger *ledger, const struct parsed *parsed,
		       struct ledger_record *record, struct err *err)
{
	cleanup(statement_end) sqlite3_stmt *statement = NULL;
	struct ledger_record same;
	int r = database_prepare(ledger->database, &statement, err,
				 "SELECT " CHAIN_COLUMNS " FROM record WHERE kind = 0 AND guest = ?"
				 " AND boot = ? AND print = ? ORDER BY seq DESC LIMIT 1", "ssb",
				 record->guest, record->boot, record->print,
				 (size_t)LEDGER_HASH_BYTES);

	if (r >= 0)
		r = database_step(ledger->database, statement, err);
	if (r < 0)
		return r;
	if (!r)
		return database_do(ledger->database, err,
				   "INSERT OR IGNORE INTO content VALUES(?, ?)", "bb",
				   parsed->digest, sizeof(parsed->digest), parsed->text.data,
				   parsed->text.size);
	r = chain_row(statement, &same, err);
	if (r < 0)
		return r;
	record->kind = LEDGER_SAME;
	record->refers = same.seq;
	memcpy(record->content, same.content, LEDGER_HASH_BYTES);
	return 0;
}

static int count_changed(struct ledger *ledger, const struct ledger_record *record,
			 struct ledger_added *added, struct err *err)
{
	cleanup(statement_end) sqlite3_stmt *statement = NULL;
	int r = database_prepare(ledger->database, &statement, err,
				 "SELECT count(*) FILTER (WHERE opened_in = ?1),"
				 " count(*) FILTER (WHERE closed_in = ?1),"
				 " count(*) FILTER (WHERE closed_in = 0) FROM finding"
				 " WHERE guest = ?2", "is", (int64_t)record->seq, record->guest);

	if (r >= 0)
		r = database_step(ledger->database, statement, err);
	if (r < 0)
		return r;
	*added = (struct ledger_added){
		.seq = record->seq, .same_as = record->refers,
		.opened = (uint32_t)statement_number(statement, 0),
		.closed = (uint32_t)statement_number(statement, 1),
	};
	memcpy(added->hash, record->hash, LEDGER_HASH_BYTES);
	/* A report that has no more, or closes some, is welcome. */
	if (added->opened && statement_number(statement, 2) > LEDGER_OPEN_MAX)
		return err_set(err, -ELOOP, "over %u findings are open in this guest",
			       LEDGER_OPEN_MAX);
	return 0;
}

/* Within a transaction. 1: it was there, and nothing is changed. */
static int add(struct ledger *ledger, const struct parsed *parsed, struct ledger_record *record,
	       struct ledger_added *added, struct err *err)
{
	struct ledger_head head;
	int r = chain_head(ledger, &head, err);

	/* Signed anew, a head that was changed could not be told from a good one. */
	if (!r)
		return err_set(err, -EBADMSG, "the ledger was tampered with: its head is not "
			       "signed");
	if (r >= 0)
		r = find_stored(ledger, record, added, err);
	if (r)
		return r;
	r = put_content(ledger, parsed, record, err);
	if (r >= 0)
		r = chain_append(ledger, record, &head, err);
	if (r >= 0)
		r = findings_apply(ledger->database, record, parsed->checks, parsed->findings,
				   err);
	return r < 0 ? r : count_changed(ledger, record, added, err);
}

int ledger_add(struct ledger *ledger, const struct ledger_origin *origin, const void *json,
	       size_t size, struct ledger_added *ret, struct err *err)
{
	static const struct ledger_origin unknown;
	cleanup(parsed_free) struct parsed parsed = {0};
	struct ledger_added added;
	struct ledger_record record;
	int r;

	if (!ledger)
		return ledger_none(err);
	if (!origin)
		origin = &unknown;
	if (!ledger->writable || !is_word(origin->guest) || !is_word(origin->boot) ||
	    origin->time_ns > INT64_MAX)
		return err_set(err, -EINVAL, ledger->writable ? "no name or time" :
			       "the ledger is open for reading only");
	r = parsed_read(json, size, &parsed, err);
	if (r < 0)
		return r;
	record = record_of(&parsed, origin);
	r = database_begin(ledger->database, err);
	if (r < 0)
		return r;
	/* SQLite goes on to write into a file that nobody will ever read. */
	r = ledger_is_moved(ledger) ?
		    err_set(err, -ESTALE, "the ledger's file was removed, or replaced") :
		    add(ledger, &parsed, &record, &added, err);
	if (!r)
		r = database_commit(ledger->database, err);
	database_undo(ledger->database);	/* where that was not reached */
	if (r < 0)
		return r;
	if (ret)
		*ret = added;
	return 0;
}

/* --- reading --- */

#define RECORDS	 "SELECT " CHAIN_COLUMNS " FROM record WHERE time >= ?2 AND seq > ?3 AND seq < ?4"
#define BY_KEY	 RECORDS " AND guest = ?1"
#define BY_NAME	 RECORDS " AND name = ?1 AND guest <> ?1"

/* Each of these goes along an index, so that whoever takes only the first few reads no more. */
static const char *const record_sql[][2] = {
	[FILTER_ALL] = { RECORDS " AND ?1 = '' ORDER BY seq",
			 RECORDS " AND ?1 = '' ORDER BY seq DESC" },
	[FILTER_KEY] = { BY_KEY " ORDER BY seq", BY_KEY " ORDER BY seq DESC" },
	[FILTER_NAME] = { BY_KEY " UNION ALL " BY_NAME " ORDER BY seq",
			  BY_KEY " UNION ALL " BY_NAME " ORDER BY seq DESC" },
};

int ledger_each(struct ledger *ledger, const struct ledger_filter *filter,
		ledger_record_fn *visit, void *ctx, struct err *err)
{
	static const struct ledger_filter all;
	const struct ledger_filter *f = filter ? filter : &all;
	cleanup(statement_end) sqlite3_stmt *statement = NULL;
	struct ledger_record record;
	int r = !ledger ? ledger_none(err) :
		database_prepare(ledger->database, &statement, err,
				 record_sql[filter_by(f)][f->newest], "siii", filter_guest(f),
				 sql_time(f->since_ns),
				 sql_time(f->after_seq), before_seq(f));

	if (r < 0)
		return r;
	while ((r = database_step(ledger->database, statement, err)) > 0) {
		r = chain_row(statement, &record, err);
		if (r >= 0)
			r = visit(&record, ctx, err);
		if (r < 0)
			break;
	}
	return r < 0 ? r : 0;
}

int ledger_report(struct ledger *ledger, uint64_t seq, struct blob *ret, struct err *err)
{
	cleanup(statement_end) sqlite3_stmt *statement = NULL;
	uint8_t digest[LEDGER_HASH_BYTES];
	struct blob blob;
	const void *text;
	int r = !ledger ? ledger_none(err) : database_prepare(ledger->database, &statement, err,
				 "SELECT content.text, digest FROM record"
				 " JOIN content ON digest = content"
				 " WHERE seq = ? AND kind < 2", "i", (int64_t)seq);

	if (r >= 0)
		r = database_step(ledger->database, statement, err);
	if (r < 0)
		return r;
	if (!r)
		return err_set(err, -ENOENT, "no report %llu in the ledger",
			       (unsigned long long)seq);
	text = sqlite3_column_blob(statement, 0);
	blob.size = (size_t)sqlite3_column_bytes(statement, 0);
	crypto_hash_sha256(digest, text, blob.size);
	if (sqlite3_column_bytes(statement, 1) != LEDGER_HASH_BYTES ||
	    memcmp(digest, sqlite3_column_blob(statement, 1), LEDGER_HASH_BYTES) ||
	    !parsed_is_clean(text, blob.size))
		return err_set(err, -EBADMSG, "report %llu was changed", (unsigned long long)seq);
	blob.data = malloc(blob.size ? blob.size : 1);
	if (!blob.data)
		return err_set(err, -ENOMEM, "no memory for a report");
	memcpy(blob.data, text, blob.size);
	*ret = blob;
	return 0;
}

int ledger_head(struct ledger *ledger, struct ledger_head *ret, struct err *err)
{
	int r = ledger ? chain_head(ledger, ret, err) : ledger_none(err);

	return r < 0 ? r : 0;
}
