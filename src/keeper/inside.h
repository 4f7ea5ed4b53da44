/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HVSM_KEEPER_INSIDE_H
#define HVSM_KEEPER_INSIDE_H

#include <stdbool.h>

#include "agent/format.h"
#include "base/blob.h"
#include "base/err.h"
#include "base/map.h"
#include "base/vec.h"

/* What the guest sees of itself: one inside view, copied from the agent's memory. */

struct inside_item {
	enum agent_item_kind kind;
	uint64_t number, value;
	const uint8_t *text;	/* guest text, not terminated; not aligned */
	uint32_t text_bytes;
};

/* Start with {0}; give the memory back with inside_free(). */
struct inside {
	struct agent_inside head;	/* sequence 0: there is none */
	struct blob data;
	VEC(struct inside_item) items;	/* in the agent's order */
	struct map tasks, sockets, mounts;	/* number (0: it has none) → index in @items */
};

/**
 * inside_parse - take a copy apart
 * @data: the header and what follows; the view's from now on, also on failure
 * @sequence: that it must have
 * @ret:  {0}; untouched on failure
 *
 * Return: 0, -ESTALE (it was written meanwhile: another number), -EBADMSG (lengths that cannot
 *         be), -ENOMEM.
 */
nodiscard int inside_parse(struct blob *data, uint64_t sequence, struct inside *ret,
			   struct err *err);

void inside_free(struct inside *inside);

/* Could all items of this kind be listed? */
static inline bool inside_has_all(const struct inside *inside, enum agent_item_kind kind)
{
	return !(inside->head.missing & 1u << kind);
}

/* Is a process there, by its PID? */
bool inside_has_task(const struct inside *inside, int32_t pid);

#endif
