/* SPDX-License-Identifier: Apache-2.0 */
/*
 * LiME, version 1 (lime_mem_range_header of its src/lime.h): runs of memory, each behind a
 * header of 32 bytes. Little endian.
 */
#include <inttypes.h>

#include "base/bytes.h"
#include "base/limits.h"
#include "ram/image_map.h"

#define LIME_MAGIC	 0x4c694d45u	/* "EMiL" in the file */
#define LIME_HEADER_SIZE 32u

struct header {
	uint32_t magic, version;
	uint64_t first, last;
};

static int read_header(const struct image_source *source, uint64_t at, struct header *header,
		       struct err *err)
{
	uint8_t raw[LIME_HEADER_SIZE];
	struct bytes b;
	int r = image_source_read(source, at, raw, sizeof(raw), err);

	if (r < 0)
		return r;
	b = bytes_of(raw, sizeof(raw));
	header->magic = bytes_u32(&b);
	header->version = bytes_u32(&b);
	header->first = bytes_u64(&b);
	header->last = bytes_u64(&b);
	if (header->magic != LIME_MAGIC)
		return err_set(err, -EBADMSG, "no LiME header at %#" PRIx64 " of the file", at);
	if (header->version != 1)
		return err_set(err, -ENOTSUP, "LiME version %u: only 1 is supported",
			       header->version);
	if (header->last < header->first || header->last == UINT64_MAX)
		return err_set(err, -EBADMSG, "LiME range %#" PRIx64 "-%#" PRIx64 " cannot be",
			       header->first, header->last);
	return 0;
}

int image_lime(const struct image_source *source, struct image_map *map, struct err *err)
{
	uint64_t at = 0, size;

	map->format = "LiME";
	for (uint32_t n = 0; at < source->size_bytes; n++) {
		struct header header;
		int r;

		if (n == RAM_RANGES_MAX)
			return err_set(err, -ELOOP, "LiME of over %u ranges", RAM_RANGES_MAX);
		/* Cut within a header: how much came behind it is not known, but something. */
		if (n && source->size_bytes - at < LIME_HEADER_SIZE) {
			map->missing_bytes++;
			return 0;
		}
		r = read_header(source, at, &header, err);
		if (r < 0)
			return r == -EFAULT ? wrap(err, -EBADMSG, "LiME header") : r;
		at += LIME_HEADER_SIZE;
		r = image_map_add(map, source, header.first, header.last + 1, at, err);
		if (r < 0)
			return r;
		size = header.last - header.first + 1;
		if (size > source->size_bytes - at)
			return 0;	/* truncated here, and counted as missing */
		at += size;
	}
	return 0;
}
