/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HVSM_RAM_SERVED_H
#define HVSM_RAM_SERVED_H

#include "ram/ram.h"

/*
 * Memory for a process that has no right to read it, from one that has and stays: a domain of
 * Xen, which no descriptor stands for but that of privcmd, and that can do more than read.
 *
 * Both share a buffer of FETCH_FRAMES_MAX pages, whose size is fixed and which only the process
 * with the rights can write to. It copies there what the other one asks for, so it never holds
 * a frame of the guest longer than that takes.
 */

/* The reader's way to ask. */
struct memory_elsewhere {
	/* As ram_fetch(), of the memory that was handed over. Waits for the answer. */
	int (*fetch)(void *ctx, uint64_t first, uint32_t n, uint64_t *there, struct err *err);
	void *ctx;
};

#define FETCH_RENEW 1u

/* Has the process that opened it to stay, and to ram_fetch() what is read of it? */
bool ram_is_served(const struct ram *ram);

/**
 * ram_fetch - copy frames of the guest to the buffer that was handed over
 * @ram:   ram_is_served(), and handover_of() was called
 * @first: number of a guest frame
 * @n:     0..FETCH_FRAMES_MAX; 0: only say whether the guest is there, and, where @first is
 *         FETCH_RENEW, learn anew which machine frames it has
 * @there: receives which are: bit i is frame @first + i, and its copy the buffer's page i
 *
 * Return: 0, -EINVAL (some are no RAM, or too many: whoever asks was told what there is),
 *         -ESRCH (the guest is gone), -EIO.
 */
nodiscard int ram_fetch(struct ram *ram, uint64_t first, uint32_t n, uint64_t *there,
			struct err *err);

/* For ram_close(). NULL is fine. */
void served_buffer_free(struct served_buffer *buffer);

#endif
