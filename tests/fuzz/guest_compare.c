/* SPDX-License-Identifier: Apache-2.0 */
#include "guest/compare.h"

#include <stdlib.h>

#include "base/bytes.h"
#include "make/memory.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct pair { struct view *view; struct space a, b; uint64_t end; };

/* Runs come in order, the sides differ, and a translation of where a run begins agrees. */
static int check(const struct unlike *unlike, void *ctx, struct err *err)
{
	struct pair *p = ctx;
	struct mapping to;

	if (unlike->start.v < p->end || !unlike->size_bytes )
		abort();
	p->end = unlike->start.v + (unlike->size_bytes - 1);
	if (view_translate(p->view, p->a, unlike->start, &to, err) >= 0 &&
	    (!unlike->in_a || to.at.v != unlike->a.v || to.rights != unlike->rights_a))
		abort();
	if (view_translate(p->view, p->b, unlike->start, &to, err) >= 0 &&
	    (to.at.v != unlike->b.v || to.rights != unlike->rights_b))
		abort();
	return 0;
}

/* First where from and to, both roots, and the levels. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct bytes b = bytes_of(data, size);
	gva from = gva_of(bytes_u64(&b) & ~GUEST_PAGE_MASK), to = gva_of(bytes_u64(&b));
	struct pair p = { .a = { gpa_of(bytes_u64(&b)), 4 }, .b = { gpa_of(bytes_u64(&b)), 4 } };
	struct memory m = { 0 };
	struct ram *ram;

	p.a.levels = p.b.levels = bytes_u8(&b);
	memory_load(&m, b.at, b.left);
	memory_page(&m, 0);
	p.view = memory_view(&m, 2000, &ram);
	(void)!spaces_compare(p.view, p.a, p.b, from, to, check, &p, NULL);
	view_close(&p.view);
	ram_close(&ram);
	memory_free(&m);
	return 0;
}
