/* SPDX-License-Identifier: Apache-2.0 */

/* The records: their tables, how each vouches for those before it, and the key. */

#include <fcntl.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "report/ledger_inside.h"
#include "report/ledger_parse.h"

_Static_assert(LEDGER_HASH_BYTES == crypto_hash_sha256_BYTES, "LEDGER_HASH_BYTES");
_Static_assert(LEDGER_KEY_BYTES == crypto_sign_PUBLICKEYBYTES, "LEDGER_KEY_BYTES");
_Static_assert(LEDGER_SECRET_BYTES == crypto_sign_SECRETKEYBYTES, "LEDGER_SECRET_BYTES");
_Static_assert(LEDGER_SIGNATURE_BYTES == crypto_sign_BYTES, "LEDGER_SIGNATURE_BYTES");

/* A hash of one thing must never pass for that of another one. */
#define RECORD_PREFIX "hvsm.ledger.record/1"
#define HEAD_PREFIX   "hvsm.ledger.head/1"

/*
 * A content is what one record of a report has stored; others that are the same name it, too. A
 * snapshot is the findings as of the last checkpoint.
 */
static const char *const steps[] = {
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
	"CREATE TABLE finding(" FINDING_COLUMNS ") STRICT, WITHOUT ROWID;"
	"CREATE INDEX finding_open ON finding(guest, check_id) WHERE closed_in = 0;"
	"CREATE TABLE snapshot(" FINDING_COLUMNS ") STRICT, WITHOUT ROWID;"
	"CREATE TABLE head("
	"  seq INTEGER NOT NULL, removed INTEGER NOT NULL, time INTEGER NOT NULL,"
	"  hash BLOB NOT NULL, signature BLOB NOT NULL) STRICT;",

	/* What is listed in pages, of one guest as well: by its key, and by what it was called. */
	"CREATE INDEX record_guest ON record(guest);"
	"CREATE INDEX record_name ON record(name, seq, guest);"
	"CREATE INDEX finding_opened ON finding(opened_in, id);"
	"CREATE INDEX finding_guest ON finding(guest, opened_in, id);",
};

const struct database_kind ledger_database = {
	.file = "ledger.db", .what = "the ledger", .steps = steps, .version = ARRAY_SIZE(steps),
	.journal = true,
};

const char *ledger_kind_name(enum ledger_kind kind)
{
	static const char *const names[] = { "report", "same", "checkpoint" };

	return names[kind];
}

/* --- hashes --- */

typedef crypto_hash_sha256_state hash_state;

static void hash_number_in(hash_state *state, uint64_t number)
{
	uint8_t bytes[8];

	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = (uint8_t)(number >> (8 * i));
	crypto_hash_sha256_update(state, bytes, sizeof(bytes));
}

static void hash_text_in(hash_state *state, const char *text)
{
	size_t n = strlen(text);

	hash_number_in(state, n);
	crypto_hash_sha256_update(state, (const uint8_t *)text, n);
}

void chain_hash(const uint8_t previous[LEDGER_HASH_BYTES], const struct ledger_record *record,
		uint8_t ret[LEDGER_HASH_BYTES])
{
	hash_state state;

	crypto_hash_sha256_init(&state);
	hash_text_in(&state, RECORD_PREFIX);
	crypto_hash_sha256_update(&state, previous, LEDGER_HASH_BYTES);
	hash_number_in(&state, record->seq);
	hash_number_in(&state, record->kind);
	hash_number_in(&state, record->time_ns);
	hash_number_in(&state, record->refers);
	hash_text_in(&state, record->guest);
	hash_text_in(&state, record->boot);
	hash_text_in(&state, record->name);
	hash_number_in(&state, record->started_ns);
	hash_number_in(&state, record->duration_us);
	hash_text_in(&state, record->verdict);
	hash_text_in(&state, record->assurance);
	hash_number_in(&state, record->findings);
	crypto_hash_sha256_update(&state, record->report, LEDGER_HASH_BYTES);
	crypto_hash_sha256_update(&state, record->content, LEDGER_HASH_BYTES);
	crypto_hash_sha256_update(&state, record->print, LEDGER_HASH_BYTES);
	crypto_hash_sha256_final(&state, ret);
}

