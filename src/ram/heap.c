/* SPDX-License-Identifier: Apache-2.0 */
#include "ram/heap.h"

#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/cleanup.h"
#include "base/limits.h"

#define CHUNK_BYTES (1u << 20)

/*
 * Threads have heaps of their own, of which each begins where it is aligned to its largest size
 * (HEAP_MAX_SIZE of malloc/arena.c of glibc, 64 MiB on 64 bits).
 */
#define THREAD_HEAP_BYTES (64ull << 20)

static bool is_heap(const struct area *area, bool threads)
{
	if (!threads)
		return !strcmp(area->path, "[heap]");
	return !area->inode && !area->path[0] && !area->shared && area->read &&
	       area->write && area->start % THREAD_HEAP_BYTES == 0 &&
	       area->end - area->start <= THREAD_HEAP_BYTES;
}

int heap_scan(struct remote *remote, const struct maps *maps, bool threads, heap_look_fn *look,
	      void *ctx, struct err *err)
{
	cleanup(freep) uint8_t *chunk = malloc(CHUNK_BYTES + HEAP_OVERLAP_BYTES);
	uint64_t left = threads ? HEAP_THREADS_SCAN_MAX : HEAP_SCAN_MAX;

	if (!chunk)
		return -ENOMEM;
	for (size_t i = 0; i < maps->areas.n; i++) {
		const struct area *area = &maps->areas.v[i];

		if (!is_heap(area, threads))
			continue;
		for (uint64_t at = area->start; at < area->end && left; at += CHUNK_BYTES) {
			uint64_t n = area->end - at;
			int r;

			if (n > CHUNK_BYTES + HEAP_OVERLAP_BYTES)
				n = CHUNK_BYTES + HEAP_OVERLAP_BYTES;
			r = remote_read(remote, at, chunk, (size_t)n, NULL, NULL, err);
			if (r < 0)
				return r;
			look(ctx, chunk, (size_t)n);
			left -= n < left ? n : left;
		}
	}
	return left ? 0 : -ELOOP;
}

static uint64_t u64_at(const uint8_t *bytes)
{
	uint64_t v;

	memcpy(&v, bytes, sizeof(v));
	return v;
}

static uint32_t u32_at(const uint8_t *bytes)
{
	uint32_t v;

	memcpy(&v, bytes, sizeof(v));
	return v;
}

struct block_search {
	const char *name;
	uint64_t size_bytes;
	const uint64_t *hosts;
	size_t n;
	uint64_t found;		/* host address; 0: none yet */
	bool ambiguous;
};

/* Behind the host address come four to six words of the same struct, and then the name. */
#define NAME_FIRST	36u
#define NAME_LAST	60u

/* Is a struct RAMBlock of that name here, its host address first? */
static bool is_block(const struct block_search *search, const uint8_t *bytes, size_t n)
{
	static const char prefix[] = "/objects/";
	size_t name_n = strlen(search->name) + 1;
	bool sized = false;

	for (size_t at = 8; at < NAME_FIRST; at += 8)
		sized = sized || u64_at(bytes + at) == search->size_bytes;
	for (size_t at = NAME_FIRST; sized && at <= NAME_LAST; at += 8) {
		size_t left = n - at;
		const uint8_t *name = bytes + at;

		if (left > sizeof(prefix) && !memcmp(name, prefix, sizeof(prefix) - 1)) {
			name += sizeof(prefix) - 1;
			left -= sizeof(prefix) - 1;
		}
		if (left >= name_n && !memcmp(name, search->name, name_n))
			return true;
	}
	return false;
}

static void look_for_block(void *ctx, const uint8_t *bytes, size_t n)
{
	struct block_search *search = ctx;

	for (size_t at = 0; at + 256 <= n; at += 8) {
		uint64_t host = u64_at(bytes + at);

		/* Few words look like the start of an area; the others cost no more than this. */
		if (host & GUEST_PAGE_MASK || host < search->hosts[0] ||
		    host > search->hosts[search->n - 1])
			continue;
		for (size_t i = 0; i < search->n; i++) {
			if (host != search->hosts[i] || !is_block(search, bytes + at, n - at))
				continue;
			search->ambiguous |= search->found && search->found != host;
			search->found = host;
		}
	}
}

int heap_find_block(struct remote *remote, const struct maps *maps, const char *name,
		    uint64_t size_bytes, const uint64_t *hosts, size_t n, uint64_t *host,
		    struct err *err)
{
	struct block_search search = { .name = name, .size_bytes = size_bytes, .hosts = hosts,
				       .n = n };
	int r = heap_scan(remote, maps, false, look_for_block, &search, err);

	if (r < 0 && r != -ELOOP)
		return r;
	if (!search.found || search.ambiguous)
		return -ENOENT;
	*host = search.found;
	return 0;
}

/* Two entries of the table: u64 address, u64 length, u32 type, without padding. */
#define E820_ENTRY 20u
#define E820_RAM   1u

struct split_search {
	uint64_t ram_bytes;
	const struct ram_range *expected;
	bool agrees;
	struct ram_range other[2];	/* size 0: none */
	bool ambiguous;
};

/* Is all RAM in the entry at @low, or in it and the one behind? Receives where, and how much. */
static bool is_table(const struct split_search *search, const uint8_t *low,
		     struct ram_range ranges[2])
{
	const uint8_t *high = low + E820_ENTRY;
	uint64_t below = u64_at(low + 8), start = u64_at(high), above = u64_at(high + 8);

	if (u64_at(low) || u32_at(low + 16) != E820_RAM || !below || (below & GUEST_PAGE_MASK) ||
	    below >= 1ull << 32)
		return false;
	ranges[0] = (struct ram_range){ gpa_of(0), below };
	ranges[1] = (struct ram_range){ gpa_of(0), 0 };
	if (below == search->ram_bytes)
		return true;
	ranges[1] = (struct ram_range){ gpa_of(start), above };
	return u32_at(high + 16) == E820_RAM && start >= 1ull << 32 &&
	       below + above == search->ram_bytes && !((start | above) & GUEST_PAGE_MASK);
}

static bool same(const struct ram_range *a, const struct ram_range *b)
{
	return a[0].size_bytes == b[0].size_bytes && a[1].size_bytes == b[1].size_bytes &&
	       (!a[1].size_bytes || a[1].start.v == b[1].start.v);
}

static void look_for_split(void *ctx, const uint8_t *bytes, size_t n)
{
	struct split_search *search = ctx;
	struct ram_range ranges[2];

	/* The second entry of a table, and others, are aligned to no more than 4. */
	for (size_t at = 0; at + 2 * E820_ENTRY <= n; at += 4) {
		if (!is_table(search, bytes + at, ranges))
			continue;
		if (same(ranges, search->expected)) {
			search->agrees = true;
			continue;
		}
		search->ambiguous |= search->other[0].size_bytes && !same(ranges, search->other);
		memcpy(search->other, ranges, sizeof(ranges));
	}
}

int heap_find_split(struct remote *remote, const struct maps *maps, uint64_t ram_bytes,
		    struct ram_range ranges[2], struct err *err)
{
	struct split_search search = { .ram_bytes = ram_bytes, .expected = ranges };
	int r = heap_scan(remote, maps, false, look_for_split, &search, err);

	if (r < 0 && r != -ELOOP)
		return r;
	if (search.agrees)
		return 1;
	if (!search.other[0].size_bytes || search.ambiguous)
		return -ENOENT;
	memcpy(ranges, search.other, sizeof(search.other));
	return 2;
}
