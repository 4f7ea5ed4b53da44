/* SPDX-License-Identifier: Apache-2.0 */
#include "guest/paging.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/cleanup.h"
#include "base/limits.h"
#include "base/vec.h"
#include "make/memory.h"
#include "ram/machine.h"

#define FUEL	100000u
#define RWX	(PTE_PRESENT | PTE_WRITE | PTE_USER)
#define ALL	(MAP_WRITE | MAP_USER | MAP_EXEC)
#define VIRT	0xffffc12345678000ull
#define ROOT	0x1000u

struct guest {
	struct memory m;
	struct space space;
	struct ram *ram;
	struct view *view;
};

static int start(void **state)
{
	struct guest *g = calloc(1, sizeof(*g));

	g->space = (struct space){ gpa_of(ROOT), 4 };
	g->m.next_table = 0x2000;
	memory_page(&g->m, ROOT);
	*state = g;
	return 0;
}

static int end(void **state)
{
	struct guest *g = *state;

	view_close(&g->view);
	ram_close(&g->ram);
	memory_free(&g->m);
	free(g);
	return 0;
}

static struct view *look(struct guest *g, uint64_t fuel)
{
	view_close(&g->view);
	ram_close(&g->ram);
	g->view = memory_view(&g->m, fuel, &g->ram);
	return g->view;
}

static int translate(struct guest *g, uint64_t at, struct mapping *to)
{
	return paging_translate(look(g, FUEL), g->space, gva_of(at), to, NULL);
}

static void four_and_five_levels_lead_to_the_page(void **state)
{
	struct guest *g = *state;
	struct mapping to;

	for (g->space.levels = 4; g->space.levels <= 5; g->space.levels++) {
		g->space.root.v = ROOT * g->space.levels * 16;
		memory_map(&g->m, g->space, VIRT, 0x7000, 1, RWX);
		assert_int_equal(translate(g, VIRT, &to), 0);
		assert_int_equal(to.at.v, 0x7000);
		assert_int_equal(to.page_bytes, GUEST_PAGE_SIZE);
		assert_int_equal(to.rights, ALL);
		assert_int_equal(translate(g, VIRT + GUEST_PAGE_SIZE, &to), -EFAULT);
	}
}

static void large_pages_keep_the_offset(void **state)
{
	struct guest *g = *state;
	struct mapping to;

	memory_map(&g->m, g->space, 0x40000000, 0x80000000, 3, RWX | PTE_LARGE_PAT);
	memory_map(&g->m, g->space, 0x00200000, 0x00c00000, 2, RWX | PTE_LARGE_PAT);
	assert_int_equal(translate(g, 0x40000000 + 0x12345000, &to), 0);
	assert_int_equal(to.at.v, 0x80000000 + 0x12345000);
	assert_int_equal(to.page_bytes, 1u << 30);
	assert_int_equal(translate(g, 0x00200000 + 0x1ff000, &to), 0);
	assert_int_equal(to.at.v, 0x00c00000 + 0x1ff000);
	assert_int_equal(to.page_bytes, 2u << 20);
}

/* --- a PV guest of Xen: machine frame i + 0x500 is the guest's frame i --- */

#define MACHINE 0x500000ull

static struct view *look_pv(struct guest *g)
{
	struct view *view = look(g, FUEL);
	uint32_t frames[16];

	for (uint32_t i = 0; i < ARRAY_SIZE(frames); i++)
		frames[i] = 0x500 + i;
	assert_int_equal(machine_new(ARRAY_SIZE(frames), &g->ram->machine, NULL), 0);
	assert_true(machine_set(g->ram->machine, frames));
	return view;
}

static uint64_t *entry_of(struct guest *g, uint64_t table, uint64_t at, unsigned level)
{
	return (uint64_t *)memory_page(&g->m, table) + paging_index(gva_of(at), level);
}

/* Tables 0x1000 to 0x4000, then the page at 0x7000; entries hold machine addresses. */
static void map_pv(struct guest *g)
{
	for (unsigned level = 4; level >= 1; level--)
		*entry_of(g, (5ull - level) << 12, VIRT, level) = RWX | (MACHINE +
			(level == 1 ? 0x7000 : (6ull - level) << 12));
	memory_page(&g->m, 0x7000);
}

