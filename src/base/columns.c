/* SPDX-License-Identifier: Apache-2.0 */
#include "base/columns.h"

#include <stdint.h>
#include <string.h>

#include "base/cleanup.h"

/* Blocks of wide characters (Unicode Standard Annex 11, East Asian Width W and F). */
static const struct {
	uint32_t first, last;
} wide[] = {
	{ 0x1100, 0x115f },	/* Hangul Jamo */
	{ 0x231a, 0x2bff },	/* symbols, of which some are wide */
	{ 0x2e80, 0xa4cf },	/* CJK … Yi */
	{ 0xa960, 0xa97f },	/* Hangul Jamo extended A */
	{ 0xac00, 0xd7a3 },	/* Hangul syllables */
	{ 0xf900, 0xfaff },	/* CJK compatibility ideographs */
	{ 0xfe10, 0xfe6f },	/* vertical, compatibility and small forms */
	{ 0xff00, 0xff60 },	/* full width forms */
	{ 0xffe0, 0xffe6 },
	{ 0x16fe0, 0x1b2ff },	/* Tangut, Kana supplements */
	{ 0x1f000, 0x1faff },	/* emoji */
	{ 0x20000, 0x3fffd },	/* CJK extensions */
};

/* The character at @text, which is valid UTF-8 and not empty, and its length. */
static uint32_t character_at(const char *text, size_t *length)
{
	static const uint8_t lead_bits[] = { 0, 0x7f, 0x1f, 0x0f, 0x07 };
	uint8_t lead = (uint8_t)text[0];
	uint32_t c;

	*length = lead < 0x80 ? 1 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
	c = lead & lead_bits[*length];
	for (size_t i = 1; i < *length; i++)
		c = c << 6 | ((uint8_t)text[i] & 0x3f);
	return c;
}

static size_t width(uint32_t character)
{
	for (size_t i = 0; i < ARRAY_SIZE(wide); i++)
		if (character >= wide[i].first && character <= wide[i].last)
			return 2;
	return 1;
}

size_t columns_of(const char *text)
{
	size_t columns = 0, length;

	for (; *text; text += length)
		columns += width(character_at(text, &length));
	return columns;
}

size_t columns_fit(const char *text, size_t columns)
{
	size_t bytes = 0, length;

	while (text[bytes]) {
		size_t more = width(character_at(text + bytes, &length));

		if (more > columns)
			break;
		columns -= more;
		bytes += length;
	}
	return bytes;
}
