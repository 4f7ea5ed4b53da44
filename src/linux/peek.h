/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HVSM_LINUX_PEEK_H
#define HVSM_LINUX_PEEK_H

#include "linux/kernel.h"

/*
 * Reads members of objects one after the other, for functions that give back what there is
 * and say that something was missing. A member that cannot be read is 0 and remembered; what
 * must end the sweep (fuel, the guest's end) is kept in @r, and nothing is read any more.
 */
struct peek {
	struct view *view;
	struct err *err;
	int first;	/* the first failure of any kind; 0: all could be read */
	int r;		/* -ELOOP or -ESRCH: give up; 0 otherwise */
};

static inline struct peek peek_at(struct view *view, struct err *err)
{
	return (struct peek){ view, err, 0, 0 };
}

static inline int peek_failed(struct peek *peek, int r)
{
	if (!peek->first)
		peek->first = r;
	if (r == -ELOOP || r == -ESRCH)
		peek->r = r;
	return r;
}

/* A number; 0 where the member cannot be read, or where this kernel has none. */
static inline uint64_t peek_u64(struct peek *peek, gva object, const struct field *field)
{
	uint64_t value = 0;
	int r;

	if (peek->r < 0 || !field->there)
		return 0;
	r = field_read(peek->view, object, field, &value, peek->first ? NULL : peek->err);
	if (r < 0)
		peek_failed(peek, r);
	return value;
}

static inline uint32_t peek_u32(struct peek *peek, gva object, const struct field *field)
{
	return (uint32_t)peek_u64(peek, object, field);
}

static inline gva peek_ptr(struct peek *peek, gva object, const struct field *field)
{
	return gva_of(peek_u64(peek, object, field));
}

/* As peek_ptr(); what is no kernel address counts as unreadable, 0 is allowed. */
static inline gva peek_object(struct peek *peek, gva object, const struct field *field)
{
	gva at = peek_ptr(peek, object, field);

	if (!at.v || gva_is_kernel(at))
		return at;
	peek_failed(peek, fail(peek->first ? NULL : peek->err, -EBADMSG,
			       field_at(object, field), "pointer leads to %#llx",
			       (unsigned long long)at.v));
	return gva_of(0);
}

#endif
