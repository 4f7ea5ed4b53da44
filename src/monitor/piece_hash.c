/* SPDX-License-Identifier: Apache-2.0 */
#include "monitor/piece_hash.h"

#include <sodium.h>
#include <xxh_x86dispatch.h>

_Static_assert(PIECE_KEY_BYTES >= XXH3_SECRET_SIZE_MIN, "as long as it has to be");

void piece_key_draw(struct piece_key *key)
{
	randombytes_buf(key, sizeof(*key));
}

uint32_t piece_hash(const struct piece_key *key, const uint8_t *at, size_t n)
{
	uint32_t hash = (uint32_t)XXH3_64bits_withSecret_dispatch(at, n, key->v, sizeof(key->v));

	return hash == PIECE_HASH_NONE ? PIECE_HASH_NONE + 1 : hash;
}
