/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HVSM_TESTS_MAKE_MEMORY_H
#define HVSM_TESTS_MAKE_MEMORY_H

#include <stddef.h>
#include <stdint.h>

#include "base/addr.h"
#include "guest/view.h"
#include "ram/ram.h"

/*
 * A guest's memory out of nothing, page by page, for tests and for the seeds of the fuzzers.
 * It ends the program where memory runs out: nothing here is under test.
 */
struct memory {
	struct {
		uint64_t at;
		uint8_t *bytes;
	} pages[1024];		/* RAM_RANGES_MAX */
	size_t pages_n;
	uint64_t next_table;	/* where memory_map() puts the next page table */
};

/* The page of @at, made and zeroed where it is not there yet. */
void *memory_page(struct memory *m, uint64_t at);

void memory_write(struct memory *m, uint64_t at, const void *data, size_t len);
void memory_u32(struct memory *m, uint64_t at, uint32_t value);
void memory_u64(struct memory *m, uint64_t at, uint64_t value);

/* Free @at's page again: a hole. */
void memory_drop(struct memory *m, uint64_t at);

/**
 * memory_map - an entry in the page tables of @space, of 4 KiB, 2 MiB or 1 GiB
 * @level: 1, 2 or 3
 * @flags: of the entry (PTE_*); tables on the way allow everything
 * Return: the physical address of the entry.
 */
uint64_t memory_map(struct memory *m, struct space space, uint64_t virt, uint64_t phys,
		    unsigned level, uint64_t flags);

/*
 * Memory in as few bytes as an input of a fuzzer should have: runs of { address, 6 bytes;
 * length, 2 bytes; the bytes }, zeros and holes left out. Any bytes can be loaded: what makes
 * no sense, or would be more than 900 pages, ends the input.
 */
void memory_load(struct memory *m, const uint8_t *data, size_t size);
uint8_t *memory_save(const struct memory *m, size_t *size);

/* A fake guest of these pages, which must outlive it. */
struct ram *memory_open(struct memory *m);

/* The same with a view on it; close both. */
struct view *memory_view(struct memory *m, uint64_t fuel, struct ram **ram);

void memory_free(struct memory *m);

#endif
