/* SPDX-License-Identifier: Apache-2.0 */
#include "base/map.h"

#include <stdlib.h>
#include <string.h>

#include "base/hash.h"

#define ROOM_FIRST 64u
#define ROOM_MAX   (1u << 30)

/* Where @key is, or the free place where it would go. */
static uint32_t place_of(const struct map *map, uint64_t key)
{
	uint64_t hash = hash_number(key, hash_secret());
	uint32_t at = (uint32_t)(hash >> (64 - __builtin_ctz(map->room)));

	while (map->keys[at] && map->keys[at] != key)
		at = (at + 1) & (map->room - 1);
	return at;
}

static int grow(struct map *map)
{
	struct map larger = { .n = map->n, .room = map->room ? map->room * 2 : ROOM_FIRST };

	if (map->room == ROOM_MAX)
		return -ENOMEM;
	larger.keys = calloc(larger.room, sizeof(*larger.keys));
	larger.values = calloc(larger.room, sizeof(*larger.values));
	if (!larger.keys || !larger.values) {
		map_free(&larger);
		return -ENOMEM;
	}
	for (uint32_t i = 0; i < map->room; i++) {
		uint32_t to;

		if (!map->keys[i])
			continue;
		to = place_of(&larger, map->keys[i]);
		larger.keys[to] = map->keys[i];
		larger.values[to] = map->values[i];
	}
	map_free(map);
	*map = larger;
	return 0;
}

int map_put(struct map *map, uint64_t key, uint32_t value)
{
	uint32_t at;
	bool there;
	int r;

	if (!key)
		return -EINVAL;
	if (map->n >= map->room / 2) {
		r = grow(map);
		if (r < 0)
			return r;
	}
	at = place_of(map, key);
	there = map->keys[at] == key;
	map->keys[at] = key;
	map->values[at] = value;
	map->n += !there;
	return there;
}

bool map_get(const struct map *map, uint64_t key, uint32_t *value)
{
	uint32_t at;

	if (!key || !map->room)
		return false;
	at = place_of(map, key);
	if (!map->keys[at])
		return false;
	if (value)
		*value = map->values[at];
	return true;
}

void map_free(struct map *map)
{
	free(map->keys);
	free(map->values);
	*map = (struct map){ 0 };
}
