/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HVSM_REFERENCE_OVERLAY_H
#define HVSM_REFERENCE_OVERLAY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/vec.h"

/*
 * What one image has otherwise than another one, which somebody else keeps: of a kernel that
 * patched itself in a hundred thousand places less than a megabyte.
 *
 * By pages, and in each of them runs: how many bytes are the same, how many differ, and these. Most
 * are one of few, the NOP of five bytes in place of a call, say: of such a word only its number.
 */
#define OVERLAY_WORDS	   64u
#define OVERLAY_WORD_BYTES 16u

struct overlay_word {
	uint8_t bytes[OVERLAY_WORD_BYTES];
	uint8_t n;
};

struct overlay {
	VEC(uint32_t) starts;	/* of each page's runs in packed */
	uint8_t *packed;
	size_t packed_bytes, packed_room;
	struct overlay_word words[OVERLAY_WORDS];
	unsigned words_n;
	struct overlay_seen *seen;	/* which may become words; until it is settled */
};

#define OVERLAY_PAGE_BYTES 4096u

/**
 * overlay_add - one page more
 * @was: @n bytes of the image that is kept
 * @now: … of the other one
 * @n:   OVERLAY_PAGE_BYTES, or less of the last page
 *
 * Return: 0, -ENOMEM.
 */
nodiscard int overlay_add(struct overlay *overlay, const uint8_t *was, const uint8_t *now,
			  size_t n);

/* No page follows: room for more is given back. */
void overlay_settle(struct overlay *overlay);

/**
 * overlay_apply - turn a copy of a part of the one image into that of the other
 * @from:  where in the image it begins
 * @bytes: the copy, @n bytes
 */
void overlay_apply(const struct overlay *overlay, uint64_t from, uint8_t *bytes, size_t n);

/* Is every page that [@from, @from + @n) touches the same? */
bool overlay_is_clear(const struct overlay *overlay, uint64_t from, size_t n);

/* What it takes itself. */
size_t overlay_bytes(const struct overlay *overlay);

void overlay_free(struct overlay *overlay);

#endif
