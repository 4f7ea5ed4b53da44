/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HVSM_KEEPER_SINCE_H
#define HVSM_KEEPER_SINCE_H

#include <stdint.h>

#include "base/err.h"
#include "base/vec.h"

/*
 * Since when has something been so, look after look? What two sides see of a running guest
 * differs for a moment whenever it changes, so what has no time of its own is told when the
 * difference has lasted. Start with {0}; give the memory back with since_free().
 */
struct since_entry {
	char key[96];
	uint64_t first_ns;	/* by the guest's clock */
	uint32_t pass;
};

struct since {
	VEC(struct since_entry) entries;
	uint32_t pass;
};

/* A look begins … */
void since_begin(struct since *since);

/**
 * since_get - this is so
 * @key: what; told apart by its first bytes
 * @now_ns: by the guest's clock
 * @ret: when it was so first; @now_ns where it was not so in the look before
 *
 * Return: 0, -ELOOP (over SINCE_MAX), -ENOMEM.
 */
nodiscard int since_get(struct since *since, const char *key, uint64_t now_ns, uint64_t *ret);

/* … and ends: what was not so in it is forgotten. */
void since_end(struct since *since);

void since_free(struct since *since);

#endif