static void head_hash(const struct ledger_head *head, uint8_t ret[LEDGER_HASH_BYTES])
{
	hash_state state;

	crypto_hash_sha256_init(&state);
	hash_text_in(&state, HEAD_PREFIX);
	hash_number_in(&state, head->seq);
	hash_number_in(&state, head->removed);
	hash_number_in(&state, head->time_ns);
	crypto_hash_sha256_update(&state, head->hash, LEDGER_HASH_BYTES);
	crypto_hash_sha256_final(&state, ret);
}

bool chain_is_signed(const struct ledger_record *record, const uint8_t key[LEDGER_KEY_BYTES])
{
	return !crypto_sign_verify_detached(record->signature, record->hash, LEDGER_HASH_BYTES,
					    key);
}

/* --- rows --- */

/* What SQL can put into a column, but hvsm does not, must not read like what hvsm did put there. */
static bool take_number(sqlite3_stmt *statement, int column, uint64_t *ret)
{
	*ret = statement_number(statement, column);
	return sqlite3_column_int64(statement, column) >= 0;
}

static bool take_text(sqlite3_stmt *statement, int column, const char **ret)
{
	size_t n = (size_t)sqlite3_column_bytes(statement, column);

	*ret = statement_text(statement, column);
	return n == strlen(*ret) && parsed_is_printable(*ret, n);
}

static bool take_bytes(sqlite3_stmt *statement, int column, uint8_t *ret, size_t size)
{
	const void *bytes = sqlite3_column_blob(statement, column);

	if (!bytes || (size_t)sqlite3_column_bytes(statement, column) != size)
		return false;
	memcpy(ret, bytes, size);
	return true;
}

/* There is no NULL in them: what reads as one is a lack of memory. */
static bool has_texts(sqlite3_stmt *statement)
{
	static const int columns[] = { 4, 5, 6, 9, 10 };

	for (size_t i = 0; i < ARRAY_SIZE(columns); i++)
		if (!sqlite3_column_text(statement, columns[i]))
			return false;
	return true;
}

int chain_row(sqlite3_stmt *statement, struct ledger_record *ret, struct err *err)
{
	struct ledger_record record = {0};
	uint64_t kind = 0;
	bool good = take_number(statement, 0, &record.seq) &&
		    take_number(statement, 1, &kind) && kind <= LEDGER_CHECKPOINT &&
		    take_number(statement, 2, &record.time_ns) &&
		    take_number(statement, 3, &record.refers) &&
		    take_text(statement, 4, &record.guest) &&
		    take_text(statement, 5, &record.boot) &&
		    take_text(statement, 6, &record.name) &&
		    take_number(statement, 7, &record.started_ns) &&
		    take_number(statement, 8, &record.duration_us) &&
		    take_text(statement, 9, &record.verdict) &&
		    take_text(statement, 10, &record.assurance) &&
		    take_number(statement, 11, &record.findings) &&
		    take_bytes(statement, 12, record.report, LEDGER_HASH_BYTES) &&
		    take_bytes(statement, 13, record.content, LEDGER_HASH_BYTES) &&
		    take_bytes(statement, 14, record.print, LEDGER_HASH_BYTES) &&
		    take_bytes(statement, 15, record.hash, LEDGER_HASH_BYTES) &&
		    take_bytes(statement, 16, record.signature, LEDGER_SIGNATURE_BYTES);

	if (!has_texts(statement))
		return err_set(err, -ENOMEM, "no memory for a record of the ledger");
	record.kind = (enum ledger_kind)kind;
	ret->seq = record.seq;
	if (!good)
		return err_set(err, -EBADMSG, "record %llu of the ledger is damaged",
			       (unsigned long long)record.seq);
	*ret = record;
	return 0;
}

