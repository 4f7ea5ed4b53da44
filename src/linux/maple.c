/* SPDX-License-Identifier: Apache-2.0 */
#include "linux/maple.h"

/*
 * Pointers to nodes carry what they are in their low bits (lib/maple_tree.c, mte_to_node(),
 * mte_node_type(), mte_mk_root()).
 */
#define NODE_MASK   0xffull
#define NODE_MARK   2ull	/* of the two lowest bits */
#define TYPE_SHIFT  3u
#define TYPE_MASK   0xfull
#define DEPTH_MAX   31u		/* MAPLE_HEIGHT_MAX */
#define SLOTS_MAX   32u		/* of one node: 16, or 10 where gaps are kept as well */

enum { MAPLE_LEAF = 1, MAPLE_RANGE = 2, MAPLE_ARANGE = 3 };

struct maple_fields {
	struct field root;
	struct field range_pivots, range_slots, arange_pivots, arange_slots;
};

static const struct member maple_members[] = {
	MEMBER(struct maple_fields, root, "maple_tree.ma_root"),
	MEMBER(struct maple_fields, range_pivots, "maple_range_64.pivot"),
	MEMBER(struct maple_fields, range_slots, "maple_range_64.slot"),
	MEMBER(struct maple_fields, arange_pivots, "maple_arange_64.pivot"),
	MEMBER(struct maple_fields, arange_slots, "maple_arange_64.slot"),
};
LAYOUT(maple_layout, struct maple_fields, maple_members);

/* The root is marked; what stands below it is a node by its place. */
static bool is_root(uint64_t entry)
{
	return (entry & 3) == NODE_MARK && entry > 4096;
}

/* Find the slot of @index in a node, and narrow @range to it. */
static int search_node(struct view *view, const struct maple_fields *f, unsigned type, gva node,
		       uint64_t index, struct maple_range *range, struct err *err)
{
	const struct field *pivots = type == MAPLE_ARANGE ? &f->arange_pivots : &f->range_pivots;
	const struct field *slots = type == MAPLE_ARANGE ? &f->arange_slots : &f->range_slots;
	uint32_t n = slots->size_bytes / sizeof(uint64_t), i = 0;
	uint64_t pivot[SLOTS_MAX] = { 0 };
	int r;

	if (n < 2 || n > SLOTS_MAX || pivots->size_bytes != (n - 1) * sizeof(uint64_t))
		return fail(err, -EBADMSG, node, "maple node of %u slots", n);
	r = view_read(view, field_at(node, pivots), pivot, pivots->size_bytes, err);
	if (r < 0)
		return r;
	/* A pivot is the last of its slot's range; the last slot's is that of the node. */
	for (; i < n - 1; i++) {
		if ((!pivot[i] && i) || pivot[i] >= range->last)
			break;		/* no more slots: this one goes up to the end */
		if (pivot[i] < range->first && i)
			return fail(err, -EBADMSG, node, "maple node out of order");
		if (index <= pivot[i]) {
			range->last = pivot[i];
			break;
		}
		range->first = pivot[i] + 1;
	}
	return view_u64(view, gva_add(field_at(node, slots), i * sizeof(uint64_t)),
			&range->entry, err);
}

int maple_find(const struct kernel *kernel, struct view *view, gva tree, uint64_t index,
	       struct maple_range *ret, struct err *err)
{
	struct maple_range range = { 0, UINT64_MAX, 0 };
	const struct maple_fields *f;
	int r;

	r = types_layout(kernel->types, &maple_layout, (const void **)&f, err);
	if (r < 0)
		return r == -ENOENT ? -ENOTSUP : r;
	r = field_read(view, tree, &f->root, &range.entry, err);
	if (r >= 0 && !is_root(range.entry))
		return -ENOENT;		/* empty, or one entry for number 0 */
	for (unsigned depth = 0; r >= 0; depth++) {
		unsigned type = range.entry >> TYPE_SHIFT & TYPE_MASK;
		gva node = gva_of(range.entry & ~NODE_MASK);

		if (depth == DEPTH_MAX)
			return fail(err, -ELOOP, tree, "maple tree deeper than it can be");
		if (type < MAPLE_LEAF || type > MAPLE_ARANGE || !gva_is_kernel(node))
			return fail(err, -EBADMSG, node, "maple node of type %u", type);
		r = search_node(view, f, type, node, index, &range, err);
		if (r >= 0 && (type == MAPLE_LEAF || !range.entry)) {
			if (!range.entry)
				return -ENOENT;
			*ret = range;
			return 0;
		}
	}
	return r;
}
