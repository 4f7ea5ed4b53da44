/* SPDX-License-Identifier: Apache-2.0 */
#include "base/names.h"

#include <stdlib.h>
#include <string.h>

#include "base/hash.h"

/* What is added is read in order; only the heads are hit at random, so they are few. */
#define HEADS_MIN 64u
#define NAMES_PER_HEAD 4u

/* Some bits of the hash stand beside the number, so that few texts are looked at in vain. */
#define NUMBER_BITS 24u
#define NUMBER_MASK ((1u << NUMBER_BITS) - 1)

struct name_entry {
	uint32_t next;		/* that was added before: its number and hash; 0: none */
	uint32_t text;
};

int names_init(struct names *names, const char *pool, uint32_t n)
{
	if (n > NUMBER_MASK)
		return -ENOMEM;
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

/* Where the chain of a name begins, and what its hash adds to its number. */
static uint32_t *head_of(const struct names *names, const char *name, size_t len, uint32_t *bits)
{
	uint64_t hash = hash_bytes(name, len, names->secret);

	*bits = (uint32_t)(hash >> 32) & ~NUMBER_MASK;
	return &names->heads[hash & (names->heads_n - 1)];
}

void names_add(struct names *names, uint32_t number, uint32_t text, size_t len)
{
	uint32_t bits, *head = head_of(names, names->pool + text, len, &bits);

	names->entries[number] = (struct name_entry){ *head, text };
	*head = number | bits;
}

uint32_t names_find(const struct names *names, const char *name, size_t len)
{
	uint32_t bits, link = *head_of(names, name, len, &bits);

	for (; link; link = names->entries[link & NUMBER_MASK].next) {
		const char *text = names->pool + names->entries[link & NUMBER_MASK].text;

		/* strncmp() ends where the text does: then text[len] is there. */
		if ((link & ~NUMBER_MASK) == bits && !strncmp(text, name, len) && !text[len])
			break;
	}
	return link & NUMBER_MASK;
}

void names_free(struct names *names)
{
	free(names->heads);
	free(names->entries);
	names->heads = NULL;
	names->entries = NULL;
}