int chain_head(struct ledger *ledger, struct ledger_head *ret, struct err *err)
{
	uint8_t signature[LEDGER_SIGNATURE_BYTES], hash[LEDGER_HASH_BYTES];
	cleanup(statement_end) sqlite3_stmt *statement = NULL;
	struct ledger_head head = {0};
	bool good;
	int r = database_prepare(ledger->database, &statement, err,
				 "SELECT seq, removed, time, hash, signature FROM head", "");

	if (r >= 0)
		r = database_step(ledger->database, statement, err);
	if (r < 0)
		return r;
	memcpy(head.key, ledger->key, sizeof(head.key));
	good = r > 0 && take_number(statement, 0, &head.seq) &&
	       take_number(statement, 1, &head.removed) &&
	       take_number(statement, 2, &head.time_ns) &&
	       take_bytes(statement, 3, head.hash, sizeof(head.hash)) &&
	       take_bytes(statement, 4, signature, sizeof(signature));
	*ret = head;
	head_hash(&head, hash);
	return good && !crypto_sign_verify_detached(signature, hash, sizeof(hash), head.key);
}

static int put_head(struct ledger *ledger, const struct ledger_head *head, struct err *err)
{
	uint8_t signature[LEDGER_SIGNATURE_BYTES], hash[LEDGER_HASH_BYTES];
	int r;

	head_hash(head, hash);
	crypto_sign_detached(signature, NULL, hash, sizeof(hash), ledger->secret);
	r = database_run(ledger->database, "DELETE FROM head", err);
	return r < 0 ? r :
	       database_do(ledger->database, err, "INSERT INTO head VALUES(?, ?, ?, ?, ?)",
			   "iiibb", (int64_t)head->seq, (int64_t)head->removed,
			   (int64_t)head->time_ns, head->hash, sizeof(head->hash), signature,
			   sizeof(signature));
}

int chain_append(struct ledger *ledger, struct ledger_record *record, struct ledger_head *head,
		 struct err *err)
{
	int r;

	record->seq = head->seq + 1;
	chain_hash(head->hash, record, record->hash);
	crypto_sign_detached(record->signature, NULL, record->hash, LEDGER_HASH_BYTES,
			     ledger->secret);
	r = database_do(ledger->database, err, "INSERT INTO record(" CHAIN_COLUMNS ")"
			" VALUES(?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)", "iiiisssiissibbbbb",
			(int64_t)record->seq, (int64_t)record->kind, (int64_t)record->time_ns,
			(int64_t)record->refers, record->guest, record->boot, record->name,
			(int64_t)record->started_ns, (int64_t)record->duration_us,
			record->verdict, record->assurance, (int64_t)record->findings,
			record->report, (size_t)LEDGER_HASH_BYTES,
			record->content, (size_t)LEDGER_HASH_BYTES,
			record->print, (size_t)LEDGER_HASH_BYTES,
			record->hash, (size_t)LEDGER_HASH_BYTES,
			record->signature, (size_t)LEDGER_SIGNATURE_BYTES);
	if (r < 0)
		return r;
	head->seq = record->seq;
	head->time_ns = record->time_ns;
	memcpy(head->hash, record->hash, sizeof(head->hash));
	return put_head(ledger, head, err);
}

/* --- the key --- */

static int key_failed(struct err *err, const char *name)
{
	return err_set(err, -errno, "the ledger's %s: %s", name, strerror(errno));
}

/* @size bytes in hex, and a newline. */
static int write_hex(int dir, const char *name, const uint8_t *bytes, size_t size,
		     struct err *err)
{
	char text[2 * LEDGER_SECRET_BYTES + 2], fresh[16];
	cleanup(fd_close) int fd = -1;
	ssize_t written;

