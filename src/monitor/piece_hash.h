/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HVSM_MONITOR_PIECE_HASH_H
#define HVSM_MONITOR_PIECE_HASH_H

#include <stddef.h>
#include <stdint.h>

/*
 * A hash with a key, of 32 bits, that is as quick as memory is: enough to tell that something has
 * changed, where who changed it does not know the key. It is no proof of what something is.
 *
 * XXH3 of libxxhash, with a secret instead of its constants, by the widest registers there are.
 */

/* XXH3_SECRET_DEFAULT_SIZE of xxhash.h */
#define PIECE_KEY_BYTES 192u

struct piece_key {
	uint8_t v[PIECE_KEY_BYTES];
};

/* Drawn anew. */
void piece_key_draw(struct piece_key *key);

/**
 * piece_hash - of @n bytes, which somebody may change meanwhile
 *
 * Return: never PIECE_HASH_NONE.
 */
uint32_t piece_hash(const struct piece_key *key, const uint8_t *at, size_t n);

/* What nothing has for a hash. */
#define PIECE_HASH_NONE 0u

#endif
