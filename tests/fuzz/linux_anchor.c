/* SPDX-License-Identifier: Apache-2.0 */
#include "linux/anchor.h"

#include <stdlib.h>

#include "base/limits.h"
#include "guest/paging.h"
#include "make/memory.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A candidate lies in RAM, in the kernel's part of its address space, and not too often. */
static int check(const struct anchor *anchor, void *ctx, struct err *err)
{
	unsigned *seen = ctx;

	(void)err;
	if (++*seen > ANCHORS_MAX || (anchor->levels != 4 && anchor->levels != 5) ||
	    anchor->text.v < 0xffffffff80000000 || anchor->size_bytes > KERNEL_IMAGE_MAX ||
	    anchor->size_bytes > -anchor->text.v || (anchor->image.v & 0x1fffff))
		abort();
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct memory m = {0};
	struct view *view;
	struct ram *ram;
	unsigned seen = 0;

	memory_load(&m, data, size);
	memory_page(&m, 0);
	view = memory_view(&m, 20000, &ram);
	(void)!anchor_search(view, check, &seen, NULL);
	view_close(&view);
	ram_close(&ram);
	memory_free(&m);
	return 0;
}
