/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HVSM_BASE_ALIKE_H
#define HVSM_BASE_ALIKE_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

/*
 * Bytes that are as they should be: nearly all of a guest's code and constants. So what tells where
 * the others begin is read by words.
 */

/* So many bytes from the start on are the same: @n at most. */
static inline size_t alike_bytes(const uint8_t *a, const uint8_t *b, size_t n)
{
	size_t i = 0;

	for (uint64_t x, y; n - i >= sizeof(x); i += sizeof(x)) {
		memcpy(&x, a + i, sizeof(x));
		memcpy(&y, b + i, sizeof(y));
		if (x != y)
			break;
	}
	while (i < n && a[i] == b[i])
		i++;
	return i;
}

/* So many bytes from the start on are zero: @n at most. */
static inline size_t zero_bytes(const uint8_t *a, size_t n)
{
	size_t i = 0;

	for (uint64_t x; n - i >= sizeof(x); i += sizeof(x)) {
		memcpy(&x, a + i, sizeof(x));
		if (x)
			break;
	}
	while (i < n && !a[i])
		i++;
	return i;
}

#endif
