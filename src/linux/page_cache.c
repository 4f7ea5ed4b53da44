/* SPDX-License-Identifier: Apache-2.0 */
#include "linux/page_cache.h"

#include "linux/xarray.h"

struct cache_fields {
	struct field mapping, pages, page;
};

static const struct member cache_members[] = {
	MEMBER(struct cache_fields, mapping, "inode.i_mapping"),
	MEMBER(struct cache_fields, pages, "address_space.i_pages"),
	MEMBER(struct cache_fields, page, "page"),
};
LAYOUT(cache_layout, struct cache_fields, cache_members);

/* The first entry there is, which is that of index 0 where that is there. */
struct first {
	gva page;
	bool there;
};

static int visit_first(uint64_t index, uint64_t entry, void *ctx, struct err *err)
{
	struct first *first = ctx;

	(void)err;
	/* A value is no page, but what is known of one that was swapped out or evicted. */
	first->there = index == 0 && !(entry & 1);
	first->page = gva_of(entry);
	return -ECANCELED;
}

int page_cache_read(const struct kernel *kernel, struct view *view, gva inode, uint8_t *buf,
		    struct err *err)
{
	const struct cache_fields *f;
	struct first first = { 0 };
	gva mapping, vmemmap, base;
	uint64_t offset;
	int r;

	r = types_layout(kernel->types, &cache_layout, (const void **)&f, err);
	if (r < 0)
		return wrap(err, -EBADMSG, "page cache");
	r = kernel_symbol(kernel, "vmemmap_base", &vmemmap, err);
	if (r >= 0)
		r = view_ptr(view, vmemmap, &base, err);
	if (r >= 0)
		r = field_ptr(view, inode, &f->mapping, &mapping, err);
	if (r >= 0)
		r = xarray_walk(kernel, view, field_at(mapping, &f->pages), 64, visit_first, &first,
				err);
	if (r < 0 && r != -ECANCELED)
		return wrap(err, r, "page cache");
	if (!first.there)
		return err_set(err, -ENOENT, "page of a file is not in memory");
	/* Pages are numbered by where their struct page stands (CONFIG_SPARSEMEM_VMEMMAP). */
	offset = first.page.v - base.v;
	if (first.page.v < base.v || !f->page.size_bytes || offset % f->page.size_bytes)
		return fail(err, -EBADMSG, first.page, "no page of a file can be there");
	return view_read_phys(view, gpa_of(offset / f->page.size_bytes * GUEST_PAGE_SIZE), buf,
			      GUEST_PAGE_SIZE, err);
}
