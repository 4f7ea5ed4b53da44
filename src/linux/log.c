/* SPDX-License-Identifier: Apache-2.0 */
#include "linux/log.h"

#include <stdlib.h>

#include "base/cleanup.h"
#include "base/limits.h"
#include "linux/log_ring.h"

/* printk_ringbuffer: of its own, and in log_fields what one record is made of. */
struct ring_fields {
	struct field count_bits, descs, infos, head_id, tail_id;
	struct field size_bits, data, head_lpos, tail_lpos;
};

static const struct member ring_members[] = {
	MEMBER(struct ring_fields, count_bits, "printk_ringbuffer.desc_ring.count_bits"),
	MEMBER(struct ring_fields, descs, "printk_ringbuffer.desc_ring.descs"),
	MEMBER(struct ring_fields, infos, "printk_ringbuffer.desc_ring.infos"),
	MEMBER(struct ring_fields, head_id, "printk_ringbuffer.desc_ring.head_id"),
	MEMBER(struct ring_fields, tail_id, "printk_ringbuffer.desc_ring.tail_id"),
	MEMBER(struct ring_fields, size_bits, "printk_ringbuffer.text_data_ring.size_bits"),
	MEMBER(struct ring_fields, data, "printk_ringbuffer.text_data_ring.data"),
	MEMBER(struct ring_fields, head_lpos, "printk_ringbuffer.text_data_ring.head_lpos"),
	MEMBER(struct ring_fields, tail_lpos, "printk_ringbuffer.text_data_ring.tail_lpos"),
};
LAYOUT(ring_layout, struct ring_fields, ring_members);

static const struct member log_members[] = {
	MEMBER(struct log_fields, desc, "prb_desc"),
	MEMBER(struct log_fields, state, "prb_desc.state_var"),
	MEMBER(struct log_fields, begin, "prb_desc.text_blk_lpos.begin"),
	MEMBER(struct log_fields, next, "prb_desc.text_blk_lpos.next"),
	MEMBER(struct log_fields, info, "printk_info"),
	MEMBER(struct log_fields, seq, "printk_info.seq"),
	MEMBER(struct log_fields, time, "printk_info.ts_nsec"),
	MEMBER(struct log_fields, text_len, "printk_info.text_len"),
	MEMBER(struct log_fields, facility, "printk_info.facility"),
	MEMBER(struct log_fields, flags, "printk_info.flags"),
	MEMBER(struct log_fields, level, "printk_info.level"),
	MEMBER(struct log_fields, caller, "printk_info.caller_id"),
	MEMBER_OPTIONAL(struct log_fields, comm, "printk_info.comm"),
	MEMBER_OPTIONAL(struct log_fields, subsystem, "printk_info.dev_info.subsystem"),
	MEMBER_OPTIONAL(struct log_fields, device, "printk_info.dev_info.device"),
};
LAYOUT(log_layout, struct log_fields, log_members);

/* One of the three rings in the guest, and the part of it that is in use. */
struct part {
	gva at;
	uint64_t count, stride;	/* elements, bytes of one */
	uint64_t first, used;	/* elements */
};

/*
 * A ring as large as the guest's, with its used part copied; the rest is zeros and, as
 * calloc() gives it, costs no memory.
 */
static int copy_part(struct view *view, const struct part *part, uint8_t **ret, struct err *err)
{
	cleanup(freep) uint8_t *copy = calloc(part->count, part->stride);
	uint64_t first = part->first & (part->count - 1);
	uint64_t upper = part->used < part->count - first ? part->used : part->count - first;
	int r = 0;

	if (!copy)
		return -ENOMEM;
	if (upper)
		r = view_read(view, gva_add(part->at, first * part->stride),
			      copy + first * part->stride, upper * part->stride, err);
	if (r >= 0 && part->used > upper)
		r = view_read(view, part->at, copy, (part->used - upper) * part->stride, err);
	if (r < 0)
		return wrap(err, r, "the kernel's log");
	*ret = take_ptr(&copy);
	return 0;
}

/* The numbers that describe the ring. They are not of one instant: the guest runs. */
struct ends {
	uint64_t descs, infos, data, head_lpos, tail_lpos;
};

