/* SPDX-License-Identifier: Apache-2.0 */
#include "linux/clock.h"

#define REAL_MAX_NS	(1ll << 62)	/* the year 2116: a wall clock beyond is a forgery */

struct clock_fields {
	struct field seq, data_timekeeper, timekeeper, clock_mono, clock_raw, real, boot;
};

static const struct member clock_members[] = {
	MEMBER(struct clock_fields, seq, "seqcount_raw_spinlock_t|seqcount_t"),
	MEMBER_OPTIONAL(struct clock_fields, data_timekeeper, "tk_data.timekeeper"),
	MEMBER(struct clock_fields, timekeeper, "timekeeper"),
	MEMBER(struct clock_fields, clock_mono, "timekeeper.tkr_mono.clock"),
	MEMBER(struct clock_fields, clock_raw, "timekeeper.tkr_raw.clock"),
	MEMBER(struct clock_fields, real, "timekeeper.offs_real"),
	MEMBER(struct clock_fields, boot, "timekeeper.offs_boot"),
};
LAYOUT(clock_layout, struct clock_fields, clock_members);

/*
 * The core timekeeper (kernel/time/timekeeping.c): timekeeper_data[TIMEKEEPER_CORE], which is
 * its first element, where there are several (v6.17 on), tk_core before. That was a struct
 * without a name until it became struct tk_data (v6.13): a sequence count, and behind it the
 * timekeeper at its alignment of 8.
 */
static int find_timekeeper(const struct kernel *kernel, const struct clock_fields *f, gva *ret,
			   struct err *err)
{
	gva at = symbols_lookup(kernel->symbols, "timekeeper_data");
	int r;

	if (!at.v) {
		r = kernel_symbol(kernel, "tk_core", &at, err);
		if (r < 0)
			return r;
	}
	*ret = f->data_timekeeper.there ? field_at(at, &f->data_timekeeper) :
					  gva_add(at, (f->seq.size_bytes + 7u) & ~7u);
	return 0;
}

int clock_read(const struct kernel *kernel, struct view *view, struct clock *ret, struct err *err)
{
	uint64_t mono = 0, raw = 0, real = 0, boot = 0;
	const struct clock_fields *f;
	gva at;
	int r;

	r = types_layout(kernel->types, &clock_layout, (const void **)&f, err);
	if (r >= 0)
		r = find_timekeeper(kernel, f, &at, err);
	if (r >= 0)
		r = field_read(view, at, &f->clock_mono, &mono, err);
	if (r >= 0)
		r = field_read(view, at, &f->clock_raw, &raw, err);
	if (r >= 0)
		r = field_read(view, at, &f->real, &real, err);
	if (r >= 0)
		r = field_read(view, at, &f->boot, &boot, err);
	if (r < 0)
		return wrap(err, r, "the guest's clock");

	/* Both of its readings come from one clock source: so it is told from other bytes. */
	if (!gva_is_kernel(gva_of(mono)) || mono != raw)
		return fail(err, -EBADMSG, at, "the guest's clock has no source");
	if ((int64_t)real < -REAL_MAX_NS || (int64_t)real > REAL_MAX_NS ||
	    (int64_t)boot < 0 || (int64_t)boot > REAL_MAX_NS)
		return fail(err, -EBADMSG, at, "the guest's clock is out of range");
	ret->real_minus_boot_ns = (int64_t)real - (int64_t)boot;
	ret->boot_minus_mono_ns = (int64_t)boot;
	return 0;
}

struct now_fields {
	struct field base, fraction, shift;
};

static const struct member now_members[] = {
	MEMBER(struct now_fields, base, "timekeeper.tkr_mono.base"),
	MEMBER(struct now_fields, fraction, "timekeeper.tkr_mono.xtime_nsec"),
	MEMBER(struct now_fields, shift, "timekeeper.tkr_mono.shift"),
};
LAYOUT(now_layout, struct now_fields, now_members);

/* ktime_get_coarse_with_offset(TK_OFFS_BOOT) */
int clock_boot_now(const struct kernel *kernel, struct view *view, uint64_t *ret_ns,
		   struct err *err)
{
	uint64_t base = 0, fraction = 0, shift = 0, boot = 0;
	const struct clock_fields *f;
	const struct now_fields *n;
	gva at;
	int r;

	r = types_layout(kernel->types, &clock_layout, (const void **)&f, err);
	if (r >= 0)
		r = types_layout(kernel->types, &now_layout, (const void **)&n, err);
	if (r >= 0)
		r = find_timekeeper(kernel, f, &at, err);
	if (r >= 0)
		r = field_read(view, at, &n->base, &base, err);
	if (r >= 0)
		r = field_read(view, at, &n->fraction, &fraction, err);
	if (r >= 0)
		r = field_read(view, at, &n->shift, &shift, err);
	if (r >= 0)
		r = field_read(view, at, &f->boot, &boot, err);
	if (r < 0)
		return wrap(err, r, "the guest's clock");
	if ((int64_t)base < 0 || (int64_t)base > REAL_MAX_NS || (int64_t)boot < 0 ||
	    (int64_t)boot > REAL_MAX_NS || shift > 63)
		return fail(err, -EBADMSG, at, "the guest's clock is out of range");
	*ret_ns = base + (fraction >> shift) + boot;
	return 0;
}

uint64_t clock_wall_ns(const struct clock *clock, uint64_t boot_ns)
{
	int64_t wall;

	if (boot_ns > INT64_MAX ||
	    __builtin_add_overflow((int64_t)boot_ns, clock->real_minus_boot_ns, &wall) || wall < 0)
		return 0;
	return (uint64_t)wall;
}
