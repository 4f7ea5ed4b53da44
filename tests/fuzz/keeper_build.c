/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include "base/addr.h"
#include "base/cleanup.h"
#include "keeper/build.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What can be proved of it: each first page of a range can be compared, with any bias. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	cleanup(build_free) struct build *build = NULL;
	struct blob file = { malloc(size + 1), size };
	static const uint8_t page[GUEST_PAGE_SIZE];
	uint32_t where = 0;

	memcpy(file.data, data, size);
	if (build_read(&file, "fuzz", &build, NULL) < 0)
		return 0;
	for (size_t i = 0; i < build->ranges.n; i++) {
		const struct build_range *range = &build->ranges.v[i];

		if (range->kind != BUILD_DATA &&
		    !build_compare(build, range, range->start, 4096, page, &where) &&
		    where >= sizeof(page))
			abort();
	}
	return 0;
}
