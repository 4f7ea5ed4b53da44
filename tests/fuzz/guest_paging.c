/* SPDX-License-Identifier: Apache-2.0 */
#include "guest/paging.h"

#include <stdlib.h>

#include "base/bytes.h"
#include "make/memory.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Runs come in order, and a translation of where one begins agrees. */
static int check(const struct extent *extent, void *ctx, struct err *err)
{
	struct { struct view *view; struct space space; unsigned want; uint64_t end; } *w = ctx;
	struct mapping to;

	if (extent->start.v < w->end || (extent->rights & w->want) != w->want)
		abort();
	w->end = extent->start.v + (extent->size_bytes - 1);
	if (view_translate(w->view, w->space, extent->start, &to, err) >= 0 &&
	    to.rights != extent->rights)
		abort();
	return 0;
}

/* First the walk's arguments: where from and to, the root, what is wanted, the levels. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct { struct view *view; struct space space; unsigned want; uint64_t end; } w;
	struct bytes b = bytes_of(data, size);
	gva from = gva_of(bytes_u64(&b) & ~GUEST_PAGE_MASK), to = gva_of(bytes_u64(&b));
	struct memory m = {0};
	struct ram *ram;

	w.space = (struct space){ gpa_of(bytes_u64(&b)), bytes_u8(&b) };
	w.want = bytes_u8(&b) & 7;
	w.end = 0;
	memory_load(&m, b.at, b.left);
	memory_page(&m, 0);
	w.view = memory_view(&m, 2000, &ram);
	(void)!view_walk(w.view, w.space, from, to, w.want, check, &w, NULL);
	view_close(&w.view);
	ram_close(&ram);
	memory_free(&m);
	return 0;
}
