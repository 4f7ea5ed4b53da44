/* SPDX-License-Identifier: Apache-2.0 */
#include "ram/xen_p2m.h"

#include <inttypes.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <xenctrl.h>

#include "base/cleanup.h"
#include "ram/machine.h"

#define ENTRIES		512u		/* numbers of 8 bytes in a page */
#define LEVELS		4u		/* all that a paravirtual guest has */
#define PRESENT		1ull
#define ADDRESS		0x000ffffffffff000ull
#define TRIES		5u

/* INVALID_P2M_ENTRY, FOREIGN_FRAME_BIT, IDENTITY_FRAME_BIT: arch/x86/include/asm/xen/page.h */
#define NOT_ITS_OWN	(3ull << 62)

/* What struct shared_info says, as the guest wrote it. */
struct anchor {
	uint64_t frames_n;	/* arch.max_pfn */
	uint64_t lists;		/* arch.pfn_to_mfn_frame_list_list; 0 and ~0: there is none */
	uint64_t root;		/* arch.p2m_cr3; 0: there is none */
	uint64_t at;		/* arch.p2m_vaddr */
	uint64_t generation;
};

struct reader {
	const struct p2m_source *source;
	uint32_t *to;
	uint32_t n;
	uint64_t table[LEVELS][ENTRIES];	/* of the way to a page of the list, by level */
	uint64_t of[LEVELS];			/* whose it is: an address, shifted; see enter() */
	bool have[LEVELS];
	uint64_t pages[P2M_BATCH][ENTRIES];
};

static int read_page(const struct p2m_source *source, uint64_t frame, void *page, struct err *err)
{
	bool there = false;
	int r = source->read(source->ctx, &frame, 1, page, &there, err);

	if (r < 0)
		return r;
	return there ? 0 : err_set(err, -EFAULT, "machine frame %#" PRIx64 " is not the guest's",
				   frame);
}

static int read_anchor(const struct p2m_source *source, uint64_t shared, struct anchor *ret,
		       struct err *err)
{
	const size_t arch = offsetof(struct shared_info, arch);
	uint8_t page[GUEST_PAGE_SIZE];
	struct arch_shared_info info;
	int r = read_page(source, shared, page, err);

	if (r < 0)
		return r;
	memcpy(&info, page + arch, sizeof(info));
	*ret = (struct anchor){
		.frames_n = info.max_pfn,
		.lists = info.pfn_to_mfn_frame_list_list == UINT64_MAX ? 0 :
			 info.pfn_to_mfn_frame_list_list,
		/* xen_cr3_to_pfn(): of 64-bit guests it is a plain address. */
		.root = info.p2m_cr3,
		.at = info.p2m_vaddr,
		.generation = info.p2m_generation,
	};
	if (!ret->frames_n || (!ret->root && !ret->lists))
		return err_set(err, -EAGAIN, "the guest has not said yet which memory it has");
	return 0;
}

int p2m_size(const struct p2m_source *source, uint64_t shared, uint64_t *ret, struct err *err)
{
	struct anchor anchor;
	int r = read_anchor(source, shared, &anchor, err);

	if (r >= 0)
		*ret = anchor.frames_n;
	return r;
}

static uint32_t frame_of(uint64_t entry)
{
	return entry & NOT_ITS_OWN || entry >= MACHINE_NONE ? MACHINE_NONE : (uint32_t)entry;
}

/* Pages @first to @first + @n of the list, which lie in @frames (0: nowhere). */
static int read_list(struct reader *reader, uint64_t first, const uint64_t *frames, uint32_t n,
		     struct err *err)
{
	uint64_t wanted[P2M_BATCH];
	uint32_t place[P2M_BATCH], wanted_n = 0;
	bool there[P2M_BATCH] = { false };
	int r;

	for (uint32_t i = 0; i < n; i++)
		if (frames[i]) {
			place[wanted_n] = i;
			wanted[wanted_n++] = frames[i];
		}
	if (!wanted_n)
		return 0;
	r = reader->source->read(reader->source->ctx, wanted, wanted_n,
				 (uint8_t *)reader->pages, there, err);
	for (uint32_t i = 0; i < wanted_n && r >= 0; i++) {
		uint64_t at = (first + place[i]) * ENTRIES;

		for (uint32_t j = 0; there[i] && j < ENTRIES && at + j < reader->n; j++)
			reader->to[at + j] = frame_of(reader->pages[i][j]);
	}
	return r < 0 ? r : 0;
}

/*
 * The table of @level on the way to @key, the part of an address that tables above decide: read
 * where it is another than before. 0: *@frame of it is followed; -EFAULT: there is none.
 */
