/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HVSM_LINUX_KALLSYMS_H
#define HVSM_LINUX_KALLSYMS_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

/*
 * The packed form of the kernel's symbol table in a copy of its image: where its parts lie
 * and how to unpack them. What callers use is symbols.h; this is its first half.
 *
 * The parts (scripts/kallsyms.c): a count, names packed as token numbers behind their
 * length, a marker (offset into the names) for every 256th name, 256 tokens with an index,
 * an offset per symbol and, in most kernels, the base that the offsets count from.
 */
struct kallsyms {
	const uint8_t *image;	/* the caller's copy */
	size_t size;
	gva text;		/* guest address of image[0] */

	size_t tokens;		/* places in the image, in bytes from its start */
	size_t tokens_end;
	size_t index;
	size_t names;
	size_t names_end;
	size_t offsets;
	uint32_t n;
	enum {
		/* ≥ 0: absolute, < 0: base - 1 - offset (CONFIG_KALLSYMS_ABSOLUTE_PERCPU) */
		OFFSETS_PERCPU,
		OFFSETS_BASE,	/* base + (u32)offset */
		OFFSETS_SELF,	/* address of the offset itself + offset */
	} encoding;
	uint32_t work;		/* steps of the search so far */
	bool long_names;	/* lengths from 128 on take two bytes (73bbb94466fd, 6.1) */
	const char *layout;	/* for a person */
};

/**
 * kallsyms_find - where the parts lie
 * As symbols_parse().
 */
nodiscard int kallsyms_find(const void *image, size_t size, gva text, struct kallsyms *ret,
			    struct err *err);

/**
 * kallsyms_unpack - all symbols
 * @at:   receives k->n addresses
 * @name: receives k->n offsets into @pool; one byte before each name stands its type
 * @pool: receives the NUL-terminated names; the caller frees
 *
 * Return: 0, -EBADMSG (a name leaves the table or is too long), -ENOMEM.
 */
nodiscard int kallsyms_unpack(const struct kallsyms *k, uint64_t *at, uint32_t *name,
			      char **pool, struct err *err);

#endif
