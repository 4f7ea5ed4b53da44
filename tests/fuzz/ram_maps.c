/* SPDX-License-Identifier: Apache-2.0 */
#include "ram/maps.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What is taken for a maps file has ascending areas, and each of them is found. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = calloc(1, size + 1);
	struct maps maps;

	memcpy(text, data, size);
	if (maps_parse(text, size, &maps, NULL) < 0) {
		free(text);
		return 0;
	}
	for (size_t i = 0; i < maps.areas.n; i++) {
		const struct area *area = &maps.areas.v[i];

		if (area->start >= area->end || (i && area[-1].end > area->start) ||
		    maps_find(&maps, area->start) != area || maps_run(&maps, i) <= i ||
		    maps_run(&maps, i) > maps.areas.n || strlen(area->path) > size)
			abort();
	}
	maps_free(&maps);
	return 0;
}
