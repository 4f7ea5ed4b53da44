/* SPDX-License-Identifier: Apache-2.0 */
#include "linux/log_ring.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/limits.h"

/* enum desc_state, in the upper two bits of state_var; the others are the id. */
enum state {
	STATE_RESERVED,		/* a writer has it */
	STATE_COMMITTED,	/* written; its writer may take it up again for the same line */
	STATE_FINAL,
	STATE_REUSABLE,		/* its text is given up */
};

#define STATE_SHIFT 62
#define ID_MASK	    ((1ull << STATE_SHIFT) - 1)

/* Positions of records without text (d397820f36ff); a real one is a multiple of 8. */
#define LPOS_FAILED 1u		/* there was no room for it */
#define LPOS_EMPTY  3u		/* there is none: an empty line */

#define BLOCK_HEAD_BYTES 8u	/* prb_data_block.id */

#define FLAG_NEWLINE 2u		/* enum log_flags */
#define CALLER_CPU   0x80000000u

#define STRIDE_MAX 256u		/* 112 bytes are the most seen, for an info of 7.2 */

static const struct {
	size_t slot;
	bool of_info;
} members[] = {
	{ offsetof(struct log_fields, state), false },
	{ offsetof(struct log_fields, begin), false },
	{ offsetof(struct log_fields, next), false },
	{ offsetof(struct log_fields, seq), true },
	{ offsetof(struct log_fields, time), true },
	{ offsetof(struct log_fields, text_len), true },
	{ offsetof(struct log_fields, facility), true },
	{ offsetof(struct log_fields, flags), true },
	{ offsetof(struct log_fields, level), true },
	{ offsetof(struct log_fields, caller), true },
	{ offsetof(struct log_fields, comm), true },
	{ offsetof(struct log_fields, subsystem), true },
	{ offsetof(struct log_fields, device), true },
};

int log_ring_check(const struct log_ring *ring, struct err *err)
{
	const struct log_fields *f = ring->f;

	if (!f->desc.size_bytes || f->desc.size_bytes > STRIDE_MAX || !f->info.size_bytes ||
	    f->info.size_bytes > STRIDE_MAX)
		return err_set(err, -EBADMSG, "log descriptors of %u and %u bytes",
			       f->desc.size_bytes, f->info.size_bytes);
	for (size_t i = 0; i < sizeof(members) / sizeof(members[0]); i++) {
		const struct field *field =
			(const struct field *)((const char *)f + members[i].slot);
		uint32_t room = members[i].of_info ? f->info.size_bytes : f->desc.size_bytes;

		if (field->there && (field->at > room || field->size_bytes > room - field->at))
			return err_set(err, -EBADMSG, "a log record's member lies outside of it");
	}
	if (!ring->count_bits || ring->size_bits < 3)
		return err_set(err, -EBADMSG, "a log of 2^%u records and 2^%u bytes",
			       ring->count_bits, ring->size_bits);
	if (ring->count_bits > LOG_COUNT_BITS_MAX || ring->size_bits > LOG_SIZE_BITS_MAX)
		return err_set(err, -ELOOP, "a log of 2^%u records and 2^%u bytes",
			       ring->count_bits, ring->size_bits);
	if (log_ring_records(ring) > 1ull << ring->count_bits)
		return err_set(err, -EBADMSG, "a log whose newest record is %" PRIu64
			       " after the oldest", log_ring_records(ring) - 1);
	return 0;
}

uint64_t log_ring_records(const struct log_ring *ring)
{
	return ((ring->head_id - ring->tail_id) & ID_MASK) + 1;
}

/* A member of one of the ring's copied structs; log_ring_check() saw that it lies inside. */
static uint64_t number(const uint8_t *object, const struct field *field)
{
	uint64_t value = 0;

	if (!field->there || field->size_bytes > sizeof(value))
		return 0;
	memcpy(&value, object + field->at, field->size_bytes);
	if (field->bits && field->bits < 64)
		value = value >> field->bit_at & ((1ull << field->bits) - 1);
	return value;
}

/* @to has room for the member and a terminator; a shorter @to gets what fits. */
static void string(const uint8_t *object, const struct field *field, char *to, size_t size)
{
	size_t n = field->there ? field->size_bytes : 0;

	if (n > size - 1)
		n = size - 1;
	memcpy(to, object + field->at, n);
	to[n] = '\0';
}

struct block {
	const uint8_t *at;	/* NULL: no text */
	uint64_t size_bytes;	/* with its head */
	bool lost;
};

/*
 * Where a record's text lies. Blocks do not span the ring's end: one that would is put at
 * its start as a whole, and what was left at the end stays unused. One that ends exactly
 * there counts as such a one in older kernels only (its next position says so).
 */
static int find_block(const struct log_ring *ring, uint64_t begin, uint64_t next,
		      struct block *ret)
{
	uint64_t size = 1ull << ring->size_bits, bytes = next - begin;
	uint64_t wrap_begin = begin >> ring->size_bits, wrap_last = (next - 1) >> ring->size_bits;

