/* SPDX-License-Identifier: Apache-2.0 */
#include "linux/xarray.h"

#include <string.h>


/*
 * How entries are told apart: include/linux/xarray.h, "The bottom two bits of the entry
 * determine how the XArray interprets the contents".
 */
#define INTERNAL_MASK	3u
#define INTERNAL	2u
#define NODE_MIN	4096u	/* internal entries below are siblings, retries, zeros, errors */
#define INTERNAL_SIBLING_MAX ((62u << 2) | INTERNAL)
#define INTERNAL_RETRY	((256u << 2) | INTERNAL)
#define INTERNAL_ZERO	((257u << 2) | INTERNAL)

#define SLOTS_MAX	64u	/* XA_CHUNK_SIZE; 16 with CONFIG_BASE_SMALL */
#define DEPTH_MAX	16u	/* 64 bits of index, at least 4 of them a level */
#define NODE_BYTES_MAX	2048u	/* struct xa_node has 576 */

struct xarray_fields {
	struct field head, node, shift, offset, parent, slots;
};

static const struct member xarray_members[] = {
	MEMBER(struct xarray_fields, head, "xarray.xa_head"),
	MEMBER(struct xarray_fields, node, "xa_node"),
	MEMBER(struct xarray_fields, shift, "xa_node.shift"),
	MEMBER(struct xarray_fields, offset, "xa_node.offset"),
	MEMBER(struct xarray_fields, parent, "xa_node.parent"),
	MEMBER(struct xarray_fields, slots, "xa_node.slots"),
};
LAYOUT(xarray_layout, struct xarray_fields, xarray_members);

/* A node on the way from the root to where the walk is. */
struct level {
	gva node;
	uint64_t index;		/* of its first slot */
	unsigned shift;
	unsigned next;		/* slot to look at */
	uint64_t slots[SLOTS_MAX];
};

struct walk {
	struct view *view;
	const struct xarray_fields *f;
	unsigned slots_n;	/* of a node: 16 or 64 */
	unsigned slots_bits;
	uint32_t max;
	uint32_t nodes;
	uint32_t entries;
	xarray_fn *visit;
	void *ctx;
	unsigned depth;
	struct level levels[DEPTH_MAX];
};

static bool is_node(uint64_t entry)
{
	return (entry & INTERNAL_MASK) == INTERNAL && entry > NODE_MIN;
}

/* The shape of a node as the types have it; they are the guest's, too. */
static int check_shape(struct walk *walk, struct err *err)
{
	const struct xarray_fields *f = walk->f;

	walk->slots_n = f->slots.size_bytes / sizeof(uint64_t);
	walk->slots_bits = walk->slots_n == 64 ? 6 : 4;
	if (f->slots.element_bytes != sizeof(uint64_t) ||
	    (walk->slots_n != 64 && walk->slots_n != 16) || f->node.size_bytes > NODE_BYTES_MAX ||
	    f->slots.at > f->node.size_bytes ||
	    f->slots.size_bytes > f->node.size_bytes - f->slots.at ||
	    f->shift.at >= f->node.size_bytes || f->offset.at >= f->node.size_bytes ||
	    f->node.size_bytes < sizeof(uint64_t) ||
	    f->parent.at > f->node.size_bytes - sizeof(uint64_t))
		return err_set(err, -EBADMSG, "the types tell of an xa_node that cannot be");
	return 0;
}

/*
 * Go into the node that @entry leads to. It must be where it says it is: one level below its
 * parent, in the slot that it names. So no node can be reached twice, and no cycle be closed.
 */
static int enter(struct walk *walk, uint64_t entry, uint64_t index, unsigned slot, struct err *err)
{
	const struct level *up = walk->depth ? &walk->levels[walk->depth - 1] : NULL;
	struct level *level = &walk->levels[walk->depth];
	gva node = gva_of(entry - INTERNAL);
	uint8_t copy[NODE_BYTES_MAX];
	uint64_t parent;
	int r;

	if (walk->depth == DEPTH_MAX || walk->nodes++ == walk->max)
		return fail(err, -ELOOP, node, "tree of over %u nodes", walk->max);
	if (!gva_is_kernel(node) || node.v % sizeof(uint64_t))
		return fail(err, -EBADMSG, node, "tree node at a place that cannot be");
	r = view_read(walk->view, node, copy, walk->f->node.size_bytes, err);
	if (r < 0)
		return wrap(err, r, "tree node");

	memcpy(&parent, copy + walk->f->parent.at, sizeof(parent));
	level->shift = copy[walk->f->shift.at];
	if (parent != (up ? up->node.v : 0))
		return fail(err, -EBADMSG, node, "tree node does not lead back to its parent");
	if (up ? level->shift + walk->slots_bits != up->shift || copy[walk->f->offset.at] != slot :
		 level->shift % walk->slots_bits || level->shift >= 64)
		return fail(err, -EBADMSG, node, "tree node of shift %u, slot %u out of place",
			    level->shift, copy[walk->f->offset.at]);

	memcpy(level->slots, copy + walk->f->slots.at, walk->slots_n * sizeof(uint64_t));
	level->node = node;
	level->index = index;
	level->next = 0;
	walk->depth++;
	return 0;
}

