/* SPDX-License-Identifier: Apache-2.0 */
#include "linux/rbtree.h"

#include "linux/object.h"

#define COLOR_BITS 3ull		/* of __rb_parent_color: colour and a spare bit */

/* A red-black tree of n nodes is at most 2 log2(n + 1) deep: 64 suffices for 2^32 of them. */
#define DEPTH_MAX  64u

struct rb_fields {
	struct field size, parent, left, right;
};

static const struct member rb_members[] = {
	MEMBER(struct rb_fields, size, "rb_node"),
	MEMBER(struct rb_fields, parent, "rb_node.__rb_parent_color"),
	MEMBER(struct rb_fields, left, "rb_node.rb_left"),
	MEMBER(struct rb_fields, right, "rb_node.rb_right"),
};
LAYOUT(rb_layout, struct rb_fields, rb_members);

struct links {
	gva parent, left, right;
};

static int read_links(const struct rb_fields *f, struct view *view, gva at, struct links *ret,
		      struct err *err)
{
	struct object node;
	int r;

	if (!gva_is_kernel(at) || at.v % sizeof(uint64_t))
		return fail(err, -EBADMSG, at, "no place for a tree node");
	r = object_read(view, at, &f->size, &node, err);
	if (r < 0)
		return r;
	*ret = (struct links){
		.parent = gva_of(object_uint(&node, &f->parent) & ~COLOR_BITS),
		.left = object_ptr(&node, &f->left),
		.right = object_ptr(&node, &f->right),
	};
	return 0;
}

/* A node that is still to be visited, and the one that leads to it. */
struct todo {
	gva at, from;
};

int rbtree_walk(const struct kernel *kernel, struct view *view, gva root, uint32_t max,
		link_fn *visit, void *ctx, struct err *err)
{
	struct todo todo[DEPTH_MAX + 1];
	const struct rb_fields *f;
	struct links links = { 0 };
	unsigned depth = 0;
	gva top;
	int r;

	r = types_layout(kernel->types, &rb_layout, (const void **)&f, err);
	if (r >= 0)
		r = view_ptr(view, root, &top, err);
	if (r < 0)
		return r;
	if (top.v)
		todo[depth++] = (struct todo){ top, gva_of(0) };

	for (uint32_t n = 0; depth; n++) {
		struct todo now = todo[--depth];

		if (n == max)
			return fail(err, -ELOOP, root, "tree of over %u nodes", max);
		r = read_links(f, view, now.at, &links, err);
		if (r < 0)
			return r;
		if (links.parent.v != now.from.v || (links.left.v && links.left.v == links.right.v))
			return fail(err, -EBADMSG, now.at, "tree node does not lead back");
		r = visit(now.at, ctx, err);
		if (r < 0)
			return r;
		if (depth + 2 > DEPTH_MAX)
			return fail(err, -ELOOP, now.at, "tree deeper than it can be");
		if (links.right.v)
			todo[depth++] = (struct todo){ links.right, now.at };
		if (links.left.v)
			todo[depth++] = (struct todo){ links.left, now.at };
	}
	return 0;
}

int rbtree_find(const struct kernel *kernel, struct view *view, gva root,
		rbtree_compare_fn *compare, void *ctx, gva *ret, struct err *err)
{
	const struct rb_fields *f;
	struct links links = { 0 };
	gva at;
	int r;

	r = types_layout(kernel->types, &rb_layout, (const void **)&f, err);
	if (r >= 0)
		r = view_ptr(view, root, &at, err);
	for (unsigned depth = 0; r >= 0 && at.v; depth++) {
		int way = 0;

		if (depth == DEPTH_MAX)
			return fail(err, -ELOOP, root, "tree deeper than it can be");
		r = read_links(f, view, at, &links, err);
		if (r < 0)
			return r;
		way = compare(at, ctx, &r, err);
		if (r < 0)
			return r;
		if (!way) {
			*ret = at;
			return 0;
		}
		at = way < 0 ? links.left : links.right;
	}
	return r < 0 ? r : -ENOENT;
}
