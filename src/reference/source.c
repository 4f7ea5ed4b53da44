/* SPDX-License-Identifier: Apache-2.0 */
#include "reference/source.h"

#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"

#define ID_MIN 4u
#define ID_MAX 64u

void source_text(sqlite3_stmt *row, int column, char *ret, size_t size)
{
	snprintf(ret, size, "%s", statement_text(row, column));
}

void source_read(sqlite3_stmt *row, struct reference_source *ret)
{
	*ret = (struct reference_source){0};
	source_text(row, 0, ret->source, sizeof(ret->source));
	source_text(row, 1, ret->path, sizeof(ret->path));
	source_text(row, 2, ret->package, sizeof(ret->package));
	source_text(row, 3, ret->version, sizeof(ret->version));
	source_text(row, 4, ret->sha256, sizeof(ret->sha256));
	source_text(row, 5, ret->signature, sizeof(ret->signature));
}

int source_known(struct database *database, const char *sha256, struct err *err)
{
	cleanup(statement_end) sqlite3_stmt *row = NULL;
	int r = database_prepare(database, &row, err, "SELECT 1 FROM source WHERE sha256 = ?",
				 "s", sha256);

	return r < 0 ? r : database_step(database, row, err);
}

int source_find(struct database *database, const char *id, struct reference_source *ret,
		struct err *err)
{
	cleanup(statement_end) sqlite3_stmt *row = NULL;
	struct reference_source source;
	char pattern[ID_MAX + 2];
	int r;

	if (strlen(id) < ID_MIN || strlen(id) > ID_MAX || id[strspn(id, "0123456789abcdef")])
		return err_set(err, -EINVAL, "not an ID (4 to 64 hex digits)");
	snprintf(pattern, sizeof(pattern), "%s*", id);
	r = database_prepare(database, &row, err, "SELECT " SOURCE_COLUMNS
			     " FROM source s WHERE s.sha256 GLOB ?", "s", pattern);
	if (r >= 0)
		r = database_step(database, row, err);
	if (r == 0)
		return err_set(err, -ENOENT, "%s has no such source", database->kind->what);
	if (r < 0)
		return r;
	source_read(row, &source);
	r = database_step(database, row, err);
	if (r)
		return r > 0 ? err_set(err, -ENOTUNIQ, "several sources begin so") : r;
	*ret = source;
	return 0;
}

int source_remove(struct database *database, const char *sha256, struct err *err)
{
	return database_do(database, err, "DELETE FROM source WHERE sha256 = ?", "s", sha256);
}
