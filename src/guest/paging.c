/* SPDX-License-Identifier: Apache-2.0 */
#include "guest/paging.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/limits.h"

#define LEVELS_MAX 5u
#define MEMO_SLOTS 4096u	/* tables known to be of no interest; more are just walked */
#define MANY	8u	/* entries that are looked at together; so many fill a cache line */

/*
 * Rights add up from the root: writable and user need every level, NX needs only one. The kernel of
 * a PV guest of Xen runs in ring 3 as its programs do: Xen opens all of its pages, and marks those
 * that the guest did not (xen/arch/x86/pv/mm.h, adjust_guest_l1e()).
 */
unsigned paging_rights(struct view *view, unsigned inherited, uint64_t entry)
{
	unsigned rights = 0;

	if (entry & PTE_WRITE)
		rights |= MAP_WRITE;
	if (entry & PTE_USER && !(entry & PTE_XEN_KERNEL && ram_is_pv(view_ram(view))))
		rights |= MAP_USER;
	if (!(entry & PTE_NX))
		rights |= MAP_EXEC;
	return rights & inherited;
}

bool paging_is_page(uint64_t entry, unsigned level)
{
	return level == 1 || (level <= 3 && (entry & PTE_LARGE));
}

uint64_t paging_frame(struct view *view, uint64_t entry, unsigned level)
{
	return ram_of_table(view_ram(view), entry & PTE_ADDRESS & ~(paging_span(level) - 1)).v;
}

uint64_t paging_table(struct view *view, uint64_t entry)
{
	return ram_of_table(view_ram(view), entry & PTE_ADDRESS).v;
}

/* ROOT_PAGETABLE_FIRST_XEN_SLOT, ROOT_PAGETABLE_LAST_XEN_SLOT: xen/include/asm-x86/config.h */
bool paging_is_xens(struct view *view, unsigned level, unsigned index)
{
	return ram_is_pv(view_ram(view)) && level == 4 && index >= 256 && index <= 271;
}

int paging_reserved(struct view *view, uint64_t entry, unsigned level, struct err *err)
{
	bool bad = false;

	/* Xen takes no large pages from a PV guest, whose neighbouring frames lie anywhere. */
	if (entry & PTE_LARGE && level > 1 && ram_is_pv(view_ram(view)))
		bad = true;
	else if (entry & PTE_LARGE && level > 3)
		bad = true;
	else if (entry & PTE_LARGE && level > 1)
		bad = entry & PTE_ADDRESS & (paging_span(level) - 1) & ~PTE_LARGE_PAT;
	return bad ? err_set(err, -EBADMSG, "reserved bits in a page table entry of level %u",
			     level) : 0;
}

uint64_t paging_canonical(uint64_t at, unsigned levels)
{
	unsigned shift = 64 - (GUEST_PAGE_SHIFT + 9 * levels);

	return (uint64_t)((int64_t)(at << shift) >> shift);
}

static int bad_space(struct space space, struct err *err)
{
	if (space.levels != 4 && space.levels != 5)
		return err_set(err, -EBADMSG, "page tables of %u levels", space.levels);
	return 0;
}

int paging_translate(struct view *view, struct space space, gva at, struct mapping *ret,
		     struct err *err)
{
	unsigned rights = MAP_WRITE | MAP_USER | MAP_EXEC;
	uint64_t table = space.root.v & PTE_ADDRESS, entry;
	int r = bad_space(space, err);

	if (r < 0)
		return r;
	if (paging_canonical(at.v, space.levels) != at.v)
		return err_set(err, -EFAULT, "not a canonical address");

	for (unsigned level = space.levels;; level--) {
		r = view_read_phys(view, gpa_of(table + 8 * paging_index(at, level)), &entry,
				   sizeof(entry), err);
		if (r < 0)
			return r;
		if (!(entry & PTE_PRESENT) || paging_is_xens(view, level, paging_index(at, level)))
			return err_set(err, -EFAULT, "not mapped");
		r = paging_reserved(view, entry, level, err);
		if (r < 0)
			return r;
		rights = paging_rights(view, rights, entry);
		if (paging_is_page(entry, level)) {
			ret->page_bytes = paging_span(level);
			ret->at.v = paging_frame(view, entry, level) |
				    (at.v & (ret->page_bytes - 1));
			ret->rights = rights;
			return 0;
		}
		table = paging_table(view, entry);
	}
}

/* One table on the way down. */
struct table {
	uint64_t entry[TABLE_ENTRIES];
	uint64_t at;		/* guest-physical */
	uint64_t base;		/* guest-virtual address of entry 0 */
	unsigned next;		/* entry to look at next */
	unsigned rights;	/* inherited */
	bool matched;		/* something of interest was below it */
	bool whole;		/* no part of it lies outside the range asked for */
};

