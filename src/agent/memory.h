/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HVSM_AGENT_MEMORY_H
#define HVSM_AGENT_MEMORY_H

#include <stdint.h>

#include "agent/format.h"
#include "base/err.h"

/*
 * A region that never moves: its addresses are reserved once, its memory comes in steps as it is
 * used, and what came is locked, so that the outside always finds it.
 */
struct memory {
	uint8_t *at;		/* page aligned */
	uint64_t size_bytes;	/* reserved */
	uint64_t ready_bytes;	/* of these, from the start on, there is memory */
};

/* Reserve @size_bytes (a multiple of the page size). No memory is taken yet. */
nodiscard int memory_reserve(struct memory *memory, uint64_t size_bytes, struct err *err);

/**
 * memory_need - see that the first @size_bytes are there
 *
 * What was there keeps its contents; what is new is zero.
 *
 * Return: 0; -ENOSPC (more than is reserved); -ENOMEM or -EAGAIN (the guest has none, or a memory
 * limit is reached: nothing changed, another try may work).
 */
nodiscard int memory_need(struct memory *memory, uint64_t size_bytes);

/* How the anchor names it. */
struct agent_region memory_region(const struct memory *memory);

#endif
