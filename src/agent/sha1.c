/* SPDX-License-Identifier: Apache-2.0 */

#include "agent/sha1.h"

#include <endian.h>
#include <string.h>

#define BLOCK 64

static uint32_t rotate(uint32_t x, int n)
{
	return x << n | x >> (32 - n);
}

/* f and K of step @t. */
static uint32_t mix(int t, uint32_t b, uint32_t c, uint32_t d)
{
	if (t < 20)
		return ((b & c) | (~b & d)) + 0x5a827999;
	if (t < 40)
		return (b ^ c ^ d) + 0x6ed9eba1;
	if (t < 60)
		return ((b & c) | (b & d) | (c & d)) + 0x8f1bbcdc;
	return (b ^ c ^ d) + 0xca62c1d6;
}

static void add_block(uint32_t hash[5], const uint8_t block[BLOCK])
{
	uint32_t w[80], a = hash[0], b = hash[1], c = hash[2], d = hash[3], e = hash[4];

	memcpy(w, block, BLOCK);
	for (int t = 0; t < 16; t++)
		w[t] = be32toh(w[t]);
	for (int t = 16; t < 80; t++)
		w[t] = rotate(w[t - 3] ^ w[t - 8] ^ w[t - 14] ^ w[t - 16], 1);
	for (int t = 0; t < 80; t++) {
		uint32_t next = rotate(a, 5) + mix(t, b, c, d) + e + w[t];

		e = d;
		d = c;
		c = rotate(b, 30);
		b = a;
		a = next;
	}
	hash[0] += a;
	hash[1] += b;
	hash[2] += c;
	hash[3] += d;
	hash[4] += e;
}

void sha1(const uint8_t *data, size_t n, uint8_t digest[SHA1_BYTES])
{
	uint32_t hash[5] = { 0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476, 0xc3d2e1f0 };
	size_t whole = n - n % BLOCK, rest = n % BLOCK;
	uint8_t tail[2 * BLOCK] = {0};
	uint64_t bits = htobe64((uint64_t)n * 8);
	size_t tail_bytes = rest + 9 > BLOCK ? 2 * BLOCK : BLOCK;

	for (size_t at = 0; at < whole; at += BLOCK)
		add_block(hash, data + at);
	if (rest)
		memcpy(tail, data + whole, rest);
	tail[rest] = 0x80;
	memcpy(tail + tail_bytes - sizeof(bits), &bits, sizeof(bits));
	for (size_t at = 0; at < tail_bytes; at += BLOCK)
		add_block(hash, tail + at);
	for (int i = 0; i < 5; i++)
		hash[i] = htobe32(hash[i]);
	memcpy(digest, hash, SHA1_BYTES);
}
