/* SPDX-License-Identifier: Apache-2.0 */

/* Memory that is plugged in, out of QEMU's tables: heap_find_devices() of heap.h. */

#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/limits.h"
#include "base/vec.h"
#include "ram/heap.h"

/* What is plugged in is larger: Linux takes memory in sections of 128 MiB, at least 2 MiB. */
#define BLOCK_BYTES_MIN (1ull << 20)

/* A struct RAMBlock, and the host address in it. */
struct block {
	uint64_t host, size_bytes;
	uint64_t region;	/* its struct MemoryRegion */
};

/* A struct FlatRange: where some of a block is mapped. */
struct mapping {
	size_t block;
	uint64_t start, size_bytes, offset;
};

struct search {
	const struct maps *maps;
	VEC(struct block) blocks;	/* by region, once all are known */
	VEC(struct mapping) mappings;
	int error;
};

static uint64_t u64_at(const uint8_t *bytes)
{
	uint64_t v;

	memcpy(&v, bytes, sizeof(v));
	return v;
}

/* The size of the areas that begin at @host; 0: none does that may hold RAM. */
static uint64_t run_at(const struct maps *maps, uint64_t host)
{
	const struct area *area = maps_find(maps, host);
	size_t end;

	if (!area || area->start != host || !area->write)
		return 0;
	end = maps_run(maps, (size_t)(area - maps->areas.v));
	return maps->areas.v[end - 1].end - host;
}

/* Behind the host address come the cache of COLO, the offset, and twice the same size. */
#define BEFORE_HOST  24u
#define USED_LENGTH  24u
#define MAX_LENGTH   32u
#define BEHIND_HOST  40u

static bool is_one_of(const struct search *search, const struct block *block)
{
	for (size_t i = 0; i < search->blocks.n; i++)
		if (!memcmp(&search->blocks.v[i], block, sizeof(*block)))
			return true;
	return false;
}

/* @bytes: where its host address may be. One that waits to be freed, or was, has a head of RCU. */
static void consider_block(struct search *search, const uint8_t *bytes)
{
	struct block block = { .host = u64_at(bytes), .size_bytes = u64_at(bytes + USED_LENGTH),
			       .region = u64_at(bytes - 8) }, *slot;
	uint64_t size = block.size_bytes;

	if (!size || (size & GUEST_PAGE_MASK) || size < BLOCK_BYTES_MIN ||
	    size != u64_at(bytes + MAX_LENGTH) || u64_at(bytes - 16) || u64_at(bytes - 24) ||
	    !block.region || block.region % 8 || !maps_find(search->maps, block.region) ||
	    run_at(search->maps, block.host) < size || is_one_of(search, &block))
		return;
	slot = search->blocks.n < QEMU_BACKENDS_MAX ? vec_add(&search->blocks) : NULL;
	if (slot)
		*slot = block;
	else
		search->error = search->blocks.n < QEMU_BACKENDS_MAX ? -ENOMEM : -ELOOP;
}

static void look_for_blocks(void *ctx, const uint8_t *bytes, size_t n)
{
	struct search *search = ctx;
	uint64_t first = search->maps->areas.v[0].start;
	uint64_t last = search->maps->areas.v[search->maps->areas.n - 1].start;

	for (size_t at = BEFORE_HOST; at + BEHIND_HOST <= n; at += 8) {
		uint64_t host = u64_at(bytes + at);

		/* Few words look like the start of an area; the others cost no more than this. */
		if (!(host & GUEST_PAGE_MASK) && host >= first && host <= last)
			consider_block(search, bytes + at);
	}
}

static int by_region(const void *a, const void *b)
{
	const struct block *x = a, *y = b;

	return (x->region > y->region) - (x->region < y->region);
}

