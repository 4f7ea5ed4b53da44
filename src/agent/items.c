/* SPDX-License-Identifier: Apache-2.0 */

#include "agent/items.h"

#include <string.h>

#include "base/hash.h"

_Static_assert(AGENT_PATH_MAX + sizeof(struct agent_item) <= UINT16_MAX - 7, "an item has 16 bits");

int items_begin(struct items *items, struct memory *memory)
{
	int r = memory_need(memory, sizeof(struct agent_inside));

	*items = (struct items){ .memory = memory, .used_bytes = sizeof(struct agent_inside) };
	return r;
}

void items_missing(struct items *items, enum agent_item_kind kind)
{
	items->missing |= 1u << kind;
}

bool items_add(struct items *items, const struct item *item)
{
	size_t text_bytes = item->text_bytes < AGENT_PATH_MAX ? item->text_bytes : AGENT_PATH_MAX;
	size_t size_bytes = (sizeof(struct agent_item) + text_bytes + 7) & ~(size_t)7;
	struct agent_item *to;

	if (memory_need(items->memory, items->used_bytes + size_bytes) < 0) {
		items_missing(items, item->kind);
		return false;
	}
	to = (struct agent_item *)(items->memory->at + items->used_bytes);
	/* What an older view left here must not show in the padding. */
	memset(to, 0, size_bytes);
	to->size_bytes = (uint16_t)size_bytes;
	to->kind = item->kind;
	to->text_bytes = (uint32_t)text_bytes;
	to->number = item->number;
	to->value = item->value;
	if (text_bytes)
		memcpy(to + 1, item->text, text_bytes);
	items->used_bytes += size_bytes;
	items->n++;
	return true;
}

const struct agent_item *items_at(const struct items *items, uint64_t at)
{
	return items->memory && at < items->used_bytes ?
		(const struct agent_item *)(items->memory->at + at) : NULL;
}

/* A module gets smaller when it has started and its init code is freed: it is still the same. */
static uint64_t identity(uint16_t kind, uint64_t number)
{
	return kind == AGENT_ITEM_MODULE ? 0 : number;
}

uint64_t item_hash(const struct item *item)
{
	size_t text_bytes = item->text_bytes < AGENT_PATH_MAX ? item->text_bytes : AGENT_PATH_MAX;
	const uint64_t head[] = { item->kind, identity(item->kind, item->number),
				  item->value, text_bytes };

	return hash_bytes(head, sizeof(head), hash_secret()) ^
	       hash_bytes(text_bytes ? item->text : "", text_bytes, hash_secret() + 2);
}

static struct item item_of(const struct agent_item *from)
{
	return (struct item){ from->kind, from->number, from->value, from + 1, from->text_bytes };
}

static bool same(const struct agent_item *a, const struct item *b)
{
	size_t text_bytes = b->text_bytes < AGENT_PATH_MAX ? b->text_bytes : AGENT_PATH_MAX;

	return a->kind == b->kind && a->value == b->value &&
	       identity(a->kind, a->number) == identity(b->kind, b->number) &&
	       a->text_bytes == text_bytes &&
	       (!text_bytes || memcmp(a + 1, b->text, text_bytes) == 0);
}

/* Where the item is, or the free place where it would be. */
static uint32_t place_of(const struct item_set *set, const struct item *item)
{
	uint32_t at = (uint32_t)item_hash(item) % ITEM_SET_PLACES;

	while (set->places[at] && !same(items_at(set->items, set->places[at] * 8ull), item))
		at = (at + 1) % ITEM_SET_PLACES;
	return at;
}

bool item_set_make(struct item_set *set, const struct items *items, uint64_t from,
		   uint64_t to, enum agent_item_kind kind)
{
	const struct agent_item *at;

	set->items = items;
	set->n = 0;
	memset(set->places, 0, sizeof(set->places));
	for (; from < to && (at = items_at(items, from)); from += at->size_bytes) {
		const struct item item = item_of(at);

		if (at->kind != kind)
			continue;
		if (set->n >= ITEM_SET_PLACES / 4 * 3)
			return false;
		set->places[place_of(set, &item)] = (uint32_t)(from / 8);
		set->n++;
	}
	return true;
}

bool item_set_has(const struct item_set *set, const struct item *item)
{
	return set->places[place_of(set, item)] != 0;
}