	*ret = (struct block){ 0 };
	if (begin & 1 && next & 1) {
		ret->lost = begin != LPOS_EMPTY || next != LPOS_EMPTY;
		return 0;
	}
	if (begin % BLOCK_HEAD_BYTES || next % BLOCK_HEAD_BYTES || !bytes || bytes > 2 * size)
		return -EBADMSG;
	if (wrap_begin == wrap_last) {
		ret->at = ring->text + (begin & (size - 1));
		ret->size_bytes = bytes;
	} else if (((begin + size) >> ring->size_bits) == (next >> ring->size_bits)) {
		ret->at = ring->text;
		ret->size_bytes = next & (size - 1);
	}
	return ret->size_bytes < BLOCK_HEAD_BYTES ? -EBADMSG : 0;
}

struct parse {
	const struct log_ring *ring;
	struct log *log;
	uint64_t text_left;	/* blocks do not overlap, so they are no more than the ring */
	int code;		/* of the first record that was not as it should be */
	struct err *err;
};

static void complain(struct parse *parse, uint64_t seq, const char *what)
{
	if (!parse->code)
		parse->code = err_set(parse->err, -EBADMSG, "log record %" PRIu64 ": %s", seq,
				      what);
}

static int add_text(struct parse *parse, uint64_t id, const uint8_t *desc, const uint8_t *info,
		    struct log_record *record)
{
	const struct log_fields *f = parse->ring->f;
	uint64_t want = number(info, &f->text_len), block_id;
	struct block block;

	if (find_block(parse->ring, number(desc, &f->begin), number(desc, &f->next), &block) < 0 ||
	    block.size_bytes > parse->text_left) {
		complain(parse, record->seq, "its text lies nowhere");
		block = (struct block){ .lost = true };
	}
	if (block.at) {
		parse->text_left -= block.size_bytes;
		memcpy(&block_id, block.at, sizeof(block_id));
		if ((block_id & ID_MASK) != id) {
			complain(parse, record->seq, "its text is another one's");
			block = (struct block){ .lost = true };
		}
	}
	if (block.at && want > block.size_bytes - BLOCK_HEAD_BYTES) {
		complain(parse, record->seq, "its text is longer than its block");
		want = block.size_bytes - BLOCK_HEAD_BYTES;
	}
	if (!block.at)
		want = 0;

	record->lost = block.lost;
	record->text = malloc(want + 1);
	if (!record->text)
		return -ENOMEM;
	if (want)
		memcpy(record->text, block.at + BLOCK_HEAD_BYTES, want);
	record->text[want] = '\0';
	record->text_bytes = (uint32_t)want;
	return 0;
}

static int add_record(struct parse *parse, uint64_t id, const uint8_t *desc, const uint8_t *info)
{
	const struct log_fields *f = parse->ring->f;
	const struct log_record *before =
		parse->log->all.n ? &parse->log->all.v[parse->log->all.n - 1] : NULL;
	uint64_t seq = number(info, &f->seq), mask = (1ull << parse->ring->count_bits) - 1;
	struct log_record *record;

	/* The kernel finds a record by its number, so both lead to the same place. */
	if ((seq & mask) != (id & mask) || (before && seq <= before->seq)) {
		complain(parse, seq, "its number does not fit its place");
		return 0;
	}
	record = vec_add(&parse->log->all);
	if (!record)
		return -ENOMEM;
	record->seq = seq;
	record->time_ns = number(info, &f->time);
	record->level = (uint8_t)number(info, &f->level);
	record->facility = (uint8_t)number(info, &f->facility);
	record->newline = number(info, &f->flags) & FLAG_NEWLINE;
	record->caller = (uint32_t)number(info, &f->caller);
	record->by_cpu = record->caller & CALLER_CPU;
	record->caller &= ~CALLER_CPU;
	string(info, &f->comm, record->comm, sizeof(record->comm));
	string(info, &f->subsystem, record->subsystem, sizeof(record->subsystem));
	string(info, &f->device, record->device, sizeof(record->device));
	return add_text(parse, id, desc, info, record);
}

int log_ring_parse(const struct log_ring *ring, struct log *ret, struct err *err)
{
	struct parse parse = {
		.ring = ring,
		.log = ret,
		.text_left = 1ull << ring->size_bits,
		.err = err,
	};
	uint64_t count = 1ull << ring->count_bits, n = log_ring_records(ring);

	ret->text_ring_bytes = 1ull << ring->size_bits;
	ret->descriptors = count;
	for (uint64_t i = 0; i < n; i++) {
		uint64_t id = (ring->tail_id + i) & ID_MASK, at = id & (count - 1);
		const uint8_t *desc = ring->descs + at * ring->f->desc.size_bytes;
		uint64_t state = number(desc, &ring->f->state);
		int r = 0;

		if ((state & ID_MASK) != id) {
			/* Being reserved: the newest id is given out before its place is taken. */
			if (!state || (state & ID_MASK) == ((id - count) & ID_MASK))
				ret->unfinished++;
			else
				complain(&parse, i, "its place is another one's");
			continue;
		}
		if (state >> STATE_SHIFT == STATE_FINAL)
			r = add_record(&parse, id, desc,
				       ring->infos + at * ring->f->info.size_bytes);
		else if (state >> STATE_SHIFT != STATE_REUSABLE)
			ret->unfinished++;
		if (r < 0)
			return r;
	}
	return parse.code;
}
