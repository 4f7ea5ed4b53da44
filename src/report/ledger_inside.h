/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HVSM_REPORT_LEDGER_INSIDE_H
#define HVSM_REPORT_LEDGER_INSIDE_H

#include <jansson.h>

#include "reference/database.h"
#include "report/ledger.h"

/* What the files of the ledger share; nobody else includes this. */

#define LEDGER_SIGNATURE_BYTES 64
#define LEDGER_SECRET_BYTES    64

struct ledger {
	struct database *database;
	bool writable;
	uint8_t key[LEDGER_KEY_BYTES];
	uint8_t secret[LEDGER_SECRET_BYTES];	/* only to write */
};

/* A time, or a place in the chain, for SQLite, which knows no larger number. */
static inline int64_t sql_time(uint64_t ns)
{
	return ns > INT64_MAX ? INT64_MAX : (int64_t)ns;
}

static inline int64_t before_seq(const struct ledger_filter *filter)
{
	return filter->before_seq ? sql_time(filter->before_seq) : INT64_MAX;
}

/* By what a filter looks up. */
enum filter_by {
	FILTER_ALL,
	FILTER_KEY,
	FILTER_NAME,	/* or by the key: who asks does not know which it is */
};

static inline enum filter_by filter_by(const struct ledger_filter *filter)
{
	return filter->key ? FILTER_KEY : filter->guest && *filter->guest ? FILTER_NAME :
									    FILTER_ALL;
}

static inline const char *filter_guest(const struct ledger_filter *filter)
{
	return filter->key ? filter->key : filter->guest ? filter->guest : "";
}

/* --- ledger_chain.c --- */

/* The tables, as database_kind has them. */
extern const struct database_kind ledger_database;

/* The key of a ledger that is open; made where there is none, and it writes. As ledger_open(). */
nodiscard int chain_key(struct ledger *ledger, struct err *err);

/* SHA-256 of @previous and all of the record that stands before @hash. */
void chain_hash(const uint8_t previous[LEDGER_HASH_BYTES], const struct ledger_record *record,
		uint8_t ret[LEDGER_HASH_BYTES]);

/* The head as it is there. 1: it is signed rightly; 0: it is not, or not whole; or an errno. */
nodiscard int chain_head(struct ledger *ledger, struct ledger_head *ret, struct err *err);

/**
 * chain_append - add a record within a transaction
 * @record: all but seq, hash and signature, which are set here
 * @head:   as of chain_head(); becomes the new one
 */
nodiscard int chain_append(struct ledger *ledger, struct ledger_record *record,
			   struct ledger_head *head, struct err *err);

/* Was its hash signed with this key? */
bool chain_is_signed(const struct ledger_record *record, const uint8_t key[LEDGER_KEY_BYTES]);

/* The columns of a record, for chain_row(). */
#define CHAIN_COLUMNS "seq, kind, time, refers, guest, boot, name, started, duration, verdict," \
		      " assurance, findings, report, content, print, hash, signature"

/* The row that a statement stands on. 0, -EBADMSG (it is none that hvsm wrote), -ENOMEM. */
nodiscard int chain_row(sqlite3_stmt *statement, struct ledger_record *ret, struct err *err);

/* --- ledger_finding.c --- */

/*
 * The statements that follow name the table without its database. Where there is a temporary one
 * of that name they work on it: so ledger_verify() does again what ledger_add() did.
 */
#define FINDING_COLUMNS                                                                      \
	"guest TEXT NOT NULL, boot TEXT NOT NULL, id TEXT NOT NULL, check_id TEXT NOT NULL," \
	" severity TEXT NOT NULL, title TEXT NOT NULL, first_seen INTEGER NOT NULL,"         \
	" last_seen INTEGER NOT NULL, closed INTEGER NOT NULL, sweeps INTEGER NOT NULL,"     \
	" opened_in INTEGER NOT NULL, last_in INTEGER NOT NULL, closed_in INTEGER NOT NULL," \
	" PRIMARY KEY(guest, boot, id)"

/* What one record does to findings: @checks and @findings are of what it has stored. */
nodiscard int findings_apply(struct database *database, const struct ledger_record *record,
			     const json_t *checks, const json_t *findings, struct err *err);

/* SHA-256 of all rows of a table of findings ("snapshot"). */
nodiscard int findings_digest(struct database *database, const char *table,
			      uint8_t ret[LEDGER_HASH_BYTES], struct err *err);

/* -ENOTCONN, in words. */
int ledger_none(struct err *err);

#endif
