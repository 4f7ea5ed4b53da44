/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HVSM_GUEST_VIEW_H
#define HVSM_GUEST_VIEW_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "ram/ram.h"

/*
 * One guest at one instant, with one tank of fuel. Every read of guest memory goes through a
 * view. A page that was read is kept until view_refresh(), so one sweep fetches no page
 * twice, and one value that is asked for twice is the same both times.
 *
 * A view belongs to one thread.
 */
struct view;

/* A page table root, and how deep it is. */
struct space {
	gpa root;
	uint8_t levels;		/* 4 or 5 */
};

/* Where the upper half begins: bit 47 or 56, sign-extended (Intel SDM vol. 1, 3.3.7.1). */
static inline gva space_upper_half(struct space space)
{
	return gva_of(space.levels == 5 ? 0xff00000000000000ull : 0xffff800000000000ull);
}

/* Effective rights of a mapping: the weakest of all levels (Intel SDM vol. 3A, 4.6). */
enum {
	MAP_WRITE = 1,
	MAP_USER  = 2,
	MAP_EXEC  = 4,
};

struct mapping {
	gpa at;			/* of the address that was asked for */
	uint64_t page_bytes;	/* 4 KiB, 2 MiB or 1 GiB */
	unsigned rights;	/* MAP_* */
};

/* A run of neighbouring pages of equal rights; physically it may be in pieces. */
struct extent {
	gva start;
	uint64_t size_bytes;
	unsigned rights;	/* MAP_* */
};

struct view_stats {
	uint64_t pages;		/* pages fetched from the guest (a large read counts each) */
	uint64_t bytes;		/* bytes fetched from the guest */
	uint64_t refreshes;
};

/**
 * view_open - look at a guest
 * @ram:  stays the caller's and must outlive the view
 * @fuel: pages that may be fetched before every read fails with -ELOOP
 *
 * The kernel's address space is unset: view_read() fails with -EFAULT until
 * view_set_kernel().
 *
 * Return: 0, -ENOMEM.
 */
nodiscard int view_open(struct ram *ram, uint64_t fuel, struct view **ret);

/* Ends the view; *@view becomes NULL. NULL is fine. */
void view_close(struct view **view);

/* What view_read() and its kin translate with; of 0 levels: nothing, as in the beginning. */
void view_set_kernel(struct view *view, struct space space);

/* Forget all pages and translations: what is read next is of a new instant. */
void view_refresh(struct view *view);

/* Fill the tank to @fuel pages. */
void view_refuel(struct view *view, uint64_t fuel);

/* Pages that may still be fetched. */
uint64_t view_fuel(const struct view *view);

/*
 * What was made of the memory of this instant, a list of all tasks, say, for whoever needs the
 * same: the reads would give the same. It is gone when the view forgets its pages, which any
 * read may make it do: take what you need of it at once.
 */

/* What view_keep() was given under @key; NULL: nothing (any more). */
const void *view_kept(const struct view *view, const void *key);

/**
 * view_keep - keep something until the view forgets its pages
 * @key:     address of something of the caller's own
 * @object:  the view's from now on; let go of at once where there is no memory
 * @release: lets go of it; must not read through the view
 */
void view_keep(struct view *view, const void *key, void *object, void (*release)(void *object));

struct ram *view_ram(struct view *view);

struct view_stats view_stats(const struct view *view);

/**
 * view_read_phys - copy guest-physical memory to the host
 * @buf: host buffer of @len bytes; zeroed on failure
 * @len: bytes, 1..VIEW_READ_MAX; from 64 KiB on the pages are not kept in the view
 *
 * Return: 0, -EFAULT (no RAM there), -EINVAL, -ELOOP (fuel spent), -ESRCH (guest gone).
 */
nodiscard int view_read_phys(struct view *view, gpa at, void *buf, size_t len,
			     struct err *err);

/**
 * view_copy_phys - as view_read_phys(), straight from the guest
 * What the view has kept is neither used nor made more: for pages of which there are many, and
 * that are looked at once.
 */
nodiscard int view_copy_phys(struct view *view, gpa at, void *buf, size_t len, struct err *err);

