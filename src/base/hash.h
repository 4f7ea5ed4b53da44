/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HVSM_BASE_HASH_H
#define HVSM_BASE_HASH_H

#include <stddef.h>
#include <stdint.h>

/*
 * Hashes for tables in memory whose keys are a guest's choice. They depend on a secret of this
 * process, so that a guest cannot make its keys collide and our tables slow.
 */

/* The secret: odd, the same throughout the process. It costs no system call. */
uint64_t hash_secret(void);

/* Of a number; the upper bits are the good ones (multiply-shift). */
static inline uint64_t hash_number(uint64_t number, uint64_t secret)
{
	return number * secret;
}

/* Of @len bytes; all bits are good. */
uint64_t hash_bytes(const void *data, size_t len, uint64_t secret);

#endif
