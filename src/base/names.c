/* SPDX-License-Identifier: Apache-2.0 */
#include "base/names.h"

#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "base/writer.h"

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

static int init_heads(struct names *names, const char *pool, uint32_t n)
{
	if (n > NUMBER_MASK)
		return -ENOMEM;
	names->pool = pool;
	names->secret = hash_secret();
	for (names->heads_n = HEADS_MIN; names->heads_n < n / NAMES_PER_HEAD;)
		names->heads_n *= 2;
	names->heads = calloc(names->heads_n, sizeof(*names->heads));
	return names->heads ? 0 : -ENOMEM;
}

int names_init(struct names *names, const char *pool, uint32_t n)
{
	if (init_heads(names, pool, n) < 0)
		return -ENOMEM;
	names->shares = names->lent = false;
	names->entries = calloc((size_t)n + 1, sizeof(*names->entries));
	if (names->entries)
		return 0;
	names_free(names);
	return -ENOMEM;
}

int names_init_beside(struct names *names, const struct names *other, uint32_t n)
{
	if (init_heads(names, other->pool, n) < 0)
		return -ENOMEM;
	names->shares = true;
	names->lent = false;
	names->entries = other->entries;
	return 0;
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

size_t names_written_max(const struct names *names, uint32_t n)
{
	return 64 + names->heads_n * sizeof(*names->heads) +
	       ((size_t)n + 1) * sizeof(*names->entries);
}

void names_write(const struct names *names, uint32_t n, struct writer *w)
{
	write_aligned(w);
	write_u64(w, names->secret);
	write_u64(w, names->heads_n);
	write_bytes(w, names->heads, names->heads_n * sizeof(*names->heads));
	if (!names->shares)
		write_bytes(w, names->entries, ((size_t)n + 1) * sizeof(*names->entries));
	write_aligned(w);
}

/* A chain that leads outside of the table, or has no end. @left: what all may have together. */
static bool is_bad_chain(const struct names *names, uint32_t link, size_t pool_bytes, uint32_t n,
			 uint32_t *left)
{
	for (; link; link = names->entries[link & NUMBER_MASK].next) {
		uint32_t number = link & NUMBER_MASK;

		if (!number || number > n || !*left ||
		    names->entries[number].text >= pool_bytes)
			return true;
		--*left;
	}
	return false;
}

int names_read(struct names *names, struct bytes *b, const char *pool, size_t pool_bytes,
	       uint32_t n, const struct names *other)
{
	uint64_t secret, heads_n;
	const uint8_t *heads, *entries = NULL;
	struct names read;
	uint32_t left = n;

	bytes_align(b);
	secret = bytes_u64(b);
	heads_n = bytes_u64(b);
	if (!bytes_ok(b) || n > NUMBER_MASK || heads_n < HEADS_MIN || heads_n > NUMBER_MASK ||
	    heads_n & (heads_n - 1) || !pool_bytes || pool[pool_bytes - 1])
		return -EBADMSG;
	heads = bytes_take(b, heads_n * sizeof(*names->heads));
	if (!other)
		entries = bytes_take(b, ((size_t)n + 1) * sizeof(*names->entries));
	bytes_align(b);
	if (!bytes_ok(b))
		return -EBADMSG;
	read = (struct names){
		.pool = pool, .heads = (uint32_t *)(uintptr_t)heads,
		.entries = other ? other->entries : (struct name_entry *)(uintptr_t)entries,
		.heads_n = (uint32_t)heads_n, .secret = secret, .lent = true,
	};
	for (uint32_t i = 0; i < read.heads_n; i++)
		if (is_bad_chain(&read, read.heads[i], pool_bytes, n, &left))
			return -EBADMSG;
	*names = read;
	return 0;
}

void names_free(struct names *names)
{
	if (!names->lent)
		free(names->heads);
	if (!names->lent && !names->shares)
		free(names->entries);
	names->heads = NULL;
	names->entries = NULL;
}
