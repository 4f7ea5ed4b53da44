/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HVSM_AGENT_ITEMS_H
#define HVSM_AGENT_ITEMS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "agent/format.h"
#include "agent/memory.h"

/*
 * The items of one inside view (format.h), packed behind its header as they are found. What has no
 * room sets the bit of its kind in @missing: never is a list short without saying so.
 */
struct items {
	struct memory *memory;	/* one half of the region, NULL: nothing yet */
	uint64_t used_bytes;	/* with the header */
	uint32_t n;
	uint32_t missing;	/* 1 << enum agent_item_kind */
};

/* What an item says, its text wherever the caller has it. */
struct item {
	uint16_t kind;		/* enum agent_item_kind */
	uint64_t number, value;
	const void *text;
	size_t text_bytes;	/* what is over AGENT_PATH_MAX is cut off */
};

/* Start anew in @memory. -ENOMEM, -EAGAIN as memory_need(): nothing may be added then. */
nodiscard int items_begin(struct items *items, struct memory *memory);

/* Add one. False: there is no room, and missing says so. */
bool items_add(struct items *items, const struct item *item);

/* Not all of this kind could be listed. */
void items_missing(struct items *items, enum agent_item_kind kind);

/* The item at @at (the first: sizeof(struct agent_inside)); NULL behind the last. */
const struct agent_item *items_at(const struct items *items, uint64_t at);

/* Places in the table of a set: for three quarters of them items. 128 KiB, always locked. */
#define ITEM_SET_PLACES 32768u

/*
 * Which items a view has, by what makes each another one. Made of one run of items at a time,
 * out of memory that was there from the start: nothing that is done once a period may fail for
 * lack of it.
 */
struct item_set {
	const struct items *items;
	uint32_t n;
	uint32_t places[ITEM_SET_PLACES];	/* offset / 8; 0: free */
};

/* Of the items from @from to @to (offsets) those of @kind. False: too many; it is of no use. */
bool item_set_make(struct item_set *set, const struct items *items, uint64_t from,
		   uint64_t to, enum agent_item_kind kind);

bool item_set_has(const struct item_set *set, const struct item *item);

/* A hash of what makes an item another one: all that it says, but for the size of a module. */
uint64_t item_hash(const struct item *item);

#endif
