/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>

#include "base/cleanup.h"
#include "reference/unpack.h"

#define LIMIT (1u << 20)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Whatever is packed in it: not more comes out than was asked for. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	cleanup(blob_free) struct blob plain = {0};

	if (unpack(data, size, LIMIT, &plain, NULL) == 0 && plain.size > LIMIT)
		abort();
	return 0;
}
