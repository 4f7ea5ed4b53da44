/* SPDX-License-Identifier: Apache-2.0 */
#include "reference/store.h"

#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/limits.h"
#include "reference/database.h"
#include "reference/pack.h"
#include "reference/source.h"
#include "reference/store_write.h"

int store_open(const char *path, bool create, struct store **ret, struct err *err)
{
	cleanup(store_close) struct store *store = calloc(1, sizeof(*store));
	int r;

	if (!store)
		return err_set(err, -ENOMEM, "no memory for the store");
	r = database_open(path, create, &store->database, err);
	if (r < 0)
		return r;
	*ret = take_ptr(&store);
	return 0;
}

void store_close(struct store **store)
{
	if (!*store)
		return;
	database_close(&(*store)->database);
	free(*store);
	*store = NULL;
}

/* And behind them, where an item is asked for. */
#define ITEM_COLUMNS "s.blob, i.offset, i.size, i.sha256, i.release, i.build_id, i.banner"

static int read_item(struct store *store, sqlite3_stmt *row, size_t limit, struct blob *ret,
		     struct err *err)
{
	const int at = SOURCE_COLUMNS_N;
	struct pack_item item = {
		.offset = statement_number(row, at + 1),
		.size_bytes = statement_number(row, at + 2),
	};

	if (sqlite3_column_bytes(row, at + 3) != sizeof(item.sha256) || item.size_bytes > limit)
		return err_set(err, -EBADMSG, "the store is damaged: an item");
	memcpy(item.sha256, sqlite3_column_blob(row, at + 3), sizeof(item.sha256));
	return pack_read(store->database->dir, statement_text(row, at), &item, limit, ret, err);
}

static void read_identified(sqlite3_stmt *row, int at, struct identified *ret)
{
	*ret = (struct identified){0};
	source_text(row, at, ret->release, sizeof(ret->release));
	source_text(row, at + 1, ret->build_id, sizeof(ret->build_id));
	source_text(row, at + 2, ret->banner, sizeof(ret->banner));
}

int store_describe(struct store *store, const char *sha256, struct identified *ret,
		   struct err *err)
{
	cleanup(statement_end) sqlite3_stmt *row = NULL;
	int r = database_prepare(store->database, &row, err,
				 "SELECT i.release, i.build_id, i.banner FROM source s"
				 " LEFT JOIN item i ON i.source = s.id AND i.module = ''"
				 " WHERE s.sha256 = ?", "s", sha256);

	if (r >= 0)
		r = database_step(store->database, row, err);
	if (r == 0)
		return err_set(err, -ENOENT, "the store has no such source");
	if (r < 0)
		return r;
	read_identified(row, 0, ret);
	return 0;
}

int store_kernel(struct store *store, const char *build_id, const char *sha256,
		 struct reference_source *source, struct identified *id, struct blob *ret,
		 struct err *err)
{
	cleanup(statement_end) sqlite3_stmt *row = NULL;
	int r = database_prepare(store->database, &row, err,
				 "SELECT " SOURCE_COLUMNS ", " ITEM_COLUMNS " FROM item i"
				 " JOIN source s ON s.id = i.source"
				 " WHERE i.build_id = ? AND i.module = ''"
				 " AND ? IN ('', s.sha256)"
				 " ORDER BY s.kind = 'package' DESC, s.id DESC LIMIT 1",
				 "ss", build_id, sha256);

	if (r >= 0)
		r = database_step(store->database, row, err);
	if (r == 0)
		r = err_set(err, -ENOENT, "the store has no kernel with build ID %s", build_id);
	if (r < 0)
		return r;
	r = read_item(store, row, REFERENCE_FILE_MAX, ret, err);
	if (r < 0)
		return r;
	source_read(row, source);
	read_identified(row, SOURCE_COLUMNS_N + 4, id);
	return 0;
}

int store_has_modules(struct store *store, const char *release, struct err *err)
{
	cleanup(statement_end) sqlite3_stmt *row = NULL;
	int r = database_prepare(store->database, &row, err, "SELECT 1 FROM item"
				 " WHERE module != '' AND release = ? LIMIT 1", "s", release);

	return r < 0 ? r : database_step(store->database, row, err);
}

int store_module(struct store *store, const char *name, const char *release,
		 store_choose_fn *choose, void *ctx, struct blob *ret, struct err *err)
{
	cleanup(statement_end) sqlite3_stmt *row = NULL;
	int r = database_prepare(store->database, &row, err,
				 "SELECT " SOURCE_COLUMNS ", " ITEM_COLUMNS " FROM item i"
				 " JOIN source s ON s.id = i.source"
				 " WHERE i.module = ? AND i.module != '' AND i.release = ?"
				 " ORDER BY s.id DESC, i.offset",
				 "ss", name, release);

	if (r < 0)
		return r;
	while ((r = database_step(store->database, row, err)) > 0)
		if (choose(statement_text(row, 3), statement_text(row, SOURCE_COLUMNS_N + 5), ctx))
			return read_item(store, row, MODULE_FILE_MAX, ret, err);
	return r < 0 ? r : err_set(err, -ENOENT, "no module '%s' in the store", name);
}

int store_each(struct store *store, store_entry_fn *visit, void *ctx, struct err *err)
{
	cleanup(statement_end) sqlite3_stmt *row = NULL;
	const int at = SOURCE_COLUMNS_N;
	int r = database_prepare(
		store->database, &row, err, "SELECT " SOURCE_COLUMNS ", s.size, s.added,"
		" (SELECT count(*) FROM item WHERE source = s.id AND module = ''),"
		" (SELECT count(*) FROM item WHERE source = s.id AND module != ''),"
		" coalesce((SELECT build_id FROM item WHERE source = s.id AND module = ''), ''),"
		" (SELECT release FROM item WHERE source = s.id ORDER BY module != '' LIMIT 1)"
		" AS release FROM source s ORDER BY release, s.package, s.path, s.sha256", "");

	while (r >= 0 && (r = database_step(store->database, row, err)) > 0) {
		struct store_entry entry = {
			.size_bytes = statement_number(row, at),
			.added_s = statement_number(row, at + 1),
			.kernels = statement_number(row, at + 2),
			.modules = statement_number(row, at + 3),
		};

		source_read(row, &entry.source);
		source_text(row, at + 4, entry.build_id, sizeof(entry.build_id));
		source_text(row, at + 5, entry.release, sizeof(entry.release));
		r = visit(&entry, ctx, err);
	}
	return r;
}

int store_remove(struct store *store, const char *id, struct reference_source *ret,
		 struct err *err)
{
	cleanup(fd_close) int lock = database_lock(store->database, err);
	struct reference_source source;
	int r;

	if (lock < 0)
		return lock;
	r = source_find(store->database, id, &source, err);
	if (r >= 0)
		r = source_remove(store->database, source.sha256, err);
	if (r >= 0)
		r = store_sweep(store, err);
	if (r < 0)
		return r;
	*ret = source;
	return 0;
}
