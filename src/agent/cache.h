/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HVSM_AGENT_CACHE_H
#define HVSM_AGENT_CACHE_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "agent/format.h"
#include "agent/version.h"
#include "base/err.h"
#include "base/map.h"
#include "base/vec.h"

/* Then it starts anew, and files are measured a second time: more than a large system runs. */
#define CACHE_MAX 16384u

/* A version of a file: another one has another key. */
struct cache_key {
	uint64_t device;	/* as struct agent_file has it */
	uint64_t inode, size_bytes, mtime_ns, ctime_ns, verity;
};

/* Of which pages there are digests. */
enum cache_cover {
	COVER_NONE,
	COVER_CODE,		/* of an ELF file's executable segments */
	COVER_ALL,
};

struct cache_entry {
	struct cache_key key;
	uint64_t sequence;	/* of its record; UINT64_MAX: there is none */
	uint32_t first_page, pages;	/* COVER_CODE, in_one: which */
	uint64_t tag;		/* first bytes of the digest */
	uint8_t cover;		/* enum cache_cover */
	bool in_one;		/* its code's pages are one piece, or none */
	bool unreadable;	/* its record says so */
	bool fresh;		/* changed just before, so its times may not tell of another */
	bool runs_files;	/* an interpreter, which is given what it runs by name */
};

/* Which files are measured. Any thread may use it. */
struct cache {
	pthread_mutex_t lock;
	struct map map;		/* hash of the key → index */
	VEC(struct cache_entry) entries;
};

struct cache_key cache_key_of(const struct version *version);

/* The kernel's number of a device (MKDEV), from what stat(2) gives. */
uint64_t cache_device(dev_t device);

/* A copy of what is there for @key; false: nothing. */
bool cache_find(struct cache *cache, const struct cache_key *key, struct cache_entry *entry);

/* Add, or replace what is there for its key. -ENOMEM: it is not there. */
nodiscard int cache_put(struct cache *cache, const struct cache_entry *entry);

/* Forget the files of a device, whose number may be another one's next. */
void cache_drop(struct cache *cache, uint64_t device);

#endif