static void tables_of_a_pv_guest_hold_machine_addresses(void **state)
{
	struct guest *g = *state;
	struct mapping to;

	map_pv(g);
	assert_int_equal(paging_translate(look_pv(g), g->space, gva_of(VIRT), &to, NULL), 0);
	assert_int_equal(to.at.v, 0x7000);
	assert_int_equal(to.rights, ALL);

	/* Xen opens the kernel's own pages, and marks them. */
	*entry_of(g, 0x4000, VIRT, 1) |= PTE_XEN_KERNEL;
	assert_int_equal(paging_translate(look_pv(g), g->space, gva_of(VIRT), &to, NULL), 0);
	assert_int_equal(to.rights, ALL & ~MAP_USER);

	/* A page of somebody else's is none of its RAM. */
	*entry_of(g, 0x4000, VIRT, 1) = 0x7000 | RWX;
	assert_int_equal(paging_translate(look_pv(g), g->space, gva_of(VIRT), &to, NULL), 0);
	assert_int_equal(to.at.v, MACHINE_FOREIGN | 0x7000);
	assert_false(ram_has(g->ram, to.at, GUEST_PAGE_SIZE));
}

static void a_table_of_a_pv_guest_that_is_not_its_own_is_not_followed(void **state)
{
	struct guest *g = *state;
	struct mapping to;

	for (unsigned level = 2; level <= 4; level++) {
		map_pv(g);
		/* Were it taken for one of the guest's, it would lead on. */
		*entry_of(g, (5ull - level) << 12, VIRT, level) = RWX | (6ull - level) << 12;
		assert_int_equal(paging_translate(look_pv(g), g->space, gva_of(VIRT), &to, NULL),
				 -EFAULT);
	}
	map_pv(g);
	*entry_of(g, 0x3000, VIRT, 2) |= PTE_LARGE;
	assert_int_equal(paging_translate(look_pv(g), g->space, gva_of(VIRT), &to, NULL),
			 -EBADMSG);
}

/* Each right taken away at each level in turn. */
static void rights_are_the_weakest_of_all_levels(void **state)
{
	static const struct { uint64_t flip; unsigned lost; } bits[] = {
		{ PTE_WRITE, MAP_WRITE }, { PTE_USER, MAP_USER }, { PTE_NX, MAP_EXEC },
	};
	struct guest *g = *state;
	struct mapping to;

	g->space.levels = 5;
	memory_map(&g->m, g->space, VIRT, 0x7000, 1, RWX);
	for (unsigned level = 1; level <= 5; level++)
		for (size_t i = 0; i < ARRAY_SIZE(bits); i++) {
			uint64_t table = g->space.root.v, *entry = NULL;

			for (unsigned l = 5; l >= level; l--) {
				entry = (uint64_t *)memory_page(&g->m, table) +
					paging_index(gva_of(VIRT), l);
				table = *entry & PTE_ADDRESS;
			}
			*entry ^= bits[i].flip;
			assert_int_equal(translate(g, VIRT, &to), 0);
			assert_int_equal(to.rights, ALL & ~bits[i].lost);
			*entry ^= bits[i].flip;
		}
}

static void addresses_that_are_not_canonical_are_not_mapped(void **state)
{
	struct guest *g = *state;
	struct mapping to = { .rights = 99 };

	memory_map(&g->m, g->space, VIRT, 0x7000, 1, RWX);
	assert_int_equal(translate(g, VIRT & ~(1ull << 63), &to), -EFAULT);
	assert_int_equal(translate(g, VIRT & ~(1ull << 50), &to), -EFAULT);
	assert_int_equal(to.rights, 99);
}

static void reserved_bits_are_no_mapping(void **state)
{
	struct guest *g = *state;
	struct mapping to = { .rights = 99 };

	memory_map(&g->m, g->space, 0x00200000, 0x00c02000, 2, RWX);
	assert_int_equal(translate(g, 0x00200000, &to), -EBADMSG);
	memory_map(&g->m, g->space, 0x40000000, 0x80200000, 3, RWX);
	assert_int_equal(translate(g, 0x40000000, &to), -EBADMSG);
	memory_map(&g->m, g->space, 0, 0x3000, 4, RWX);	/* a page of 512 GiB */
	assert_int_equal(translate(g, 0, &to), -EBADMSG);
	g->space.levels = 5;
	assert_int_equal(translate(g, 0, &to), -EBADMSG);
	assert_int_equal(to.rights, 99);
}

