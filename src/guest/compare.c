/* SPDX-License-Identifier: Apache-2.0 */
#include "guest/compare.h"

#include <inttypes.h>
#include <stdlib.h>

#include "base/cleanup.h"
#include "base/limits.h"
#include "guest/paging.h"

#define LEVELS_MAX 5u

/* What one side has at some address and level. */
struct place {
	enum { NOTHING, PAGE, TABLE } kind;
	uint64_t at;		/* of the memory, or of the table */
	unsigned rights;
};

/* One side of one level: a table, or what stands in for one. */
struct half {
	struct place place;
	uint64_t entry[TABLE_ENTRIES];
};

struct comparison {
	struct view *view;
	gva from, to;
	unlike_fn *visit;
	void *ctx;
	struct unlike open;	/* the run that still may grow; size 0: none */
	uint32_t runs;
	struct err unseen;
	struct {
		struct half half[2];
		uint64_t base;	/* guest-virtual address of entry 0 */
		unsigned next;
	} level[LEVELS_MAX + 1];
};

static bool is_same(const struct place *a, const struct place *b)
{
	return a->kind == b->kind && a->at == b->at && a->rights == b->rights;
}

static int flush(struct comparison *c, struct err *err)
{
	struct unlike done = c->open;

	c->open.size_bytes = 0;
	if (!done.size_bytes)
		return 0;
	if (c->runs++ == EXTENTS_MAX)
		return err_set(err, -ELOOP, "over %u pages that are mapped otherwise", EXTENTS_MAX);
	return c->visit(&done, c->ctx, err);
}

/* Does one side of a run go on with @place? */
static bool goes_on(bool in, gpa at, unsigned rights, uint64_t size_bytes,
		    const struct place *place)
{
	if (!in || place->kind == NOTHING)
		return !in && place->kind == NOTHING;
	return at.v + size_bytes == place->at && rights == place->rights;
}

static int add(struct comparison *c, uint64_t at, uint64_t bytes, const struct place *a,
	       const struct place *b, struct err *err)
{
	struct unlike *open = &c->open;
	int r;

	if (open->size_bytes && open->start.v + open->size_bytes == at &&
	    goes_on(open->in_a, open->a, open->rights_a, open->size_bytes, a) &&
	    goes_on(true, open->b, open->rights_b, open->size_bytes, b)) {
		open->size_bytes += bytes;
		return 0;
	}
	r = flush(c, err);
	*open = (struct unlike){
		gva_of(at), bytes, a->kind == PAGE, gpa_of(a->at), gpa_of(b->at), a->rights,
		b->rights,
	};
	return r;
}

/* What the half of a level has as its entry @i; the entries of a page are parts of it. */
static int read_place(struct view *view, const struct half *half, unsigned level, unsigned i,
		      struct place *ret, struct err *err)
{
	uint64_t entry = half->entry[i];
	int r;

	*ret = (struct place){ 0 };
	if (half->place.kind == PAGE) {
		*ret = half->place;
		ret->at += i * paging_span(level);
	}
	if (half->place.kind != TABLE || !(entry & PTE_PRESENT))
		return 0;
	r = paging_reserved(view, entry, level, err);
	if (r < 0)
		return r;
	ret->rights = paging_rights(view, half->place.rights, entry);
	ret->kind = paging_is_page(entry, level) ? PAGE : TABLE;
	ret->at = ret->kind == PAGE ? paging_frame(view, entry, level) :
				      paging_table(view, entry);
	return 0;
}

static int enter(struct comparison *c, unsigned level, uint64_t base, const struct place *places,
		 struct err *err)
{
	for (unsigned i = 0; i < 2; i++) {
		struct half *half = &c->level[level].half[i];
		int r;

		half->place = places[i];
		if (places[i].kind != TABLE)
			continue;
		r = view_burn(c->view, 1, err);
		if (r < 0)
			return r;
		r = view_read_phys(c->view, gpa_of(places[i].at), half->entry,
				   sizeof(half->entry), err);
		if (r < 0)
			return wrap(err, r, "page table at physical %#" PRIx64, places[i].at);
	}
	c->level[level].base = base;
	c->level[level].next = base < c->from.v ? paging_index(c->from, level) : 0;
	return 0;
}

