/* SPDX-License-Identifier: Apache-2.0 */
#include "reference/vmlinux.h"

#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"

#define TEXT  0xffffffff81000000ull
#define MOVED 0x200000u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* An image is loaded, or refused; moved afterwards, it is what is loaded elsewhere. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct blob file = { malloc(size ? size : 1), size };
	struct shipped here = {0}, there = {0};
	struct relocations list = {0};
	struct relocations_at walk = {0};
	struct relocation next;
	uint32_t last = 0;
	size_t found = 0;
	bool same = true;

	memcpy(file.data, data, size);
	if (vmlinux_load(&file, gva_of(TEXT), &here, &list, NULL) >= 0 &&
	    vmlinux_load(&file, gva_of(TEXT + MOVED), &there, NULL, NULL) >= 0 &&
	    here.parts.v[0].size_bytes < 1u << 20) {
		while (relocations_next(&list, &walk, &next)) {	/* no two of one number */
			same &= !found || next.at - last >= 8;
			last = next.at;
			found++;
		}
		if (found != list.list.n)
			abort();
		relocations_apply(&list, 0, here.parts.v[0].bytes, here.parts.v[0].size_bytes, MOVED);
		if (same && list.list.n && memcmp(here.parts.v[0].bytes, there.parts.v[0].bytes,
						  here.parts.v[0].size_bytes) != 0)
			abort();
	}
	relocations_free(&list);
	shipped_free(&here);
	shipped_free(&there);
	blob_free(&file);
	return 0;
}
