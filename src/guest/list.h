/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HVSM_GUEST_LIST_H
#define HVSM_GUEST_LIST_H

#include "guest/view.h"

/*
 * Linked lists of a guest, each walked once, with a limit. A walk that did not reach its
 * proper end is an error, so that a list cut short never looks complete.
 */

/* Called with the address of each link; a negative return ends the walk. */
typedef int link_fn(gva link, void *ctx, struct err *err);

/**
 * list_walk - a circular doubly linked list (struct list_head, LIST_ENTRY)
 * @head: the list's head, which is not visited
 * @max:  links, more are -ELOOP
 *
 * Return: 0 (back at @head), -EBADMSG (wild or inconsistent link; in a running guest it may
 *         be an update in flight), -ELOOP, what @visit returned, or an error of view_read().
 */
nodiscard int list_walk(struct view *view, gva head, uint32_t max, link_fn *visit, void *ctx,
			struct err *err);

/**
 * hlist_walk - a list that ends with NULL (struct hlist_head)
 * @head: address of the head, which holds the pointer to the first node
 *
 * As list_walk(). The back pointers (pprev) are checked.
 */
nodiscard int hlist_walk(struct view *view, gva head, uint32_t max, link_fn *visit, void *ctx,
			 struct err *err);

/**
 * hlist_nulls_walk - a list that ends with an odd value (struct hlist_nulls_head)
 *
 * As hlist_walk(). Each of the two takes the other's end for a wild link: whoever follows an
 * odd pointer in a plain list finds what hides behind it, and so must not see an end there.
 */
nodiscard int hlist_nulls_walk(struct view *view, gva head, uint32_t max, link_fn *visit,
			       void *ctx, struct err *err);

#endif
