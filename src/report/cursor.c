/* SPDX-License-Identifier: Apache-2.0 */
#include "report/cursor.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define DIGITS_MAX 18u	/* a number of SQLite's at most */
#define ID_DIGITS  (CURSOR_ID_MAX - 1)

/* How many of the characters are one of these. */
static size_t span(const char *text, size_t n, const char *these)
{
	size_t i = 0;

	while (i < n && text[i] && strchr(these, text[i]))
		i++;
	return i;
}

bool cursor_read(const char *text, size_t n, bool with_id, struct cursor *ret)
{
	size_t digits = span(text, n, "0123456789");
	struct cursor cursor = { 0 };

	if (!digits || digits > DIGITS_MAX)
		return false;
	for (size_t i = 0; i < digits; i++)
		cursor.seq = cursor.seq * 10 + (uint64_t)(text[i] - '0');
	if (!cursor.seq)
		return false;
	if (digits < n) {
		const char *id = text + digits + 1;

		if (!with_id || text[digits] != '-' || n - digits - 1 != ID_DIGITS ||
		    span(id, ID_DIGITS, "0123456789abcdef") != ID_DIGITS)
			return false;
		memcpy(cursor.id, id, ID_DIGITS);
	}
	*ret = cursor;
	return true;
}

char *cursor_text(const struct cursor *cursor, char *text)
{
	snprintf(text, CURSOR_TEXT_MAX, "%" PRIu64 "%s%s", cursor->seq, *cursor->id ? "-" : "",
		 cursor->id);
	return text;
}