static void no_other_number_of_levels(void **state)
{
	struct guest *g = *state;
	struct mapping to;

	for (unsigned levels = 0; levels < 256; levels++) {
		g->space.levels = (uint8_t)levels;
		if (levels != 4 && levels != 5)
			assert_int_equal(translate(g, 0, &to), -EBADMSG);
	}
}

static void table_without_ram_is_a_fault(void **state)
{
	struct guest *g = *state;
	struct mapping to;

	memory_map(&g->m, g->space, VIRT, 0x7000, 1, RWX);
	memory_drop(&g->m, g->m.next_table - GUEST_PAGE_SIZE);
	assert_int_equal(translate(g, VIRT, &to), -EFAULT);
	g->space.root.v = PTE_ADDRESS;
	assert_int_equal(translate(g, VIRT, &to), -EFAULT);
}

/* What the view remembers of one depth is not taken for the other. */
static void depth_is_part_of_a_space(void **state)
{
	struct guest *g = *state;
	gva at = gva_of(0xffff800000000000);	/* 4 levels: entry 256; 5 levels: entry 511 */
	struct mapping to;
	struct view *view;

	memory_u64(&g->m, ROOT, ROOT | RWX);
	memory_u64(&g->m, ROOT + 8 * 256, ROOT | RWX);
	view = look(g, FUEL);
	assert_int_equal(view_translate(view, g->space, at, &to, NULL), 0);
	assert_int_equal(to.at.v, ROOT);
	g->space.levels = 5;
	assert_int_equal(view_translate(view, g->space, at, &to, NULL), -EFAULT);
}

struct extents {
	struct extent *v;
	size_t n, room;		/* as VEC() */
};

static int keep(const struct extent *extent, void *ctx, struct err *err)
{
	struct extents *seen = ctx;

	(void)err;
	*vec_add(seen) = *extent;
	return 0;
}

static int count(const struct extent *extent, void *ctx, struct err *err)
{
	(void)extent;
	(void)err;
	++*(uint64_t *)ctx;
	return 0;
}

static void walk_gives_runs_of_equal_rights(void **state)
{
	struct guest *g = *state;
	struct extents seen = {0};

	memory_map(&g->m, g->space, 0x1000, 0x9000, 1, RWX);
	memory_map(&g->m, g->space, 0x2000, 0x5000, 1, RWX);
	memory_map(&g->m, g->space, 0x3000, 0x6000, 1, RWX | PTE_NX);
	memory_map(&g->m, g->space, 0x5000, 0x7000, 1, RWX | PTE_NX);
	memory_map(&g->m, g->space, 0xfffffffffffff000, 0x8000, 1, RWX);
	assert_int_equal(view_walk(look(g, FUEL), g->space, gva_of(0), gva_of(UINT64_MAX), 0, keep,
				   &seen, NULL), 0);
	assert_int_equal(seen.n, 4);
	assert_true(seen.v[0].start.v == 0x1000 && seen.v[0].size_bytes == 0x2000);
	assert_true(seen.v[1].start.v == 0x3000 && seen.v[1].rights == (MAP_WRITE | MAP_USER));
	assert_true(seen.v[2].start.v == 0x5000 && seen.v[2].size_bytes == 0x1000);
	assert_true(seen.v[3].start.v == 0xfffffffffffff000 && seen.v[3].size_bytes == 0x1000);
	vec_free(&seen);
}

/* Xen's entries lead to its own tables, which nobody can read. */
static void xens_part_of_a_pv_guests_table_is_left_out(void **state)
{
	struct guest *g = *state;
	struct extents seen = {0};
	struct mapping to;
	struct view *view;

	map_pv(g);
	for (unsigned i = 256; i < 272; i++)
		memory_u64(&g->m, ROOT + 8 * i, 0x900000 | RWX);
	view = look_pv(g);
	assert_int_equal(view_walk(view, g->space, gva_of(0), gva_of(UINT64_MAX), 0, keep, &seen,
				   NULL), 0);
	assert_int_equal(seen.n, 1);
	assert_true(seen.v[0].start.v == VIRT);
	assert_int_equal(view_translate(view, g->space, gva_of(0xffff800000000000), &to, NULL),
			 -EFAULT);
	vec_free(&seen);

	/* Of all other guests they are the guest's own: here they lead to nothing that is there. */
	assert_int_equal(view_walk(look(g, FUEL), g->space, gva_of(0xffff800000000000),
				   gva_of(0xffff87ffffffffff), 0, keep, &seen, NULL), -EFAULT);
	vec_free(&seen);
}

