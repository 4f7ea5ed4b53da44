/* SPDX-License-Identifier: Apache-2.0 */
#include "base/hash.h"

#include <string.h>
#include <sys/auxv.h>

#define GOLDEN 0x9e3779b97f4a7c15ull

/* The kernel gives every process random bytes at exec(2). */
uint64_t hash_secret(void)
{
	static uint64_t secret;		/* two threads that find it 0 write the same */

	if (!secret) {
		const void *random = (const void *)getauxval(AT_RANDOM);
		uint64_t word = GOLDEN;

		if (random)
			memcpy(&word, random, sizeof(word));
		secret = word | 1;
	}
	return secret;
}

/* Both halves of the product, so that each bit of it depends on each of the factors'. */
static uint64_t fold(uint64_t a, uint64_t b)
{
	unsigned __int128 product = (unsigned __int128)a * b;

	return (uint64_t)product ^ (uint64_t)(product >> 64);
}

uint64_t hash_bytes(const void *data, size_t len, uint64_t secret)
{
	const uint8_t *at = data;
	uint64_t hash = fold(secret + len, GOLDEN), word;

	for (; len > sizeof(word); at += sizeof(word), len -= sizeof(word)) {
		memcpy(&word, at, sizeof(word));
		hash = fold(hash ^ word, GOLDEN);
	}
	word = 0;
	memcpy(&word, at, len);
	return fold(hash ^ word, GOLDEN);
}
