/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HVSM_LINUX_LOG_RING_H
#define HVSM_LINUX_LOG_RING_H

#include <stdint.h>

#include "linux/log.h"

/*
 * A copy of the printk ring buffer, and what can be made of it (5.10: kernel/printk/
 * printk_ringbuffer.c). Three rings: descriptors, infos (one per descriptor), and text. A
 * record has an id, which counts up; its descriptor is number id mod count, and says in which
 * state it is and where its text block lies. A block begins with the id of its record.
 */
struct log_fields {
	struct field desc, state, begin, next;
	struct field info, seq, time, text_len, facility, flags, level, caller;
	struct field comm, subsystem, device;
};

struct log_ring {
	const struct log_fields *f;
	uint32_t count_bits;		/* log2 of the descriptors */
	uint32_t size_bits;		/* log2 of the bytes of text */
	uint64_t tail_id, head_id;	/* oldest and newest record */
	const uint8_t *descs;		/* f->desc.size_bytes each */
	const uint8_t *infos;		/* f->info.size_bytes each */
	const uint8_t *text;
};

/* Does each member lie in its struct, and are the sizes such as can be worked with? */
nodiscard int log_ring_check(const struct log_ring *ring, struct err *err);

/* Records from tail to head; more than the descriptors where the guest lies. */
uint64_t log_ring_records(const struct log_ring *ring);

/**
 * log_ring_parse - the records of a copied ring
 * @ring: passed log_ring_check()
 * @ret:  they are added to it
 *
 * A record that contradicts itself is left out, or kept as lost where only its text does; the
 * others are there.
 *
 * Return: 0, -EBADMSG, -ENOMEM.
 */
nodiscard int log_ring_parse(const struct log_ring *ring, struct log *ret, struct err *err);

#endif
