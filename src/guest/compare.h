/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HVSM_GUEST_COMPARE_H
#define HVSM_GUEST_COMPARE_H

#include "guest/view.h"

/*
 * Two address spaces side by side: what the second maps otherwise than the first, or besides.
 * Where both lead to the same table with the same rights nothing is read, so that spaces which
 * share all but their roots cost two pages.
 */
struct unlike {
	gva start;
	uint64_t size_bytes;
	bool in_a;		/* false: only the second maps it */
	gpa a, b;		/* memory behind its first byte */
	unsigned rights_a, rights_b;	/* MAP_* */
};

/**
 * spaces_compare - each run that @b maps, and @a not alike, in ascending order
 * @a:     of as many levels as @b
 * @from:  first address, page aligned
 * @to:    last address
 * @visit: a negative return ends it
 *
 * Neighbouring pages are one run where both sides go on as they began. A run may begin before
 * @from, with its large page. Costs and errors are those of view_walk(): what cannot be read
 * of one side is passed over, and fails in the end.
 *
 * Return: as view_walk().
 */
typedef int unlike_fn(const struct unlike *unlike, void *ctx, struct err *err);
nodiscard int spaces_compare(struct view *view, struct space a, struct space b, gva from,
			     gva to, unlike_fn *visit, void *ctx, struct err *err);

#endif
