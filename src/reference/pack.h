/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HVSM_REFERENCE_PACK_H
#define HVSM_REFERENCE_PACK_H

#include <stdint.h>

#include <sodium.h>

#include "base/blob.h"
#include "base/err.h"

/*
 * One file of the store with packed items one behind the other (zstd frames): written to a
 * temporary name, and given its own SHA-256 as its name when it is complete and on the disk.
 */
struct pack {
	int dir;		/* "blobs" */
	int fd;
	char temporary[32];	/* "": it has its name, or there is none */
	uint64_t end;
	crypto_hash_sha256_state state;
};

#define PACK_NONE ((struct pack){ .dir = -1, .fd = -1 })

struct pack_item {
	uint64_t offset, size_bytes;
	unsigned char sha256[crypto_hash_sha256_BYTES];
};

/* Begin one. @store: descriptor of the store's directory. 0, or an errno. */
nodiscard int pack_begin(int store, struct pack *ret, struct err *err);

/* Add @plain, packed. 0, -ENOMEM, -ENOSPC, -EIO. */
nodiscard int pack_add(struct pack *pack, const struct blob *plain, struct pack_item *ret,
		       struct err *err);

/* It is complete. @name receives its name. 0, or an errno. */
nodiscard int pack_finish(struct pack *pack, char name[65], struct err *err);

/* What was not finished is gone. For cleanup(). */
void pack_end(struct pack *pack);

/**
 * pack_read - an item, unpacked
 * @limit: bytes that it may have
 * @ret:   the caller's, for blob_free()
 * Return: 0, -EBADMSG (damaged, or not there), -ENOMEM, -EIO.
 */
nodiscard int pack_read(int store, const char *name, const struct pack_item *item, size_t limit,
			struct blob *ret, struct err *err);

#endif
