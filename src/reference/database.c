/* SPDX-License-Identifier: Apache-2.0 */
#include "reference/database.h"

#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"

/* How long another process may keep its transaction: they are short. */
#define BUSY_MS 10000

/* A blob has what one file or package held; items lie in it one behind the other. */
static const char schema[] =
	"CREATE TABLE source("
	"  id INTEGER PRIMARY KEY, sha256 TEXT NOT NULL UNIQUE, kind TEXT NOT NULL,"
	"  path TEXT NOT NULL, package TEXT NOT NULL, version TEXT NOT NULL,"
	"  signature TEXT NOT NULL, blob TEXT NOT NULL, size INTEGER NOT NULL,"
	"  added INTEGER NOT NULL);"
	"CREATE TABLE item("
	"  source INTEGER NOT NULL REFERENCES source(id) ON DELETE CASCADE,"
	"  module TEXT NOT NULL, release TEXT NOT NULL, build_id TEXT NOT NULL,"
	"  banner TEXT NOT NULL, offset INTEGER NOT NULL, size INTEGER NOT NULL,"
	"  sha256 BLOB NOT NULL);"
	"CREATE INDEX item_source ON item(source);"
	"CREATE INDEX item_build ON item(build_id);"
	"CREATE INDEX item_module ON item(module, release);"
	"CREATE TABLE boot("
	"  id INTEGER PRIMARY KEY, guest TEXT NOT NULL, boot BLOB NOT NULL,"
	"  seen INTEGER NOT NULL, UNIQUE(guest, boot));"
	"CREATE TABLE record("
	"  boot INTEGER NOT NULL REFERENCES boot(id) ON DELETE CASCADE,"
	"  item TEXT NOT NULL, size INTEGER NOT NULL, sha256 BLOB NOT NULL,"
	"  data BLOB NOT NULL, PRIMARY KEY(boot, item));";

static const char *const steps[] = { schema };

static const struct database_kind store_kind = {
	.file = "store.db", .what = "the store", .steps = steps, .version = ARRAY_SIZE(steps),
	.blobs = true,
};

static int code_of(int sqlite)
{
	switch (sqlite & 0xff) {
	case SQLITE_NOMEM:
		return -ENOMEM;
	case SQLITE_CORRUPT:
	case SQLITE_NOTADB:
	case SQLITE_FORMAT:
	case SQLITE_ERROR:	/* tables that are not ours */
	case SQLITE_MISMATCH:
		return -EBADMSG;
	case SQLITE_BUSY:
	case SQLITE_LOCKED:
		return -EBUSY;
	case SQLITE_CANTOPEN:
	case SQLITE_PERM:
	case SQLITE_READONLY:
	case SQLITE_AUTH:
		return -EACCES;
	case SQLITE_FULL:
		return -ENOSPC;
	default:
		return -EIO;
	}
}

static int failed(struct database *database, int sqlite, struct err *err)
{
	int code = code_of(sqlite);

	return err_set(err, code, "%s%s: %s", database->kind->what,
		       code == -EBADMSG ? " is damaged" : "",
		       database->sqlite ? sqlite3_errmsg(database->sqlite) :
					  sqlite3_errstr(sqlite));
}

int database_run(struct database *database, const char *sql, struct err *err)
{
	int r = sqlite3_exec(database->sqlite, sql, NULL, NULL, NULL);

	return r == SQLITE_OK ? 0 : failed(database, r, err);
}

int database_begin(struct database *database, struct err *err)
{
	return database_run(database, "BEGIN IMMEDIATE", err);
}

int database_commit(struct database *database, struct err *err)
{
	return database_run(database, "COMMIT", err);
}

void database_undo(struct database *database)
{
	if (!sqlite3_get_autocommit(database->sqlite))
		sqlite3_exec(database->sqlite, "ROLLBACK", NULL, NULL, NULL);
}

