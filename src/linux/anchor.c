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

/* The smallest image that can hold a kernel: 16 MiB. */
#define IMAGE_PMDS_MIN	8u

/* Pages per step of the full scan. */
#define SCAN_BYTES	(1u << 20)

static bool is_table(uint64_t entry)
{
	return (entry & PTE_PRESENT) && !(entry & PTE_LARGE) && (entry & PTE_ADDRESS);
}

static int read_table(struct view *view, uint64_t at, uint64_t table[TABLE_ENTRIES])
{
	return view_read_phys(view, gpa_of(at & PTE_ADDRESS), table,
			      TABLE_ENTRIES * sizeof(*table), NULL);
}

/*
 * Where an entry of the kernel's PMD leads: to 2 MiB at once or, where it was split for
 * other rights, by way of a table whose first present entry says it.
 */
static uint64_t pmd_frame(struct view *view, uint64_t entry)
{
	uint64_t table[TABLE_ENTRIES];

	if (!(entry & PTE_PRESENT))
		return UINT64_MAX;
	if (entry & PTE_LARGE)
		return entry & PTE_ADDRESS & ~(PMD_BYTES - 1);
	if (read_table(view, entry, table) < 0)
		return UINT64_MAX;
	for (unsigned i = 0; i < TABLE_ENTRIES; i++)
		if (table[i] & PTE_PRESENT)
			return (table[i] & PTE_ADDRESS) - (uint64_t)i * GUEST_PAGE_SIZE;
	return UINT64_MAX;
}

/* Does this PMD (level2_kernel_pgt) map a kernel image? */
static bool is_kernel_pmd(struct view *view, uint64_t at, struct anchor *anchor)
{
	uint64_t pmd[TABLE_ENTRIES], frame;
	unsigned first = 0, last;

	if (read_table(view, at, pmd) < 0)
		return false;
	while (first < TABLE_ENTRIES && !(pmd[first] & PTE_PRESENT))
		first++;
	if (first == TABLE_ENTRIES)
		return false;
	frame = pmd_frame(view, pmd[first]);
	if (frame == UINT64_MAX || frame % PMD_BYTES)
		return false;

	/* One contiguous image; parts of it may be unmapped again (PTI: freed init memory). */
	last = first;
	for (unsigned i = first + 1; i < TABLE_ENTRIES; i++) {
		uint64_t want = frame + (i - first) * PMD_BYTES;

		if (pmd[i] & PTE_PRESENT && pmd_frame(view, pmd[i]) == want)
			last = i;
	}
	if (last - first + 1 < IMAGE_PMDS_MIN)
		return false;
	anchor->text = gva_of(KERNEL_MAP + first * PMD_BYTES);
	anchor->image = gpa_of(frame);
	anchor->size_bytes = (last - first + 1) * PMD_BYTES;
	if (anchor->size_bytes > KERNEL_IMAGE_MAX)
		anchor->size_bytes = KERNEL_IMAGE_MAX;
	return ram_has(view_ram(view), anchor->image, GUEST_PAGE_SIZE);
}

/* level3_kernel_pgt: the last two entries are the image's and the fixmap's. */
static bool is_kernel_pud(struct view *view, const uint64_t *pud, struct anchor *anchor)
{
	return is_table(pud[KERNEL_ENTRY]) && is_table(pud[FIXMAP_ENTRY]) &&
	       is_kernel_pmd(view, pud[KERNEL_ENTRY], anchor);
}

/* What entry 511 of a root leads to, with 4 levels or with 5. */
static bool is_kernel_root(struct view *view, const uint64_t *root, struct anchor *anchor)
{
	uint64_t next[TABLE_ENTRIES];

	if (!is_table(root[FIXMAP_ENTRY]) || read_table(view, root[FIXMAP_ENTRY], next) < 0)
		return false;
	anchor->levels = 4;
	if (is_kernel_pud(view, next, anchor))
		return true;
	anchor->levels = 5;
	return is_table(next[FIXMAP_ENTRY]) && read_table(view, next[FIXMAP_ENTRY], next) >= 0 &&
	       is_kernel_pud(view, next, anchor);
}

static int search_low(struct view *view, anchor_fn *candidate, void *ctx, struct err *err)
{
	uint64_t root[TABLE_ENTRIES];
	struct anchor anchor = { .found_by = "low-memory trampoline" };
	int r;

	for (uint64_t at = LOW_START; at < LOW_END; at += GUEST_PAGE_SIZE) {
		if (read_table(view, at, root) < 0 || !is_kernel_root(view, root, &anchor))
			continue;
		r = candidate(&anchor, ctx, err);
		if (r)
			return r;
	}
	return 0;
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

static int search_chunk(struct view *view, const uint64_t *chunk, size_t bytes,
			anchor_fn *candidate, void *ctx, struct err *err)
{
	struct anchor anchor = { .found_by = "page-table scan" };
	int r;

	for (size_t at = 0; at + GUEST_PAGE_SIZE <= bytes; at += GUEST_PAGE_SIZE) {
		const uint64_t *page = chunk + at / sizeof(*page);

		if (!is_bare_pud(page) || !is_kernel_pud(view, page, &anchor))
			continue;
		/* The number of levels shows only above this table: let the caller try both. */
		for (anchor.levels = 4; anchor.levels <= 5; anchor.levels++) {
			r = candidate(&anchor, ctx, err);
			if (r)
				return r;
		}
	}
	return 0;
}

static int search_all(struct view *view, anchor_fn *candidate, void *ctx, struct err *err)
{
	cleanup(freep) uint64_t *chunk = malloc(SCAN_BYTES);
	struct ram *ram = view_ram(view);
	gpa start, from = gpa_of(0);
	uint64_t len;
	int r;

	if (!chunk)
		return -ENOMEM;
	while ((r = ram_populated(ram, from, &start, &len, err)) >= 0) {
		start.v &= ~GUEST_PAGE_MASK;
		for (uint64_t n = 0; len; len -= n, start.v += n) {
			n = len < SCAN_BYTES ? (len + GUEST_PAGE_MASK) & ~GUEST_PAGE_MASK :
					       SCAN_BYTES;
			if (!ram_has(ram, start, n) || n > len)
				n = len;
			/* All of RAM costs more than any tank holds: this one search is free. */
			view_refuel(view, VIEW_FUEL_ATTACH);
			r = ram_read(ram, start, chunk, n, err);
			if (r == -ESRCH)
				return r;
			if (r >= 0)
				r = search_chunk(view, chunk, n, candidate, ctx, err);
			if (r < 0 && r != -EFAULT)
				return r;
			if (r > 0)
				return r;
		}
		from = start;
	}
	return r == -ENOENT ? 0 : r;
}

int anchor_search(struct view *view, anchor_fn *candidate, void *ctx, struct err *err)
{
	int r = search_low(view, candidate, ctx, err);

	return r ? r : search_all(view, candidate, ctx, err);
}
