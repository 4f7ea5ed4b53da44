/* SPDX-License-Identifier: Apache-2.0 */
#include "reference/sites.h"

#include <stdlib.h>

#define PAGE_BYTES 4096u
#define KIND_SHIFT 12

_Static_assert(SITE_KINDS <= 1 << (16 - KIND_SHIFT), "a kind fits above an offset in a page");

int sites_add(struct sites *sites, gva at, size_t size_bytes, unsigned kind, uint32_t entry)
{
	struct site *site = vec_add(&sites->list);

	if (!site)
		return -ENOMEM;
	*site = (struct site){ at, (uint8_t)size_bytes, (uint8_t)kind, entry };
	return 0;
}

static int by_address(const void *a, const void *b)
{
	const struct site *x = a, *y = b;

	return x->at.v != y->at.v ? (x->at.v > y->at.v) - (x->at.v < y->at.v) :
		(x->kind > y->kind) - (x->kind < y->kind);
}

static int make_room(struct sites *sites)
{
	size_t n = sites->list.n, entries = 0;

	for (size_t i = 0; i < n; i++)
		entries += site_has_entry(sites->list.v[i].kind);
	sites->places = malloc(n * sizeof(*sites->places));
	sites->sizes = malloc(n * sizeof(*sites->sizes));
	sites->entries = malloc((entries + 1) * sizeof(*sites->entries));
	return sites->places && sites->sizes && sites->entries ? 0 : -ENOMEM;
}

static int pack(struct sites *sites, const struct site *site)
{
	uint64_t page = (site->at.v - sites->start.v) / PAGE_BYTES;
	struct sites_page *last = sites->pages.n ? &sites->pages.v[sites->pages.n - 1] : NULL;

	if (page > UINT32_MAX || sites->n == UINT32_MAX)
		return -EBADMSG;
	if (!last || last->page != page) {
		last = vec_add(&sites->pages);
		if (!last)
			return -ENOMEM;
		*last = (struct sites_page){ (uint32_t)page, (uint32_t)sites->n,
					     (uint32_t)sites->entries_n };
	}
	sites->places[sites->n] = (uint16_t)(site->at.v % PAGE_BYTES |
					     (unsigned)site->kind << KIND_SHIFT);
	sites->sizes[sites->n++] = site->size_bytes;
	if (site_has_entry(site->kind))
		sites->entries[sites->entries_n++] = site->entry;
	return 0;
}

int sites_pack(struct sites *sites, struct err *err)
{
	int r;

	if (!sites->list.n)
		return 0;
	qsort(sites->list.v, sites->list.n, sizeof(*sites->list.v), by_address);
	sites->start.v = sites->list.v[0].at.v & ~(uint64_t)(PAGE_BYTES - 1);
	r = make_room(sites);
	for (size_t i = 0; i < sites->list.n && r >= 0; i++)
		r = pack(sites, &sites->list.v[i]);
	if (r < 0)
		return err_set(err, r, r == -ENOMEM ? "no memory for sites" :
						      "places to patch lie terabytes apart");
	vec_free(&sites->list);
	vec_settle(&sites->pages);
	return 0;
}

bool sites_next(const struct sites *sites, struct sites_at *at, struct site *ret)
{
	const struct sites_page *page;

	if (at->i == sites->n)
		return false;
	if (at->page + 1 < sites->pages.n && at->i == sites->pages.v[at->page + 1].first)
		at->page++;
	page = &sites->pages.v[at->page];
	ret->at.v = sites->start.v + (uint64_t)page->page * PAGE_BYTES +
		    sites->places[at->i] % PAGE_BYTES + sites->moved;
	ret->kind = (uint8_t)(sites->places[at->i] >> KIND_SHIFT);
	ret->size_bytes = sites->sizes[at->i++];
	ret->entry = site_has_entry(ret->kind) ? sites->entries[at->entry++] : 0;
	return true;
}

/* The last page that begins at or below @at; the first, if none does. */
static size_t page_of(const struct sites *sites, uint64_t at)
{
	uint64_t start = sites->start.v + sites->moved;
	uint64_t page = at > start ? (at - start) / PAGE_BYTES : 0;
	size_t low = 0, high = sites->pages.n;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (sites->pages.v[middle].page <= page)
			low = middle + 1;
		else
			high = middle;
	}
	return low ? low - 1 : 0;
}

struct sites_at sites_from(const struct sites *sites, gva at)
{
	uint64_t from = at.v > SITE_BYTES_MAX ? at.v - SITE_BYTES_MAX : 0;
	struct sites_at walk = {0}, next;
	struct site site;

	if (!sites->n)
		return walk;
	walk.page = page_of(sites, from);
	walk.i = sites->pages.v[walk.page].first;
	walk.entry = sites->pages.v[walk.page].entry;
	for (next = walk; sites_next(sites, &next, &site) && site.at.v < from;)
		walk = next;
	return walk;
}

bool sites_same(const struct sites *a, const struct sites *b, uint64_t moved)
{
	struct sites_at in_a = {0}, in_b = {0};
	struct site x, y;

	if (a->n != b->n)
		return false;
	while (sites_next(a, &in_a, &x) && sites_next(b, &in_b, &y))
		if (x.at.v + moved != y.at.v || x.kind != y.kind || x.entry != y.entry ||
		    x.size_bytes != y.size_bytes)
			return false;
	return true;
}

size_t sites_bytes(const struct sites *sites)
{
	return sites->list.room * sizeof(*sites->list.v) +
	       sites->pages.room * sizeof(*sites->pages.v) +
	       sites->n * (sizeof(*sites->places) + sizeof(*sites->sizes)) +
	       sites->entries_n * sizeof(*sites->entries);
}

void sites_free(struct sites *sites)
{
	if (!sites->borrowed) {
		vec_free(&sites->list);
		vec_free(&sites->pages);
		free(sites->places);
		free(sites->sizes);
		free(sites->entries);
	}
	*sites = (struct sites){0};
}
