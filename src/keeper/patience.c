/* SPDX-License-Identifier: Apache-2.0 */
#include "keeper/patience.h"

#include <stdlib.h>

#include "base/hash.h"
#include "base/limits.h"

int patience_since(struct patience *patience, const void *what, size_t size, uint64_t now_ns,
		   uint64_t *ret)
{
	uint64_t key = hash_bytes(what, size, hash_secret()) | 1, *since;
	uint32_t i;

	if (map_get(&patience->index, key, &i)) {
		*ret = patience->since_ns.v[i];
		return 0;
	}
	/* Most is not missing any more by then; what still is waits once more. */
	if (patience->since_ns.n == PATIENCE_MAX)
		patience_free(patience);
	since = vec_add(&patience->since_ns);
	if (!since || map_put(&patience->index, key, (uint32_t)patience->since_ns.n - 1) < 0)
		return -ENOMEM;
	*since = now_ns;
	*ret = now_ns;
	return 0;
}

void patience_free(struct patience *patience)
{
	vec_free(&patience->since_ns);
	map_free(&patience->index);
}
