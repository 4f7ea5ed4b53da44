/* SPDX-License-Identifier: Apache-2.0 */
#include "linux/anchor.h"

#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/limits.h"
#include "guest/paging.h"

/* arch/x86/include/asm/page_64_types.h: __START_KERNEL_map, and the 1 GiB behind it. */
#define KERNEL_MAP	0xffffffff80000000ull
#define PMD_BYTES	(2ull << 20)
#define LOW_START	0x1000u
#define LOW_END		0x100000u
#define FIXMAP_ENTRY	511u
#define KERNEL_ENTRY	510u
#define LOW_ANCHORS_MAX	(ANCHORS_MAX / 2)

/* The smallest image that can hold a kernel: 16 MiB. */
#define IMAGE_PMDS_MIN	8u

/* Bytes per step of the full scan. */
#define SCAN_BYTES	(1u << 20)

struct search {
	struct view *view;
	anchor_fn *candidate;
	void *ctx;
	struct anchor tried[ANCHORS_MAX];
	size_t tried_n;
	int code;		/* why it cannot go on: fuel, or the guest ended; 0: it can */
	struct err err;
};

static bool is_table(uint64_t entry)
{
	return (entry & PTE_PRESENT) && !(entry & PTE_LARGE) && (entry & PTE_ADDRESS);
}

/* What cannot be read is no table; where nothing can be read any more, the search ends. */
static bool read_at(struct search *search, uint64_t at, uint64_t table[TABLE_ENTRIES])
{
	struct err err = {0};
	int r = view_read_phys(search->view, gpa_of(at), table, TABLE_ENTRIES * sizeof(*table),
			       &err);

	if (r < 0 && r != -EFAULT && !search->code) {
		search->code = r;
		search->err = err;
	}
	return r >= 0;
}

/* What an entry leads to. */
static bool read_table(struct search *search, uint64_t entry, uint64_t table[TABLE_ENTRIES])
{
	return read_at(search, paging_table(search->view, entry), table);
}

/*
 * Where an entry of the kernel's PMD leads: to 2 MiB at once or, where it was split for
 * other rights, by way of a table whose first present entry says it.
 */
static uint64_t pmd_frame(struct search *search, uint64_t entry)
{
	uint64_t table[TABLE_ENTRIES];

	if (!(entry & PTE_PRESENT))
		return UINT64_MAX;
	if (entry & PTE_LARGE)
		return entry & PTE_ADDRESS & ~(PMD_BYTES - 1);
	if (!read_table(search, entry, table))
		return UINT64_MAX;
	for (unsigned i = 0; i < TABLE_ENTRIES; i++)
		if (table[i] & PTE_PRESENT)
			return paging_table(search->view, table[i]) - (uint64_t)i * GUEST_PAGE_SIZE;
	return UINT64_MAX;
}

/* Does the PMD behind @entry (level2_kernel_pgt) map a kernel image? */
static bool is_kernel_pmd(struct search *search, uint64_t entry, struct anchor *anchor)
{
	uint64_t pmd[TABLE_ENTRIES], frame;
	unsigned first = 0, last;

	if (!read_table(search, entry, pmd))
		return false;
	while (first < TABLE_ENTRIES && !(pmd[first] & PTE_PRESENT))
		first++;
	if (first == TABLE_ENTRIES)
		return false;
	frame = pmd_frame(search, pmd[first]);
	if (frame == UINT64_MAX || frame % PMD_BYTES)
		return false;

	/* One contiguous image; parts of it may be unmapped again (PTI: freed init memory). */
	last = first;
	for (unsigned i = first + 1; i < TABLE_ENTRIES; i++) {
		uint64_t want = frame + (i - first) * PMD_BYTES;

		if (pmd[i] & PTE_PRESENT && pmd_frame(search, pmd[i]) == want)
			last = i;
	}
	if (last - first + 1 < IMAGE_PMDS_MIN)
		return false;
	anchor->text = gva_of(KERNEL_MAP + first * PMD_BYTES);
	anchor->image = gpa_of(frame);
	anchor->size_bytes = (last - first + 1) * PMD_BYTES;
	if (anchor->size_bytes > KERNEL_IMAGE_MAX)
		anchor->size_bytes = KERNEL_IMAGE_MAX;
	return ram_has(view_ram(search->view), anchor->image, GUEST_PAGE_SIZE);
}

/* level3_kernel_pgt: the last two entries are the image's and the fixmap's. */
static bool is_kernel_pud(struct search *search, const uint64_t *pud, struct anchor *anchor)
{
	return is_table(pud[KERNEL_ENTRY]) && is_table(pud[FIXMAP_ENTRY]) &&
	       is_kernel_pmd(search, pud[KERNEL_ENTRY], anchor);
}

/* What entry 511 of a root leads to, with 4 levels or with 5. */
static bool is_kernel_root(struct search *search, const uint64_t *root, struct anchor *anchor)
{
	uint64_t next[TABLE_ENTRIES];

	if (!is_table(root[FIXMAP_ENTRY]) || !read_table(search, root[FIXMAP_ENTRY], next))
		return false;
	anchor->levels = 4;
	if (is_kernel_pud(search, next, anchor))
		return true;
	anchor->levels = 5;
	return is_table(next[FIXMAP_ENTRY]) && read_table(search, next[FIXMAP_ENTRY], next) &&
	       is_kernel_pud(search, next, anchor);
}

