/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HVSM_REFERENCE_ARCHIVE_H
#define HVSM_REFERENCE_ARCHIVE_H

#include <stdbool.h>

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

/* The bytes of the file that is being visited; once. As archive_each(). */
nodiscard int archive_file_read(struct archive_file *file, size_t limit, struct blob *ret,
				struct err *err);

#endif
