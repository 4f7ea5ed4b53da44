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

int page_cache_read(const struct kernel *kernel, struct view *view, gva inode, uint64_t page,
		    uint8_t *buf, struct err *err)
{
	const struct cache_fields *f;
	uint64_t offset, entry = 0, first = 0;
	gva mapping, vmemmap, base;
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
		r = xarray_get(kernel, view, field_at(mapping, &f->pages), page, &entry, &first,
			       err);
	if (r < 0 && r != -ENOENT)
		return wrap(err, r, "page cache");
	/* A value is no page, but what is known of one that was swapped out or evicted. */
	if (r < 0 || entry & 1)
		return err_set(err, -ENOENT, "page of a file is not in memory");
	/* Pages are numbered by where their struct page stands (CONFIG_SPARSEMEM_VMEMMAP). */
	offset = entry - base.v;
	if (entry < base.v || !f->page.size_bytes || offset % f->page.size_bytes)
		return fail(err, -EBADMSG, gva_of(entry), "no page of a file can be there");
	/* A folio of several stands for all of them. */
	offset = offset / f->page.size_bytes + (page - first);
	return view_read_phys(view, gpa_of(offset * GUEST_PAGE_SIZE), buf, GUEST_PAGE_SIZE, err);
}
