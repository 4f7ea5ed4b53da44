/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HVSM_REFERENCE_DATABASE_H
#define HVSM_REFERENCE_DATABASE_H

#include <sqlite3.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

/*
 * The directory in which hvsm keeps what it has to remember, and the SQLite files in it: known
 * kernels (store.h) and what guests looked like (baseline.h), known programs (trust.h).
 *
 *	store.db   the tables
 *	blobs/     what is too large for them, named by SHA-256
 *	lock       held while blobs come or go
 *	trust.db   tables of their own: what is in them has nothing to do with the others
 */
struct database_kind {
	const char *file;	/* its name in the directory */
	const char *what;	/* what messages call it: "the store" */
	/*
	 * Statements that bring the tables from one version to the next: [0] makes those of
	 * version 1, and what is of an older version is taken through all that are left.
	 */
	const char *const *steps;
	int version;		/* of the tables, 1 …: how many steps there are */
	bool blobs;		/* it has a directory of them */
	/*
	 * One that is written all the time, and read meanwhile: it has a write-ahead log, and
	 * who does not create reads only, and changes no file. Root may read anybody's.
	 */
	bool journal;
};

struct database {
	const struct database_kind *kind;
	sqlite3 *sqlite;
	int dir;		/* the directory */
	bool writable;
};

/**
 * database_open - open a store
 * @path:   of the directory
 * @create: make what is not there, and bring what is there to this version
 *
 * A directory into which somebody else may write is refused: who can put a kernel there can
 * make any guest look clean.
 *
 * Return: 0, -ENOENT (there is none), -EACCES, -ENOTSUP (of another version of hvsm; or a copy
 *         without all files of its write-ahead log), -EBADMSG (damaged), -EBUSY, -ENOSPC,
 *         -ENOMEM, -EIO, or what mkdir() says.
 */
nodiscard int database_open(const char *path, bool create, struct database **ret,
			    struct err *err);

/* The same with other tables. @kind must outlive it. */
nodiscard int database_open_kind(const char *path, bool create,
				 const struct database_kind *kind, struct database **ret,
				 struct err *err);

/* *@database becomes NULL. NULL is fine. */
void database_close(struct database **database);

/* Statements without a result; several are parted by ';'. 0, or as database_open(). */
nodiscard int database_run(struct database *database, const char *sql, struct err *err);

/**
 * database_begin, database_commit - all or nothing
 * What is not committed is undone by database_undo(), or with the end of this process.
 */
nodiscard int database_begin(struct database *database, struct err *err);
nodiscard int database_commit(struct database *database, struct err *err);
void database_undo(struct database *database);

/* Does its file not have its name any more? What is written then is lost. */
bool database_is_moved(struct database *database);

/**
 * database_prepare - a statement, with its parameters
 * @types: one letter for each '?': 's' const char *, 'i' int64_t, 'b' const void * and size_t,
 *         which stay the caller's and must outlive the statement
 * @ret:   for statement_end()
 */
nodiscard int database_prepare(struct database *database, sqlite3_stmt **ret, struct err *err,
			       const char *sql, const char *types, ...);

/* The next row: 1; no more: 0; or an error as of database_open(). */
nodiscard int database_step(struct database *database, sqlite3_stmt *statement,
			    struct err *err);

/* A statement without rows, as database_prepare(). */
nodiscard int database_do(struct database *database, struct err *err, const char *sql,
			  const char *types, ...);

/* A column as text, never NULL; as a number that is not negative. */
const char *statement_text(sqlite3_stmt *statement, int column);
uint64_t statement_number(sqlite3_stmt *statement, int column);

/* For cleanup(). */
void statement_end(sqlite3_stmt **statement);

/**
 * database_lock - keep others from changing the blobs; waits for them
 * Return: a descriptor to be closed, or an errno.
 */
nodiscard int database_lock(struct database *database, struct err *err);

#endif
