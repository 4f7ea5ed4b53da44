/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HVSM_REFERENCE_ARCHIVE_H
#define HVSM_REFERENCE_ARCHIVE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/blob.h"
#include "base/err.h"
#include "reference/reference.h"

/* Packages as archives (libarchive): a .deb is an ar of two tars, an .rpm a cpio. */
struct archive_file;	/* the file in it that is being visited */

/* Does the file begin as a package does? */
bool archive_is(int fd);

/* 0: go on; 1: enough; an errno. */
typedef int archive_fn(const char *path, struct archive_file *file, void *ctx, struct err *err);

/**
 * archive_each - visit every regular file of a package, in its order
 * @fd:     of the package, from its start on
 * @source: receives package, version and signature, before the first visit
 *
 * Return: 0, what @visit returned, -EBADMSG (damaged), -ELOOP (over a limit), -ENOMEM.
 */
nodiscard int archive_each(int fd, struct reference_source *source, archive_fn *visit, void *ctx,
			   struct err *err);

/* What the package says of it: permissions (07777). */
uint32_t archive_file_mode(const struct archive_file *file);

/* A negative return ends it. */
typedef int archive_block_fn(const void *data, size_t size, void *ctx, struct err *err);

/**
 * archive_file_blocks - the bytes of the file that is being visited, one behind the other; once
 * Return: 0, what @visit returned, or as archive_each().
 */
nodiscard int archive_file_blocks(struct archive_file *file, archive_block_fn *visit, void *ctx,
				  struct err *err);

/* The same as a whole; also once. As archive_each(). */
nodiscard int archive_file_read(struct archive_file *file, size_t limit, struct blob *ret,
				struct err *err);

#endif
