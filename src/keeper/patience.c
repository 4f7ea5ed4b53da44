/* SPDX-License-Identifier: Apache-2.0 */
#include "keeper/patience.h"

#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "agent/format.h"
#include "base/limits.h"

#define ROUNDS	     4u
#define ROUNDS_NS    60000000000ull	/* at least: four of a guest with few processes */
#define ROUND_MAX_NS (2 * AGENT_ROUND_MAX_NS)	/* its longest pause, and as long for the round */

/* The same in every process: it is kept on the host. Who is mixed up with another waits less. */
static uint64_t key_of(const void *what, size_t size)
{
	unsigned char digest[crypto_generichash_BYTES_MIN];
	uint64_t key;

	crypto_generichash(digest, sizeof(digest), what, size, NULL, 0);
	memcpy(&key, digest, sizeof(key));
	return key | 1;		/* 0 is no key */
}

static int add(struct patience *patience, uint64_t key, uint64_t since_ns)
{
	struct missing *missing;

	/* Most is not missing any more by then; what still is waits once more. */
	if (patience->all.n == PATIENCE_MAX)
		patience_free(patience);
	missing = vec_add(&patience->all);
	if (!missing || map_put(&patience->index, key, (uint32_t)patience->all.n - 1) < 0)
		return -ENOMEM;
	*missing = (struct missing){ key, since_ns };
	return 0;
}

int patience_since(struct patience *patience, const void *what, size_t size, uint64_t now_ns,
		   uint64_t *ret)
{
	uint64_t key = key_of(what, size);
	uint32_t i;
	int r;

	if (map_get(&patience->index, key, &i)) {
		*ret = patience->all.v[i].since_ns;
		return 0;
	}
	r = add(patience, key, now_ns);
	if (r >= 0)
		*ret = now_ns;
	return r;
}

int patience_save(const struct patience *patience, struct blob *blob)
{
	size_t n = patience->all.n < PATIENCE_SAVED_MAX ? patience->all.n : PATIENCE_SAVED_MAX;
	uint8_t *data;

	if (!n)
		return 0;
	data = realloc(blob->data, blob->size + n * sizeof(struct missing));
	if (!data)
		return -ENOMEM;
	memcpy(data + blob->size, patience->all.v + patience->all.n - n,
	       n * sizeof(struct missing));
	blob->data = data;
	blob->size += n * sizeof(struct missing);
	return 0;
}

int patience_load(struct patience *patience, const void *data, size_t size)
{
	struct missing missing;
	int r = 0;

	if (size % sizeof(missing) || size / sizeof(missing) > PATIENCE_SAVED_MAX)
		return -EBADMSG;
	for (size_t i = 0; i < size && r >= 0; i += sizeof(missing)) {
		memcpy(&missing, (const uint8_t *)data + i, sizeof(missing));
		r = add(patience, missing.key | 1, missing.since_ns);
	}
	return r;
}

uint64_t patience_rounds_ns(uint64_t round_ns)
{
	uint64_t rounds = ROUNDS * (round_ns < ROUND_MAX_NS ? round_ns : ROUND_MAX_NS);

	return rounds > ROUNDS_NS ? rounds : ROUNDS_NS;
}

void patience_free(struct patience *patience)
{
	vec_free(&patience->all);
	map_free(&patience->index);
}
