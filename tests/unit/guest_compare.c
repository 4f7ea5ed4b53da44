/* SPDX-License-Identifier: Apache-2.0 */
#include "guest/compare.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/limits.h"
#include "guest/paging.h"
#include "make/memory.h"

#define FUEL 100000u
#define RWX  (PTE_PRESENT | PTE_WRITE | PTE_USER)
#define VIRT 0xffffc12345600000ull
#define LAST UINT64_MAX

struct pair {
	struct memory m;
	struct space a, b;
	struct unlike seen[16];
	unsigned n;
	int stop;		/* what the visitor returns */
};

static int start(void **state)
{
	struct pair *p = calloc(1, sizeof(*p));

	p->a = (struct space){ gpa_of(0x1000), 4 };
	p->b = (struct space){ gpa_of(0x2000), 4 };
	p->m.next_table = 0x10000;
	memory_page(&p->m, p->a.root.v);
	memory_page(&p->m, p->b.root.v);
	*state = p;
	return 0;
}

static int end(void **state)
{
	struct pair *p = *state;

	memory_free(&p->m);
	free(p);
	return 0;
}

static int note(const struct unlike *unlike, void *ctx, struct err *err)
{
	struct pair *p = ctx;

	(void)err;
	assert_true(p->n < sizeof(p->seen) / sizeof(p->seen[0]));
	p->seen[p->n++] = *unlike;
	return p->stop;
}

static int compare(struct pair *p, uint64_t from, uint64_t to, uint64_t fuel)
{
	struct ram *ram;
	struct view *view = memory_view(&p->m, fuel, &ram);
	int r;

	p->n = 0;
	r = spaces_compare(view, p->a, p->b, gva_of(from), gva_of(to), note, p, NULL);
	view_close(&view);
	ram_close(&ram);
	return r;
}

static void equal_mappings_by_other_tables_are_alike(void **state)
{
	struct pair *p = *state;

	memory_map(&p->m, p->a, VIRT, 0x7000, 1, RWX);
	memory_map(&p->m, p->b, VIRT, 0x7000, 1, RWX);
	assert_int_equal(compare(p, 0, LAST, FUEL), 0);
	assert_int_equal(p->n, 0);
}

/* What lies below a shared table is not even there. */
static void shared_tables_are_not_read(void **state)
{
	struct pair *p = *state;

	memory_u64(&p->m, p->a.root.v + 8 * 300, 0xdead000 | RWX);
	memory_u64(&p->m, p->b.root.v + 8 * 300, 0xdead000 | RWX);
	assert_int_equal(compare(p, 0, LAST, 4), 0);
	assert_int_equal(p->n, 0);
}

static void shared_tables_with_other_rights_are_read(void **state)
{
	struct pair *p = *state;
	unsigned at = paging_index(gva_of(VIRT), 4);
	uint64_t entry;

	memory_map(&p->m, p->a, VIRT, 0x7000, 1, RWX);
	memcpy(&entry, (uint8_t *)memory_page(&p->m, p->a.root.v) + 8 * at, 8);
	memory_u64(&p->m, p->b.root.v + 8 * at, entry | PTE_NX);
	assert_int_equal(compare(p, 0, LAST, FUEL), 0);
	assert_int_equal(p->n, 1);
	assert_int_equal(p->seen[0].rights_a, MAP_WRITE | MAP_USER | MAP_EXEC);
	assert_int_equal(p->seen[0].rights_b, MAP_WRITE | MAP_USER);
}

static void neighbours_that_go_on_are_one_run(void **state)
{
	struct pair *p = *state;

	for (unsigned i = 0; i < 4; i++) {
		memory_map(&p->m, p->a, VIRT + i * 0x1000, 0x7000 + i * 0x1000, 1, RWX);
		memory_map(&p->m, p->b, VIRT + i * 0x1000, (i < 3 ? 0x40000 : 0x90000) +
			   i * 0x1000, 1, RWX);
	}
	assert_int_equal(compare(p, 0, LAST, FUEL), 0);
	assert_int_equal(p->n, 2);
	assert_int_equal(p->seen[0].start.v, VIRT);
	assert_int_equal(p->seen[0].size_bytes, 0x3000);
	assert_int_equal(p->seen[0].a.v, 0x7000);
	assert_int_equal(p->seen[0].b.v, 0x40000);
	assert_int_equal(p->seen[1].size_bytes, 0x1000);
	assert_int_equal(p->seen[1].b.v, 0x93000);
}

