/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>

#include "base/limits.h"
#include "ram/image_map.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Whatever a file claims, every part of its memory lies in the file, and none in another. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct image_source source = { .fd = -1, .bytes = data, .size_bytes = size };
	struct image_map map = { 0 };
	uint64_t end = 0;

	if (image_elf(&source, &map, NULL) == 0 &&
	    image_map_finish(&map, &source, NULL) == 0) {
		for (size_t i = 0; i < map.parts.n; i++) {
			const struct image_part *part = &map.parts.v[i];

			if (part->start < end || !part->size_bytes || part->offset > size ||
			    part->size_bytes > size - part->offset)
				abort();
			end = part->start + part->size_bytes;
		}
		/* Of a core of Xen: no more than can be followed. */
		if (!map.frames != !map.frames_n || map.frames_n > MACHINE_FRAMES_MAX)
			abort();
	}
	image_map_free(&map);
	return 0;
}