static int read_ends(const struct kernel *kernel, struct view *view, struct log_ring *ring,
		     struct ends *ends, struct err *err)
{
	const struct ring_fields *f;
	uint64_t count_bits = 0, size_bits = 0;
	gva prb;
	int r;

	r = types_layout(kernel->types, &ring_layout, (const void **)&f, err);
	if (r >= 0)
		r = types_layout(kernel->types, &log_layout, (const void **)&ring->f, err);
	if (r >= 0)
		r = kernel_symbol(kernel, "prb", &prb, err);
	if (r >= 0)
		r = view_ptr(view, prb, &prb, err);
	if (r < 0)
		return r;

	const struct {
		const struct field *field;
		uint64_t *to;
	} reads[] = {
		{ &f->count_bits, &count_bits }, { &f->size_bits, &size_bits },
		{ &f->descs, &ends->descs }, { &f->infos, &ends->infos },
		{ &f->data, &ends->data },
		{ &f->tail_id, &ring->tail_id }, { &f->head_id, &ring->head_id },
		{ &f->tail_lpos, &ends->tail_lpos }, { &f->head_lpos, &ends->head_lpos },
	};
	for (size_t i = 0; i < ARRAY_SIZE(reads); i++) {
		r = field_read(view, prb, reads[i].field, reads[i].to, err);
		if (r < 0)
			return r;
	}
	ring->count_bits = count_bits < 64 ? (uint32_t)count_bits : 64;
	ring->size_bits = size_bits < 64 ? (uint32_t)size_bits : 64;
	return log_ring_check(ring, err);
}

int log_read(const struct kernel *kernel, struct view *view, struct log *ret, struct err *err)
{
	cleanup(freep) uint8_t *descs = NULL;
	cleanup(freep) uint8_t *infos = NULL;
	cleanup(freep) uint8_t *text = NULL;
	struct log_ring ring = { 0 };
	struct ends ends = { 0 };
	struct part part = { 0 };
	int r;

	r = read_ends(kernel, view, &ring, &ends, err);
	if (r < 0)
		return r;

	part.at = gva_of(ends.descs);
	part.count = 1ull << ring.count_bits;
	part.stride = ring.f->desc.size_bytes;
	part.first = ring.tail_id;
	part.used = log_ring_records(&ring);
	r = copy_part(view, &part, &descs, err);
	if (r < 0)
		return r;

	part.at = gva_of(ends.infos);
	part.stride = ring.f->info.size_bytes;
	r = copy_part(view, &part, &infos, err);
	if (r < 0)
		return r;

	part.at = gva_of(ends.data);
	part.count = 1ull << ring.size_bits;
	part.stride = 1;
	part.first = ends.tail_lpos;
	part.used = ends.head_lpos - ends.tail_lpos;
	if (part.used > part.count)
		return err_set(err, -EBADMSG, "a log with more text than it has room for");
	r = copy_part(view, &part, &text, err);
	if (r < 0)
		return r;

	ring.descs = descs;
	ring.infos = infos;
	ring.text = text;
	return log_ring_parse(&ring, ret, err);
}

int log_newest(const struct kernel *kernel, struct view *view, uint64_t *ret, struct err *err)
{
	const struct ring_fields *f;
	gva prb;
	int r;

	r = types_layout(kernel->types, &ring_layout, (const void **)&f, err);
	if (r >= 0)
		r = kernel_symbol(kernel, "prb", &prb, err);
	if (r >= 0)
		r = view_ptr(view, prb, &prb, err);
	if (r >= 0)
		r = field_read(view, prb, &f->head_id, ret, err);
	return r;
}

void log_free(struct log *log)
{
	for (size_t i = 0; i < log->all.n; i++)
		free(log->all.v[i].text);
	vec_free(&log->all);
	*log = (struct log){ 0 };
}

const char *log_level_name(uint8_t level)
{
	static const char *const names[] = {
		"emerg", "alert", "crit", "err", "warn", "notice", "info", "debug",
	};

	return level < ARRAY_SIZE(names) ? names[level] : "?";
}
