/* SPDX-License-Identifier: Apache-2.0 */
#include "ram/image_map.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/addr.h"
#include "base/limits.h"

/* MAXPHYADDR of x86-64 is at most 52. */
#define PHYSICAL_END ((uint64_t)1 << 52)

int image_source_read(const struct image_source *source, uint64_t at, void *buf, size_t len,
		      struct err *err)
{
	uint8_t *to = buf;

	if (at > source->size_bytes || len > source->size_bytes - at)
		return err_set(err, -EFAULT, "the file ends before %#" PRIx64, at + len);
	if (source->fd < 0) {
		memcpy(to, source->bytes + at, len);
		return 0;
	}
	while (len) {
		ssize_t n = pread(source->fd, to, len, (off_t)at);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_set(err, -EIO, "the file at %#" PRIx64 ": %s", at,
				       strerror(errno));
		if (n == 0)
			return err_set(err, -EFAULT, "the file has become shorter");
		at += (uint64_t)n;
		to += n;
		len -= (size_t)n;
	}
	return 0;
}

/* Does @next go on where @part ends, or lie within it, with the same bytes of the file? */
static bool joins(const struct image_part *part, const struct image_part *next)
{
	return next->start - part->start <= part->size_bytes &&
	       next->offset - part->offset == next->start - part->start;
}

static void join(struct image_part *part, const struct image_part *next)
{
	uint64_t end = next->start - part->start + next->size_bytes;

	if (end > part->size_bytes)
		part->size_bytes = end;
}

int image_map_add(struct image_map *map, const struct image_source *source, uint64_t start,
		  uint64_t end, uint64_t offset, struct err *err)
{
	uint64_t skew = -start & GUEST_PAGE_MASK;
	struct image_part part, *last, *add;

	if (start >= end || end > PHYSICAL_END || offset > INT64_MAX - (end - start))
		return err_set(err, -EBADMSG, "memory at %#" PRIx64 "-%#" PRIx64 " cannot be",
			       start, end);
	end &= ~GUEST_PAGE_MASK;
	if (start + skew >= end)
		return 0;	/* not one whole page */
	part = (struct image_part){ start + skew, end - start - skew, offset + skew };
	if (part.offset >= source->size_bytes) {
		map->missing_bytes += part.size_bytes;
		return 0;
	}
	if (part.size_bytes > source->size_bytes - part.offset) {
		uint64_t there = (source->size_bytes - part.offset) & ~GUEST_PAGE_MASK;

		map->missing_bytes += part.size_bytes - there;
		part.size_bytes = there;
		if (!there)
			return 0;
	}
	last = map->parts.n ? &map->parts.v[map->parts.n - 1] : NULL;
	if (last && part.start >= last->start && joins(last, &part)) {
		join(last, &part);
		return 0;
	}
	add = vec_add(&map->parts);
	if (!add)
		return -ENOMEM;
	*add = part;
	return 0;
}

static int by_start(const void *a, const void *b)
{
	const struct image_part *x = a, *y = b;

	return (x->start > y->start) - (x->start < y->start);
}

int image_map_finish(struct image_map *map, struct err *err)
{
	size_t n = 0;

	if (!map->parts.n)
		return err_set(err, -EBADMSG, "%s without any memory in it", map->format);
	qsort(map->parts.v, map->parts.n, sizeof(*map->parts.v), by_start);
	for (size_t i = 1; i < map->parts.n; i++) {
		struct image_part *last = &map->parts.v[n];
		const struct image_part *part = &map->parts.v[i];

		if (joins(last, part))
			join(last, part);
		else if (part->start - last->start < last->size_bytes)
			return err_set(err, -EBADMSG, "%s with different contents for %#" PRIx64,
				       map->format, part->start);
		else
			map->parts.v[++n] = *part;
	}
	map->parts.n = n + 1;
	if (map->parts.n > RAM_RANGES_MAX)
		return err_set(err, -ELOOP, "%s of over %u ranges", map->format, RAM_RANGES_MAX);
	return 0;
}

void image_map_free(struct image_map *map)
{
	vec_free(&map->parts);
}
