/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HVSM_REFERENCE_UNPACK_H
#define HVSM_REFERENCE_UNPACK_H

#include <stdbool.h>

#include "base/blob.h"
#include "base/err.h"

/*
 * Compressed bytes, by what they begin with: gzip, bzip2, xz, lzma, zstd, lz4 (frames, and the
 * legacy format of the kernel). No program is run for it.
 */

/* Does it begin as one of these does? */
bool unpack_is_packed(const void *data, size_t size);

/**
 * unpack - decompress
 * @data:  of @size bytes, to the last one compressed; all frames that follow each other
 * @limit: most bytes that may come out
 * @ret:   the caller's, for blob_free()
 *
 * Return: 0, -EBADMSG (damaged, truncated, none of these formats), -ELOOP (more than @limit
 *         would come out: a decompression bomb), -ENOMEM.
 */
nodiscard int unpack(const void *data, size_t size, size_t limit, struct blob *ret,
		     struct err *err);

/* Add bytes to a blob that has room for @room; both grow. -ELOOP beyond @limit, -ENOMEM. */
nodiscard int unpack_append(struct blob *blob, size_t *room, const void *data, size_t size,
			    size_t limit, struct err *err);

#endif
