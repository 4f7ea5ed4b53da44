/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HVSM_KEEPER_PATIENCE_H
#define HVSM_KEEPER_PATIENCE_H

#include <stddef.h>
#include <stdint.h>

#include "base/blob.h"
#include "base/map.h"
#include "base/vec.h"

/*
 * The agent needs time: what is seen outside and not by it may be seen by it in its next period.
 * So it is kept since when something has been missing, over runs of a check and over sweeps; by
 * the agent's own clock, which stands still where the agent does.
 */
struct patience {
	struct map index;		/* key → place in @all */
	VEC(struct missing {
		uint64_t key;		/* hash of what is missing */
		uint64_t since_ns;
	}) all;
};

/**
 * patience_since - since when has it been missing?
 * @what:   what tells it from all others: "this file in this process"; without padding
 * @now_ns: the agent's heartbeat
 * @ret:    receives when it was asked for first: @now_ns where it was not before
 *
 * Return: 0, -ENOMEM.
 */
nodiscard int patience_since(struct patience *patience, const void *what, size_t size,
			     uint64_t now_ns, uint64_t *ret);

/**
 * patience_save - add the newest to what is kept on the host
 * @blob: grows by a multiple of sizeof(struct missing); PATIENCE_SAVED_MAX of them at most
 * Return: 0, -ENOMEM (@blob is as it was).
 */
nodiscard int patience_save(const struct patience *patience, struct blob *blob);

/* Take back what patience_save() added. 0, -EBADMSG (@size is none that it adds), -ENOMEM. */
nodiscard int patience_load(struct patience *patience, const void *data, size_t size);

/**
 * patience_rounds_ns - after how long what the agent has not measured was not measured
 * @round_ns: between its looks at all processes, as it says; 0: not known
 *
 * Four of them, a minute at least; whatever it says, 40 at most.
 */
uint64_t patience_rounds_ns(uint64_t round_ns);

void patience_free(struct patience *patience);

#endif
