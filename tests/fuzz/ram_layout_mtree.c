/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include "base/addr.h"
#include "ram/layout.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Whatever the monitor says, what comes of it is whole pages that do not overlap. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = calloc(1, size + 1);
	struct ram_layout layout;
	uint64_t end = 0;

	memcpy(text, data, size);
	if (layout_of_mtree(text, &layout, NULL) == 0) {
		for (size_t i = 0; i < layout.pieces.n; i++) {
			const struct piece *piece = &layout.pieces.v[i];
			if (piece->start < end || !piece->size_bytes ||
			    (piece->start | piece->size_bytes) % GUEST_PAGE_SIZE)
				abort();
			end = piece->start + (piece->size_bytes - 1);
		}
	}
	layout_free(&layout);
	free(text);
	return 0;
}