static void walk_clips_large_pages_to_the_range(void **state)
{
	struct guest *g = *state;
	struct extents seen = {0};

	memory_map(&g->m, g->space, 0x40000000, 0, 3, RWX);
	assert_int_equal(view_walk(look(g, FUEL), g->space, gva_of(0x40003000), gva_of(0x40005001),
				   0, keep, &seen, NULL), 0);
	assert_int_equal(seen.n, 1);
	assert_true(seen.v[0].start.v == 0x40003000 && seen.v[0].size_bytes == 0x3000);
	vec_free(&seen);
}

static void walk_does_not_go_back(void **state)
{
	struct guest *g = *state;
	uint64_t n = 0;

	memory_map(&g->m, g->space, 0x40000000, 0, 3, RWX);
	assert_int_equal(view_walk(look(g, FUEL), g->space, gva_of(0x40005000), gva_of(0x40003000),
				   0, count, &n, NULL), -EINVAL);
	assert_int_equal(n, 0);
}

/* Firmly between the halves: all of the upper one follows. */
static void walk_may_begin_where_nothing_can_be_mapped(void **state)
{
	struct guest *g = *state;
	uint64_t n = 0;

	memory_map(&g->m, g->space, 0xffff800000000000, 0x7000, 1, RWX);
	assert_int_equal(view_walk(look(g, FUEL), g->space, gva_of(0x9999999999999000),
				   gva_of(UINT64_MAX), 0, count, &n, NULL), 0);
	assert_int_equal(n, 1);
}

static int stop(const struct extent *extent, void *ctx, struct err *err)
{
	(void)extent;
	(void)ctx;
	return err_set(err, -ECANCELED, "enough");
}

static void visitor_ends_the_walk(void **state)
{
	struct guest *g = *state;

	memory_map(&g->m, g->space, 0x1000, 0x9000, 1, RWX);
	memory_map(&g->m, g->space, 0x3000, 0x9000, 1, RWX);
	assert_int_equal(view_walk(look(g, FUEL), g->space, gva_of(0), gva_of(UINT64_MAX), 0, stop,
				   NULL, NULL), -ECANCELED);
}

static void table_that_cannot_be_read_hides_only_what_is_below_it(void **state)
{
	struct guest *g = *state;
	struct extents seen = {0};
	struct err err = {0};

	memory_map(&g->m, g->space, 0x1000, 0x9000, 1, RWX);
	memory_u64(&g->m, ROOT + 8, 0xdead0000000 | RWX);
	memory_u64(&g->m, ROOT + 16, 0x2000 | RWX | PTE_LARGE);
	memory_map(&g->m, g->space, VIRT, 0x9000, 1, RWX);
	assert_int_equal(view_walk(look(g, FUEL), g->space, gva_of(0), gva_of(UINT64_MAX), 0, keep,
				   &seen, &err), -EFAULT);
	assert_int_equal(err.code, -EFAULT);
	assert_non_null(strstr(err.text, "0xdead0000000"));
	assert_int_equal(seen.n, 2);
	assert_true(seen.v[0].start.v == 0x1000 && seen.v[1].start.v == VIRT);
	vec_free(&seen);
}

static void root_that_cannot_be_read_is_a_fault(void **state)
{
	struct guest *g = *state;
	uint64_t n = 0;

	g->space.root.v = 0xdead000;
	assert_int_equal(view_walk(look(g, FUEL), g->space, gva_of(0), gva_of(UINT64_MAX), 0, count,
				   &n, NULL), -EFAULT);
}

static void tables_that_lead_back_end_by_fuel(void **state)
{
	struct guest *g = *state;
	uint64_t n = 0;

	for (unsigned i = 0; i < TABLE_ENTRIES; i++)
		memory_u64(&g->m, ROOT + 8 * i, ROOT | RWX);
	g->space.levels = 5;
	assert_int_equal(view_walk(look(g, FUEL), g->space, gva_of(0), gva_of(UINT64_MAX), 0, count,
				   &n, NULL), -ELOOP);
	assert_int_equal(view_fuel(g->view), 0);
}

