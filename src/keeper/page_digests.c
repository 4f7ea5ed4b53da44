/* SPDX-License-Identifier: Apache-2.0 */
#include "keeper/page_digests.h"

#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "base/limits.h"

_Static_assert(crypto_shorthash_KEYBYTES == sizeof(((struct page_digests *)NULL)->key), "key");
_Static_assert(crypto_shorthash_BYTES == sizeof(uint64_t), "hash");
_Static_assert(AGENT_PAGE_BYTES == GUEST_PAGE_SIZE, "pages");

void page_digests_begin(struct page_digests *digests)
{
	if (!digests->instant)
		randombytes_buf(digests->key, sizeof(digests->key));
	digests->instant++;
	digests->read = 0;
	digests->hashed = 0;
}

void page_digest_make(const uint8_t *page, uint8_t *digest)
{
	crypto_hash_sha256(digest, page, GUEST_PAGE_SIZE);
}

static void forget(struct page_digests *digests)
{
	vec_free(&digests->all);
	map_free(&digests->index);
}

/* The place of a page, a new one where there is none. */
static int place_of(struct page_digests *digests, gpa page, struct page_digest **ret)
{
	uint64_t number = (page.v >> GUEST_PAGE_SHIFT) + 1;
	struct page_digest *known;
	uint32_t i;

	if (map_get(&digests->index, number, &i)) {
		*ret = &digests->all.v[i];
		return 1;
	}
	/* So many that it is better to start over than to look for those that are not used. */
	if (digests->all.n == PAGE_DIGESTS_MAX)
		forget(digests);
	known = vec_add(&digests->all);
	if (!known || map_put(&digests->index, number, (uint32_t)digests->all.n - 1) < 0)
		return -ENOMEM;
	*ret = known;
	return 0;
}

int page_digests_get(struct page_digests *digests, struct view *view, gpa page, uint8_t *digest,
		     struct err *err)
{
	uint8_t buf[GUEST_PAGE_SIZE];
	struct page_digest *known;
	uint64_t hash;
	bool there;
	int r;

	r = place_of(digests, page, &known);
	if (r < 0)
		return r;
	there = r && known->instant;
	if (there && known->instant == digests->instant) {
		memcpy(digest, known->digest, AGENT_DIGEST_BYTES);
		return 0;
	}
	r = view_copy_phys(view, gpa_of(page.v & ~GUEST_PAGE_MASK), buf, sizeof(buf), err);
	if (r < 0)
		return r;
	crypto_shorthash((uint8_t *)&hash, buf, sizeof(buf), digests->key);
	digests->read++;
	if (!there || known->hash != hash) {
		page_digest_make(buf, known->digest);
		known->hash = hash;
		digests->hashed++;
	}
	known->instant = digests->instant;
	memcpy(digest, known->digest, AGENT_DIGEST_BYTES);
	return 0;
}

void page_digests_free(struct page_digests *digests)
{
	forget(digests);
	*digests = (struct page_digests){ 0 };
}