	snprintf(fresh, sizeof(fresh), "%s.new", name);
	unlinkat(dir, fresh, 0);	/* of one that was ended half way */
	fd = openat(dir, fresh, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0600);
	if (fd < 0)
		return key_failed(err, name);
	sodium_bin2hex(text, sizeof(text), bytes, size);
	text[2 * size] = '\n';
	written = write(fd, text, 2 * size + 1);
	sodium_memzero(text, sizeof(text));
	if (written >= 0 && (size_t)written != 2 * size + 1)
		errno = ENOSPC;
	if (written < 0 || (size_t)written != 2 * size + 1 || fsync(fd) < 0 ||
	    renameat(dir, fresh, dir, name) < 0 || fsync(dir) < 0)
		return key_failed(err, name);
	return 0;
}

static int read_hex(int dir, const char *name, uint8_t *bytes, size_t size, struct err *err)
{
	cleanup(fd_close) int fd = openat(dir, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	char text[2 * LEDGER_SECRET_BYTES + 2];
	size_t found = 0;
	struct stat st;
	ssize_t n;

	if (fd < 0 || fstat(fd, &st) < 0)
		return key_failed(err, name);
	if (st.st_mode & (S_IWGRP | S_IWOTH))
		return err_set(err, -EACCES, "others may write the ledger's %s", name);
	n = read(fd, text, sizeof(text));
	if (n < 0)
		return key_failed(err, name);
	if ((size_t)n == 2 * size + 1 && text[2 * size] == '\n')
		sodium_hex2bin(bytes, size, text, 2 * size, NULL, &found, NULL);
	sodium_memzero(text, sizeof(text));
	return found == size ? 0 : err_set(err, -EBADMSG, "the ledger's %s is damaged", name);
}

/* Were there ever records? Then a new key would not do. */
static int is_fresh(struct ledger *ledger, struct err *err)
{
	cleanup(statement_end) sqlite3_stmt *statement = NULL;
	int r = database_prepare(ledger->database, &statement, err,
				 "SELECT 1 FROM head UNION ALL SELECT 1 FROM record LIMIT 1", "");

	if (r >= 0)
		r = database_step(ledger->database, statement, err);
	return r < 0 ? r : !r;
}

static int make_key(struct ledger *ledger, struct err *err)
{
	int r = is_fresh(ledger, err);

	if (!r)
		return err_set(err, -EBADMSG, "the ledger has records, but its key is gone");
	if (r < 0)
		return r;
	crypto_sign_keypair(ledger->key, ledger->secret);
	return write_hex(ledger->database->dir, "key", ledger->secret, sizeof(ledger->secret), err);
}

/* Where there is a key and nothing else, the key is new. */
static int make_head(struct ledger *ledger, struct err *err)
{
	const struct ledger_head none = {0};
	int r = is_fresh(ledger, err);

	return r > 0 ? put_head(ledger, &none, err) : r;
}

static int key_to_write(struct ledger *ledger, struct err *err)
{
	cleanup(fd_close) int lock = database_lock(ledger->database, err);
	const int dir = ledger->database->dir;
	uint8_t known[LEDGER_KEY_BYTES];
	int r;

	if (lock < 0)
		return lock;
	r = read_hex(dir, "key", ledger->secret, sizeof(ledger->secret), err);
	if (r == -ENOENT)
		r = make_key(ledger, err);
	if (r < 0)
		return r;
	crypto_sign_ed25519_sk_to_pk(ledger->key, ledger->secret);
	r = read_hex(dir, "key.pub", known, sizeof(known), err);
	if (r == -ENOENT)
		r = write_hex(dir, "key.pub", ledger->key, sizeof(ledger->key), err);
	else if (r >= 0 && memcmp(known, ledger->key, sizeof(known)))
		r = err_set(err, -EBADMSG, "the ledger's key.pub is not that of its key");
	return r < 0 ? r : make_head(ledger, err);
}

int chain_key(struct ledger *ledger, struct err *err)
{
	if (sodium_init() < 0)
		return err_set(err, -EIO, "libsodium does not start");
	return ledger->writable ? key_to_write(ledger, err) :
	       read_hex(ledger->database->dir, "key.pub", ledger->key, sizeof(ledger->key), err);
}
