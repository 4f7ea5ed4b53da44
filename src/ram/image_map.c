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

/* Of those that start together, the longest first: the others lie inside it. */
static int by_start(const void *a, const void *b)
{
	const struct image_part *x = a, *y = b;

	if (x->start != y->start)
		return x->start > y->start ? 1 : -1;
	return (x->size_bytes < y->size_bytes) - (x->size_bytes > y->size_bytes);
}

/* Are bytes [@a, @a + @len) of the file the same as those from @b on? 0, or -EBADMSG, -EIO. */
static int compare(const struct image_source *source, uint64_t a, uint64_t b, uint64_t len,
		   struct err *err)
{
	uint8_t one[4096], other[4096];

	while (len) {
		size_t n = len < sizeof(one) ? (size_t)len : sizeof(one);
		int r = image_source_read(source, a, one, n, err);

		if (r == 0)
			r = image_source_read(source, b, other, n, err);
		if (r == 0 && memcmp(one, other, n) != 0)
			r = err_set(err, -EBADMSG, "two different contents for one address");
		if (r < 0)
			return r;
		a += n;
		b += n;
		len -= n;
	}
	return 0;
}

/* @part begins within @last, but not with the same bytes of the file. */
static int check_twice(const struct image_source *source, const struct image_part *last,
		       const struct image_part *part, uint64_t *budget, struct err *err)
{
	uint64_t inside = part->start - last->start;

	if (part->size_bytes > last->size_bytes - inside)
		return err_set(err, -EBADMSG, "parts that overlap at %#" PRIx64, part->start);
	if (part->size_bytes > *budget)
		return err_set(err, -ELOOP, "over %u MiB of memory twice", IMAGE_TWICE_MAX >> 20);
	*budget -= part->size_bytes;
	return compare(source, last->offset + inside, part->offset, part->size_bytes, err);
}

int image_map_finish(struct image_map *map, const struct image_source *source, struct err *err)
{
	uint64_t budget = IMAGE_TWICE_MAX;
	size_t n = 0;
	int r;

	if (!map->parts.n)
		return err_set(err, -EBADMSG, "%s without any memory in it", map->format);
	qsort(map->parts.v, map->parts.n, sizeof(*map->parts.v), by_start);
	for (size_t i = 1; i < map->parts.n; i++) {
		struct image_part *last = &map->parts.v[n];
		const struct image_part *part = &map->parts.v[i];

		if (joins(last, part)) {
			join(last, part);
		} else if (part->start - last->start < last->size_bytes) {
			r = check_twice(source, last, part, &budget, err);
			if (r < 0)
				return wrap(err, r, "%s", map->format);
		} else {
			map->parts.v[++n] = *part;
		}
	}
	map->parts.n = n + 1;
	if (map->parts.n > RAM_RANGES_MAX)
		return err_set(err, -ELOOP, "%s of over %u ranges", map->format, RAM_RANGES_MAX);
	return 0;
}

void image_map_free(struct image_map *map)
{
	vec_free(&map->parts);
	vec_free(&map->cpus);
	free(map->frames);
	map->frames = NULL;
}
