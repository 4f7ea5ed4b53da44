/* SPDX-License-Identifier: Apache-2.0 */
#include "keeper/since.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/limits.h"

void since_begin(struct since *since)
{
	since->pass++;
}

int since_get(struct since *since, const char *key, uint64_t now_ns, uint64_t *ret)
{
	struct since_entry *entry;

	for (size_t i = 0; i < since->entries.n; i++) {
		entry = &since->entries.v[i];
		if (strncmp(entry->key, key, sizeof(entry->key) - 1) != 0)
			continue;
		entry->pass = since->pass;
		*ret = entry->first_ns;
		return 0;
	}
	if (since->entries.n == SINCE_MAX)
		return -ELOOP;
	entry = vec_add(&since->entries);
	if (!entry)
		return -ENOMEM;
	snprintf(entry->key, sizeof(entry->key), "%s", key);
	entry->first_ns = now_ns;
	entry->pass = since->pass;
	*ret = now_ns;
	return 0;
}

void since_end(struct since *since)
{
	size_t kept = 0;

	for (size_t i = 0; i < since->entries.n; i++)
		if (since->entries.v[i].pass == since->pass)
			since->entries.v[kept++] = since->entries.v[i];
	since->entries.n = kept;
}

void since_free(struct since *since)
{
	vec_free(&since->entries);
}
