/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HVSM_REFERENCE_TRUST_H
#define HVSM_REFERENCE_TRUST_H

#include "base/err.h"
#include "base/vec.h"
#include "reference/reference.h"

/*
 * Known-good programs: SHA-256 of what packages, golden directories and single files hold. Kept
 * in trust.db, beside the known kernels (store.h). A digest that is in it is vouched for by
 * whoever added its source, whatever name a guest has it under.
 *
 * Of a package and of a directory are taken, regular files only and never empty ones:
 *   - ELF files, by what they begin with: libraries have no permission to be executed on Debian;
 *   - kernel modules, by their name, as they lie there: also compressed;
 *   - scripts: what begins with "#!", and what is called like something that an interpreter
 *     runs or imports ("x.py", "x.pm", "x.rb", "x.lua", "x.php", "x.js", "x.sh", "x.jar" …);
 *   - everything else that somebody may execute.
 * A single file is taken whatever it is.
 */
struct trust;

#define TRUST_DIGEST_BYTES 32u

enum trust_kind {
	TRUST_OTHER,		/* named by itself */
	TRUST_ELF,
	TRUST_MODULE,
	TRUST_SCRIPT,
	TRUST_EXECUTABLE,	/* by its permissions alone */
};

/* "file", "ELF", "module", "script", "executable" */
const char *trust_kind_name(enum trust_kind kind);

/**
 * trust_open - open the trust store
 * @store:  directory of the store
 * @create: make what is not there
 *
 * Return: as database_open(); -ENOENT: nothing was ever added.
 */
nodiscard int trust_open(const char *store, bool create, struct trust **ret, struct err *err);

struct trust_known;

/* Somebody else who has the store: for a process that may open no file. */
struct trust_elsewhere {
	/*
	 * 1 and what it is, its texts malloc()ed; 0: not known; or an errno. Each digest is asked
	 * for once.
	 */
	int (*find)(void *ctx, const uint8_t digest[TRUST_DIGEST_BYTES], struct trust_known *ret,
		    struct err *err);
	int (*is_empty)(void *ctx, struct err *err);
	void *ctx;
};

/* A trust store that is with somebody else; @elsewhere is copied. 0, -ENOMEM. */
nodiscard int trust_ask(const struct trust_elsewhere *elsewhere, struct trust **ret,
			struct err *err);

/* *@trust becomes NULL. NULL is fine. */
void trust_close(struct trust **trust);

/* What one source came to. */
struct trust_added {
	struct reference_source source;
	bool known;		/* it was there already, and nothing was done */
	uint64_t files;
};

struct trust_addition {
	VEC(struct trust_added) list;
};

/**
 * trust_add - add what a package, directory or file holds
 * A package in a directory is a source of its own; the rest of the directory is one. Links are
 * not followed, nor are file systems entered that are mounted in the directory. All of a source
 * is added, or nothing of it, also where other processes add at the same time.
 *
 * @ret: one for each source is added to its list, also before a failure; the caller's
 *
 * Return: 0, -ENOENT (no such path, or nothing in it to be trusted), -EBADMSG (a damaged
 *         package; not a file), -ELOOP (over a limit: a decompression bomb), -ENOMEM, an error
 *         of reading files, or as database_open().
 */
nodiscard int trust_add(struct trust *trust, const char *path, struct trust_addition *ret,
			struct err *err);

/* A digest that is known. Lives as long as the trust store is open. */
struct trust_known {
	enum trust_kind kind;
	uint32_t mode;		/* permissions */
	uint64_t size_bytes;
	const char *path;	/* in its source. Whoever made the package chose it: escape it */
	const char *by;		/* "bash 5.2.15-2+b7", or the path of a directory or file */
};

/**
 * trust_find - is this digest known?
 * What was asked before is answered without the database, also where somebody added or removed
 * it since.
 *
 * @ret: receives the source that was added last; may be NULL
 * Return: 1, 0, -ENOMEM, -ELOOP (TRUST_ASKED_MAX), or as database_open().
 */
nodiscard int trust_find(struct trust *trust, const uint8_t digest[TRUST_DIGEST_BYTES],
			 const struct trust_known **ret, struct err *err);

/* Is nothing in it? 1, 0, or as database_open(). */
nodiscard int trust_is_empty(struct trust *trust, struct err *err);

/* One source, as `hvsm trust list` shows it; valid while it is visited. */
struct trust_entry {
	struct reference_source source;
	uint64_t files;
	uint64_t added_s;	/* since 1970 */
};

typedef int trust_entry_fn(const struct trust_entry *entry, void *ctx, struct err *err);

/* Visit all sources, by package and path. 0, what @visit returned, as database_open(). */
nodiscard int trust_each(struct trust *trust, trust_entry_fn *visit, void *ctx, struct err *err);

/* One file of a source. */
struct trust_file {
	uint8_t digest[TRUST_DIGEST_BYTES];
	enum trust_kind kind;
	uint32_t mode;
	uint64_t size_bytes;
	const char *path;
};

typedef int trust_file_fn(const struct trust_file *file, void *ctx, struct err *err);

/* Visit the files of a source, as they lie in it. As trust_each(). */
nodiscard int trust_each_file(struct trust *trust, const char *sha256, trust_file_fn *visit,
			      void *ctx, struct err *err);

/**
 * trust_remove - forget a source
 * @id:  the first 4 or more hex digits of its SHA-256
 * @ret: receives what it was
 * Return: 0, -EINVAL (not such an ID), -ENOENT, -ENOTUNIQ (several begin so), as
 *         database_open().
 */
nodiscard int trust_remove(struct trust *trust, const char *id, struct reference_source *ret,
			   struct err *err);

#endif