/**
 * view_read - copy guest memory to the host
 * @view: open view; every page fetched costs it 1 fuel, pages at hand a 64th of that
 * @at:   first byte, guest-virtual, kernel address space
 * @buf:  host buffer of @len bytes; zeroed on failure
 * @len:  bytes, 1..VIEW_READ_MAX
 * @err:  details on failure; may be NULL
 *
 * The copy is private, not atomic: the guest may write meanwhile.
 * Validate the copy; never fetch a field twice.
 *
 * Return: 0, -EFAULT (page absent, or the end of all addresses; normal), -EINVAL (bad @len),
 *         -ELOOP (fuel spent: the sweep must end), -ESRCH (guest gone).
 */
nodiscard int view_read(struct view *view, gva at, void *buf, size_t len, struct err *err);

/* As view_read(), in another address space: a process's. */
nodiscard int view_read_space(struct view *view, struct space space, gva at, void *buf,
			      size_t len, struct err *err);

/* As view_read(), one number, little endian. @ret is untouched on failure. */
nodiscard int view_u8(struct view *view, gva at, uint8_t *ret, struct err *err);
nodiscard int view_u16(struct view *view, gva at, uint16_t *ret, struct err *err);
nodiscard int view_u32(struct view *view, gva at, uint32_t *ret, struct err *err);
nodiscard int view_u64(struct view *view, gva at, uint64_t *ret, struct err *err);
nodiscard int view_ptr(struct view *view, gva at, gva *ret, struct err *err);

/**
 * view_uint - an unsigned number of 1, 2, 4 or 8 bytes, as a member of a struct has them
 * As view_u64(); -EINVAL for another size.
 */
nodiscard int view_uint(struct view *view, gva at, uint32_t size_bytes, uint64_t *ret,
			struct err *err);

/**
 * view_string - a NUL-terminated string
 * @buf:  receives the string, always terminated; empty on failure
 * @size: of @buf, > 0; a string that does not fit is cut there
 *
 * Guest text is returned as it is, control characters and all: escape it at output.
 *
 * Return: its length (< @size), or an error as view_read().
 */
nodiscard int view_string(struct view *view, gva at, char *buf, size_t size, struct err *err);

/**
 * view_translate - where a guest-virtual address leads
 * Return: 0, -EFAULT (not mapped), -EBADMSG (reserved bits, bad level), -ELOOP, -ESRCH.
 */
nodiscard int view_translate(struct view *view, struct space space, gva at,
			     struct mapping *ret, struct err *err);

/**
 * view_walk - every mapped run of an address space, in ascending order
 * @from:  first address of interest, page aligned
 * @to:    last address of interest (its page is included)
 * @want:  MAP_* that a page must have to be of interest; 0: every page
 * @visit: called per run of neighbouring pages with equal rights; a negative return ends
 *         the walk
 *
 * Each table that is entered costs 1 fuel, also when it is at hand already, so tables that
 * lead back to themselves end the walk. Where a table cannot be read, or an entry cannot be,
 * the walk goes on beside it and fails in the end: one broken entry does not hide the rest,
 * and a hole that nobody looked into does not pass for an empty one.
 *
 * Return: 0 (all was seen), what @visit returned, -EFAULT or -EBADMSG (something could not be
 *         looked into; all else was visited), -ELOOP (fuel, or over EXTENTS_MAX runs), -EINVAL
 *         (@to before @from), -ESRCH, -ENOMEM.
 */
typedef int extent_fn(const struct extent *extent, void *ctx, struct err *err);
nodiscard int view_walk(struct view *view, struct space space, gva from, gva to, unsigned want,
			extent_fn *visit, void *ctx, struct err *err);

/* A run of neighbouring pages of equal rights, in one piece also physically. */
struct frames {
	gva start;
	gpa at;			/* of its first byte */
	uint64_t size_bytes;
	unsigned rights;	/* MAP_* */
};

/**
 * view_walk_frames - as view_walk(), with the memory behind the pages
 * @first: only pages with memory from here on …
 * @last:  … up to here are of interest: {0} and {UINT64_MAX} for all
 *
 * A run begins and ends with a page, so it may begin before @first and end after @last.
 */
typedef int frames_fn(const struct frames *frames, void *ctx, struct err *err);
nodiscard int view_walk_frames(struct view *view, struct space space, gva from, gva to,
			       unsigned want, gpa first, gpa last, frames_fn *visit, void *ctx,
			       struct err *err);

#endif
