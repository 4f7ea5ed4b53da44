/* SPDX-License-Identifier: Apache-2.0 */
#include "guest/list.h"

#include <stdlib.h>

#include "guest/paging.h"
#include "make/memory.h"

#define MAP 0xffff888000000000ull
#define MAX 64u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct seen { uint64_t links[MAX]; unsigned n; };

/* No link twice, and no more than were allowed. */
static int visit(gva link, void *ctx, struct err *err)
{
	struct seen *seen = ctx;

	(void)err;
	for (unsigned i = 0; i < seen->n; i++)
		if (seen->links[i] == link.v)
			abort();
	if (seen->n == MAX)
		abort();
	seen->links[seen->n++] = link.v;
	return 0;
}

/* One after the other, each kind of list is taken to begin at the start of the memory. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static int (*const walks[])(struct view *, gva, uint32_t, link_fn *, void *, struct err *) =
		{ list_walk, hlist_walk, hlist_nulls_walk };
	struct space space = { gpa_of(0x3ffff000), 4 };
	struct memory m = { .next_table = 0x3fff0000 };
	struct ram *ram;
	struct view *view;

	memory_load(&m, data, size);
	memory_page(&m, 0);
	memory_map(&m, space, MAP, 0, 3, PTE_PRESENT);
	view = memory_view(&m, 10000, &ram);
	view_set_kernel(view, space);
	for (unsigned i = 0; i < 3; i++)
		(void)!walks[i](view, gva_of(MAP), MAX, visit, &(struct seen){0}, NULL);
	view_close(&view);
	ram_close(&ram);
	memory_free(&m);
	return 0;
}
