/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HVSM_REFERENCE_SOURCE_H
#define HVSM_REFERENCE_SOURCE_H

#include "reference/database.h"
#include "reference/reference.h"

/*
 * Where what lies in a database came from: both the store (store.h) and the trust store
 * (trust.h) have a table `source` with these columns, and `sha256` is unique in it.
 */

/* The columns that every statement begins with which asks for a source, of table s. */
#define SOURCE_COLUMNS "s.kind, s.path, s.package, s.version, s.sha256, s.signature"
#define SOURCE_COLUMNS_N 6

void source_read(sqlite3_stmt *row, struct reference_source *ret);

/* A column of text, cut to fit. */
void source_text(sqlite3_stmt *row, int column, char *ret, size_t size);

/* Is this source there? 1, 0, or an errno. */
nodiscard int source_known(struct database *database, const char *sha256, struct err *err);

/**
 * source_find - the one whose SHA-256 begins so
 * @id: 4 or more hex digits
 * Return: 0, -EINVAL (not such an ID), -ENOENT, -ENOTUNIQ, or as database_open().
 */
nodiscard int source_find(struct database *database, const char *id,
			  struct reference_source *ret, struct err *err);

/* Forget it, and what came from it. 0, or as database_open(). */
nodiscard int source_remove(struct database *database, const char *sha256, struct err *err);

#endif
