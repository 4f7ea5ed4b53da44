/* SPDX-License-Identifier: Apache-2.0 */
#include "linux/vmap.h"

#include "base/limits.h"
#include "linux/rbtree.h"

struct vmap_fields {
	struct field start, end, link, vm;
	struct field pages, caller;
	struct field node, busy;
};

static const struct member vmap_members[] = {
	MEMBER(struct vmap_fields, start, "vmap_area.va_start"),
	MEMBER(struct vmap_fields, end, "vmap_area.va_end"),
	MEMBER(struct vmap_fields, link, "vmap_area.rb_node"),
	MEMBER(struct vmap_fields, vm, "vmap_area.vm"),
	MEMBER(struct vmap_fields, pages, "vm_struct.nr_pages"),
	MEMBER(struct vmap_fields, caller, "vm_struct.caller"),
	/* Several trees, one per node, from 6.9 (mm/vmalloc.c, struct vmap_node). */
	MEMBER_OPTIONAL(struct vmap_fields, node, "vmap_node"),
	MEMBER_OPTIONAL(struct vmap_fields, busy, "vmap_node.busy.root"),
};
LAYOUT(vmap_layout, struct vmap_fields, vmap_members);

struct search {
	struct view *view;
	const struct vmap_fields *f;
	gva at;
	gva start, end;		/* of the area looked at last */
};

static int compare_area(gva node, void *ctx, int *r, struct err *err)
{
	struct search *search = ctx;
	gva area = field_object(node, &search->f->link);

	*r = field_ptr(search->view, area, &search->f->start, &search->start, err);
	if (*r >= 0)
		*r = field_ptr(search->view, area, &search->f->end, &search->end, err);
	if (*r < 0)
		return 0;
	if (search->at.v < search->start.v)
		return -1;
	return search->at.v >= search->end.v;
}

static int search_tree(const struct kernel *kernel, struct search *search, gva root,
		       struct vmap_area *ret, struct err *err)
{
	const struct vmap_fields *f = search->f;
	struct vmap_area area;
	gva node, vm;
	int r;

	r = rbtree_find(kernel, search->view, root, compare_area, search, &node, err);
	if (r < 0)
		return r;
	area = (struct vmap_area){ search->start, search->end.v - search->start.v, 0, gva_of(0) };
	r = field_ptr(search->view, field_object(node, &f->link), &f->vm, &vm, err);
	/* What vm_map_ram() made has no vm_struct. */
	if (r >= 0 && vm.v) {
		r = field_read(search->view, vm, &f->pages, &area.pages, err);
		if (r >= 0)
			r = field_ptr(search->view, vm, &f->caller, &area.caller, err);
	}
	if (r < 0)
		return r;
	*ret = area;
	return 0;
}

/* Which tree an area is in depends on where it starts: look into all of them. */
static int search_nodes(const struct kernel *kernel, struct search *search,
			struct vmap_area *ret, struct err *err)
{
	const struct vmap_fields *f = search->f;
	gva nodes = symbols_lookup(kernel->symbols, "vmap_nodes");
	gva count = symbols_lookup(kernel->symbols, "nr_vmap_nodes");
	uint32_t n = 0;
	int r;

	if (!nodes.v || !count.v || !f->node.there || !f->busy.there)
		return err_set(err, -ENOTSUP, "this kernel keeps its areas in a way unknown here");
	r = view_ptr(search->view, nodes, &nodes, err);
	if (r >= 0)
		r = view_u32(search->view, count, &n, err);
	if (r < 0)
		return r;
	if (n > VMAP_NODES_MAX)
		return err_set(err, -ELOOP, "%u trees of virtual memory areas", n);
	for (uint32_t i = 0; i < n; i++) {
		gva node = gva_add(nodes, (uint64_t)i * f->node.size_bytes);

		r = search_tree(kernel, search, field_at(node, &f->busy), ret, err);
		if (r != -ENOENT)
			return r;
	}
	return -ENOENT;
}

int vmap_at(const struct kernel *kernel, struct view *view, gva at, struct vmap_area *ret,
	    struct err *err)
{
	struct search search = { .view = view, .at = at };
	gva root = symbols_lookup(kernel->symbols, "vmap_area_root");
	int r;

	r = types_layout(kernel->types, &vmap_layout, (const void **)&search.f, err);
	if (r < 0)
		return r == -ENOENT ? -ENOTSUP : r;
	return root.v ? search_tree(kernel, &search, root, ret, err) :
			search_nodes(kernel, &search, ret, err);
}
