/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HVSM_BASE_NAMES_H
#define HVSM_BASE_NAMES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

struct bytes;
struct writer;

/*
 * Names of a guest's symbols or types, each with a number from 1 on. The texts stay where they
 * are, in a pool of terminated strings. Where several are equal, the one that was added last
 * is found, and the others cost nothing.
 */
struct names {
	const char *pool;	/* the caller's; must outlive the table */
	uint32_t *heads;	/* by hash: a number, or 0 */
	struct name_entry *entries;	/* by number; [0] unused */
	uint32_t heads_n;	/* a power of two */
	uint64_t secret;	/* of the hash */
	bool shares;		/* entries are another one's */
	bool lent;		/* … and the heads, too: see names_read() */
};

/**
 * names_init - a table for the numbers 1..@n
 * Return: 0, -ENOMEM.
 */
nodiscard int names_init(struct names *names, const char *pool, uint32_t n);

/**
 * names_init_beside - a second table, for other numbers of the same texts
 * @other: no number may be in both; must outlive @names
 * Return: 0, -ENOMEM.
 */
nodiscard int names_init_beside(struct names *names, const struct names *other, uint32_t n);

/**
 * names_add - give a number a name
 * @number: 1..n, each at most once
 * @text:   where in the pool the name begins; @len bytes, then a NUL
 */
void names_add(struct names *names, uint32_t number, uint32_t text, size_t len);

/* The number of a name; 0: it is not there. */
uint32_t names_find(const struct names *names, const char *name, size_t len);

/* All as bytes, from a multiple of eight on; no entries where those are another one's. */
void names_write(const struct names *names, uint32_t n, struct writer *w);
size_t names_written_max(const struct names *names, uint32_t n);

/**
 * names_read - use what names_write() wrote, where it lies
 * @b:     aligned to eight bytes; must outlive @names, and does not change
 * @pool:  ends with a NUL
 * @other: whose entries these are; NULL: its own
 *
 * Return: 0, -EBADMSG (they are none: nothing in them leads elsewhere, or in a circle).
 */
nodiscard int names_read(struct names *names, struct bytes *b, const char *pool,
			 size_t pool_bytes, uint32_t n, const struct names *other);

void names_free(struct names *names);

#endif
