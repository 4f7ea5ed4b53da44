/* SPDX-License-Identifier: Apache-2.0 */
#include "base/escape.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"

/* Characters that a terminal obeys, or that a reader cannot see. Sorted. */
static const struct {
	uint32_t first, last;
} unprintable[] = {
	{ 0x0000, 0x001f },	/* C0 */
	{ 0x007f, 0x009f },	/* DEL, C1 */
	{ 0x00ad, 0x00ad },	/* soft hyphen */
	{ 0x061c, 0x061c },	/* Arabic letter mark: bidirectional */
	{ 0x180e, 0x180e },	/* Mongolian vowel separator */
	{ 0x200b, 0x200f },	/* zero width; left-to-right and right-to-left mark */
	{ 0x2028, 0x202e },	/* separators; bidirectional embeddings and overrides */
	{ 0x2060, 0x206f },	/* word joiner, bidirectional isolates, deprecated controls */
	{ 0xfeff, 0xfeff },	/* byte order mark */
	{ 0xfff9, 0xfffb },	/* interlinear annotation */
	{ 0xe0000, 0xe007f },	/* tags */
};

static bool is_printable(uint32_t character)
{
	for (size_t i = 0; i < ARRAY_SIZE(unprintable); i++)
		if (character >= unprintable[i].first && character <= unprintable[i].last)
			return false;
	return true;
}

/* Lower-case hex only: it is the only form that escape() writes. */
static bool is_hex(char c)
{
	return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
}

static bool reads_as_escape(const uint8_t *text, size_t n)
{
	return n >= 4 && text[0] == '\\' && text[1] == 'x' && is_hex((char)text[2]) &&
	       is_hex((char)text[3]);
}

/* Length of the UTF-8 sequence that begins with @lead; 0: none does. */
static size_t utf8_length(uint8_t lead)
{
	if (lead < 0x80)
		return 1;
	if (lead >= 0xc2 && lead < 0xe0)
		return 2;
	if (lead >= 0xe0 && lead < 0xf0)
		return 3;
	if (lead >= 0xf0 && lead < 0xf5)
		return 4;
	return 0;
}

/*
 * Length of the well-formed UTF-8 sequence that @text begins with (n > 0), and its character;
 * 0: ill-formed. Overlong forms, surrogates and what lies beyond U+10FFFF are ill-formed.
 */
static size_t utf8_next(const uint8_t *text, size_t n, uint32_t *character)
{
	static const uint8_t lead_bits[] = { 0, 0x7f, 0x1f, 0x0f, 0x07 };
	static const uint32_t least[] = { 0, 0, 0x80, 0x800, 0x10000 };
	size_t length = utf8_length(text[0]);
	uint32_t c = text[0] & lead_bits[length];

	if (!length || length > n)
		return 0;
	for (size_t i = 1; i < length; i++) {
		if ((text[i] & 0xc0) != 0x80)
			return 0;
		c = c << 6 | (text[i] & 0x3f);
	}
	if (c < least[length] || (c >= 0xd800 && c < 0xe000) || c > 0x10ffff)
		return 0;
	*character = c;
	return length;
}

/* How many bytes of @text (n > 0) go together, and whether they may stay as they are. */
static size_t next_unit(const uint8_t *text, size_t n, bool *keep)
{
	uint32_t character;
	size_t length = utf8_next(text, n, &character);

	*keep = length && is_printable(character) && !reads_as_escape(text, n);
	return length ? length : 1;
}

size_t escape(const char *text, size_t n, char *buf, size_t size)
{
	static const char hex[] = "0123456789abcdef";
	const uint8_t *in = (const uint8_t *)text;
	size_t out = 0, length;
	bool keep;

	for (; n; in += length, n -= length) {
		length = next_unit(in, n, &keep);
		if ((keep ? length : 4 * length) >= size - out)
			break;
		for (size_t i = 0; i < length; i++) {
			if (keep) {
				buf[out++] = (char)in[i];
				continue;
			}
			buf[out++] = '\\';
			buf[out++] = 'x';
			buf[out++] = hex[in[i] >> 4];
			buf[out++] = hex[in[i] & 0xf];
		}
	}
	buf[out] = '\0';
	return out;
}

bool escape_needless(const char *text, size_t n)
{
	const uint8_t *in = (const uint8_t *)text;
	uint32_t character;
	size_t length;

	for (; n; in += length, n -= length) {
		length = utf8_next(in, n, &character);
		if (!length || !is_printable(character))
			return false;
	}
	return true;
}

char *escape_dup(const char *text)
{
	size_t n = strlen(text), size;
	char *buf;

	if (__builtin_mul_overflow(n, (size_t)4, &size) || __builtin_add_overflow(size, 1, &size))
		return NULL;
	buf = malloc(size);
	if (buf)
		escape(text, n, buf, size);
	return buf;
}

char *escape_once(const char *text)
{
	return escape_needless(text, strlen(text)) ? strdup(text) : escape_dup(text);
}
