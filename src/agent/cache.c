/* SPDX-License-Identifier: Apache-2.0 */

#include "agent/cache.h"

#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>

#include "base/hash.h"

uint64_t cache_device(dev_t device)
{
	return (uint64_t)major(device) << 20 | minor(device);
}

static uint64_t time_ns(const struct timespec *time)
{
	return (uint64_t)time->tv_sec * 1000000000ull + (uint64_t)time->tv_nsec;
}

struct cache_key cache_key_of(const struct version *version)
{
	const struct stat *stat = &version->stat;

	return (struct cache_key){
		.device = cache_device(stat->st_dev),
		.inode = stat->st_ino,
		.size_bytes = (uint64_t)stat->st_size,
		.mtime_ns = time_ns(&stat->st_mtim),
		.ctime_ns = time_ns(&stat->st_ctim),
		.verity = version->verity,
	};
}

/* Never 0, which is no key of a map. */
static uint64_t hash_of(const struct cache_key *key)
{
	return hash_bytes(key, sizeof(*key), hash_secret()) | 1;
}

static struct cache_entry *find(struct cache *cache, const struct cache_key *key)
{
	uint32_t i;

	if (!map_get(&cache->map, hash_of(key), &i) || i >= cache->entries.n ||
	    memcmp(&cache->entries.v[i].key, key, sizeof(*key)) != 0)
		return NULL;
	return &cache->entries.v[i];
}

bool cache_find(struct cache *cache, const struct cache_key *key, struct cache_entry *entry)
{
	const struct cache_entry *found;

	pthread_mutex_lock(&cache->lock);
	found = find(cache, key);
	if (found)
		*entry = *found;
	pthread_mutex_unlock(&cache->lock);
	return found;
}

static int put(struct cache *cache, const struct cache_entry *entry)
{
	struct cache_entry *place = find(cache, &entry->key);
	int r;

	if (!place) {
		if (cache->entries.n == CACHE_MAX) {
			map_free(&cache->map);
			cache->entries.n = 0;
		}
		r = map_put(&cache->map, hash_of(&entry->key), (uint32_t)cache->entries.n);
		if (r < 0)
			return r;
		place = vec_add(&cache->entries);
		if (!place)
			return -ENOMEM;	/* the map's index is of the next one's: no harm */
	}
	*place = *entry;
	return 0;
}

int cache_put(struct cache *cache, const struct cache_entry *entry)
{
	int r;

	pthread_mutex_lock(&cache->lock);
	r = put(cache, entry);
	pthread_mutex_unlock(&cache->lock);
	return r;
}

void cache_drop(struct cache *cache, uint64_t device)
{
	pthread_mutex_lock(&cache->lock);
	/* Nothing is found by this key; the places are used again when all begins anew. */
	for (size_t i = 0; i < cache->entries.n; i++)
		if (cache->entries.v[i].key.device == device)
			cache->entries.v[i].key.device = UINT64_MAX;
	pthread_mutex_unlock(&cache->lock);
}
