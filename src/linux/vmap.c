/* SPDX-License-Identifier: Apache-2.0 */
#include "linux/vmap.h"

#include "base/limits.h"
#include "linux/rbtree.h"

struct vmap_fields {
	struct field start, end, link, vm;
	struct field pages, caller;
	struct field node, busy;
	struct field list, busy_list;
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
	MEMBER_OPTIONAL(struct vmap_fields, list, "vmap_area.list"),
	MEMBER_OPTIONAL(struct vmap_fields, busy_list, "vmap_node.busy.head"),
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

/* From 6.9 on there are several nodes: @nodes and @n tell where. */
static int find_nodes(const struct kernel *kernel, struct view *view,
		      const struct vmap_fields *f, gva *nodes, uint32_t *n, struct err *err)
{
	gva count = symbols_lookup(kernel->symbols, "nr_vmap_nodes");
	int r;

	*nodes = symbols_lookup(kernel->symbols, "vmap_nodes");
	if (!nodes->v || !count.v || !f->node.there || !f->busy.there)
		return err_set(err, -ENOTSUP, "this kernel keeps its areas in a way unknown here");
	r = view_ptr(view, *nodes, nodes, err);
	if (r >= 0)
		r = view_u32(view, count, n, err);
	if (r >= 0 && *n > VMAP_NODES_MAX)
		return err_set(err, -ELOOP, "%u trees of virtual memory areas", *n);
	return r;
}

/* Which tree an area is in depends on where it starts: look into all of them. */
static int search_nodes(const struct kernel *kernel, struct search *search,
			struct vmap_area *ret, struct err *err)
{
	const struct vmap_fields *f = search->f;
	uint32_t n = 0;
	gva nodes;
	int r;

	r = find_nodes(kernel, search->view, f, &nodes, &n, err);
	if (r < 0)
		return r;
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

struct walk {
	struct view *view;
	const struct vmap_fields *f;
	vmap_fn *visit;
	void *ctx;
};

static int visit_area(gva link, void *ctx, struct err *err)
{
	const struct walk *walk = ctx;
	gva at = field_object(link, &walk->f->list), end;
	struct vmap_area area = { 0 };
	int r;

	r = field_ptr(walk->view, at, &walk->f->start, &area.start, err);
	if (r >= 0)
		r = field_ptr(walk->view, at, &walk->f->end, &end, err);
	if (r < 0)
		return r;
	if (end.v <= area.start.v)
		return fail(err, -EBADMSG, at, "area that ends before it starts");
	area.size_bytes = end.v - area.start.v;
	return walk->visit(&area, walk->ctx, err);
}

int vmap_walk(const struct kernel *kernel, struct view *view, vmap_fn *visit, void *ctx,
	      struct err *err)
{
	struct walk walk = { .view = view, .visit = visit, .ctx = ctx };
	gva list = symbols_lookup(kernel->symbols, "vmap_area_list"), nodes;
	uint32_t n = 0;
	int r;

	r = types_layout(kernel->types, &vmap_layout, (const void **)&walk.f, err);
	if (r < 0)
		return r == -ENOENT ? -ENOTSUP : r;
	if (!walk.f->list.there)
		return err_set(err, -ENOTSUP, "this kernel has no list of areas");
	if (list.v)
		return list_walk(view, list, VMAP_AREAS_MAX, visit_area, &walk, err);
	r = find_nodes(kernel, view, walk.f, &nodes, &n, err);
	if (r >= 0 && !walk.f->busy_list.there)
		return err_set(err, -ENOTSUP, "this kernel has no list of areas");
	for (uint32_t i = 0; r >= 0 && i < n; i++) {
		gva node = gva_add(nodes, (uint64_t)i * walk.f->node.size_bytes);

		r = list_walk(view, field_at(node, &walk.f->busy_list), VMAP_AREAS_MAX, visit_area,
			      &walk, err);
	}
	return r;
}
