/* SPDX-License-Identifier: Apache-2.0 */
#include "linux/types.h"

#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A path, terminated, and the types that it goes into. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *path = (const char *)data;
	struct field f = { .at = 77 };
	struct types *types = NULL;
	size_t n = strnlen(path, size);

	if (n == size || types_parse(data + n + 1, size - n - 1, &types, NULL) < 0)
		return 0;
	if (types_bytes(types) > size)
		abort();
	if (types_field(types, path, &f, NULL) < 0 ? f.there || f.at != 77 : !f.there)
		abort();
	for (uint32_t id = 0; id <= types_count(types) + 1; id++)
		(void)!types_field(types, types_name(types, id), &f, NULL);
	types_free(&types);
	return 0;
}
