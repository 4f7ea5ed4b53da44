/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HVSM_BASE_ADDR_H
#define HVSM_BASE_ADDR_H

#include <stdbool.h>
#include <stdint.h>

/*
 * Addresses of a guest. Structs of one member, so that a guest-virtual address, a
 * guest-physical one and a host pointer cannot be mixed by mistake.
 */
typedef struct { uint64_t v; } gva;	/* guest-virtual: means nothing without a page table */
typedef struct { uint64_t v; } gpa;	/* guest-physical: what the guest's page tables hold */

#define GUEST_PAGE_SHIFT 12
#define GUEST_PAGE_SIZE  4096u
#define GUEST_PAGE_MASK  0xfffull

static inline gva gva_of(uint64_t v)
{
	return (gva){ v };
}

static inline gpa gpa_of(uint64_t v)
{
	return (gpa){ v };
}

/* Sums wrap, as the guest's own would: whoever reads there finds nothing mapped. */
static inline gva gva_add(gva at, uint64_t bytes)
{
	return (gva){ at.v + bytes };
}

static inline gva gva_sub(gva at, uint64_t bytes)
{
	return (gva){ at.v - bytes };
}

static inline gpa gpa_add(gpa at, uint64_t bytes)
{
	return (gpa){ at.v + bytes };
}

/*
 * The upper canonical half of x86-64. With 5-level paging its lower bound is
 * 0xff00000000000000; that bound is right for 4-level paging as well in the sense that
 * addresses between the two halves are never mapped.
 */
static inline bool gva_is_kernel(gva at)
{
	return at.v >= 0xff00000000000000ull;
}

#endif
