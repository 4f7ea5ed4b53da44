/* SPDX-License-Identifier: Apache-2.0 */
#include "ram/maps.h"

#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/limits.h"

/* A number of at most 16 digits that ends at @end, which is taken as well. */
static uint64_t number(struct bytes *b, unsigned base, char end)
{
	uint64_t v = 0;

	for (unsigned digits = 0; digits <= 16; digits++) {
		unsigned char c = bytes_u8(b);
		unsigned digit;

		if (c == (unsigned char)end && digits)
			return v;
		if (c >= '0' && c <= '9')
			digit = c - '0';
		else if (c >= 'a' && c <= 'f')
			digit = c - 'a' + 10u;
		else
			break;
		if (digit >= base)
			break;
		v = v * base + digit;
	}
	b->bad = true;
	return 0;
}

/* One line, with a NUL in place of its newline. */
static bool parse_area(const char *line, size_t len, struct area *area)
{
	struct bytes b = bytes_of(line, len + 1);
	char rights[5] = "";

	area->start = number(&b, 16, '-');
	area->end = number(&b, 16, ' ');
	bytes_copy(&b, rights, 5);
	area->read = rights[0] == 'r';
	area->write = rights[1] == 'w';
	area->shared = rights[3] == 's';
	area->offset = number(&b, 16, ' ');
	area->major = (uint32_t)number(&b, 16, ':');
	area->minor = (uint32_t)number(&b, 16, ' ');
	/* Where no path follows, the inode may be the end. */
	area->inode = number(&b, 10, b.left && memchr(b.at, ' ', b.left) ? ' ' : '\0');
	if (!bytes_ok(&b))
		return false;
	while (b.left && *b.at == ' ')
		(void)bytes_u8(&b);
	area->path = b.left ? (const char *)b.at : "";
	return area->start < area->end && !((area->start | area->end) & 0xfff);
}

int maps_parse(char *text, size_t len, struct maps *maps, struct err *err)
{
	struct maps new = { 0 };
	char *at = text, *end = text + len;
	uint64_t last = 0;
	int r = 0;

	while (at < end && r == 0) {
		char *newline = memchr(at, '\n', (size_t)(end - at));
		size_t n = (size_t)((newline ? newline : end) - at);
		struct area area, *add;

		at[n] = '\0';
		if (!parse_area(at, n, &area) || area.start < last) {
			r = err_set(err, -EBADMSG, "line %zu of the maps file is not sound",
				    new.areas.n + 1);
		} else if (new.areas.n == MAPS_AREAS_MAX) {
			r = err_set(err, -ELOOP, "over %u mapped areas", MAPS_AREAS_MAX);
		} else {
			add = vec_add(&new.areas);
			if (add)
				*add = area;
			else
				r = -ENOMEM;
		}
		last = area.end;
		at += n + 1;
	}
	if (r < 0) {
		vec_free(&new.areas);
		return r;
	}
	new.text = text;
	*maps = new;
	return 0;
}

void maps_free(struct maps *maps)
{
	vec_free(&maps->areas);
	free(maps->text);
	maps->text = NULL;
}

static bool continues(const struct area *a, const struct area *b)
{
	return a->end == b->start && a->read == b->read && a->write == b->write &&
	       a->shared == b->shared && a->inode == b->inode && a->major == b->major &&
	       a->minor == b->minor &&
	       (!a->inode || a->offset + (a->end - a->start) == b->offset);
}

size_t maps_run(const struct maps *maps, size_t first)
{
	size_t i = first + 1;

	while (i < maps->areas.n && continues(&maps->areas.v[i - 1], &maps->areas.v[i]))
		i++;
	return i;
}

const struct area *maps_find(const struct maps *maps, uint64_t at)
{
	size_t low = 0, high = maps->areas.n;

	while (low < high) {
		size_t mid = low + (high - low) / 2;
		const struct area *area = &maps->areas.v[mid];

		if (at < area->start)
			high = mid;
		else if (at >= area->end)
			low = mid + 1;
		else
			return area;
	}
	return NULL;
}