/* Show a candidate to the caller, once. A look at one may take a tank of fuel. */
static int offer(struct search *search, const struct anchor *anchor, struct err *err)
{
	int r;

	for (size_t i = 0; i < search->tried_n; i++) {
		const struct anchor *tried = &search->tried[i];

		if (tried->image.v == anchor->image.v && tried->text.v == anchor->text.v &&
		    tried->levels == anchor->levels && tried->size_bytes >= anchor->size_bytes)
			return 0;
	}
	if (search->tried_n == ANCHORS_MAX)
		return err_set(err, -ELOOP, "over %u places that look like a kernel", ANCHORS_MAX);
	search->tried[search->tried_n++] = *anchor;
	r = search->candidate(anchor, search->ctx, err);
	if (!r)
		view_refuel(search->view, VIEW_FUEL_ATTACH);
	return r;
}

static int search_low(struct search *search, struct err *err)
{
	uint64_t root[TABLE_ENTRIES];
	struct anchor anchor = { .found_by = "low-memory trampoline" };
	int r = 0;

	for (uint64_t at = LOW_START; at < LOW_END && !r && !search->code; at += GUEST_PAGE_SIZE) {
		if (!read_at(search, at, root) || !is_kernel_root(search, root, &anchor))
			continue;
		if (search->tried_n == LOW_ANCHORS_MAX)
			break;		/* leave some for what is found elsewhere */
		r = offer(search, &anchor, err);
	}
	return r;
}

/* Is a page a level3_kernel_pgt? All but its last two entries are empty. */
static bool is_bare_pud(const uint64_t *page)
{
	if (!is_table(page[KERNEL_ENTRY]) || !is_table(page[FIXMAP_ENTRY]))
		return false;
	for (unsigned i = 0; i < KERNEL_ENTRY; i++)
		if (page[i])
			return false;
	return true;
}

static int search_chunk(struct search *search, const uint64_t *chunk, size_t bytes,
			struct err *err)
{
	struct anchor anchor = { .found_by = "page-table scan" };
	int r = 0;

	for (size_t at = 0; at < bytes && !r && !search->code; at += GUEST_PAGE_SIZE) {
		const uint64_t *page = chunk + at / sizeof(*page);

		if (!is_bare_pud(page) || !is_kernel_pud(search, page, &anchor))
			continue;
		/* The number of levels shows only above this table: let the caller try both. */
		for (anchor.levels = 4; anchor.levels <= 5 && !r; anchor.levels++)
			r = offer(search, &anchor, err);
	}
	return r;
}

/* As much of a chunk as can be read; the rest becomes zero, and so no page table. */
static int read_chunk(struct ram *ram, gpa at, uint64_t *chunk, size_t bytes, struct err *err)
{
	int r = ram_read(ram, at, chunk, bytes, err);

	for (size_t n = 0; r == -EFAULT && n < bytes; n += GUEST_PAGE_SIZE) {
		uint64_t *page = chunk + n / sizeof(*page);

		r = ram_read(ram, gpa_add(at, n), page, GUEST_PAGE_SIZE, err);
		if (r == -EFAULT)
			memset(page, 0, GUEST_PAGE_SIZE);
		if (r < 0 && r != -EFAULT)
			return r;
		r = -EFAULT;
	}
	return r == -EFAULT ? 0 : r;
}

static int search_run(struct search *search, gpa at, gpa end, uint64_t *chunk, struct err *err)
{
	int r = 0;

	for (uint64_t n; at.v < end.v && !r && !search->code; at.v += n) {
		n = end.v - at.v < SCAN_BYTES ? end.v - at.v : SCAN_BYTES;
		r = read_chunk(view_ram(search->view), at, chunk, n, err);
		if (r >= 0)
			r = search_chunk(search, chunk, n, err);
	}
	return r;
}

static int search_all(struct search *search, struct err *err)
{
	cleanup(freep) uint64_t *chunk = malloc(SCAN_BYTES);
	gpa at, end = gpa_of(0);
	uint64_t len;
	int r = 0;

	if (!chunk)
		return -ENOMEM;
	view_refuel(search->view, VIEW_FUEL_ATTACH);
	while (!r && !search->code) {
		r = ram_populated(view_ram(search->view), end, &at, &len, err);
		if (r < 0)
			return r == -ENOENT ? 0 : r;
		/* RAM is made of whole pages. */
		end = gpa_of((at.v + len + GUEST_PAGE_MASK) & ~GUEST_PAGE_MASK);
		at.v &= ~GUEST_PAGE_MASK;
		r = search_run(search, at, end, chunk, err);
	}
	return r;
}

int anchor_search(struct view *view, anchor_fn *candidate, void *ctx, struct err *err)
{
	struct search search = { .view = view, .candidate = candidate, .ctx = ctx };
	int r;

	r = search_low(&search, err);
	if (search.code == -ELOOP)
		search.code = 0;	/* decoys in low memory: the kernel is still to be found */
	if (!r && !search.code)
		r = search_all(&search, err);
	if (r || !search.code)
		return r;
	if (err)
		*err = search.err;
	return search.code;
}
