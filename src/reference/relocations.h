/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HVSM_REFERENCE_RELOCATIONS_H
#define HVSM_REFERENCE_RELOCATIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/vec.h"

struct bytes;
struct writer;

/* A number in the image that moves with it. */
struct relocation {
	uint32_t at;		/* offset into the image */
	uint8_t size_bytes;	/* 4 or 8 */
	bool inverse;		/* it becomes less when the image moves up */
};

/* All of them, by pages; there are a hundred thousand, which all scanners have. */
struct relocations {
	VEC(uint32_t) pages;	/* of each page the first one in list; then how many there are */
	VEC(uint16_t) list;	/* ascending: where in its page, and RELOCATION_* */
	bool borrowed;		/* both are somebody else's */
};

/* Where a walk over all of them is; begins as {0}. */
struct relocations_at {
	size_t page, i;
};

/* The next one; false: there is none. */
bool relocations_next(const struct relocations *relocations, struct relocations_at *at,
		      struct relocation *ret);

/**
 * relocations_pack - all of them at once, in any order
 * @ret: zeroed; for relocations_free(), whatever came back
 *
 * Return: 0, -EBADMSG (some overlap), -ENOMEM.
 */
nodiscard int relocations_pack(const struct relocation *relocations, size_t n,
			       struct relocations *ret, struct err *err);

/* Zeroed, too. */
void relocations_free(struct relocations *relocations);

/**
 * relocations_apply - move a part of an image
 * @from, @n: which part, by offset; what straddles its ends is left alone
 * @bytes:    the caller's copy of it
 * @by:       how far the image is moved up
 */
void relocations_apply(const struct relocations *relocations, uint64_t from, uint8_t *bytes,
		       size_t n, uint64_t by);

/*
 * As bytes, which are used where they lie: aligned to eight, and for as long as what was read.
 * relocations_read(): 0, -EBADMSG.
 */
size_t relocations_written_max(const struct relocations *relocations);
void relocations_write(const struct relocations *relocations, struct writer *w);
nodiscard int relocations_read(struct bytes *b, struct relocations *ret, struct err *err);

#endif
