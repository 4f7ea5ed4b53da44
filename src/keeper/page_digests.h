/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HVSM_KEEPER_PAGE_DIGESTS_H
#define HVSM_KEEPER_PAGE_DIGESTS_H

#include "agent/format.h"
#include "base/map.h"
#include "base/vec.h"
#include "guest/view.h"

/*
 * Digests of physical pages. Each is read once for one instant, however many processes map it,
 * and SHA-256 is made only of what is not the same as when it was made last: that is told by a
 * hash that is faster and keyed, so that a guest cannot make a page that has the hash of another
 * (SipHash-2-4, with a key of this process).
 */
struct page_digest {
	uint64_t hash;			/* of the page's content, keyed */
	uint32_t instant;		/* when it was looked at last */
	uint8_t digest[AGENT_DIGEST_BYTES];
};

/* Start with {0}; give the memory back with page_digests_free(). */
struct page_digests {
	struct map index;		/* page number + 1 → place in @all */
	VEC(struct page_digest) all;
	uint32_t instant;
	uint8_t key[16];		/* drawn at the first use */
	uint64_t read;			/* pages read since the last page_digests_begin() */
	uint64_t hashed;		/* … of which SHA-256 was made */
};

/* A new instant: what was read before may have changed. */
void page_digests_begin(struct page_digests *digests);

/**
 * page_digests_get - SHA-256 of a physical page
 * @page:   its address
 * @digest: receives AGENT_DIGEST_BYTES
 *
 * Return: 0, -ENOMEM, or an error as view_copy_phys().
 */
nodiscard int page_digests_get(struct page_digests *digests, struct view *view, gpa page,
			       uint8_t *digest, struct err *err);

/* Of a page at hand. */
void page_digest_make(const uint8_t *page, uint8_t *digest);

void page_digests_free(struct page_digests *digests);

#endif
