/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HVSM_REFERENCE_SITES_H
#define HVSM_REFERENCE_SITES_H

#include "base/vec.h"
#include "reference/shipped.h"

/*
 * The places that a kernel patches in its code. There are a hundred and fifty thousand of them, and
 * each scanner has them for as long as it runs: so they are packed once all are known, to three
 * bytes each.
 */

/* A place that the kernel patches, and by which table. */
struct site {
	gva at;
	uint8_t size_bytes;
	uint8_t kind;		/* enum shipped_table, or SITE_* */
	uint32_t entry;		/* offset of its entry in that table, where site_has_entry() */
};

enum {
	SITE_RUNTIME = SHIPPED_TABLES,	/* a constant filled in at boot */
	SITE_TRAMPOLINE,		/* __SCT__*: of a static call */
	SITE_FTRACE_CALL,		/* the calls inside of ftrace's own trampolines */
	SITE_KINDS,
};

#define SITE_BYTES_MAX 255u

/* Of which kinds is it asked for, once the places are known? Of others it is not kept. */
static inline bool site_has_entry(unsigned kind)
{
	return kind == TABLE_JUMPS || kind == TABLE_STATIC_CALLS || kind == SITE_TRAMPOLINE;
}

/* Those of one page: up to where those of the next one begin. */
struct sites_page {
	uint32_t page;		/* from that of the first place on */
	uint32_t first;		/* into places */
	uint32_t entry;		/* … and into entries, of the first that has one */
};

struct sites {
	VEC(struct site) list;	/* while they are collected; empty after sites_pack() */

	VEC(struct sites_page) pages;
	uint16_t *places;	/* the kind above the offset in the page */
	uint8_t *sizes;
	uint32_t *entries;
	size_t n, entries_n;
	gva start;		/* of the first page */
	uint64_t moved;		/* each lies so much higher than it says */
	bool borrowed;		/* all this is another one's */
};

/* One place more; 0, -ENOMEM. */
nodiscard int sites_add(struct sites *sites, gva at, size_t size_bytes, unsigned kind,
			uint32_t entry);

/**
 * sites_pack - all of them were added
 * Only now they can be walked over. Several may cover one byte.
 *
 * Return: 0, -EBADMSG (they lie terabytes apart), -ENOMEM.
 */
nodiscard int sites_pack(struct sites *sites, struct err *err);

/* Where a walk over them is; {0}: before the first one. */
struct sites_at {
	size_t page, i, entry;
};

/* Before the first that may reach to @at: none is larger than SITE_BYTES_MAX. */
struct sites_at sites_from(const struct sites *sites, gva at);

/* The next one, ascending by address, then by kind; false: there is none. */
bool sites_next(const struct sites *sites, struct sites_at *at, struct site *ret);

/* Has @b what @a has, @moved bytes higher? */
bool sites_same(const struct sites *a, const struct sites *b, uint64_t moved);

/* What they take. */
size_t sites_bytes(const struct sites *sites);

/* Zeroed, too. */
void sites_free(struct sites *sites);

#endif