bool database_is_moved(struct database *database)
{
	int moved = 0;

	return sqlite3_file_control(database->sqlite, "main", SQLITE_FCNTL_HAS_MOVED, &moved) ==
		       SQLITE_OK && moved;
}

static int bind_all(sqlite3_stmt *statement, const char *types, va_list args)
{
	int r = SQLITE_OK;

	for (int i = 1; *types && r == SQLITE_OK; types++, i++) {
		if (*types == 's') {
			r = sqlite3_bind_text(statement, i, va_arg(args, const char *), -1,
					      SQLITE_STATIC);
		} else if (*types == 'i') {
			r = sqlite3_bind_int64(statement, i, va_arg(args, int64_t));
		} else {
			const void *bytes = va_arg(args, const void *);

			r = sqlite3_bind_blob64(statement, i, bytes, va_arg(args, size_t),
						SQLITE_STATIC);
		}
	}
	return r;
}

static int prepare_va(struct database *database, sqlite3_stmt **ret, struct err *err,
		      const char *sql, const char *types, va_list args)
{
	int r = sqlite3_prepare_v2(database->sqlite, sql, -1, ret, NULL);

	if (r == SQLITE_OK)
		r = bind_all(*ret, types, args);
	if (r == SQLITE_OK)
		return 0;
	statement_end(ret);
	return failed(database, r, err);
}

int database_prepare(struct database *database, sqlite3_stmt **ret, struct err *err,
		     const char *sql, const char *types, ...)
{
	va_list args;
	int r;

	va_start(args, types);
	r = prepare_va(database, ret, err, sql, types, args);
	va_end(args);
	return r;
}

int database_step(struct database *database, sqlite3_stmt *statement, struct err *err)
{
	int r = sqlite3_step(statement);

	if (r == SQLITE_ROW)
		return 1;
	return r == SQLITE_DONE ? 0 : failed(database, r, err);
}

int database_do(struct database *database, struct err *err, const char *sql, const char *types,
		...)
{
	cleanup(statement_end) sqlite3_stmt *statement = NULL;
	va_list args;
	int r;

	va_start(args, types);
	r = prepare_va(database, &statement, err, sql, types, args);
	va_end(args);
	return r < 0 ? r : database_step(database, statement, err);
}

const char *statement_text(sqlite3_stmt *statement, int column)
{
	const char *text = (const char *)sqlite3_column_text(statement, column);

	return text ? text : "";
}

uint64_t statement_number(sqlite3_stmt *statement, int column)
{
	int64_t number = sqlite3_column_int64(statement, column);

	return number < 0 ? 0 : (uint64_t)number;
}

void statement_end(sqlite3_stmt **statement)
{
	sqlite3_finalize(*statement);
	*statement = NULL;
}

int database_lock(struct database *database, struct err *err)
{
	int fd = openat(database->dir, "lock", O_CREAT | O_RDWR | O_CLOEXEC | O_NOFOLLOW, 0600);

	if (fd < 0)
		return err_set(err, -errno, "the store's lock: %s", strerror(errno));
	while (flock(fd, LOCK_EX) < 0) {
		if (errno == EINTR)
			continue;
		close(fd);
		return err_set(err, -errno, "the store's lock: %s", strerror(errno));
	}
	return fd;
}

/* Who may write into it: those that the caller trusts anyway. */
static bool is_safe(const struct stat *st, bool create, const struct database_kind *kind)
{
	bool reader = kind->journal && !create && geteuid() == 0;

	return (st->st_uid == geteuid() || st->st_uid == 0 || reader) &&
	       !(st->st_mode & (S_IWGRP | S_IWOTH));
}

static int open_directory(const char *path, bool create, const struct database_kind *kind,
			  struct err *err)
{
	struct stat st;
	int fd;

