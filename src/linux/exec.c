/* SPDX-License-Identifier: Apache-2.0 */
#include "linux/exec.h"

#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/limits.h"
#include "linux/owner_table.h"
#include "linux/vmap.h"

#define INT3	     0xcc
#define CHUNK_PAGES  64u	/* read at once where there is no owner */

struct exec_walk {
	struct owners *owners;
	const struct pieces *pages;	/* who owns what, in whole pages */
	struct exec_ranges *ret;
	uint8_t *chunk;
	int error;			/* what kept a page without an owner from being judged */
	uint32_t lookups;		/* of areas of virtual memory */
};

static int add_range(struct exec_ranges *ranges, gva start, uint64_t bytes, unsigned rights,
		     enum owner_kind kind, gva object, struct err *err)
{
	struct exec_range *range = ranges->list.n ? &ranges->list.v[ranges->list.n - 1] : NULL;

	ranges->bytes += bytes;
	if (range && range->start.v + range->size_bytes == start.v && range->rights == rights &&
	    range->kind == kind && range->object.v == object.v) {
		range->size_bytes += bytes;
		return 0;
	}
	if (ranges->list.n == EXEC_RANGES_MAX)
		return err_set(err, -ELOOP, "executable memory in over %u pieces",
			       EXEC_RANGES_MAX);
	range = vec_add(&ranges->list);
	if (!range)
		return -ENOMEM;
	*range = (struct exec_range){ start, bytes, rights, kind, object };
	return 0;
}

static bool is_all_int3(const uint8_t *page)
{
	return page[0] == INT3 && !memcmp(page, page + 1, GUEST_PAGE_SIZE - 1);
}

/*
 * Thunks against Indirect Target Selection: arch/x86/kernel/alternative.c, its_init_thunk().
 * The kernel keeps no list of the pages that it made for its own text.
 */
static bool is_all_thunks(const uint8_t *page)
{
	size_t i = 0, thunks = 0;

	while (i < GUEST_PAGE_SIZE) {
		size_t left = GUEST_PAGE_SIZE - i;

		if (page[i] == INT3) {
			i++;
			continue;
		}
		/* udb; jne -3: what FineIBT's callers expect in front of it. */
		if (left >= 3 && page[i] == 0xd6 && page[i + 1] == 0x75 && page[i + 2] == 0xfd) {
			i += 3;
			left -= 3;
		}
		if (left >= 4 && page[i] == 0x41)	/* REX.B: r8..r15 */
			i++;
		if (GUEST_PAGE_SIZE - i < 3 || page[i] != 0xff || (page[i + 1] & 0xf8) != 0xe0 ||
		    page[i + 2] != INT3)
			return false;
		i += 3;
		thunks++;
	}
	return thunks > 0;
}

bool exec_is_thunk(struct view *view, gva at)
{
	uint8_t page[GUEST_PAGE_SIZE];
	size_t i = at.v & GUEST_PAGE_MASK;

	return view_read(view, gva_of(at.v & ~GUEST_PAGE_MASK), page, sizeof(page), NULL) >= 0 &&
	       is_all_thunks(page) && page[i] != INT3 && (!i || page[i - 1] == INT3);
}

static enum owner_kind judge_page(const uint8_t *page)
{
	if (is_all_int3(page))
		return OWNER_UNUSED;
	return is_all_thunks(page) ? OWNER_THUNKS : OWNER_NONE;
}

/*
 * BPF programs without a name: filters of sockets and seccomp. Before programs were packed
 * (57631054fae6, 5.18) each had an area of its own, which begins with its number of pages.
 */
static bool is_bpf_area(struct owners *owners, const struct vmap_area *area)
{
	struct symbol caller;
	struct field pages;
	uint64_t n;

	return types_field(owners->kernel->types, "bpf_binary_header.pages", &pages, NULL) >= 0 &&
	       symbols_at(owners->kernel->symbols, area->caller, &caller, NULL) >= 0 &&
	       !strncmp(caller.name, "bpf_jit_", 8) &&
	       field_read(owners->view, area->start, &pages, &n, NULL) >= 0 && n == area->pages;
}

static int judge_chunk(struct exec_walk *walk, gva at, uint64_t bytes, unsigned rights,
		       enum owner_kind unknown, struct err *err)
{
	int r;

	r = view_read(walk->owners->view, at, walk->chunk, bytes, err);
	/* Unmapped since the tables were read: no page any more, and none to alarm about. */
	if (r == -EFAULT) {
		walk->error = walk->error ? walk->error : -ESTALE;
		return add_range(walk->ret, at, bytes, rights, unknown, gva_of(0), err);
	}
	for (uint64_t i = 0; r >= 0 && i < bytes; i += GUEST_PAGE_SIZE) {
		enum owner_kind kind = judge_page(walk->chunk + i);

		r = add_range(walk->ret, gva_add(at, i), GUEST_PAGE_SIZE, rights,
			      kind == OWNER_NONE ? unknown : kind, gva_of(0), err);
	}
	return r;
}

/* Pages that no list owns. */
static int judge(struct exec_walk *walk, gva at, uint64_t bytes, unsigned rights,
		 struct err *err)
{
	struct vmap_area area = { 0 };
	int r = 0;