/* Something cannot be seen: go on beside it, and fail at the end. */
static int skip(struct comparison *c, int code, const struct err *why, struct err *err)
{
	if (code != -EFAULT && code != -EBADMSG) {
		if (err)
			*err = *why;
		return code;
	}
	if (!c->unseen.code) {
		c->unseen = *why;
		c->unseen.code = code;
	}
	return 0;
}

/*
 * The next entry where there may be something to tell: nearly all are the same number on both
 * sides, or absent.
 */
static unsigned next_entry(struct comparison *c, unsigned level)
{
	const struct half *a = &c->level[level].half[0], *b = &c->level[level].half[1];
	unsigned i = c->level[level].next;
	bool alike = a->place.kind == TABLE && b->place.kind == TABLE &&
		     a->place.rights == b->place.rights;

	while (i < TABLE_ENTRIES && b->place.kind == TABLE &&
	       (!(b->entry[i] & PTE_PRESENT) || (alike && a->entry[i] == b->entry[i]) ||
		paging_is_xens(c->view, level, i)))
		i++;
	c->level[level].next = i + 1;
	return i;
}

/* The next entry of a level. Return: the level to go on with, or an error. */
static int step(struct comparison *c, unsigned levels, unsigned level, struct err *err)
{
	unsigned i = next_entry(c, level);
	struct place places[2];
	struct err why = { 0 };
	uint64_t at;
	int r = 0;

	at = c->level[level].base + i * paging_span(level);
	if (level == levels)
		at = paging_canonical(at, levels);
	if (i >= TABLE_ENTRIES || at > c->to.v)
		return (int)level + 1;
	if (at + (paging_span(level) - 1) < c->from.v)
		return (int)level;
	for (unsigned j = 0; j < 2 && r >= 0; j++)
		r = read_place(c->view, &c->level[level].half[j], level, i, &places[j], &why);
	if (r >= 0 && (places[1].kind == NOTHING || is_same(&places[0], &places[1])))
		return (int)level;
	if (r >= 0 && places[0].kind != TABLE && places[1].kind != TABLE) {
		r = add(c, at, paging_span(level), &places[0], &places[1], err);
		return r < 0 ? r : (int)level;
	}
	if (r >= 0)
		r = enter(c, level - 1, at, places, &why);
	if (r >= 0)
		return (int)level - 1;
	r = skip(c, r, &why, err);
	return r < 0 ? r : (int)level;
}

int spaces_compare(struct view *view, struct space a, struct space b, gva from, gva to,
		   unlike_fn *visit, void *ctx, struct err *err)
{
	const struct place roots[] = {
		{ TABLE, a.root.v & PTE_ADDRESS, MAP_WRITE | MAP_USER | MAP_EXEC },
		{ TABLE, b.root.v & PTE_ADDRESS, MAP_WRITE | MAP_USER | MAP_EXEC },
	};
	cleanup(freep) struct comparison *c = calloc(1, sizeof(*c));
	int level = a.levels, r;

	if (!c)
		return -ENOMEM;
	if (a.levels != b.levels || (a.levels != 4 && a.levels != 5))
		return err_set(err, -EBADMSG, "page tables of %u and %u levels", a.levels,
			       b.levels);
	if (to.v < from.v)
		return err_set(err, -EINVAL, "no addresses to compare");
	c->view = view;
	c->from = from;
	c->to = to;
	c->visit = visit;
	c->ctx = ctx;
	r = enter(c, a.levels, 0, roots, err);
	if (r < 0)
		return r;
	/* Entry by entry in order of their canonical addresses. */
	c->level[level].next = gva_is_kernel(from) ? paging_index(from, a.levels) : 0;
	while (level <= a.levels) {
		level = step(c, a.levels, (unsigned)level, err);
		if (level < 0)
			return level;
	}
	r = flush(c, err);
	if (r < 0 || !c->unseen.code)
		return r < 0 ? r : 0;
	if (err)
		*err = c->unseen;
	return c->unseen.code;
}
