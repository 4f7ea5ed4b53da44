/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HVSM_BASE_BYTES_H
#define HVSM_BASE_BYTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/*
 * A cursor over bytes that somebody else wrote. It never passes its end: the first read that
 * would makes it bad, a bad cursor yields zeros, and one question at the end of a chain of
 * reads (bytes_ok) tells whether all of them were inside. Little endian, like the guests.
 */
struct bytes {
	const uint8_t *at;
	size_t left;
	bool bad;
};

static inline struct bytes bytes_of(const void *data, size_t size_bytes)
{
	return (struct bytes){ data, size_bytes, false };
}

static inline bool bytes_ok(const struct bytes *b)
{
	return !b->bad;
}

/* The next @n bytes in place, or NULL (and a bad cursor) where fewer are left. */
static inline const uint8_t *bytes_take(struct bytes *b, size_t n)
{
	const uint8_t *at = b->at;

	if (b->bad || n > b->left) {
		b->bad = true;
		return NULL;
	}
	b->at += n;
	b->left -= n;
	return at;
}

static inline void bytes_copy(struct bytes *b, void *to, size_t n)
{
	const uint8_t *at = bytes_take(b, n);

	if (at)
		memcpy(to, at, n);
	else
		memset(to, 0, n);
}

static inline uint8_t bytes_u8(struct bytes *b)
{
	uint8_t v;

	bytes_copy(b, &v, sizeof(v));
	return v;
}

static inline uint16_t bytes_u16(struct bytes *b)
{
	uint16_t v;

	bytes_copy(b, &v, sizeof(v));
	return v;
}

static inline uint32_t bytes_u32(struct bytes *b)
{
	uint32_t v;

	bytes_copy(b, &v, sizeof(v));
	return v;
}

static inline uint64_t bytes_u64(struct bytes *b)
{
	uint64_t v;

	bytes_copy(b, &v, sizeof(v));
	return v;
}

/* A cursor over @n bytes from @from on of the whole; bad where they are not all inside. */
static inline struct bytes bytes_slice(const struct bytes *whole, size_t from, size_t n)
{
	struct bytes part = { NULL, 0, true };

	if (!whole->bad && from <= whole->left && n <= whole->left - from)
		part = bytes_of(whole->at + from, n);
	return part;
}

#endif
