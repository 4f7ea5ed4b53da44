/* SPDX-License-Identifier: Apache-2.0 */
#include "base/names.h"

#include <stdlib.h>
#include <string.h>

#include "base/hash.h"

/* What is added is read in order; only the heads are hit at random, so they are few. */
#define HEADS_MIN 64u
#define NAMES_PER_HEAD 4u

struct name_entry {
	uint32_t next;		/* number of the one that was added before; 0: none */
	uint32_t text;
};

int names_init(struct names *names, const char *pool, uint32_t n)
{
	names->pool = pool;
	names->secret = hash_secret();
	for (names->heads_n = HEADS_MIN; names->heads_n < n / NAMES_PER_HEAD;)
		names->heads_n *= 2;
	names->heads = calloc(names->heads_n, sizeof(*names->heads));
	names->entries = malloc(((size_t)n + 1) * sizeof(*names->entries));
	if (names->heads && names->entries)
		return 0;
	names_free(names);
	return -ENOMEM;
}

static uint32_t *head_of(const struct names *names, const char *name, size_t len)
{
	return &names->heads[hash_bytes(name, len, names->secret) & (names->heads_n - 1)];
}

void names_add(struct names *names, uint32_t number, uint32_t text, size_t len)
{
	uint32_t *head = head_of(names, names->pool + text, len);

	names->entries[number] = (struct name_entry){ *head, text };
	*head = number;
}

uint32_t names_find(const struct names *names, const char *name, size_t len)
{
	uint32_t number = *head_of(names, name, len);

	for (; number; number = names->entries[number].next) {
		const char *text = names->pool + names->entries[number].text;

		/* strncmp() ends where the text does: then text[len] is there. */
		if (!strncmp(text, name, len) && !text[len])
			break;
	}
	return number;
}

void names_free(struct names *names)
{
	free(names->heads);
	free(names->entries);
	names->heads = NULL;
	names->entries = NULL;
}
