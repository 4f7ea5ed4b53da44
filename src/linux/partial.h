/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HVSM_LINUX_PARTIAL_H
#define HVSM_LINUX_PARTIAL_H

#include "guest/paging.h"

/*
 * For views that go on where a part cannot be read: they give back what there is, and say at
 * their end that something was missing. Each part that is missing costs fuel, so that a guest
 * cannot keep us busy with nothing but those.
 */
struct partial {
	struct view *view;
	int code;		/* of the first part that was missing; 0: none so far */
	struct err err;
};

static inline struct partial partial_of(struct view *view)
{
	return (struct partial){ .view = view };
}

/*
 * Take note of how one part went. Return 0 to go on with the next one, or what must end the
 * whole: limits, the guest's end, no memory, no types.
 */
static inline int partial_add(struct partial *partial, int r, struct err *err)
{
	if (r >= 0)
		return 0;
	if (r != -EFAULT && r != -EBADMSG && r != -ESTALE)
		return r;
	if (!partial->code) {
		partial->code = r;
		if (err)
			partial->err = *err;
	}
	return view_burn(partial->view, 1, err);
}

/* What to return: @r where that ended the whole (@err is set then), or what was missing. */
static inline int partial_end(const struct partial *partial, int r, struct err *err)
{
	if (r < 0 || !partial->code)
		return r < 0 ? r : 0;
	if (err)
		*err = partial->err;
	return partial->code;
}

#endif
