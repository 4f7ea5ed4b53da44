/* SPDX-License-Identifier: Apache-2.0 */
#include "base/keep.h"

#include <stdint.h>
#include <stdlib.h>

struct kept {
	const void *key;
	void *object;
	void (*release)(void *object);
	struct kept *next;
};

/* Keys are static data: they have few bits in common above their alignment. */
static size_t head_of(const void *key)
{
	return ((uintptr_t)key / sizeof(key) ^ (uintptr_t)key / 512) % KEEP_HEADS;
}

void *keep_get(const struct keep *keep, const void *key)
{
	for (const struct kept *kept = keep->heads[head_of(key)]; kept; kept = kept->next)
		if (kept->key == key)
			return kept->object;
	return NULL;
}

int keep_put(struct keep *keep, const void *key, void *object, void (*release)(void *object))
{
	struct kept **head = &keep->heads[head_of(key)], *kept = malloc(sizeof(*kept));

	if (!kept)
		return -ENOMEM;
	*kept = (struct kept){ key, object, release, *head };
	*head = kept;
	return 0;
}

void keep_free(struct keep *keep)
{
	for (size_t i = 0; i < KEEP_HEADS; i++)
		while (keep->heads[i]) {
			struct kept *kept = keep->heads[i];

			keep->heads[i] = kept->next;
			kept->release(kept->object);
			free(kept);
		}
}
