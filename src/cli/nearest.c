/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/nearest.h"

#include <stdio.h>
#include <string.h>

/* Longer names than any command or check has; what is longer is near to nothing. */
#define NAME_MAX_BYTES 63

/* So many edits make a name another name. */
#define DISTANCE_MAX 3
#define NAMES_MAX    4

static size_t least(size_t a, size_t b, size_t c)
{
	size_t smaller = a < b ? a : b;

	return smaller < c ? smaller : c;
}

/* Levenshtein distance, one row at a time. */
static size_t distance(const char *a, const char *b)
{
	size_t row[NAME_MAX_BYTES + 1], a_n = strlen(a), b_n = strlen(b);

	if (a_n > NAME_MAX_BYTES || b_n > NAME_MAX_BYTES)
		return DISTANCE_MAX + 1;
	for (size_t j = 0; j <= b_n; j++)
		row[j] = j;
	for (size_t i = 1; i <= a_n; i++) {
		size_t diagonal = row[0];

		row[0] = i;
		for (size_t j = 1; j <= b_n; j++) {
			size_t above = row[j];

			row[j] = least(above + 1, row[j - 1] + 1,
				       diagonal + (a[i - 1] != b[j - 1]));
			diagonal = above;
		}
	}
	return row[b_n];
}

/* A part of a name, as "table" of "syscall-table", is nearer than any mistyping. */
static size_t far(const char *word, const char *name)
{
	if (strlen(word) >= 3 && strstr(name, word))
		return 0;
	return distance(word, name);
}

const char *nearest(const char *word, const char *(*name)(size_t i, const void *ctx),
		    size_t n, const void *ctx, char *buf, size_t size)
{
	size_t used = 0, names = 0;

	buf[0] = '\0';
	for (size_t d = 0; d <= DISTANCE_MAX; d++)
		for (size_t i = 0; i < n && names < NAMES_MAX; i++) {
			const char *candidate = name(i, ctx);
			int more;

			if (far(word, candidate) != d || d >= strlen(candidate))
				continue;
			more = snprintf(buf + used, size - used, "%s%s", names ? ", " : "",
					candidate);
			if (more < 0 || (size_t)more >= size - used) {
				buf[used] = '\0';
				return buf;
			}
			used += (size_t)more;
			names++;
		}
	return buf;
}
