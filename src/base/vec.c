/* SPDX-License-Identifier: Apache-2.0 */
#include "base/vec.h"

#include <stdlib.h>
#include <string.h>

void vec_shrink(void **v, size_t *room, size_t n, size_t element_bytes)
{
	void *smaller = n && n < *room ? realloc(*v, n * element_bytes) : NULL;

	if (!smaller)
		return;
	*v = smaller;
	*room = n;
}

int vec_grow(void **v, size_t *room, size_t n, size_t element_bytes)
{
	size_t more, bytes;
	void *bigger;

	if (n == *room) {
		if (__builtin_mul_overflow(n ? n : 8, (size_t)2, &more) ||
		    __builtin_mul_overflow(more, element_bytes, &bytes))
			return -ENOMEM;
		bigger = realloc(*v, bytes);
		if (!bigger)
			return -ENOMEM;
		*v = bigger;
		*room = more;
	}
	memset((char *)*v + n * element_bytes, 0, element_bytes);
	return 0;
}