	if (create && mkdir(path, 0700) < 0 && errno != EEXIST)
		return err_set(err, -errno, "the store '%s': %s", path, strerror(errno));
	fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return err_set(err, -errno, "the store '%s': %s", path, strerror(errno));
	if (fstat(fd, &st) < 0 || !is_safe(&st, create, kind)) {
		close(fd);
		return err_set(err, -EACCES, "the store '%s' is not safe: others may write into "
			       "it (it must be yours, mode 0700)", path);
	}
	if (create && kind->blobs && mkdirat(fd, "blobs", 0700) < 0 && errno != EEXIST) {
		int r = err_set(err, -errno, "the store '%s': %s", path, strerror(errno));

		close(fd);
		return r;
	}
	return fd;
}

/* The version of the tables that are there; 0: none are. */
static int schema_version(struct database *database, struct err *err)
{
	cleanup(statement_end) sqlite3_stmt *statement = NULL;
	uint64_t version;
	int r = database_prepare(database, &statement, err, "PRAGMA user_version", "");

	if (r >= 0)
		r = database_step(database, statement, err);
	if (r <= 0)
		return r;
	version = statement_number(statement, 0);
	if (version <= (uint64_t)database->kind->version)
		return (int)version;
	return err_set(err, -ENOTSUP, "%s is of a newer version of hvsm (%llu)",
		       database->kind->what, (unsigned long long)version);
}

/* Tables as this version has them? 1: they are still to be made, or to be changed. */
static int check_schema(struct database *database, bool create, struct err *err)
{
	int version = schema_version(database, err);

	if (version < 0 || version == database->kind->version)
		return version < 0 ? version : 0;
	if (create)
		return 1;
	return version ? err_set(err, -ENOTSUP, "%s is of an older version of hvsm (%d)",
				 database->kind->what, version) :
			 err_set(err, -ENOENT, "%s is empty", database->kind->what);
}

/* All steps that are left, or none of them. */
static int make_schema(struct database *database, struct err *err)
{
	char version[64];
	int from, r = database_begin(database, err);

	if (r < 0)
		return r;
	r = from = schema_version(database, err);  /* another process may have been quicker */
	for (int i = from; r >= 0 && i < database->kind->version; i++)
		r = database_run(database, database->kind->steps[i], err);
	snprintf(version, sizeof(version), "PRAGMA user_version = %d", database->kind->version);
	if (r >= 0)
		r = database_run(database, version, err);
	if (r >= 0)
		r = database_commit(database, err);
	if (r < 0)
		database_undo(database);
	return r;
}

/* How many bytes has a file that lies beside the database's? -1: it is not there. */
static off_t size_beside(struct database *database, const char *suffix)
{
	char name[64];
	struct stat st;

	snprintf(name, sizeof(name), "%s%s", database->kind->file, suffix);
	return fstatat(database->dir, name, &st, AT_SYMLINK_NOFOLLOW) < 0 ? -1 : st.st_size;
}

/*
 * How to read without changing anything: with the files of the write-ahead log, which the writer
 * leaves there, or where the log is empty as a file that nobody writes: a copy.
 */
static int reading(struct database *database, const char **ret, struct err *err)
{
	off_t log = size_beside(database, "-wal");

	if (log >= 0 && size_beside(database, "-shm") >= 0)
		*ret = "mode=ro&readonly_shm=1";
	else if (log <= 0)
		*ret = "immutable=1";
	else
		return err_set(err, -ENOTSUP, "%s is a copy without its file %s-shm",
			       database->kind->what, database->kind->file);
	return 0;
}

/* The name of the file for SQLite, which takes '?' and '#' for more than a name. */
static char *uri_of(const char *path, const char *file, const char *parameters)
{
	char *uri = NULL;
	size_t size;
	FILE *to = open_memstream(&uri, &size);

	if (!to)
		return NULL;
	fputs(*path == '/' ? "file://" : "file:", to);
	for (; *path; path++)
		if (strchr("?#%", *path))
			fprintf(to, "%%%02x", (unsigned char)*path);
		else
			putc(*path, to);
	fprintf(to, "/%s?%s", file, parameters);
	if (fclose(to)) {
		free(uri);
		return NULL;
	}
	return uri;
}

