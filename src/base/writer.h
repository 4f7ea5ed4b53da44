/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HVSM_BASE_WRITER_H
#define HVSM_BASE_WRITER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/bytes.h"

/*
 * The other half of struct bytes: a cursor that writes into a buffer of the caller's. It never
 * passes its end: the first write that would makes it bad, and one question at the end of a
 * chain of writes (writer_ok) tells whether all of them fitted. Little endian.
 */
struct writer {
	uint8_t *data;
	size_t n, room;
	bool bad;
};

static inline struct writer writer_of(void *data, size_t room)
{
	return (struct writer){ data, 0, room, false };
}

static inline bool writer_ok(const struct writer *w)
{
	return !w->bad;
}

static inline void write_bytes(struct writer *w, const void *data, size_t n)
{
	if (w->bad || n > w->room - w->n) {
		w->bad = true;
		return;
	}
	if (n)
		memcpy(w->data + w->n, data, n);
	w->n += n;
}

static inline void write_u8(struct writer *w, uint8_t v)
{
	write_bytes(w, &v, sizeof(v));
}

static inline void write_u32(struct writer *w, uint32_t v)
{
	write_bytes(w, &v, sizeof(v));
}

static inline void write_u64(struct writer *w, uint64_t v)
{
	write_bytes(w, &v, sizeof(v));
}

/* To the next multiple of eight. */
static inline void write_aligned(struct writer *w)
{
	static const uint8_t zeros[8];

	write_bytes(w, zeros, -w->n & 7);
}

static inline void bytes_align(struct bytes *b)
{
	bytes_take(b, -(uintptr_t)b->at & 7);
}

/* A string: its length, its bytes, and a NUL. NULL is another thing than "". */
static inline void write_text(struct writer *w, const char *text)
{
	size_t n = text ? strlen(text) : 0;

	if (n >= UINT32_MAX) {
		w->bad = true;
		return;
	}
	write_u32(w, text ? (uint32_t)n : UINT32_MAX);
	if (text)
		write_bytes(w, text, n + 1);
}

/**
 * bytes_text - the string that write_text() wrote, in place
 *
 * Return: it, terminated, without a NUL before its end; NULL: none was written, or (and then
 *         the cursor is bad) there is no such string.
 */
static inline const char *bytes_text(struct bytes *b)
{
	uint32_t n = bytes_u32(b);
	const uint8_t *at;

	if (b->bad || n == UINT32_MAX)
		return NULL;
	at = bytes_take(b, (size_t)n + 1);
	if (!at || memchr(at, 0, (size_t)n + 1) != at + n) {
		b->bad = true;
		return NULL;
	}
	return (const char *)at;
}

/* Was all of it read, and all of it there? */
static inline bool bytes_at_end(const struct bytes *b)
{
	return !b->bad && !b->left;
}

#endif
