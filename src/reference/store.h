/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HVSM_REFERENCE_STORE_H
#define HVSM_REFERENCE_STORE_H

#include "base/blob.h"
#include "base/vec.h"
#include "reference/identify.h"
#include "reference/reference.h"

/*
 * Known kernels and modules, unpacked once and kept in a directory (database.h). What one
 * package, file, or directory of bare files held is a source: one file of items that are
 * packed with zstd, each with its SHA-256, which is verified whenever it is read.
 */
struct store;

/* Where it is unless told otherwise. */
#define STORE_DEFAULT "/var/lib/hvsm"

/* As database_open(). */
nodiscard int store_open(const char *path, bool create, struct store **ret, struct err *err);

/* *@store becomes NULL. NULL is fine. */
void store_close(struct store **store);

/* What one source came to. */
struct store_added {
	struct reference_source source;
	bool known;		/* it was there already, and nothing was done */
	uint32_t kernels, modules;
};

struct store_addition {
	VEC(struct store_added) list;
};

/**
 * store_add - add what a file or directory holds
 * All of a source is added, or nothing of it. Waits for others that change the store.
 *
 * @signature: what is known of who vouches for a file that is a copy of a package, of which
 *             the name is recorded without the directory; NULL: what the file itself says
 * @ret: one for each source is added to its list, also before a failure; the caller's
 *
 * Return: 0, as package_each() for what is wrong with @path, -ENOENT (it holds no kernel and no
 *         module), or as database_open().
 */
nodiscard int store_add(struct store *store, const char *path, const char *signature,
			struct store_addition *ret, struct err *err);

/**
 * store_add_kernel - add a kernel that is unpacked already
 * As store_add(); 0 also where it is there already.
 */
nodiscard int store_add_kernel(struct store *store, const struct reference_source *source,
			       const struct blob *vmlinux, struct err *err);

/**
 * store_describe - what is known of a source's kernel
 * @ret: "" where it has none
 * Return: 0, -ENOENT (there is no such source), or as database_open().
 */
nodiscard int store_describe(struct store *store, const char *sha256, struct identified *ret,
			     struct err *err);

/**
 * store_kernel - the kernel with this build ID; one that came in a package, if there is
 * @sha256: of the source that it is to come from; "": of any
 * @ret:    the caller's, for blob_free()
 * Return: 0, -ENOENT, -EBADMSG (a damaged store), -ENOMEM, -EIO.
 */
nodiscard int store_kernel(struct store *store, const char *build_id, const char *sha256,
			   struct reference_source *source, struct identified *id,
			   struct blob *ret, struct err *err);

/* Does a module of this release lie in it? 1, 0, or an errno. */
nodiscard int store_has_modules(struct store *store, const char *release, struct err *err);

/* 1: this one; 0: look for another. @version: of the package that it came in, "": a file. */
typedef int store_choose_fn(const char *version, const char *build_id, void *ctx);

/**
 * store_module - a module by name and release
 * @choose: asked for each one, until it says yes
 * As store_kernel().
 */
nodiscard int store_module(struct store *store, const char *name, const char *release,
			   store_choose_fn *choose, void *ctx, struct blob *ret, struct err *err);

/* One source, as `hvsm reference list` shows it; texts are valid while it is visited. */
struct store_entry {
	struct reference_source source;
	char release[65];	/* of its kernel, else of its modules; "": unknown */
	char build_id[41];	/* of its kernel; "": it has none */
	uint64_t kernels, modules;
	uint64_t size_bytes;	/* that it takes in the store */
	uint64_t added_s;	/* since 1970 */
};

typedef int store_entry_fn(const struct store_entry *entry, void *ctx, struct err *err);

/* Visit all sources, by release and package. 0, what @visit returned, as database_open(). */
nodiscard int store_each(struct store *store, store_entry_fn *visit, void *ctx,
			 struct err *err);

/**
 * store_remove - forget a source
 * @id:  the first 4 or more hex digits of its SHA-256
 * @ret: receives what it was
 * Return: 0, -EINVAL (not such an ID), -ENOENT, -ENOTUNIQ (several begin so), as
 *         database_open().
 */
nodiscard int store_remove(struct store *store, const char *id, struct reference_source *ret,
			   struct err *err);

#endif
