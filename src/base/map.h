/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HVSM_BASE_MAP_H
#define HVSM_BASE_MAP_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

/*
 * A set of numbers other than 0, each with a number of its own: "have I seen the object at
 * this address, and which of mine is it?" Start with {0}; give the memory back with
 * map_free().
 *
 * The keys may be a guest's choice: where they go depends on a secret of this process, so a
 * guest cannot make them collide.
 */
struct map {
	uint64_t *keys;		/* 0: free */
	uint32_t *values;
	uint32_t n;
	uint32_t room;		/* a power of two, at least twice @n; 0: nothing there yet */
};

/**
 * map_put - add a key, or give one that is there a new value
 * @key: not 0
 *
 * Return: 1 (it was there), 0 (it is new), -ENOMEM (nothing changed), -EINVAL (@key is 0).
 */
nodiscard int map_put(struct map *map, uint64_t key, uint32_t value);

/* Is @key there? Then *@value, which may be NULL, is its number. */
bool map_get(const struct map *map, uint64_t key, uint32_t *value);

void map_free(struct map *map);

#endif
