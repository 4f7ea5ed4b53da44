/* SPDX-License-Identifier: Apache-2.0 */
#include "ram/qemu_args.h"

#include <stdlib.h>

#include "ram/layout.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The pieces that a command line stands for are all of its RAM, and no two of them overlap. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct ram_layout layout = { 0 };
	uint64_t sum = 0, end = 0;
	struct qemu_args args;

	if (qemu_args_parse((const char *)data, size, &args, NULL) == 0 &&
	    layout_of_args(&args, &layout, NULL) == 0) {
		for (size_t i = 0; i < layout.pieces.n; sum += layout.pieces.v[i++].size_bytes) {
			if (layout.pieces.v[i].start < end)
				abort();
			end = layout.pieces.v[i].start + layout.pieces.v[i].size_bytes;
		}
		if (sum != qemu_args_ram_bytes(&args))
			abort();
	}
	layout_free(&layout);
	qemu_args_free(&args);
	return 0;
}
