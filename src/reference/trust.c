/* SPDX-License-Identifier: Apache-2.0 */
#include "reference/trust.h"

#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/limits.h"
#include "reference/source.h"
#include "reference/trust_write.h"

static const char schema[] =
	"CREATE TABLE source("
	"  id INTEGER PRIMARY KEY, sha256 TEXT NOT NULL UNIQUE, kind TEXT NOT NULL,"
	"  path TEXT NOT NULL, package TEXT NOT NULL, version TEXT NOT NULL,"
	"  signature TEXT NOT NULL, added INTEGER NOT NULL);"
	"CREATE TABLE file("
	"  source INTEGER NOT NULL REFERENCES source(id) ON DELETE CASCADE,"
	"  digest BLOB NOT NULL, kind INTEGER NOT NULL, mode INTEGER NOT NULL,"
	"  size INTEGER NOT NULL, path TEXT NOT NULL);"
	"CREATE INDEX file_digest ON file(digest);"
	"CREATE INDEX file_source ON file(source);";

static const char *const steps[] = { schema };

static const struct database_kind trust_database = {
	.file = "trust.db", .what = "the trust store", .steps = steps,
	.version = ARRAY_SIZE(steps),
};

int trust_open(const char *store, bool create, struct trust **ret, struct err *err)
{
	cleanup(trust_close) struct trust *trust = calloc(1, sizeof(*trust));
	int r;

	if (!trust)
		return err_set(err, -ENOMEM, "no memory for the trust store");
	r = database_open_kind(store, create, &trust_database, &trust->database, err);
	if (r < 0)
		return r;
	*ret = take_ptr(&trust);
	return 0;
}

int trust_ask(const struct trust_elsewhere *elsewhere, struct trust **ret, struct err *err)
{
	struct trust *trust = calloc(1, sizeof(*trust));

	if (!trust)
		return err_set(err, -ENOMEM, "no memory for the trust store");
	trust->elsewhere = *elsewhere;
	*ret = trust;
	return 0;
}

static void answer_free(struct trust_answer *answer)
{
	free((char *)(uintptr_t)answer->what.path);
	free((char *)(uintptr_t)answer->what.by);
	free(answer);
}

void trust_close(struct trust **trust)
{
	if (!*trust)
		return;
	for (size_t i = 0; i < (*trust)->answers.n; i++)
		answer_free((*trust)->answers.v[i]);
	vec_free(&(*trust)->answers);
	map_free(&(*trust)->index);
	statement_end(&(*trust)->find);
	database_close(&(*trust)->database);
	free(*trust);
	*trust = NULL;
}

/* --- questions --- */

static enum trust_kind kind_of(uint64_t number)
{
	return number > TRUST_EXECUTABLE ? TRUST_OTHER : (enum trust_kind)number;
}

/* "bash 5.2.15-2+b7"; of what is no package its path. NULL: no memory. */
static char *source_name(const struct reference_source *source)
{
	char *name;

	if (!*source->package)
		return strdup(source->path);
	if (asprintf(&name, "%s%s%s", source->package, *source->version ? " " : "",
		     source->version) < 0)
		return NULL;
	return name;
}

static int read_answer(sqlite3_stmt *row, struct trust_answer *answer)
{
	const int at = SOURCE_COLUMNS_N;
	struct reference_source source;

	source_read(row, &source);
	answer->known = true;
	answer->what = (struct trust_known){
		.kind = kind_of(statement_number(row, at)),
		.mode = (uint32_t)statement_number(row, at + 1),
		.size_bytes = statement_number(row, at + 2),
		.path = strdup(statement_text(row, at + 3)),
		.by = source_name(&source),
	};
	return answer->what.path && answer->what.by ? 0 : -ENOMEM;
}

/* Ask the database. 0, or an errno. */
static int ask(struct trust *trust, struct trust_answer *answer, struct err *err)
{
	int r = 0;

	if (trust->elsewhere.find) {
		r = trust->elsewhere.find(trust->elsewhere.ctx, answer->digest, &answer->what,
					  err);
		answer->known = r > 0;
		return r;
	}
	if (!trust->find)
		r = database_prepare(trust->database, &trust->find, err,
				     "SELECT " SOURCE_COLUMNS ", f.kind, f.mode, f.size, f.path"
				     " FROM file f JOIN source s ON s.id = f.source"
				     " WHERE f.digest = ? ORDER BY s.id DESC LIMIT 1", "");
	if (r < 0)
		return r;
	if (sqlite3_bind_blob(trust->find, 1, answer->digest, sizeof(answer->digest),
			      SQLITE_STATIC) != SQLITE_OK)
		return err_set(err, -ENOMEM, "no memory for the trust store");
	r = database_step(trust->database, trust->find, err);
	if (r > 0 && read_answer(trust->find, answer) < 0)
		r = err_set(err, -ENOMEM, "no memory for the trust store");
	/* Nothing stays locked; what was wrong is told already. */
	sqlite3_reset(trust->find);
	sqlite3_clear_bindings(trust->find);
	return r;
}

