/* SPDX-License-Identifier: Apache-2.0 */
#include "monitor/piece_hash.h"

#include <sodium.h>
#include <string.h>

/*
 * As many parts are hashed side by side. What bounds the speed is memory, which a processor fetches
 * ahead in each of several places by itself, within a page.
 */
#define STREAMS 8u
#define LINE_BYTES 64u
#define LINE_WORDS (LINE_BYTES / sizeof(uint64_t))

_Static_assert(STREAMS * LINE_BYTES == PIECE_HASH_BYTES, "a line of each");
_Static_assert(LINE_WORDS + STREAMS == sizeof(struct piece_key) / sizeof(uint64_t), "one for each");

void piece_key_draw(struct piece_key *key)
{
	randombytes_buf(key, sizeof(*key));
}

/* Both halves of the product, so that each bit of it depends on each of the factors'. */
static uint64_t fold(uint64_t a, uint64_t b)
{
	unsigned __int128 product = (unsigned __int128)a * b;

	return (uint64_t)product ^ (uint64_t)(product >> 64);
}

static uint64_t mix(uint64_t stream, const uint8_t *line, const uint64_t *key)
{
	uint64_t word[LINE_WORDS], sum = 0;

	memcpy(word, line, sizeof(word));
	for (size_t i = 0; i < LINE_WORDS / 2; i += 2)
		sum ^= fold(word[i] ^ key[i], word[i + 1] ^ key[i + 1]);
	for (size_t i = LINE_WORDS / 2; i < LINE_WORDS; i += 2)
		stream ^= fold(word[i] ^ key[i], word[i + 1] ^ key[i + 1]);
	return fold(stream ^ key[LINE_WORDS], sum ^ key[LINE_WORDS + 1]);
}

uint32_t piece_hash(const struct piece_key *key, const uint8_t *at, size_t n)
{
	uint64_t stream[STREAMS], all = n;
	size_t part = n / STREAMS;

	memcpy(stream, key->v + LINE_WORDS, sizeof(stream));
	for (size_t i = 0; i < part; i += LINE_BYTES)
		for (size_t j = 0; j < STREAMS; j++)
			stream[j] = mix(stream[j], at + j * part + i, key->v);
	for (size_t j = 0; j < STREAMS; j++)
		all = fold(all ^ stream[j], key->v[j]);
	return (uint32_t)all == PIECE_HASH_NONE ? PIECE_HASH_NONE + 1 : (uint32_t)all;
}
