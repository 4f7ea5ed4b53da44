/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>

#include "ram/layout.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The pieces that a command line stands for are all of its RAM, and no two of them overlap. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct ram_layout layout = { 0 };
	uint64_t ram, sum = 0;
	struct qemu_args args;
	struct ram_range to[2];
	bool split;
	int r = qemu_args_parse((const char *)data, size, &args, NULL);

	ram = qemu_args_ram_bytes(&args);
	if (r == 0)
		r = layout_of_machine(args.machine, ram, args.max_below_4g, to, &split, NULL);
	if (r > 0 && layout_of_args(&args, to, r, &layout, NULL) == 0) {
		for (const struct piece *p = layout.pieces.v; sum < ram; sum += p++->size_bytes)
			if (p != layout.pieces.v && p[-1].start + p[-1].size_bytes > p->start)
				abort();
	}
	layout_free(&layout);
	qemu_args_free(&args);
	return 0;
}