/* 0 is no key. What is called the same is told apart by the whole digest. */
static uint64_t key_of(const uint8_t *digest)
{
	uint64_t key;

	memcpy(&key, digest, sizeof(key));
	return key ? key : 1;
}

static struct trust_answer *answered(const struct trust *trust, const uint8_t *digest)
{
	uint32_t i;

	if (!map_get(&trust->index, key_of(digest), &i) ||
	    memcmp(trust->answers.v[i]->digest, digest, TRUST_DIGEST_BYTES) != 0)
		return NULL;
	return trust->answers.v[i];
}

int trust_find(struct trust *trust, const uint8_t digest[TRUST_DIGEST_BYTES],
	       const struct trust_known **ret, struct err *err)
{
	struct trust_answer *answer = answered(trust, digest), **slot;
	int r;

	if (!answer) {
		if (trust->answers.n == TRUST_ASKED_MAX)
			return err_set(err, -ELOOP, "over %u digests", TRUST_ASKED_MAX);
		answer = calloc(1, sizeof(*answer));
		if (!answer)
			return err_set(err, -ENOMEM, "no memory for the trust store");
		memcpy(answer->digest, digest, sizeof(answer->digest));
		r = ask(trust, answer, err);
		slot = r < 0 ? NULL : vec_add(&trust->answers);
		if (!slot) {
			answer_free(answer);
			return r < 0 ? r : err_set(err, -ENOMEM, "no memory for a digest");
		}
		*slot = answer;
		r = map_put(&trust->index, key_of(digest), (uint32_t)trust->answers.n - 1);
		if (r < 0)
			return err_set(err, r, "no memory for a digest");
	}
	if (ret)
		*ret = answer->known ? &answer->what : NULL;
	return answer->known;
}

int trust_is_empty(struct trust *trust, struct err *err)
{
	cleanup(statement_end) sqlite3_stmt *row = NULL;
	int r;

	if (trust->elsewhere.is_empty)
		return trust->elsewhere.is_empty(trust->elsewhere.ctx, err);
	r = database_prepare(trust->database, &row, err, "SELECT 1 FROM file LIMIT 1", "");
	if (r >= 0)
		r = database_step(trust->database, row, err);
	return r < 0 ? r : !r;
}

/* --- lists --- */

int trust_each(struct trust *trust, trust_entry_fn *visit, void *ctx, struct err *err)
{
	cleanup(statement_end) sqlite3_stmt *row = NULL;
	const int at = SOURCE_COLUMNS_N;
	int r = database_prepare(trust->database, &row, err, "SELECT " SOURCE_COLUMNS ", s.added,"
				 " (SELECT count(*) FROM file WHERE source = s.id)"
				 " FROM source s ORDER BY s.package, s.path, s.sha256", "");

	while (r >= 0 && (r = database_step(trust->database, row, err)) > 0) {
		struct trust_entry entry = {
			.added_s = statement_number(row, at),
			.files = statement_number(row, at + 1),
		};

		source_read(row, &entry.source);
		r = visit(&entry, ctx, err);
	}
	return r;
}

int trust_each_file(struct trust *trust, const char *sha256, trust_file_fn *visit, void *ctx,
		    struct err *err)
{
	cleanup(statement_end) sqlite3_stmt *row = NULL;
	int r = database_prepare(trust->database, &row, err, "SELECT f.kind, f.mode, f.size,"
				 " f.path, f.digest FROM file f JOIN source s ON s.id = f.source"
				 " WHERE s.sha256 = ? ORDER BY f.rowid", "s", sha256);

	while (r >= 0 && (r = database_step(trust->database, row, err)) > 0) {
		struct trust_file file = {
			.kind = kind_of(statement_number(row, 0)),
			.mode = (uint32_t)statement_number(row, 1),
			.size_bytes = statement_number(row, 2),
			.path = statement_text(row, 3),
		};

		if (sqlite3_column_bytes(row, 4) != (int)sizeof(file.digest))
			return err_set(err, -EBADMSG, "the trust store is damaged: a digest");
		memcpy(file.digest, sqlite3_column_blob(row, 4), sizeof(file.digest));
		r = visit(&file, ctx, err);
	}
	return r;
}

int trust_remove(struct trust *trust, const char *id, struct reference_source *ret,
		 struct err *err)
{
	struct reference_source source;
	int r = database_begin(trust->database, err);

	if (r < 0)
		return r;
	r = source_find(trust->database, id, &source, err);
	if (r >= 0)
		r = source_remove(trust->database, source.sha256, err);
	if (r >= 0)
		r = database_commit(trust->database, err);
	if (r < 0) {
		database_undo(trust->database);
		return r;
	}
	*ret = source;
	return 0;
}
