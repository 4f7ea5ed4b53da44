/* SPDX-License-Identifier: Apache-2.0 */
#include "guest/list.h"

#define LINK_ALIGN 8u	/* of every struct that holds a list_head on x86-64 */

int list_walk(struct view *view, gva head, uint32_t max, link_fn *visit, void *ctx,
	      struct err *err)
{
	struct { uint64_t next, prev; } node;
	gva from, at = head;
	int r;

	/*
	 * The back-link test rejects every cycle that misses @head, the limit a guest that
	 * rewrites its list while we follow it.
	 */
	r = view_read(view, at, &node, sizeof(node), err);
	for (uint32_t n = 0; r >= 0; n++) {
		from = at;
		at.v = node.next;
		if (at.v == head.v)
			return n == 0 && node.prev != head.v ?
				fail(err, -EBADMSG, head, "empty list with a last element") : 0;
		if (n == max)
			return fail(err, -ELOOP, head, "list of over %u links", max);
		if (!gva_is_kernel(at) || at.v % LINK_ALIGN)
			return fail(err, -EBADMSG, from, "list link leads to %#llx",
				    (unsigned long long)at.v);

		r = view_read(view, at, &node, sizeof(node), err);
		if (r < 0)
			return wrap(err, r, "list link at %#llx", (unsigned long long)from.v);
		if (node.prev != from.v)
			return fail(err, -EBADMSG, at, "list link does not lead back");
		r = visit(at, ctx, err);
	}
	return r;
}

/*
 * @nulls: the list ends with an odd value instead of NULL. As each node leads back to one
 * other, a cycle can only be one that goes through @head.
 */
static int walk_hlist(struct view *view, gva head, uint32_t max, bool nulls, link_fn *visit,
		      void *ctx, struct err *err)
{
	struct { uint64_t next, pprev; } node;
	gva from = head, at;
	int r;

	r = view_ptr(view, head, &at, err);
	for (uint32_t n = 0; r >= 0; n++) {
		if (nulls ? at.v & 1 : !at.v)
			return 0;
		if (n == max)
			return fail(err, -ELOOP, head, "list of over %u links", max);
		if (!gva_is_kernel(at) || at.v % LINK_ALIGN || at.v == head.v)
			return fail(err, -EBADMSG, from, "list link leads to %#llx",
				    (unsigned long long)at.v);

		r = view_read(view, at, &node, sizeof(node), err);
		if (r < 0)
			return wrap(err, r, "list link at %#llx", (unsigned long long)from.v);
		if (node.pprev != from.v)
			return fail(err, -EBADMSG, at, "list link does not lead back");
		r = visit(at, ctx, err);
		from = at;
		at.v = node.next;
	}
	return r;
}

int hlist_walk(struct view *view, gva head, uint32_t max, link_fn *visit, void *ctx,
	       struct err *err)
{
	return walk_hlist(view, head, max, false, visit, ctx, err);
}

int hlist_nulls_walk(struct view *view, gva head, uint32_t max, link_fn *visit, void *ctx,
		     struct err *err)
{
	return walk_hlist(view, head, max, true, visit, ctx, err);
}
