/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HVSM_BASE_KEEP_H
#define HVSM_BASE_KEEP_H

#include "base/err.h"

/*
 * Objects of whoever wants to find them again, by keys that are addresses of their own: a
 * layer keeps for those after it what lives as long as something of its own, and need not
 * know what it is. Some ten kinds of things are kept. Start with {0}.
 */
#define KEEP_HEADS 32u

struct keep {
	struct kept *heads[KEEP_HEADS];
};

/* What stands under @key; NULL: nothing. */
void *keep_get(const struct keep *keep, const void *key);

/**
 * keep_put - keep an object until keep_free()
 * @key:     address of something that is the caller's; nothing stands under it yet
 * @release: lets go of @object in the end
 *
 * Return: 0, -ENOMEM (@object stays the caller's).
 */
nodiscard int keep_put(struct keep *keep, const void *key, void *object,
		       void (*release)(void *object));

/* Lets go of all. */
void keep_free(struct keep *keep);

#endif