static void runs_of_pages_have_a_limit(void **state)
{
	struct guest *g = *state;
	uint64_t n = 0;

	for (unsigned i = 0; i < TABLE_ENTRIES; i++)
		memory_u64(&g->m, ROOT + 8 * i, ROOT | RWX | (i % 2 ? PTE_NX : 0));
	assert_int_equal(view_walk(look(g, FUEL), g->space, gva_of(0), gva_of(UINT64_MAX), 0, count,
				   &n, NULL), -ELOOP);
	assert_int_equal(n, EXTENTS_MAX);
}

/* As espfix has it: tens of thousands of ways to one table without executable pages. */
static void table_without_interest_is_looked_into_once(void **state)
{
	struct guest *g = *state;
	uint64_t n = 0, table = 0x8000;

	memory_map(&g->m, g->space, 0, 0, 1, RWX | PTE_NX);
	for (unsigned i = 0; i < TABLE_ENTRIES; i++) {
		memory_u64(&g->m, table + 8 * i, (table + 0x1000) | RWX);
		memory_u64(&g->m, table + 0x1000 + 8 * i, (table + 0x2000) | RWX);
		memory_u64(&g->m, table + 0x2000 + 8 * i, 0x1000 | RWX | PTE_NX);
	}
	memory_u64(&g->m, ROOT + 8 * 256, table | RWX);
	assert_int_equal(view_walk(look(g, 100), g->space, gva_of(0), gva_of(UINT64_MAX), MAP_EXEC,
				   count, &n, NULL), 0);
	assert_int_equal(n, 0);
	assert_int_equal(view_walk(look(g, 1000), g->space, gva_of(0), gva_of(UINT64_MAX), 0,
				   count, &n, NULL), -ELOOP);
}

/* What a walk is to give, by recursion and without memory. */
struct naive {
	struct memory *m;
	gva from, to;
	unsigned want;
	struct extents seen;
	int code;
};

static void naive_page(struct naive *n, uint64_t at, uint64_t bytes, unsigned rights)
{
	struct extent *last = n->seen.n ? &n->seen.v[n->seen.n - 1] : NULL;

	uint64_t end = at + (bytes - 1);

	at = at < n->from.v ? n->from.v : at;
	end = end > n->to.v ? n->to.v | GUEST_PAGE_MASK : end;
	if (!last || last->start.v + last->size_bytes != at || last->rights != rights) {
		last = vec_add(&n->seen);
		*last = (struct extent){ gva_of(at), 0, rights };
	}
	last->size_bytes = end - last->start.v + 1;
}

static void naive_table(struct naive *n, uint64_t table, uint64_t base, unsigned level,
			unsigned levels, unsigned inherited)
{
	for (unsigned i = 0; i < TABLE_ENTRIES; i++) {
		uint64_t span = paging_span(level), at = base + i * span, entry;
		unsigned rights;

		if (level == levels && i >= TABLE_ENTRIES / 2)
			at |= ~(span * TABLE_ENTRIES - 1);
		memcpy(&entry, (uint8_t *)memory_page(n->m, table) + 8 * i, 8);
		rights = (entry & PTE_WRITE ? MAP_WRITE : 0) | (entry & PTE_USER ? MAP_USER : 0) |
			 (entry & PTE_NX ? 0 : MAP_EXEC);
		rights &= inherited;
		if (!(entry & PTE_PRESENT) || (rights & n->want) != n->want ||
		    at + span - 1 < n->from.v || at > n->to.v)
			continue;
		if (level == 1 || (level <= 3 && entry & PTE_LARGE))
			naive_page(n, at, span, rights);
		else if (entry & PTE_LARGE)
			n->code = n->code ? n->code : -EBADMSG;
		else if ((entry & PTE_ADDRESS) >= 0x100000)
			n->code = n->code ? n->code : -EFAULT;
		else
			naive_table(n, entry & PTE_ADDRESS, at, level - 1, levels, rights);
	}
}

static unsigned below(unsigned *seed, unsigned n)
{
	return (unsigned)rand_r(seed) % n;
}

