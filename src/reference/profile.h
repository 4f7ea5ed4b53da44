/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HVSM_REFERENCE_PROFILE_H
#define HVSM_REFERENCE_PROFILE_H

#include "base/blob.h"
#include "linux/kernel.h"
#include "reference/relocations.h"

/*
 * The symbols, types and relocations of a kernel as it was shipped, unpacked once for all who watch
 * guests of that build: as bytes that each of them uses where they lie.
 */
struct profile {
	gva text;		/* where _text was linked to: so are the symbols */
	struct symbols *symbols;
	struct types *types;
	struct relocations relocations;	/* of its image */
};

/**
 * profile_make - take them out of a kernel
 * @vmlinux: a hostile file
 * @ret:     the caller's, for blob_free()
 *
 * Return: 0, -ENOENT (no symbols or types), or as vmlinux_pristine(), symbols_parse() and
 *         types_parse().
 */
nodiscard int profile_make(const struct blob *vmlinux, struct blob *ret, struct err *err);

/**
 * profile_read - use them
 * @data: aligned to eight bytes; must outlive all that is made of @ret, and does not change
 * @ret:  for profile_free()
 *
 * Return: 0, -EBADMSG (no profile; nothing leads out of one that is), -ENOTSUP, -ELOOP, -ENOMEM.
 */
nodiscard int profile_read(const void *data, size_t size, struct profile *ret, struct err *err);
void profile_free(struct profile *profile);

/**
 * profile_adopt - let a guest's kernel use them in place of its own
 * Where they are the same, to the last symbol and byte; else nothing happens. To be called before
 * anything was looked up that is still used. The kernel must not be used after the profile's bytes
 * are gone, but may be closed.
 *
 * Return: 0, -ENOMEM.
 */
nodiscard int profile_adopt(const struct profile *profile, struct kernel *kernel);

#endif
