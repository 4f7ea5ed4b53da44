/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HVSM_GUEST_PAGING_H
#define HVSM_GUEST_PAGING_H

#include <stdbool.h>

#include "guest/view.h"

/*
 * x86-64 page tables, 4 and 5 levels (Intel SDM vol. 3A, 4.5). The callers' interface is
 * view_translate() and view_walk() in view.h; this is what lies beneath.
 */

#define PTE_PRESENT 1ull
#define PTE_WRITE   2ull
#define PTE_USER    4ull
#define PTE_LARGE   0x80ull
#define PTE_LARGE_PAT (1ull << 12)
#define PTE_XEN_KERNEL (1ull << 52)	/* of PV guests: Xen's _PAGE_GUEST_KERNEL */
#define PTE_NX	    (1ull << 63)
#define PTE_ADDRESS 0x000ffffffffff000ull

#define TABLE_ENTRIES 512u

/* Bytes that one entry of a table at @level (1 = page table) spans. */
static inline uint64_t paging_span(unsigned level)
{
	return 1ull << (GUEST_PAGE_SHIFT + 9 * (level - 1));
}

/* The entry's number within its table. */
static inline unsigned paging_index(gva at, unsigned level)
{
	return (unsigned)(at.v >> (GUEST_PAGE_SHIFT + 9 * (level - 1))) & (TABLE_ENTRIES - 1);
}

/* Sign extension of bit 47 or 56: entry 256 of the root is where the upper half begins. */
uint64_t paging_canonical(uint64_t at, unsigned levels);

/* What a present entry leaves of the rights of those above it (MAP_*). */
unsigned paging_rights(struct view *view, unsigned inherited, uint64_t entry);

/* Does a present entry map a page, rather than lead to a table? */
bool paging_is_page(uint64_t entry, unsigned level);

/*
 * The guest-physical address of that page, or table. The entries of a PV guest of Xen hold machine
 * addresses; one that is not the guest's own leads to where there is no RAM (ram/machine.h).
 */
uint64_t paging_frame(struct view *view, uint64_t entry, unsigned level);
uint64_t paging_table(struct view *view, uint64_t entry);

/*
 * Is that entry of a table at @level Xen's own? It puts its map into the root of every page table
 * of a PV guest, which can neither change these entries nor use what is there.
 */
bool paging_is_xens(struct view *view, unsigned level, unsigned index);

/**
 * paging_reserved - are bits set that make the processor fault (SDM vol. 3A, 4.5.4)?
 * Above level 3 there are no pages; of a large page's address the low bits are reserved, but
 * for PAT. Return: 0, -EBADMSG.
 */
nodiscard int paging_reserved(struct view *view, uint64_t entry, unsigned level,
			      struct err *err);

/* As view_translate(), without its cache; @at is page aligned. */
nodiscard int paging_translate(struct view *view, struct space space, gva at,
			       struct mapping *ret, struct err *err);

/* Fuel for work on pages that are at hand; -ELOOP when the tank is empty. */
nodiscard int view_burn(struct view *view, uint64_t pages, struct err *err);

#endif