static int enter(struct reader *reader, unsigned level, uint64_t key, uint64_t frame,
		 struct err *err)
{
	int r;

	if (reader->have[level] && reader->of[level] == key)
		return 0;
	for (unsigned i = 0; i <= level; i++)
		reader->have[i] = false;
	r = read_page(reader->source, frame, reader->table[level], err);
	reader->of[level] = key;
	reader->have[level] = r >= 0;
	return r;
}

/* By the guest's page tables: the machine frame of the page at @at; 0: nothing is there. */
static int find_linear(struct reader *reader, const struct anchor *anchor, uint64_t at,
		       uint64_t *ret, struct err *err)
{
	uint64_t frame = (anchor->root & ADDRESS) >> GUEST_PAGE_SHIFT;

	for (unsigned level = LEVELS; level-- > 0;) {
		unsigned shift = GUEST_PAGE_SHIFT + 9 * level;
		uint64_t entry;
		int r = enter(reader, level, at >> (shift + 9), frame, err);

		if (r < 0 && r != -EFAULT)
			return r;
		entry = r < 0 ? 0 : reader->table[level][at >> shift & (ENTRIES - 1)];
		if (!(entry & PRESENT)) {
			*ret = 0;
			return 0;
		}
		frame = (entry & ADDRESS) >> GUEST_PAGE_SHIFT;
	}
	*ret = frame;
	return 0;
}

/* By the table of three levels. */
static int find_listed(struct reader *reader, const struct anchor *anchor, uint64_t page,
		       uint64_t *ret, struct err *err)
{
	uint64_t frame = 0;
	int r = page / ENTRIES < ENTRIES ? enter(reader, 1, 0, anchor->lists, err) : -EFAULT;

	if (r >= 0)
		frame = reader->table[1][page / ENTRIES];
	if (r >= 0)
		r = frame ? enter(reader, 0, page / ENTRIES, frame, err) : -EFAULT;
	if (r < 0 && r != -EFAULT)
		return r;
	*ret = r < 0 ? 0 : reader->table[0][page % ENTRIES];
	return 0;
}

static int read_all(struct reader *reader, const struct anchor *anchor, struct err *err)
{
	uint64_t pages = ((uint64_t)reader->n + ENTRIES - 1) / ENTRIES, frames[P2M_BATCH];
	int r = 0;

	memset(reader->have, 0, sizeof(reader->have));
	memset(reader->to, 0xff, (size_t)reader->n * sizeof(*reader->to));
	for (uint64_t at = 0; at < pages && r >= 0; at += P2M_BATCH) {
		uint32_t n = pages - at < P2M_BATCH ? (uint32_t)(pages - at) : P2M_BATCH;

		for (uint32_t i = 0; i < n && r >= 0; i++)
			r = anchor->root ?
				find_linear(reader, anchor,
					    anchor->at + ((at + i) << GUEST_PAGE_SHIFT),
					    &frames[i], err) :
				find_listed(reader, anchor, at + i, &frames[i], err);
		if (r >= 0)
			r = read_list(reader, at, frames, n, err);
	}
	return r;
}

/* A list that starts within a page, or goes over an end of the address space, is none of Linux'. */
static int check_anchor(const struct anchor *anchor, uint32_t n, struct err *err)
{
	uint64_t last;

	if (anchor->root && (anchor->at & GUEST_PAGE_MASK ||
			     __builtin_add_overflow(anchor->at, (uint64_t)n * 8, &last)))
		return err_set(err, -EBADMSG, "the guest's list of its memory is at %#" PRIx64,
			       anchor->at);
	return 0;
}

int p2m_read(const struct p2m_source *source, uint64_t shared, uint32_t *to, uint32_t n,
	     struct err *err)
{
	cleanup(freep) struct reader *reader = calloc(1, sizeof(*reader));
	struct anchor before, after;
	int r;

	if (!reader)
		return err_set(err, -ENOMEM, "no memory for a guest's list of its memory");
	reader->source = source;
	reader->to = to;
	reader->n = n;
	for (unsigned i = 0; i < TRIES; i++) {
		r = read_anchor(source, shared, &before, err);
		if (r >= 0)
			r = check_anchor(&before, n, err);
		if (r >= 0)
			r = read_all(reader, &before, err);
		if (r >= 0)
			r = read_anchor(source, shared, &after, err);
		if (r < 0)
			return r;
		/* An odd number: the guest was just changing where the list lies. */
		if (before.generation == after.generation && !(after.generation & 1))
			return 0;
	}
	return err_set(err, -ESTALE, "the guest's list of its memory changes all the time");
}