struct walk {
	struct view *view;
	gva from, to;
	unsigned want;
	gpa first, last;	/* memory of interest */
	frames_fn *visit;
	void *ctx;
	bool pieces;		/* a run ends where its memory does */
	struct frames open;	/* the run that still may grow; size 0: none */
	uint32_t extents_n;	/* handed out so far */
	struct err unseen;	/* what the first part was that could not be looked into */
	struct table table[LEVELS_MAX + 1];	/* by level */
	uint64_t memo[MEMO_SLOTS];	/* guest-physical address | level */
};

static int flush(struct walk *walk, struct err *err)
{
	struct frames done = walk->open;

	walk->open.size_bytes = 0;
	if (!done.size_bytes)
		return 0;
	if (walk->extents_n++ == EXTENTS_MAX)
		return err_set(err, -ELOOP, "over %u runs of mapped pages", EXTENTS_MAX);
	return walk->visit(&done, walk->ctx, err);
}

static int add_page(struct walk *walk, uint64_t at, uint64_t frame, uint64_t bytes,
		    unsigned rights, struct err *err)
{
	struct frames *open = &walk->open;
	int r;

	/* Clip a huge page to what was asked for. */
	if (at < walk->from.v) {
		bytes -= walk->from.v - at;
		frame += walk->from.v - at;
		at = walk->from.v;
	}
	if (at + (bytes - 1) > walk->to.v)
		bytes = (walk->to.v | GUEST_PAGE_MASK) - at + 1;

	if (open->size_bytes && open->start.v + open->size_bytes == at &&
	    open->rights == rights &&
	    (!walk->pieces || open->at.v + open->size_bytes == frame)) {
		open->size_bytes += bytes;
		return 0;
	}
	r = flush(walk, err);
	if (r < 0)
		return r;
	*open = (struct frames){ gva_of(at), gpa_of(frame), bytes, rights };
	return 0;
}

static uint64_t *memo_of(struct walk *walk, uint64_t at, unsigned level)
{
	return &walk->memo[((at | level) * 0x9e3779b97f4a7c15ull >> 40) % MEMO_SLOTS];
}

/* Read a table and make it the current one of its level. */
static int enter(struct walk *walk, unsigned level, uint64_t at, uint64_t base, unsigned rights,
		 struct err *err)
{
	struct table *table = &walk->table[level];
	uint64_t last = base + (paging_span(level) * TABLE_ENTRIES - 1);
	int r;

	r = view_burn(walk->view, 1, err);
	if (r < 0)
		return r;
	r = view_read_phys(walk->view, gpa_of(at), table->entry, sizeof(table->entry), err);
	if (r < 0)
		return wrap(err, r, "page table at physical %#" PRIx64, at);
	table->at = at;
	table->base = base;
	table->rights = rights;
	table->matched = false;
	table->whole = base >= walk->from.v && last <= walk->to.v;
	table->next = base < walk->from.v ? paging_index(walk->from, level) : 0;
	return 0;
}

/* Something below an entry cannot be seen: go on beside it, and fail at the end. */
static int skip(struct walk *walk, int code, const struct err *why, struct err *err)
{
	if (code != -EFAULT && code != -EBADMSG) {
		if (err)
			*err = *why;
		return code;
	}
	if (!walk->unseen.code) {
		walk->unseen = *why;
		walk->unseen.code = code;
	}
	return 0;
}

/* A present entry with the rights that are wanted: a page or the way to a further table. */
static int descend(struct walk *walk, unsigned level, uint64_t at, uint64_t entry, unsigned rights,
		   struct err *err)
{
	struct err why = {0};
	uint64_t below, frame;
	int r;

	r = paging_reserved(walk->view, entry, level, &why);
	if (r >= 0 && paging_is_page(entry, level)) {
		frame = paging_frame(walk->view, entry, level);
		if (frame > walk->last.v || frame + (paging_span(level) - 1) < walk->first.v)
			return (int)level;
		walk->table[level].matched = true;
		r = add_page(walk, at, frame, paging_span(level), rights, err);
		return r < 0 ? r : (int)level;
	}
	below = paging_table(walk->view, entry);
	if (r >= 0 && *memo_of(walk, below, level - 1) == (below | (level - 1)))
		return (int)level;
	if (r >= 0)
		r = enter(walk, level - 1, below, at, rights, &why);
	if (r >= 0)
		return (int)level - 1;
	r = skip(walk, r, &why, err);
	return r < 0 ? r : (int)level;
}

