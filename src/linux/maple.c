/* SPDX-License-Identifier: Apache-2.0 */
#include "linux/maple.h"

#include <string.h>

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
#define NODE_BYTES  256u	/* each fills, and is aligned to, as much */

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

/* A node on the way down, copied whole, and the slot that comes next. */
struct level {
	gva node;
	bool leaf;
	uint32_t slots;
	uint32_t next;
	uint64_t first, last;	/* what is left of its range */
	uint64_t pivot[SLOTS_MAX];
	uint64_t slot[SLOTS_MAX];
};

struct walk {
	struct view *view;
	const struct maple_fields *f;
	struct level level[DEPTH_MAX];
	unsigned depth;
};

/* Pivots and slots of a node come with one read: they stand close to each other. */
static int enter_node(struct walk *walk, uint64_t entry, uint64_t first, uint64_t last,
		      struct err *err)
{
	unsigned type = entry >> TYPE_SHIFT & TYPE_MASK;
	const struct maple_fields *f = walk->f;
	const struct field *pivots = type == MAPLE_ARANGE ? &f->arange_pivots : &f->range_pivots;
	const struct field *slots = type == MAPLE_ARANGE ? &f->arange_slots : &f->range_slots;
	uint32_t n = slots->size_bytes / sizeof(uint64_t);
	struct level *level;
	uint8_t bytes[NODE_BYTES];
	int r;

	if (walk->depth == DEPTH_MAX)
		return fail(err, -ELOOP, gva_of(entry), "maple tree deeper than it can be");
	level = &walk->level[walk->depth];
	level->node = gva_of(entry & ~NODE_MASK);
	if (type < MAPLE_LEAF || type > MAPLE_ARANGE || !gva_is_kernel(level->node))
		return fail(err, -EBADMSG, level->node, "maple node of type %u", type);
	if (n < 2 || n > SLOTS_MAX || pivots->size_bytes != (n - 1) * sizeof(uint64_t) ||
	    slots->at > sizeof(bytes) || slots->size_bytes > sizeof(bytes) - slots->at ||
	    pivots->at > sizeof(bytes) || pivots->size_bytes > sizeof(bytes) - pivots->at)
		return fail(err, -EBADMSG, level->node, "maple node of %u slots", n);
	r = view_read(walk->view, level->node, bytes, sizeof(bytes), err);
	if (r < 0)
		return r;
	memcpy(level->pivot, bytes + pivots->at, pivots->size_bytes);
	memcpy(level->slot, bytes + slots->at, slots->size_bytes);
	level->leaf = type == MAPLE_LEAF;
	level->slots = n;
	level->next = 0;
	level->first = first;
	level->last = last;
	walk->depth++;
	return 0;
}

/* The next slot's range; 1: there is one. As in search_node(), a zero or the end ends a node. */
static int next_slot(struct level *level, struct maple_range *range, struct err *err)
{
	uint32_t i = level->next++;

	if (i >= level->slots)
		return 0;
	*range = (struct maple_range){ level->first, level->last, level->slot[i] };
	if (i == level->slots - 1 || (!level->pivot[i] && i) || level->pivot[i] >= level->last) {
		level->next = level->slots;
		return 1;
	}
	if (level->pivot[i] < level->first)
		return fail(err, -EBADMSG, level->node, "maple node out of order");
	range->last = level->pivot[i];
	level->first = level->pivot[i] + 1;
	return 1;
}

static int walk_down(struct walk *walk, uint32_t max, maple_fn *visit, void *ctx,
		     struct err *err)
{
	struct maple_range range;
	uint32_t n = 0;
	int r = 0;

	while (r >= 0 && walk->depth) {
		struct level *level = &walk->level[walk->depth - 1];

		r = next_slot(level, &range, err);
		if (r == 0)
			walk->depth--;
		if (r <= 0 || !range.entry)
			continue;
		if (level->leaf && n++ == max)
			return fail(err, -ELOOP, level->node, "maple tree of over %u ranges", max);
		r = level->leaf ? visit(&range, ctx, err) :
				  enter_node(walk, range.entry, range.first, range.last, err);
	}
	return r;
}

int maple_walk(const struct kernel *kernel, struct view *view, gva tree, uint32_t max,
	       maple_fn *visit, void *ctx, struct err *err)
{
	struct walk walk;
	uint64_t root;
	int r;

	walk.view = view;
	walk.depth = 0;
	r = types_layout(kernel->types, &maple_layout, (const void **)&walk.f, err);
	if (r < 0)
		return r == -ENOENT ? -ENOTSUP : r;
	r = field_read(view, tree, &walk.f->root, &root, err);
	if (r >= 0 && !is_root(root))
		return 0;		/* empty, or one entry for number 0 */
	if (r >= 0)
		r = enter_node(&walk, root, 0, UINT64_MAX, err);
	return r < 0 ? r : walk_down(&walk, max, visit, ctx, err);
}
