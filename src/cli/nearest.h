/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HVSM_CLI_NEAREST_H
#define HVSM_CLI_NEAREST_H

#include <stddef.h>

/**
 * nearest - what somebody who mistyped a name may have meant
 * @word: what was typed
 * @name: gives name @i < @n
 * @ctx:  for @name
 * @buf:  receives "a, b, c", the best first; "" where nothing is near
 * Return: @buf.
 */
const char *nearest(const char *word, const char *(*name)(size_t i, const void *ctx),
		    size_t n, const void *ctx, char *buf, size_t size);

#endif