	while (bytes && r >= 0) {
		uint64_t n = CHUNK_PAGES * (uint64_t)GUEST_PAGE_SIZE;
		enum owner_kind unknown = OWNER_NONE;

		if (walk->lookups++ == EXEC_LOOKUPS_MAX)
			return fail(err, -ELOOP, at, "over %u runs of code without an owner",
				    EXEC_LOOKUPS_MAX);
		if (at.v - area.start.v >= area.size_bytes &&
		    vmap_at(walk->owners->kernel, walk->owners->view, at, &area, NULL) < 0)
			area = (struct vmap_area){ .start = at, .size_bytes = n };
		if (is_bpf_area(walk->owners, &area))
			unknown = OWNER_BPF;
		if (n > area.size_bytes - (at.v - area.start.v))
			n = area.size_bytes - (at.v - area.start.v);
		n = (n + GUEST_PAGE_MASK) & ~GUEST_PAGE_MASK;
		if (n > bytes)
			n = bytes;
		r = judge_chunk(walk, at, n, rights, unknown, err);
		at.v += n;
		bytes -= n;
	}
	return r;
}

static int visit_extent(const struct extent *extent, void *ctx, struct err *err)
{
	struct exec_walk *walk = ctx;
	gva at = extent->start;
	uint64_t left = extent->size_bytes;
	int r = 0;

	while (left && r >= 0) {
		const struct piece *piece = pieces_from(walk->pages, at);
		uint64_t n = left;

		if (piece && piece->start.v <= at.v) {
			uint64_t rest = piece->size_bytes - (at.v - piece->start.v);

			n = rest < left ? rest : left;
			r = add_range(walk->ret, at, n, extent->rights, piece->kind,
				      piece->object, err);
		} else {
			if (piece && piece->start.v - at.v < left)
				n = piece->start.v - at.v;
			r = judge(walk, at, n, extent->rights, err);
		}
		at.v += n;
		left -= n;
	}
	return r;
}

/* All pieces in whole pages; a pack covers the programs in it. */
static int whole_pages(struct owners *owners, struct pieces *pages)
{
	const struct pieces *all[] = { &owners->packs, &owners->code };

	for (size_t i = 0; i < ARRAY_SIZE(all); i++)
		for (size_t j = 0; j < all[i]->list.n; j++) {
			const struct piece *piece = &all[i]->list.v[j];
			uint64_t from = piece->start.v & ~GUEST_PAGE_MASK;
			uint64_t last = (piece->start.v + (piece->size_bytes - 1)) |
					GUEST_PAGE_MASK;

			if (pieces_add(pages, piece->kind, gva_of(from), last - from + 1,
				       piece->object) < 0)
				return -ENOMEM;
		}
	pieces_sort(pages);
	return 0;
}

static bool has_unowned(const struct exec_ranges *ranges)
{
	for (size_t i = 0; i < ranges->list.n; i++)
		if (ranges->list.v[i].kind == OWNER_NONE)
			return true;
	return false;
}

int exec_read(const struct kernel *kernel, struct view *view, struct owners *owners,
	      struct exec_ranges *ret, struct err *err)
{
	gva half = space_upper_half(kernel->space);
	cleanup(freep) uint8_t *chunk = malloc(CHUNK_PAGES * GUEST_PAGE_SIZE);
	struct pieces pages = { 0 };
	struct exec_walk walk = { owners, &pages, ret, chunk, 0 };
	int r;

	if (!chunk)
		return -ENOMEM;
	owners_complete(owners);
	r = whole_pages(owners, &pages);
	if (r >= 0)
		r = view_walk(view, kernel->space, half, gva_of(UINT64_MAX), MAP_EXEC,
			      visit_extent, &walk, err);
	vec_free(&pages.list);
	if (r < 0)
		return r;
	if (walk.error)
		return err_set(err, walk.error, "executable memory changed while it was read");
	if (owners->error && has_unowned(ret)) {
		ret->owners_error = owners->error;
		ret->why = owners->why;
	}
	return 0;
}

void exec_free(struct exec_ranges *ranges)
{
	vec_free(&ranges->list);
	ranges->bytes = 0;
}

bool exec_is_unsure(const struct exec_ranges *ranges)
{
	return ranges->owners_error == -ENOENT || ranges->owners_error == -ENOTSUP;
}

int exec_is_cleared(const struct kernel *kernel, struct view *view, struct err *err)
{
	gva key = symbols_lookup(kernel->symbols, "init_on_alloc");
	uint32_t enabled = 0;
	int r = key.v ? view_u32(view, key, &enabled, err) : 0;

	return r < 0 ? r : enabled != 0;
}

void exec_describe(struct owners *owners, const struct exec_range *range, struct owner *ret)
{
	struct piece piece = { range->start, range->size_bytes, range->kind, range->object };

	memset(ret, 0, sizeof(*ret));
	if (range->kind != OWNER_NONE)
		owner_describe(owners, &piece, ret);
	else if (owner_of(owners, range->start, ret, NULL) < 0)
		ret->kind = OWNER_NONE;
}