static int visit(struct walk *walk, uint64_t index, uint64_t entry, struct err *err)
{
	if (walk->entries++ == walk->max)
		return err_set(err, -ELOOP, "tree of over %u entries", walk->max);
	return walk->visit(index, entry, walk->ctx, err);
}

/* One slot of the lowest node of the way. */
static int step(struct walk *walk, struct err *err)
{
	struct level *level = &walk->levels[walk->depth - 1];
	uint64_t entry, index;
	unsigned slot;

	if (level->next == walk->slots_n) {
		walk->depth--;
		return 0;
	}
	slot = level->next++;
	entry = level->slots[slot];
	if (!entry)
		return 0;
	if (level->shift && (uint64_t)slot << level->shift >> level->shift != slot)
		return fail(err, -EBADMSG, level->node, "tree entry beyond 64 bits");
	index = level->index + ((uint64_t)slot << level->shift);

	if (is_node(entry)) {
		if (!level->shift)
			return fail(err, -EBADMSG, level->node, "tree node below the last level");
		return enter(walk, entry, index, slot, err);
	}
	if ((entry & INTERNAL_MASK) != INTERNAL)
		return visit(walk, index, entry, err);
	if (entry <= INTERNAL_SIBLING_MAX || entry == INTERNAL_RETRY || entry == INTERNAL_ZERO)
		return 0;
	return fail(err, -EBADMSG, level->node, "tree entry %#llx that cannot be",
		    (unsigned long long)entry);
}

int xarray_walk(const struct kernel *kernel, struct view *view, gva array, uint32_t max,
		xarray_fn *visit_entry, void *ctx, struct err *err)
{
	struct walk walk = { .view = view, .max = max, .visit = visit_entry, .ctx = ctx };
	uint64_t head;
	int r;

	r = types_layout(kernel->types, &xarray_layout, (const void **)&walk.f, err);
	if (r >= 0)
		r = check_shape(&walk, err);
	if (r >= 0)
		r = field_read(view, array, &walk.f->head, &head, err);
	if (r < 0)
		return r;

	/* One entry, of index 0, needs no node. */
	if (!head || head == INTERNAL_ZERO || head == INTERNAL_RETRY)
		return 0;
	if (!is_node(head))
		return (head & INTERNAL_MASK) == INTERNAL ?
			fail(err, -EBADMSG, array, "tree without a root") :
			visit(&walk, 0, head, err);

	r = enter(&walk, head, 0, 0, err);
	while (r >= 0 && walk.depth)
		r = step(&walk, err);
	return r < 0 ? r : 0;
}

/* The slot of @index in the lowest node; of an entry that spans several, its first. */
static uint64_t entry_of(const struct walk *walk, uint64_t index, unsigned *slot)
{
	const struct level *level = &walk->levels[walk->depth - 1];
	uint64_t entry;

	*slot = (unsigned)(index >> level->shift) & (walk->slots_n - 1);
	entry = level->slots[*slot];
	if ((entry & INTERNAL_MASK) == INTERNAL && entry <= INTERNAL_SIBLING_MAX &&
	    entry >> 2 < *slot) {
		*slot = (unsigned)(entry >> 2);
		entry = level->slots[*slot];
	}
	return entry;
}

int xarray_get(const struct kernel *kernel, struct view *view, gva array, uint64_t index,
	       uint64_t *ret, uint64_t *first, struct err *err)
{
	struct walk walk = { .view = view, .max = DEPTH_MAX };
	uint64_t entry, at = 0;
	unsigned slot = 0;
	int r;

	r = types_layout(kernel->types, &xarray_layout, (const void **)&walk.f, err);
	if (r >= 0)
		r = check_shape(&walk, err);
	if (r >= 0)
		r = field_read(view, array, &walk.f->head, &entry, err);
	if (r >= 0 && !is_node(entry) && index)
		return err_set(err, -ENOENT, "a tree of one entry");
	while (r >= 0 && is_node(entry)) {
		r = enter(&walk, entry, at, slot, err);
		if (r < 0)
			break;
		if (walk.depth == 1 && walk.levels[0].shift + walk.slots_bits < 64 &&
		    index >> (walk.levels[0].shift + walk.slots_bits))
			return err_set(err, -ENOENT, "a tree of lower indices");
		entry = entry_of(&walk, index, &slot);
		at = walk.levels[walk.depth - 1].index +
		     ((uint64_t)slot << walk.levels[walk.depth - 1].shift);
		if (is_node(entry) && !walk.levels[walk.depth - 1].shift)
			return fail(err, -EBADMSG, walk.levels[walk.depth - 1].node,
				    "tree node below the last level");
	}
	if (r < 0)
		return r;
	if (!entry || (entry & INTERNAL_MASK) == INTERNAL)
		return err_set(err, -ENOENT, "no such entry in a tree");
	*ret = entry;
	*first = at;
	return 0;
}
