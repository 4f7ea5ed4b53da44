/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HVSM_TESTS_MAKE_LOG_RING_H
#define HVSM_TESTS_MAKE_LOG_RING_H

#include "linux/log_ring.h"

/* A printk ring as a kernel writes it, for tests and for the fuzzer: struct layouts of 6.1. */
enum {
	MADE_DESC_STATE = 0, MADE_DESC_BEGIN = 8, MADE_DESC_NEXT = 16, MADE_DESC_BYTES = 24,
	MADE_INFO_SEQ = 0, MADE_INFO_TIME = 8, MADE_INFO_TEXT_LEN = 16, MADE_INFO_FACILITY = 18,
	MADE_INFO_FLAGS = 19, MADE_INFO_CALLER = 20, MADE_INFO_SUBSYSTEM = 24,
	MADE_INFO_DEVICE = 40, MADE_INFO_BYTES = 88,
};

struct made_ring {
	struct log_ring ring;
	struct log_fields fields;
	uint8_t *descs, *infos, *text;	/* what @ring refers to */
	uint64_t head_lpos, tail_lpos;
};

struct made_ring *made_ring_new(uint32_t count_bits, uint32_t size_bits);
void made_ring_free(struct made_ring **ring);

/* Add a record, as the kernel does it: old ones make room. */
void made_ring_add(struct made_ring *ring, const char *text);

/* The place of record number @seq, in the ring or not. */
uint8_t *made_ring_desc(struct made_ring *ring, uint64_t seq);
uint8_t *made_ring_info(struct made_ring *ring, uint64_t seq);

/* Give its descriptor another state, 0..3. */
void made_ring_state(struct made_ring *ring, uint64_t seq, uint64_t state);

void made_put(uint8_t *object, unsigned at, uint64_t value);
void made_put16(uint8_t *object, unsigned at, uint16_t value);

#endif