/* The first block with that region, or the one behind; blocks.n where there is none. */
static size_t block_from(const struct search *search, uint64_t region)
{
	size_t low = 0, high = search->blocks.n;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (search->blocks.v[middle].region < region)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

#define MAPPING_BYTES 48u

static void consider_mapping(struct search *search, size_t block, const uint8_t *bytes)
{
	struct mapping mapping = { .block = block, .offset = u64_at(bytes + 8),
				   .start = u64_at(bytes + 16),
				   .size_bytes = u64_at(bytes + 32) }, *slot;
	uint64_t all = search->blocks.v[block].size_bytes;

	if (u64_at(bytes + 24) || u64_at(bytes + 40) || !mapping.size_bytes ||
	    ((mapping.offset | mapping.start | mapping.size_bytes) & GUEST_PAGE_MASK) ||
	    mapping.offset >= all || mapping.size_bytes > all - mapping.offset ||
	    mapping.start + mapping.size_bytes > RAM_ROOM_MAX)
		return;
	for (size_t i = 0; i < search->mappings.n; i++)
		if (!memcmp(&search->mappings.v[i], &mapping, sizeof(mapping)))
			return;
	slot = search->mappings.n < RAM_RANGES_MAX ? vec_add(&search->mappings) : NULL;
	if (slot)
		*slot = mapping;
	else
		search->error = search->mappings.n < RAM_RANGES_MAX ? -ENOMEM : -ELOOP;
}

static void look_for_mappings(void *ctx, const uint8_t *bytes, size_t n)
{
	struct search *search = ctx;
	uint64_t first = search->blocks.v[0].region;
	uint64_t last = search->blocks.v[search->blocks.n - 1].region;

	for (size_t at = 0; at + MAPPING_BYTES <= n; at += 8) {
		uint64_t region = u64_at(bytes + at);

		if (region < first || region > last)
			continue;
		for (size_t i = block_from(search, region);
		     i < search->blocks.n && search->blocks.v[i].region == region; i++)
			consider_mapping(search, i, bytes + at);
	}
}

/* Is every piece of the machine's own RAM mapped as is known? Else these are other structs. */
static bool agrees(const struct search *search, const struct ram_layout *layout)
{
	for (size_t i = 0; i < layout->pieces.n; i++) {
		const struct piece *piece = &layout->pieces.v[i];
		bool found = false;

		for (size_t j = 0; j < search->mappings.n && !found; j++) {
			const struct mapping *mapping = &search->mappings.v[j];

			found = mapping->start == piece->start &&
				mapping->offset == piece->offset &&
				search->blocks.v[mapping->block].host ==
					piece->host - piece->offset;
		}
		if (!found)
			return false;
	}
	return layout->pieces.n;
}

/* Is some block not mapped anywhere? */
static bool misses_some(const struct search *search)
{
	for (size_t i = 0; i < search->blocks.n; i++) {
		bool found = false;

		for (size_t j = 0; j < search->mappings.n && !found; j++)
			found = search->mappings.v[j].block == i;
		if (!found)
			return true;
	}
	return false;
}

/*
 * What is plugged in is mapped by the thread that has QEMU's heap, but a vCPU that moves a device's
 * memory makes all FlatRanges anew, in its own.
 */
static int find_mappings(struct search *search, struct remote *remote,
			 const struct ram_layout *layout, struct err *err)
{
	int r;

	qsort(search->blocks.v, search->blocks.n, sizeof(*search->blocks.v), by_region);
	r = heap_scan(remote, search->maps, false, look_for_mappings, search, err);
	if (r == 0 && (!agrees(search, layout) || misses_some(search)))
		r = heap_scan(remote, search->maps, true, look_for_mappings, search, err);
	return r;
}

static bool is_in(const struct ram_range *room, const struct mapping *mapping)
{
	return mapping->start >= room->start.v && mapping->size_bytes <= room->size_bytes &&
	       mapping->start - room->start.v <= room->size_bytes - mapping->size_bytes;
}

static bool overlap(uint64_t a, uint64_t a_bytes, uint64_t b, uint64_t b_bytes)
{
	return a < b + b_bytes && b < a + a_bytes;
}

/* Was it mapped elsewhere, or is something else there? What of both is true cannot be told. */
static bool is_doubtful(const struct search *search, const struct mapping *mapping)
{
	for (size_t i = 0; i < search->mappings.n; i++) {
		const struct mapping *other = &search->mappings.v[i];

		if (other != mapping &&
		    (overlap(mapping->start, mapping->size_bytes, other->start,
			     other->size_bytes) ||
		     (mapping->block == other->block &&
		      overlap(mapping->offset, mapping->size_bytes, other->offset,
			      other->size_bytes))))
			return true;
	}
	return false;
}

static bool has_piece(const struct ram_layout *layout, const struct mapping *mapping)
{
	for (size_t i = 0; i < layout->pieces.n; i++)
		if (overlap(layout->pieces.v[i].start, layout->pieces.v[i].size_bytes,
			    mapping->start, mapping->size_bytes))
			return true;
	return false;
}

static int by_start(const void *a, const void *b)
{
	const struct piece *x = a, *y = b;

	return (x->start > y->start) - (x->start < y->start);
}

/* 1: all that is in the room was added; 0: some of it is doubtful. */
static int add_pieces(const struct search *search, const struct ram_range *room,
		      struct ram_layout *layout)
{
	bool all = true;
	size_t own = layout->pieces.n;

	for (size_t i = 0; i < search->mappings.n; i++) {
		const struct mapping *mapping = &search->mappings.v[i];
		const struct block *block = &search->blocks.v[mapping->block];
		struct ram_layout machine = *layout;
		struct piece *piece;

		machine.pieces.n = own;
		if (!is_in(room, mapping) || has_piece(&machine, mapping))
			continue;
		if (is_doubtful(search, mapping) || layout->pieces.n == RAM_RANGES_MAX) {
			all = false;
			continue;
		}
		piece = vec_add(&layout->pieces);
		if (!piece)
			return -ENOMEM;
		*piece = (struct piece){
			.start = mapping->start, .size_bytes = mapping->size_bytes,
			.offset = mapping->offset, .host = block->host + mapping->offset,
		};
		strcpy(piece->block, "device");
	}
	if (layout->pieces.n)
		qsort(layout->pieces.v, layout->pieces.n, sizeof(*layout->pieces.v), by_start);
	return all;
}

int heap_find_devices(struct remote *remote, const struct maps *maps,
		      const struct ram_range *room, struct ram_layout *layout, struct err *err)
{
	struct search search = { .maps = maps };
	int r = maps->areas.n ? heap_scan(remote, maps, false, look_for_blocks, &search, err) : 0;
	bool all;

	if (r == 0 && search.blocks.n)
		r = find_mappings(&search, remote, layout, err);
	if (r == 0)
		r = search.error;
	/* What was found is true, though there is more than was looked at. */
	all = r == 0;
	if (r == 0 || r == -ELOOP)
		r = agrees(&search, layout) ? add_pieces(&search, room, layout) : 0;
	if (r > 0 && !all)
		r = 0;
	vec_free(&search.blocks);
	vec_free(&search.mappings);
	return r;
}
