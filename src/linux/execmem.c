/* SPDX-License-Identifier: Apache-2.0 */
#include "linux/execmem.h"

#include "linux/maple.h"
#include "linux/vmap.h"

static int in_cache(const struct kernel *kernel, struct view *view, gva at,
		    struct execmem_block *ret, struct err *err)
{
	gva cache = symbols_lookup(kernel->symbols, "execmem_cache");
	struct maple_range range;
	struct field busy;
	int r;

	if (!cache.v ||
	    types_field(kernel->types, "execmem_cache.busy_areas", &busy, NULL) < 0)
		return -ENOENT;
	r = maple_find(kernel, view, field_at(cache, &busy), at.v, &range, err);
	if (r < 0)
		return r;
	*ret = (struct execmem_block){ gva_of(range.first), range.last - range.first + 1 };
	return 0;
}

int execmem_at(const struct kernel *kernel, struct view *view, gva at, struct execmem_block *ret,
	       struct err *err)
{
	struct vmap_area area;
	int r = in_cache(kernel, view, at, ret, err);

	if (r != -ENOENT)
		return r;
	r = vmap_at(kernel, view, at, &area, err);
	if (r < 0)
		return r;
	/* The page behind it, if there is one, is nobody's. */
	*ret = (struct execmem_block){ area.start, area.pages * GUEST_PAGE_SIZE };
	return at.v - ret->start.v < ret->size_bytes ? 0 : -ENOENT;
}