/* Tables that lead to each other at random, some to nowhere, few entries each. */
static void random_tables(struct memory *m, unsigned *seed)
{
	static const uint64_t flags[] = { PTE_WRITE, PTE_USER, PTE_NX };

	for (uint64_t table = 0x1000; table < 0xa000; table += 0x1000) {
		memset(memory_page(m, table), 0, GUEST_PAGE_SIZE);
		for (unsigned n = 0; n < 5; n++) {
			unsigned slot = below(seed, below(seed, 3) ? 6 : TABLE_ENTRIES);
			uint64_t entry = (uint64_t)(below(seed, 9) + 1) << 12 | PTE_PRESENT;

			for (unsigned i = 0; i < ARRAY_SIZE(flags); i++)
				if ((below(seed, 4) != 0) == (i < 2))
					entry |= flags[i];
			if (!below(seed, 40))
				entry |= 0x100000;
			/* Small addresses: a large page at 0, whatever table that shadows. */
			if (!below(seed, 30))
				entry = (entry & ~PTE_ADDRESS) | PTE_LARGE;
			memory_u64(m, table + 8 * slot, entry);
		}
	}
}

static uint64_t random_address(unsigned *seed, unsigned levels)
{
	uint64_t at = 0;

	for (unsigned level = 1; level <= levels; level++)
		at |= below(seed, 6) * paging_span(level);
	return below(seed, 4) ? at : at | 0xfffe000000000000;
}

static void any_walk_equals_a_naive_one(void **state)
{
	struct guest *g = *state;
	unsigned seed = 1, with_errors = 0;
	uint64_t extents_n = 0;

	for (unsigned round = 0; round < 400; round++) {
		struct space space = { gpa_of(ROOT), (uint8_t)(4 + round % 2) };
		uint64_t a = random_address(&seed, space.levels);
		uint64_t b = random_address(&seed, space.levels);
		struct naive naive = { .m = &g->m, .from = gva_of(a < b ? a : b),
				       .to = gva_of((a < b ? b : a) | below(&seed, 4096)),
				       .want = below(&seed, 8) };
		struct extents seen = {0};
		int r;

		if (round % 5 == 0) {
			naive.from.v = 0;
			naive.to.v = UINT64_MAX;
		}
		random_tables(&g->m, &seed);
		naive_table(&naive, ROOT, 0, space.levels, space.levels, ALL);
		r = view_walk(look(g, 1u << 20), space, naive.from, naive.to, naive.want, keep,
			      &seen, NULL);
		assert_int_equal(r, naive.code);
		assert_int_equal(seen.n, naive.seen.n);
		for (size_t i = 0; i < seen.n; i++) {
			assert_int_equal(seen.v[i].start.v, naive.seen.v[i].start.v);
			assert_int_equal(seen.v[i].size_bytes, naive.seen.v[i].size_bytes);
			assert_int_equal(seen.v[i].rights, naive.seen.v[i].rights);
		}
		with_errors += r < 0;
		extents_n += seen.n;
		vec_free(&seen);
		vec_free(&naive.seen);
	}
	/* The rounds prove nothing where they are all of one kind. */
	assert_in_range(with_errors, 40, 360);
	assert_true(extents_n > 10000);
}

#define T(name) cmocka_unit_test_setup_teardown(name, start, end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(four_and_five_levels_lead_to_the_page),
		T(large_pages_keep_the_offset),
		T(rights_are_the_weakest_of_all_levels),
		T(tables_of_a_pv_guest_hold_machine_addresses),
		T(a_table_of_a_pv_guest_that_is_not_its_own_is_not_followed),
		T(xens_part_of_a_pv_guests_table_is_left_out),
		T(addresses_that_are_not_canonical_are_not_mapped),
		T(reserved_bits_are_no_mapping),
		T(no_other_number_of_levels),
		T(table_without_ram_is_a_fault),
		T(depth_is_part_of_a_space),
		T(walk_gives_runs_of_equal_rights),
		T(walk_clips_large_pages_to_the_range),
		T(walk_does_not_go_back),
		T(walk_may_begin_where_nothing_can_be_mapped),
		T(visitor_ends_the_walk),
		T(table_that_cannot_be_read_hides_only_what_is_below_it),
		T(root_that_cannot_be_read_is_a_fault),
		T(tables_that_lead_back_end_by_fuel),
		T(runs_of_pages_have_a_limit),
		T(table_without_interest_is_looked_into_once),
		T(any_walk_equals_a_naive_one),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