/* Beyond the entries from @next on that are nothing, or lack the rights that are wanted. */
static unsigned next_wanted(const struct walk *walk, const struct table *table, unsigned level)
{
	uint64_t must = PTE_PRESENT | (walk->want & MAP_WRITE ? PTE_WRITE : 0) |
			(walk->want & MAP_USER ? PTE_USER : 0);
	uint64_t mask = must | (walk->want & MAP_EXEC ? PTE_NX : 0);
	unsigned i = table->next;

	/* Most are nothing: many at a time. */
	for (bool any = false; i + MANY <= TABLE_ENTRIES; i += MANY) {
		for (unsigned j = 0; j < MANY; j++)
			any |= (table->entry[i + j] & mask) == must;
		if (any)
			break;
	}
	while (i < TABLE_ENTRIES && ((table->entry[i] & mask) != must ||
				     paging_is_xens(walk->view, level, i)))
		i++;
	return i;
}

/*
 * Look at the next entry of the table at @level that may count. Return: the level to go on
 * with (lower: a table was entered; higher: this one is finished), or an error.
 */
static int step(struct walk *walk, struct space space, unsigned level, struct err *err)
{
	struct table *table = &walk->table[level];
	unsigned i = next_wanted(walk, table, level), rights;
	uint64_t at, entry;

	table->next = i + 1;
	at = table->base + i * paging_span(level);
	if (level == space.levels)
		at = paging_canonical(at, space.levels);
	if (i >= TABLE_ENTRIES || at > walk->to.v) {
		if (level < space.levels) {
			walk->table[level + 1].matched |= table->matched;
			if (!table->matched && table->whole)
				*memo_of(walk, table->at, level) = table->at | level;
		}
		return (int)level + 1;
	}
	entry = table->entry[i];
	if (at + (paging_span(level) - 1) < walk->from.v)
		return (int)level;
	rights = paging_rights(walk->view, table->rights, entry);
	if ((rights & walk->want) != walk->want)
		return (int)level;
	return descend(walk, level, at, entry, rights, err);
}

static int walk_all(struct walk *walk, struct space space, struct err *err)
{
	int level = space.levels, r;

	r = enter(walk, space.levels, space.root.v & PTE_ADDRESS, 0,
		  MAP_WRITE | MAP_USER | MAP_EXEC, err);
	if (r < 0)
		return r;
	/* Entry by entry in order of their canonical addresses, wherever @from lies. */
	walk->table[level].next = 0;
	while (level <= space.levels) {
		level = step(walk, space, (unsigned)level, err);
		if (level < 0)
			return level;
	}
	r = flush(walk, err);
	if (r < 0 || !walk->unseen.code)
		return r < 0 ? r : 0;
	if (err)
		*err = walk->unseen;
	return walk->unseen.code;
}

static int walk_new(struct view *view, struct space space, gva from, gva to, unsigned want,
		    struct walk **ret, struct err *err)
{
	struct walk *walk;
	int r;

	r = bad_space(space, err);
	if (r < 0)
		return r;
	if (to.v < from.v)
		return err_set(err, -EINVAL, "a walk from %#" PRIx64 " back to %#" PRIx64, from.v,
			       to.v);
	walk = calloc(1, sizeof(*walk));
	if (!walk)
		return -ENOMEM;
	walk->view = view;
	walk->from = from;
	walk->to = to;
	walk->want = want;
	walk->last = gpa_of(UINT64_MAX);
	*ret = walk;
	return 0;
}

/* What view_walk() was called with, for the walk that knows more. */
struct extents {
	extent_fn *visit;
	void *ctx;
};

static int visit_extent(const struct frames *frames, void *ctx, struct err *err)
{
	const struct extent extent = { frames->start, frames->size_bytes, frames->rights };
	const struct extents *extents = ctx;

	return extents->visit(&extent, extents->ctx, err);
}

int view_walk(struct view *view, struct space space, gva from, gva to, unsigned want,
	      extent_fn *visit, void *ctx, struct err *err)
{
	struct extents extents = { visit, ctx };
	cleanup(freep) struct walk *walk = NULL;
	int r = walk_new(view, space, from, to, want, &walk, err);

	if (r < 0)
		return r;
	walk->visit = visit_extent;
	walk->ctx = &extents;
	return walk_all(walk, space, err);
}

int view_walk_frames(struct view *view, struct space space, gva from, gva to, unsigned want,
		     gpa first, gpa last, frames_fn *visit, void *ctx, struct err *err)
{
	cleanup(freep) struct walk *walk = NULL;
	int r = walk_new(view, space, from, to, want, &walk, err);

	if (r < 0)
		return r;
	walk->first = first;
	walk->last = last;
	walk->pieces = true;
	walk->visit = visit;
	walk->ctx = ctx;
	return walk_all(walk, space, err);
}
