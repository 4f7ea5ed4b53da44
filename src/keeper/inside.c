/* SPDX-License-Identifier: Apache-2.0 */
#include "keeper/inside.h"

#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"

void inside_free(struct inside *inside)
{
	blob_free(&inside->data);
	vec_free(&inside->items);
	map_free(&inside->tasks);
	map_free(&inside->sockets);
	map_free(&inside->mounts);
	*inside = (struct inside){0};
}

static struct map *map_of(struct inside *inside, enum agent_item_kind kind)
{
	switch (kind) {
	case AGENT_ITEM_TASK:
		return &inside->tasks;
	case AGENT_ITEM_SOCKET:
		return &inside->sockets;
	case AGENT_ITEM_MOUNT:
		return &inside->mounts;
	default:
		return NULL;
	}
}

/* The item at @at, which is inside of the copy; its size is added to @at. */
static int add_item(struct inside *inside, uint64_t *at, struct err *err)
{
	uint64_t left = inside->head.size_bytes - *at;
	struct agent_item raw;
	struct inside_item *item;
	struct map *map;

	if (left < sizeof(raw))
		return err_set(err, -EBADMSG, "an inside view that ends within an item");
	memcpy(&raw, inside->data.data + *at, sizeof(raw));
	if (raw.size_bytes < sizeof(raw) || raw.size_bytes % 8 || raw.size_bytes > left ||
	    raw.text_bytes > raw.size_bytes - sizeof(raw) ||
	    raw.kind < AGENT_ITEM_TASK || raw.kind > AGENT_ITEM_USER)
		return err_set(err, -EBADMSG, "an inside view with an item that cannot be");
	item = vec_add(&inside->items);
	if (!item)
		return -ENOMEM;
	*item = (struct inside_item){
		.kind = raw.kind, .number = raw.number, .value = raw.value,
		.text = inside->data.data + *at + sizeof(raw), .text_bytes = raw.text_bytes,
	};
	*at += raw.size_bytes;
	map = map_of(inside, item->kind);
	if (!map || !raw.number)
		return 0;
	return map_put(map, raw.number, (uint32_t)(inside->items.n - 1)) < 0 ? -ENOMEM : 0;
}

int inside_parse(struct blob *data, uint64_t sequence, struct inside *ret, struct err *err)
{
	cleanup(inside_free) struct inside inside = { .data = *data };
	uint64_t at = sizeof(inside.head);
	int r = 0;

	*data = (struct blob){0};
	if (inside.data.size < sizeof(inside.head))
		return err_set(err, -EBADMSG, "an inside view without a header");
	memcpy(&inside.head, inside.data.data, sizeof(inside.head));
	if (!sequence || inside.head.sequence != sequence)
		return err_set(err, -ESTALE, "the inside view was written meanwhile");
	if (inside.head.size_bytes < sizeof(inside.head) ||
	    inside.head.size_bytes > inside.data.size ||
	    inside.head.begun_ns > inside.head.ended_ns)
		return err_set(err, -EBADMSG, "an inside view that cannot be");
	while (at < inside.head.size_bytes && r >= 0)
		r = add_item(&inside, &at, err);
	if (r == -ENOMEM)
		return err_set(err, r, "no memory for an inside view");
	if (r >= 0 && inside.items.n != inside.head.items)
		r = err_set(err, -EBADMSG, "an inside view of %zu items, and it says %u",
			    inside.items.n, inside.head.items);
	if (r < 0)
		return r;
	*ret = inside;
	inside = (struct inside){0};
	return 0;
}

bool inside_has_task(const struct inside *inside, int32_t pid)
{
	return pid > 0 && map_get(&inside->tasks, (uint64_t)pid, NULL);
}
