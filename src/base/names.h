/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HVSM_BASE_NAMES_H
#define HVSM_BASE_NAMES_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

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
};

/**
 * names_init - a table for the numbers 1..@n
 * Return: 0, -ENOMEM.
 */
nodiscard int names_init(struct names *names, const char *pool, uint32_t n);

/**
 * names_add - give a number a name
 * @number: 1..n, each at most once
 * @text:   where in the pool the name begins; @len bytes, then a NUL
 */
void names_add(struct names *names, uint32_t number, uint32_t text, size_t len);

/* The number of a name; 0: it is not there. */
uint32_t names_find(const struct names *names, const char *name, size_t len);

void names_free(struct names *names);

#endif
