/* SPDX-License-Identifier: Apache-2.0 */

/* Reports that are old, or too many, go; a checkpoint in the chain stands for them. */

#include <string.h>

#include "base/cleanup.h"
#include "base/now.h"
#include "report/ledger_inside.h"

/* A number that a statement gives; 0 where it gives none. */
static int ask(struct database *database, const char *sql, uint64_t argument, uint64_t *ret,
	       struct err *err)
{
	cleanup(statement_end) sqlite3_stmt *statement = NULL;
	int r = database_prepare(database, &statement, err, sql, strchr(sql, '?') ? "i" : "",
				 (int64_t)argument);

	if (r >= 0)
		r = database_step(database, statement, err);
	if (r < 0)
		return r;
	*ret = r ? statement_number(statement, 0) : 0;
	return 0;
}

/* Bytes that are in use, whether or not the file was made smaller yet. */
static int used_bytes(struct database *database, uint64_t *ret, struct err *err)
{
	uint64_t pages = 0, unused = 0, size = 0;
	int r = ask(database, "PRAGMA page_count", 0, &pages, err);

	if (r >= 0)
		r = ask(database, "PRAGMA freelist_count", 0, &unused, err);
	if (r >= 0)
		r = ask(database, "PRAGMA page_size", 0, &size, err);
	if (r < 0)
		return r;
	*ret = (pages > unused ? pages - unused : 0) * size;
	return 0;
}

int ledger_bytes(struct ledger *ledger, uint64_t *ret, struct err *err)
{
	return used_bytes(ledger->database, ret, err);
}

static int remove_through(struct database *database, uint64_t seq, struct err *err)
{
	int r = database_do(database, err, "DELETE FROM record WHERE seq <= ?", "i",
			    (int64_t)seq);

	if (r >= 0)
		r = database_run(database, "DELETE FROM content WHERE NOT EXISTS (SELECT 1"
				 " FROM record WHERE content = digest AND kind < 2)", err);
	return r < 0 ? r : database_do(database, err, "DELETE FROM finding WHERE closed_in > 0"
				       " AND closed_in <= ?", "i", (int64_t)seq);
}

/* The hash of the record that will be the last one removed. */
static int hash_at(struct database *database, uint64_t seq, uint8_t ret[LEDGER_HASH_BYTES],
		   struct err *err)
{
	cleanup(statement_end) sqlite3_stmt *statement = NULL;
	struct ledger_record record;
	int r = database_prepare(database, &statement, err, "SELECT " CHAIN_COLUMNS
				 " FROM record WHERE seq = ?", "i", (int64_t)seq);

	if (r >= 0)
		r = database_step(database, statement, err);
	if (!r)
		return err_set(err, -EBADMSG, "record %llu of the ledger is missing",
			       (unsigned long long)seq);
	if (r >= 0)
		r = chain_row(statement, &record, err);
	if (r < 0)
		return r;
	memcpy(ret, record.hash, LEDGER_HASH_BYTES);
	return 0;
}

/* Remove up to @to, which is more than was removed before. */
static int cut(struct ledger *ledger, struct ledger_head *head, uint64_t to,
	       uint8_t hash[LEDGER_HASH_BYTES], struct err *err)
{
	int r = hash_at(ledger->database, to, hash, err);

	if (r >= 0)
		r = remove_through(ledger->database, to, err);
	if (r >= 0)
		head->removed = to;
	return r;
}

/* What is older than all that shall stay. A clock that once was wrong does not remove more. */
static int cut_old(struct ledger *ledger, struct ledger_head *head, uint64_t before_ns,
		   uint8_t hash[LEDGER_HASH_BYTES], struct err *err)
{
	uint64_t first = 0, last = head->seq ? head->seq - 1 : 0;
	int r = ask(ledger->database, "SELECT min(seq) FROM record WHERE time >= ?",
		    (uint64_t)sql_time(before_ns), &first, err);

	if (r < 0)
		return r;
	if (first && first - 1 < last)
		last = first - 1;
	return last > head->removed ? cut(ledger, head, last, hash, err) : 0;
}

/* A sixteenth of what is left at a time; some more than must go, so that it is not always full. */
static int cut_large(struct ledger *ledger, struct ledger_head *head, uint64_t bytes_max,
		     uint8_t hash[LEDGER_HASH_BYTES], struct err *err)
{
	uint64_t used = 0, goal = bytes_max;
	int r;

	while ((r = used_bytes(ledger->database, &used, err)) >= 0 && used > goal &&
	       head->removed + 1 < head->seq) {
		uint64_t left = head->seq - 1 - head->removed;

		r = cut(ledger, head, head->removed + left / 16 + (left % 16 != 0), hash, err);
		if (r < 0)
			break;
		goal = bytes_max - bytes_max / 10;
	}
	return r;
}

/* The findings as they are now vouch for those that led to them. */
static int put_checkpoint(struct ledger *ledger, struct ledger_head *head, uint64_t now,
			  const uint8_t hash[LEDGER_HASH_BYTES], struct err *err)
{
	struct ledger_record record = {
		.kind = LEDGER_CHECKPOINT, .time_ns = now, .refers = head->removed,
		.guest = "", .boot = "", .name = "", .verdict = "", .assurance = "",
	};
	int r = database_run(ledger->database, "DELETE FROM snapshot;"
			     "INSERT INTO snapshot SELECT * FROM finding", err);

	if (r >= 0)
		r = findings_digest(ledger->database, "snapshot", record.content, err);
	if (r < 0)
		return r;
	memcpy(record.report, hash, LEDGER_HASH_BYTES);
	return chain_append(ledger, &record, head, err);
}

static int expire(struct ledger *ledger, const struct ledger_retention *keep, uint64_t now,
		  uint64_t *removed, struct err *err)
{
	uint8_t hash[LEDGER_HASH_BYTES];
	struct ledger_head head;
	uint64_t before;
	int r = chain_head(ledger, &head, err);

	if (!r)
		return err_set(err, -EBADMSG, "the ledger was tampered with: its head is not "
			       "signed");
	before = head.removed;
	if (r >= 0 && keep->before_ns)
		r = cut_old(ledger, &head, keep->before_ns, hash, err);
	if (r >= 0 && keep->bytes_max)
		r = cut_large(ledger, &head, keep->bytes_max, hash, err);
	if (r >= 0 && head.removed > before)
		r = put_checkpoint(ledger, &head, now, hash, err);
	*removed = head.removed - before;
	return r;
}

int ledger_expire(struct ledger *ledger, const struct ledger_retention *keep, uint64_t now,
		  uint64_t *removed, struct err *err)
{
	uint64_t n = 0;
	int r;

	if (!ledger->writable)
		return err_set(err, -EINVAL, "the ledger is open for reading only");
	r = database_begin(ledger->database, err);
	if (r >= 0)
		r = expire(ledger, keep, now ? now : now_ns(CLOCK_REALTIME), &n, err);
	if (r >= 0)
		r = database_commit(ledger->database, err);
	database_undo(ledger->database);
	if (r < 0)
		return r;
	if (removed)
		*removed = n;
	/* What cannot be given back to the file system now will be used again. */
	(void)!database_run(ledger->database, "PRAGMA incremental_vacuum", NULL);
	return 0;
}