/* A large page and small ones that say the same; then one of them does not. */
static void a_large_page_is_compared_with_small_ones(void **state)
{
	struct pair *p = *state;

	for (uint8_t levels = 4; levels <= 5; levels++) {
		p->a.levels = p->b.levels = levels;
		p->a.root.v = 0x1000ull * levels;
		p->b.root.v = 0x8000 + 0x1000ull * levels;
		memory_map(&p->m, p->a, VIRT, 0x40000000, 2, RWX);
		for (unsigned i = 0; i < 512; i++)
			memory_map(&p->m, p->b, VIRT + i * 0x1000, 0x40000000 + i * 0x1000, 1,
				   RWX);
		assert_int_equal(compare(p, 0, LAST, FUEL), 0);
		assert_int_equal(p->n, 0);
		memory_map(&p->m, p->b, VIRT + 7 * 0x1000, 0x1000, 1, RWX);
		memory_map(&p->m, p->b, VIRT + 9 * 0x1000, 0, 1, 0);
		assert_int_equal(compare(p, 0, LAST, FUEL), 0);
		assert_int_equal(p->n, 1);	/* what the second has not is none */
		assert_int_equal(p->seen[0].start.v, VIRT + 7 * 0x1000);
		assert_int_equal(p->seen[0].a.v, 0x40007000);
	}
}

static void only_what_was_asked_for_is_compared(void **state)
{
	struct pair *p = *state;

	memory_map(&p->m, p->b, 0x1000, 0x7000, 1, RWX);
	memory_map(&p->m, p->b, VIRT, 0x7000, 1, RWX);
	memory_map(&p->m, p->b, VIRT + 0x2000, 0x7000, 1, RWX);
	assert_int_equal(compare(p, VIRT + 0x1000, LAST, FUEL), 0);
	assert_int_equal(p->n, 1);
	assert_int_equal(p->seen[0].start.v, VIRT + 0x2000);
	assert_int_equal(compare(p, 0, VIRT + 0x1fff, FUEL), 0);
	assert_int_equal(p->n, 2);
}

/* One broken entry does not hide the rest, and does not pass for nothing. */
static void what_cannot_be_read_is_told_in_the_end(void **state)
{
	struct pair *p = *state;

	memory_u64(&p->m, p->b.root.v + 8 * 300, 0xdead000 | RWX);
	memory_map(&p->m, p->b, 0xffffffff81000000, 0x7000, 1, RWX);
	assert_int_equal(compare(p, 0, LAST, FUEL), -EFAULT);
	assert_int_equal(p->n, 1);
	memory_u64(&p->m, p->b.root.v + 8 * 300, 0x3000 | RWX | PTE_LARGE);
	assert_int_equal(compare(p, 0, LAST, FUEL), -EBADMSG);
	assert_int_equal(p->n, 1);
}

static void tables_that_lead_to_themselves_end(void **state)
{
	struct pair *p = *state;

	for (unsigned i = 256; i < 512; i++)
		memory_u64(&p->m, p->b.root.v + 8 * i, p->b.root.v | RWX);
	p->stop = 0;
	p->m.next_table = 0x10000;
	assert_int_equal(compare(p, VIRT, VIRT, 3), -ELOOP);
}

static void the_visitor_ends_it(void **state)
{
	struct pair *p = *state;

	memory_map(&p->m, p->b, VIRT, 0x7000, 1, RWX);
	memory_map(&p->m, p->b, VIRT + 0x2000, 0x7000, 1, RWX);
	p->stop = -ECANCELED;
	assert_int_equal(compare(p, 0, LAST, FUEL), -ECANCELED);
	assert_int_equal(p->n, 1);
}

static void spaces_that_cannot_be_compared(void **state)
{
	struct pair *p = *state;

	p->b.levels = 5;
	assert_int_equal(compare(p, 0, LAST, FUEL), -EBADMSG);
	p->a.levels = p->b.levels = 3;
	assert_int_equal(compare(p, 0, LAST, FUEL), -EBADMSG);
	p->a.levels = p->b.levels = 4;
	assert_int_equal(compare(p, 0x2000, 0x1000, FUEL), -EINVAL);
	memory_drop(&p->m, p->b.root.v);
	assert_int_equal(compare(p, 0, LAST, FUEL), -EFAULT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, start, end)
		TEST(equal_mappings_by_other_tables_are_alike),
		TEST(shared_tables_are_not_read),
		TEST(shared_tables_with_other_rights_are_read),
		TEST(neighbours_that_go_on_are_one_run),
		TEST(a_large_page_is_compared_with_small_ones),
		TEST(only_what_was_asked_for_is_compared),
		TEST(what_cannot_be_read_is_told_in_the_end),
		TEST(tables_that_lead_to_themselves_end),
		TEST(the_visitor_ends_it),
		TEST(spaces_that_cannot_be_compared),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
