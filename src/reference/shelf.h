/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HVSM_REFERENCE_SHELF_H
#define HVSM_REFERENCE_SHELF_H

#include "base/blob.h"
#include "base/err.h"
#include "base/vec.h"
#include "reference/package.h"

/*
 * Modules out of files that were named: those of packages lie, packed, in one nameless
 * temporary file, for a kernel's unpack to 0.5 GiB; bare files are read when asked for.
 */
struct shelf_module {
	char name[64];
	char version[64];	/* of its package; "": a bare file */
	char *path;		/* of a bare file; NULL: in the temporary file */
	uint64_t offset;
	size_t size_bytes;
};

struct shelf {
	VEC(struct shelf_module) modules;
	const char *place;	/* where that is made rather than in /var/tmp; NULL. Not ours */
	int fd;			/* the temporary file; -1: none yet */
	uint64_t end;
};

#define SHELF_EMPTY ((struct shelf){ .fd = -1 })

/* Keep a module. 0, -ELOOP, -ENOMEM, -EBADMSG, -EIO, or what open() says. */
nodiscard int shelf_add(struct shelf *shelf, struct packaged *module, struct err *err);

/**
 * shelf_get - a module, unpacked
 * @from: where to begin to look: 0; becomes where to go on, for another of that name
 * @version: receives that of its package, as long as @shelf is not changed
 * @ret:  the caller's, for blob_free()
 * Return: 0, -ENOENT (no more of that name), -EBADMSG, -ELOOP, -ENOMEM, -EIO.
 */
nodiscard int shelf_get(const struct shelf *shelf, const char *name, size_t *from,
			const char **version, struct blob *ret, struct err *err);

/* Free what it holds; it is SHELF_EMPTY then. */
void shelf_free(struct shelf *shelf);

#endif
