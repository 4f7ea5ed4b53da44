/* SPDX-License-Identifier: Apache-2.0 */
#include "make/log_ring.h"

#include <stdlib.h>
#include <string.h>

#define ID_MASK ((1ull << 62) - 1)

static struct field at(uint32_t offset, uint32_t size)
{
	return (struct field){ .there = true, .at = offset, .size_bytes = size };
}

static struct field bits(uint32_t offset, uint8_t bit_at, uint8_t n)
{
	return (struct field){ .there = true, .at = offset, .size_bytes = 1, .bit_at = bit_at,
			       .bits = n };
}

void made_put(uint8_t *object, unsigned offset, uint64_t value)
{
	memcpy(object + offset, &value, sizeof(value));
}

void made_put16(uint8_t *object, unsigned offset, uint16_t value)
{
	memcpy(object + offset, &value, sizeof(value));
}

static uint64_t get(const uint8_t *object, unsigned offset)
{
	uint64_t value;

	memcpy(&value, object + offset, sizeof(value));
	return value;
}

struct made_ring *made_ring_new(uint32_t count_bits, uint32_t size_bits)
{
	struct made_ring *ring = calloc(1, sizeof(*ring));
	uint64_t count = 1ull << count_bits;
	uint8_t *last;

	if (!ring)
		abort();
	ring->descs = calloc(count, MADE_DESC_BYTES);
	ring->infos = calloc(count, MADE_INFO_BYTES);
	ring->text = calloc(1, 1ull << size_bits);
	if (!ring->descs || !ring->infos || !ring->text)
		abort();
	ring->fields = (struct log_fields){
		.desc = at(0, MADE_DESC_BYTES),
		.state = at(MADE_DESC_STATE, 8),
		.begin = at(MADE_DESC_BEGIN, 8),
		.next = at(MADE_DESC_NEXT, 8),
		.info = at(0, MADE_INFO_BYTES),
		.seq = at(MADE_INFO_SEQ, 8),
		.time = at(MADE_INFO_TIME, 8),
		.text_len = at(MADE_INFO_TEXT_LEN, 2),
		.facility = at(MADE_INFO_FACILITY, 1),
		.flags = bits(MADE_INFO_FLAGS, 0, 5),
		.level = bits(MADE_INFO_FLAGS, 5, 3),
		.caller = at(MADE_INFO_CALLER, 4),
		.subsystem = at(MADE_INFO_SUBSYSTEM, 16),
		.device = at(MADE_INFO_DEVICE, 48),
	};
	ring->ring = (struct log_ring){
		.f = &ring->fields,
		.count_bits = count_bits,
		.size_bits = size_bits,
		/* DESC0_ID and BLK0_LPOS: they overflow soon, so that it is tested. */
		.tail_id = (0 - (count + 1)) & ID_MASK,
		.head_id = (0 - (count + 1)) & ID_MASK,
		.descs = ring->descs,
		.infos = ring->infos,
		.text = ring->text,
	};
	ring->head_lpos = ring->tail_lpos = 0 - (1ull << size_bits);
	last = ring->descs + (count - 1) * MADE_DESC_BYTES;
	made_put(last, MADE_DESC_STATE, 3ull << 62 | ring->ring.tail_id);
	made_put(last, MADE_DESC_BEGIN, 1);
	made_put(last, MADE_DESC_NEXT, 1);
	made_put(ring->infos, MADE_INFO_SEQ, 0 - count);
	return ring;
}

void made_ring_free(struct made_ring **ring)
{
	if (!*ring)
		return;
	free((*ring)->descs);
	free((*ring)->infos);
	free((*ring)->text);
	free(*ring);
	*ring = NULL;
}

uint8_t *made_ring_desc(struct made_ring *ring, uint64_t seq)
{
	return ring->descs + (seq & ((1ull << ring->ring.count_bits) - 1)) * MADE_DESC_BYTES;
}

uint8_t *made_ring_info(struct made_ring *ring, uint64_t seq)
{
	return ring->infos + (seq & ((1ull << ring->ring.count_bits) - 1)) * MADE_INFO_BYTES;
}

void made_ring_state(struct made_ring *ring, uint64_t seq, uint64_t state)
{
	uint8_t *desc = made_ring_desc(ring, seq);

	made_put(desc, MADE_DESC_STATE, (get(desc, MADE_DESC_STATE) & ID_MASK) | state << 62);
}

/* Records whose text lies before @to are given up. */
static void free_text(struct made_ring *ring, uint64_t to)
{
	uint64_t count = 1ull << ring->ring.count_bits;

	for (uint64_t i = 0; i < count; i++) {
		uint8_t *desc = ring->descs + i * MADE_DESC_BYTES;

		if (get(desc, MADE_DESC_STATE) >> 62 == 2 &&
		    (int64_t)(get(desc, MADE_DESC_BEGIN) - to) < 0)
			made_put(desc, MADE_DESC_STATE, get(desc, MADE_DESC_STATE) | 3ull << 62);
	}
	ring->tail_lpos = to;
}

void made_ring_add(struct made_ring *ring, const char *text)
{
	uint64_t size = 1ull << ring->ring.size_bits, count = 1ull << ring->ring.count_bits;
	uint64_t bytes = (8 + strlen(text) + 7) & ~7ull, begin = ring->head_lpos, next, id, seq;
	uint8_t *desc, *info, *block;

	next = begin + bytes;
	block = ring->text + (begin & (size - 1));
	if (begin / size != next / size) {	/* moved to the start, as up to 6.18 */
		next = (next & ~(size - 1)) + bytes;
		block = ring->text;
	}
	if (next - ring->tail_lpos > size)
		free_text(ring, next - size);
	ring->head_lpos = next;

	id = ring->ring.head_id = (ring->ring.head_id + 1) & ID_MASK;
	if (((id - ring->ring.tail_id) & ID_MASK) >= count)
		ring->ring.tail_id = (ring->ring.tail_id + 1) & ID_MASK;
	desc = made_ring_desc(ring, id);
	info = made_ring_info(ring, id);
	seq = get(info, MADE_INFO_SEQ);
	seq = !seq && (id & (count - 1)) ? id & (count - 1) : seq + count;

	memset(info, 0, MADE_INFO_BYTES);
	made_put(info, MADE_INFO_SEQ, seq);
	made_put(info, MADE_INFO_TIME, 1000000 * seq);
	made_put16(info, MADE_INFO_TEXT_LEN, (uint16_t)strlen(text));
	info[MADE_INFO_FACILITY] = 3;
	info[MADE_INFO_FLAGS] = 6 << 5 | 2;
	info[MADE_INFO_CALLER] = 7;
	info[MADE_INFO_CALLER + 3] = 0x80;
	memcpy(info + MADE_INFO_SUBSYSTEM, "pci", 4);
	memcpy(info + MADE_INFO_DEVICE, "+pci:0000:00:01.0", 18);
	made_put(block, 0, id);
	memcpy(block + 8, text, strlen(text));
	made_put(desc, MADE_DESC_BEGIN, begin);
	made_put(desc, MADE_DESC_NEXT, next);
	made_put(desc, MADE_DESC_STATE, 2ull << 62 | id);
}