/* SQLite gives a new file's mode to those of its log, too. */
static int create_private(struct database *database, struct err *err)
{
	int fd = openat(database->dir, database->kind->file,
			O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC, 0600);

	if (fd < 0 && errno != EEXIST)
		return err_set(err, -errno, "%s: %s", database->kind->what, strerror(errno));
	if (fd >= 0)
		close(fd);
	return 0;
}

/* The log's files stay when the last one closes, so that whoever reads need not make them. */
static int begin_journal(struct database *database, struct err *err)
{
	int on = 1;

	sqlite3_file_control(database->sqlite, "main", SQLITE_FCNTL_PERSIST_WAL, &on);
	return database_run(database, "PRAGMA auto_vacuum = INCREMENTAL;"
			    "PRAGMA journal_mode = WAL; PRAGMA journal_size_limit = 4194304", err);
}

static int open_file(struct database *database, const char *path, bool create, struct err *err)
{
	int flags = database->writable ? SQLITE_OPEN_READWRITE : SQLITE_OPEN_READONLY, r = 0;
	const char *parameters = "";
	cleanup(freep) char *uri = NULL;

	if (!create && faccessat(database->dir, database->kind->file, F_OK, 0) < 0)
		return err_set(err, -errno, "%s '%s': %s", database->kind->what, path,
			       strerror(errno));
	if (database->kind->journal)
		r = create ? create_private(database, err) : reading(database, &parameters, err);
	if (r < 0)
		return r;
	uri = uri_of(path, database->kind->file, parameters);
	if (!uri)
		return err_set(err, -ENOMEM, "no memory for the store");
	r = sqlite3_open_v2(uri, &database->sqlite, flags | (create ? SQLITE_OPEN_CREATE : 0) |
			    SQLITE_OPEN_PRIVATECACHE | SQLITE_OPEN_URI, NULL);
	if (r != SQLITE_OK)
		return failed(database, r, err);
	sqlite3_extended_result_codes(database->sqlite, 1);
	sqlite3_busy_timeout(database->sqlite, BUSY_MS);
	r = database_run(database, "PRAGMA trusted_schema = OFF; PRAGMA cell_size_check = ON;"
			 "PRAGMA foreign_keys = ON; PRAGMA synchronous = FULL", err);
	return r >= 0 && database->kind->journal && create ? begin_journal(database, err) : r;
}

/* The file with its tables. */
static int open_tables(struct database *database, const char *path, bool create,
		       struct err *err)
{
	cleanup(fd_close) int lock = -1;
	int r;

	/* Who turns the log on while another one does so is told that it is busy, at once. */
	if (database->kind->journal && create) {
		lock = database_lock(database, err);
		if (lock < 0)
			return lock;
	}
	r = open_file(database, path, create, err);
	if (r >= 0)
		r = check_schema(database, create, err);
	return r > 0 ? make_schema(database, err) : r;
}

int database_open(const char *path, bool create, struct database **ret, struct err *err)
{
	return database_open_kind(path, create, &store_kind, ret, err);
}

int database_open_kind(const char *path, bool create, const struct database_kind *kind,
		       struct database **ret, struct err *err)
{
	cleanup(database_close) struct database *database = calloc(1, sizeof(*database));
	int r;

	if (!database)
		return err_set(err, -ENOMEM, "no memory for the store");
	database->kind = kind;
	database->dir = open_directory(path, create, kind, err);
	if (database->dir < 0)
		return database->dir;
	database->writable = create || (!kind->journal &&
					faccessat(database->dir, ".", W_OK, AT_EACCESS) == 0);
	r = open_tables(database, path, create, err);
	if (r < 0)
		return r;
	*ret = take_ptr(&database);
	return 0;
}

void database_close(struct database **database)
{
	if (!*database)
		return;
	sqlite3_close_v2((*database)->sqlite);
	if ((*database)->dir >= 0)
		close((*database)->dir);
	free(*database);
	*database = NULL;
}
