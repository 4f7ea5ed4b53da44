/* SPDX-License-Identifier: Apache-2.0 */
#include "guest/view.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/cleanup.h"
#include "base/limits.h"
#include "guest/paging.h"
#include "make/memory.h"
#include "ram/fake.h"

#define RAM_BYTES (48u << 20)
#define RWX	  (PTE_PRESENT | PTE_WRITE | PTE_USER)
#define BULK	  (64u << 10)

/* 24 MiB of random bytes from physical 0 on. */
struct guest {
	uint8_t *bytes;
	struct ram *ram;
	struct view *view;
};

static int start(void **state)
{
	struct ram_range range = { gpa_of(0), RAM_BYTES };
	struct guest *g = calloc(1, sizeof(*g));
	unsigned seed = 7;

	g->bytes = malloc(RAM_BYTES);
	for (size_t i = 0; i < RAM_BYTES; i += sizeof(int))
		*(int *)(void *)(g->bytes + i) = rand_r(&seed);
	assert_int_equal(fake_open(&range, (void *[]){ g->bytes }, 1, &g->ram, NULL), 0);
	assert_int_equal(view_open(g->ram, 100000, &g->view), 0);
	*state = g;
	return 0;
}

static int end(void **state)
{
	struct guest *g = *state;

	view_close(&g->view);
	ram_close(&g->ram);
	free(g->bytes);
	free(g);
	return 0;
}

static void each_page_that_is_fetched_costs_one(void **state)
{
	struct guest *g = *state;
	uint8_t buf[3 * GUEST_PAGE_SIZE];

	view_refuel(g->view, 100);
	assert_int_equal(view_read_phys(g->view, gpa_of(4095), buf, 4098, NULL), 0);
	assert_int_equal(view_fuel(g->view), 97);
	assert_int_equal(view_stats(g->view).pages, 3);
	assert_int_equal(view_read_phys(g->view, gpa_of(4095), buf, 4098, NULL), 0);
	assert_int_equal(view_fuel(g->view), 97);
	assert_int_equal(view_stats(g->view).pages, 3);
}

static void each_page_of_a_large_read_costs_one(void **state)
{
	struct guest *g = *state;
	cleanup(freep) uint8_t *buf = malloc(2 * BULK);

	view_refuel(g->view, 100);
	assert_int_equal(view_read_phys(g->view, gpa_of(4095), buf, BULK + 2, NULL), 0);
	assert_int_equal(view_fuel(g->view), 100 - 18);
	assert_memory_equal(buf, g->bytes + 4095, BULK + 2);
}

/* So that no loop over what is at hand is endless. */
static void pages_at_hand_cost_a_little(void **state)
{
	struct guest *g = *state;
	uint64_t value, reads = 0;

	view_refuel(g->view, 100);
	while (view_read_phys(g->view, gpa_of(8), &value, sizeof(value), NULL) >= 0)
		reads++;
	assert_in_range(reads, 60 * 99, 70 * 100);
}

static void no_fuel_no_read(void **state)
{
	struct guest *g = *state;
	cleanup(freep) uint8_t *buf = malloc(BULK);
	uint64_t value = 5;

	view_refuel(g->view, 0);
	assert_int_equal(view_read_phys(g->view, gpa_of(0), &value, sizeof(value), NULL), -ELOOP);
	assert_int_equal(value, 0);
	view_refuel(g->view, BULK / GUEST_PAGE_SIZE - 1);
	assert_int_equal(view_read_phys(g->view, gpa_of(0), buf, BULK, NULL), -ELOOP);
	assert_int_equal(view_fuel(g->view), 0);
}

static void lengths_that_cannot_be_are_refused(void **state)
{
	struct guest *g = *state;
	uint8_t buf[8] = { 1 };

	assert_int_equal(view_read_phys(g->view, gpa_of(0), buf, 0, NULL), -EINVAL);
	assert_int_equal(view_read_phys(g->view, gpa_of(0), buf, VIEW_READ_MAX + 1, NULL), -EINVAL);
	assert_int_equal(view_read_phys(g->view, gpa_of(UINT64_MAX - 2), buf, 8, NULL), -EFAULT);
	assert_int_equal(view_read_phys(g->view, gpa_of(UINT64_MAX), buf, 1, NULL), -EFAULT);
}

static void failed_read_leaves_zeros(void **state)
{
	struct guest *g = *state;
	static const uint8_t zeros[16];
	uint8_t buf[16];

	memset(buf, 0xff, sizeof(buf));
	assert_int_equal(view_read_phys(g->view, gpa_of(RAM_BYTES - 8), buf, 16, NULL), -EFAULT);
	assert_memory_equal(buf, zeros, sizeof(buf));
	memset(buf, 0xff, sizeof(buf));
	assert_int_equal(view_read(g->view, gva_of(0), buf, 16, NULL), -EFAULT);
	assert_memory_equal(buf, zeros, sizeof(buf));
}

static void same_instant_until_refreshed(void **state)
{
	struct guest *g = *state;
	uint8_t first, second;

	assert_int_equal(view_read_phys(g->view, gpa_of(77), &first, 1, NULL), 0);
	g->bytes[77] ^= 0xff;
	assert_int_equal(view_read_phys(g->view, gpa_of(77), &second, 1, NULL), 0);
	assert_int_equal(first, second);
	view_refresh(g->view);
	assert_int_equal(view_read_phys(g->view, gpa_of(77), &second, 1, NULL), 0);
	assert_int_equal(second, g->bytes[77]);
	assert_int_equal(view_stats(g->view).refreshes, 1);
}

/* More pages than a view keeps, in an order that meets each several times. */
static void full_view_starts_over(void **state)
{
	struct guest *g = *state;
	unsigned seed = 3;
	uint8_t value;

	assert_true(RAM_BYTES / GUEST_PAGE_SIZE > VIEW_PAGES_MAX);
	for (unsigned i = 0; i < 40000; i++) {
		uint64_t at = (uint64_t)rand_r(&seed) % RAM_BYTES;

		assert_int_equal(view_read_phys(g->view, gpa_of(at), &value, 1, NULL), 0);
		assert_int_equal(value, g->bytes[at]);
	}
}

/* A fault when the view is full, and in the middle of a read, must leave no half page behind. */
static void fault_leaves_no_page_behind(void **state)
{
	struct guest *g = *state;
	uint8_t value;

	for (unsigned i = 0; i <= VIEW_PAGES_MAX; i++) {
		if (i == VIEW_PAGES_MAX)
			fake_fail_after(g->ram, 1);
		(void)!view_read_phys(g->view, gpa_of(i * 4096ull), &value, 1, NULL);
	}
	assert_int_equal(view_read_phys(g->view, gpa_of(9), &value, 1, NULL), -EFAULT);
	fake_fail_after(g->ram, 0);
	assert_int_equal(view_read_phys(g->view, gpa_of(VIEW_PAGES_MAX * 4096ull), &value, 1, NULL),
			 0);
	assert_int_equal(value, g->bytes[VIEW_PAGES_MAX * 4096ull]);
	assert_int_equal(view_read_phys(g->view, gpa_of(9), &value, 1, NULL), 0);
	assert_int_equal(value, g->bytes[9]);
}

static void numbers_are_of_four_sizes(void **state)
{
	struct guest *g = *state;
	struct memory m = { .next_table = 0x2000 };
	struct space space = { gpa_of(0x1000), 4 };
	cleanup(ram_close) struct ram *ram = NULL;
	cleanup(view_close) struct view *view = NULL;
	uint64_t v = 99;
	uint32_t v32 = 99;
	uint16_t v16;
	uint8_t v8;
	gva at = gva_of(0x5000), ptr;

	(void)g;
	memory_map(&m, space, at.v, 0x7000, 1, RWX);
	memory_u64(&m, 0x7000, 0x8877665544332211);
	view = memory_view(&m, 1000, &ram);
	view_set_kernel(view, space);
	assert_int_equal(view_u8(view, at, &v8, NULL), 0);
	assert_int_equal(view_u16(view, at, &v16, NULL), 0);
	assert_int_equal(view_ptr(view, at, &ptr, NULL), 0);
	assert_true(v8 == 0x11 && v16 == 0x2211 && ptr.v == 0x8877665544332211);
	for (uint32_t size = 0; size < 20; size++)
		if (size != 1 && size != 2 && size != 4 && size != 8)
			assert_int_equal(view_uint(view, at, size, &v, NULL), -EINVAL);
	assert_int_equal(view_u64(view, gva_of(0x5ff9), &v, NULL), -EFAULT);
	assert_int_equal(view_u32(view, gva_of(0x6000), &v32, NULL), -EFAULT);
	assert_true(v == 99 && v32 == 99);
	memory_free(&m);
}

/* Five pages of a string, then nothing. */
static void strings_end_where_they_end(void **state)
{
	struct memory m = { .next_table = 0x2000 };
	struct space space = { gpa_of(0x1000), 4 };
	cleanup(ram_close) struct ram *ram = NULL;
	cleanup(view_close) struct view *view = NULL;
	char buf[6 * GUEST_PAGE_SIZE];
	gva first = gva_of(0x100000), last;

	(void)state;
	for (unsigned i = 0; i < 5; i++) {
		memory_map(&m, space, first.v + i * 0x1000, 0x20000 + i * 0x2000, 1, RWX);
		memset(memory_page(&m, 0x20000 + i * 0x2000), 'a' + (int)i, GUEST_PAGE_SIZE);
	}
	last = gva_of(first.v + 5 * 0x1000 - 1);
	view = memory_view(&m, 1000, &ram);
	view_set_kernel(view, space);

	assert_int_equal(view_string(view, first, buf, sizeof(buf), NULL), -EFAULT);
	assert_string_equal(buf, "");
	((uint8_t *)memory_page(&m, 0x28000))[4095] = '\0';
	view_refresh(view);
	assert_int_equal(view_string(view, first, buf, sizeof(buf), NULL), 5 * 4096 - 1);
	assert_true(buf[4095] == 'a' && buf[4096] == 'b' && buf[5 * 4096 - 2] == 'e');
	assert_int_equal(view_string(view, last, buf, sizeof(buf), NULL), 0);
	assert_int_equal(view_string(view, gva_sub(last, 3), buf, sizeof(buf), NULL), 3);
	assert_string_equal(buf, "eee");
	assert_int_equal(view_string(view, gva_sub(last, 3), buf, 3, NULL), 2);
	assert_string_equal(buf, "ee");
	assert_int_equal(view_string(view, gva_sub(last, 3), buf, 1, NULL), 0);
	assert_string_equal(buf, "");
	assert_int_equal(view_string(view, gva_of(UINT64_MAX), buf, 8, NULL), -EFAULT);
	memory_free(&m);
}

/*
 * An address space of runs, single pages and large pages in any order, at 0x40000000: a large
 * read equals the same bytes read one by one.
 */
static void large_reads_equal_small_ones(void **state)
{
	struct guest *g = *state;
	struct memory m = { .next_table = 0x2000 };
	struct space space = { gpa_of(0x1000), 4 };
	const uint64_t virt = 0x40000000, bytes = 6u << 20;
	cleanup(freep) uint8_t *want = malloc(bytes), *got = malloc(bytes);
	unsigned seed = 11;

	/* Physical: the first MiB is for tables, the rest is data. */
	for (uint64_t at = 0; at < bytes;) {
		uint64_t phys = (1u << 20) + ((uint64_t)rand_r(&seed) % 4000) * 4096;

		if (at % (2u << 20) == 0 && rand_r(&seed) % 2) {
			phys = (uint64_t)(1 + rand_r(&seed) % 8) << 21;
			memory_map(&m, space, virt + at, phys, 2, RWX);
			memcpy(want + at, g->bytes + phys, 2u << 20);
			at += 2u << 20;
			continue;
		}
		for (int run = rand_r(&seed) % 20; run >= 0 && at < bytes; run--) {
			memory_map(&m, space, virt + at, phys, 1, RWX);
			memcpy(want + at, g->bytes + phys, 4096);
			at += 4096;
			phys += 4096;
			if (at % (2u << 20) == 0)
				break;
		}
	}
	for (size_t i = 0; i < m.pages_n; i++)
		memcpy(g->bytes + m.pages[i].at, m.pages[i].bytes, GUEST_PAGE_SIZE);
	view_set_kernel(g->view, space);

	for (unsigned i = 0; i < 300; i++) {
		uint64_t from = (uint64_t)rand_r(&seed) % bytes, n;

		n = 1 + (uint64_t)rand_r(&seed) % (i % 2 ? 5000 : bytes - from);
		n = n > bytes - from ? bytes - from : n;
		view_refuel(g->view, 100000);
		assert_int_equal(view_read(g->view, gva_of(virt + from), got, n, NULL), 0);
		assert_memory_equal(got, want + from, n);
	}
	memset(got, 0xff, bytes);
	assert_int_equal(view_read(g->view, gva_of(virt + 1), got, bytes, NULL), -EFAULT);
	memset(want, 0, bytes);
	assert_memory_equal(got, want, bytes);
	memory_free(&m);
}

/* Ranges that touch are one memory; a hole between two is none. */
static void reads_cross_ranges_that_touch(void **state)
{
	uint8_t a[4096], b[4096], c[4096], buf[8];
	struct ram_range ranges[] = {
		{ gpa_of(0x1000), 4096 }, { gpa_of(0x2000), 4096 }, { gpa_of(0x4000), 4096 },
	};
	cleanup(ram_close) struct ram *ram = NULL;
	cleanup(view_close) struct view *view = NULL;

	(void)state;
	memset(a, 'a', sizeof(a));
	memset(b, 'b', sizeof(b));
	memset(c, 'c', sizeof(c));
	assert_int_equal(fake_open(ranges, (void *[]){ a, b, c }, 3, &ram, NULL), 0);
	assert_int_equal(view_open(ram, 100, &view), 0);
	assert_int_equal(view_read_phys(view, gpa_of(0x1ffc), buf, 8, NULL), 0);
	assert_memory_equal(buf, "aaaabbbb", 8);
	assert_int_equal(view_read_phys(view, gpa_of(0x2ffc), buf, 8, NULL), -EFAULT);
	assert_int_equal(view_read_phys(view, gpa_of(0x3ffc), buf, 8, NULL), -EFAULT);
	assert_int_equal(view_read_phys(view, gpa_of(0x0ffc), buf, 8, NULL), -EFAULT);
}

static unsigned released;

static void release(void *object)
{
	assert_ptr_equal(object, &released);
	released++;
}

/* What was made of the pages goes when they go. */
static void what_is_kept_goes_with_the_pages(void **state)
{
	struct guest *g = *state;
	static const char keys[2];
	uint8_t value;

	released = 0;
	assert_null(view_kept(g->view, &keys[0]));
	view_keep(g->view, &keys[0], &released, release);
	assert_ptr_equal(view_kept(g->view, &keys[0]), &released);
	assert_null(view_kept(g->view, &keys[1]));
	view_keep(g->view, &keys[0], &released, release);
	assert_int_equal(released, 1);
	view_refresh(g->view);
	assert_int_equal(released, 2);
	assert_null(view_kept(g->view, &keys[0]));

	view_keep(g->view, &keys[0], &released, release);
	view_keep(g->view, &keys[1], &released, release);
	for (unsigned i = 0; i <= VIEW_PAGES_MAX; i++)
		assert_int_equal(view_read_phys(g->view, gpa_of(i * 4096ull), &value, 1, NULL), 0);
	assert_int_equal(released, 4);

	view_keep(g->view, &keys[0], &released, release);
	view_set_kernel(g->view, (struct space){ gpa_of(0x1000), 4 });
	assert_int_equal(released, 5);
	view_keep(g->view, &keys[0], &released, release);
	view_close(&g->view);
	assert_int_equal(released, 6);
}

/* A translation that was made before the view started over leads to no page of another's. */
static void full_view_forgets_translations(void **state)
{
	struct guest *g = *state;
	uint64_t *tables = (uint64_t *)(void *)g->bytes, value;
	struct space space = { gpa_of(0), 4 };

	memset(tables, 0, 4ul * GUEST_PAGE_SIZE);
	tables[0] = 0x1000 | RWX;
	tables[512] = 0x2000 | RWX;
	tables[1024] = 0x3000 | RWX;
	for (unsigned i = 0; i < 512; i++)
		tables[1536 + i] = (i + 16) * 4096ull | RWX;
	for (unsigned round = 0; round < 40; round++) {
		for (unsigned i = 0; i < 512; i++) {
			gva at = gva_of(i * 4096ull + 8);

			view_refuel(g->view, 100000);
			assert_int_equal(view_read_space(g->view, space, at, &value,
							 sizeof(value), NULL), 0);
			assert_memory_equal(&value, g->bytes + (i + 16) * 4096ull + 8,
					    sizeof(value));
		}
		for (unsigned i = 0; i < 500; i++)
			assert_int_equal(view_read_phys(g->view,
				gpa_of((1000 + round * 250ull + i) * 4096), &value, 1, NULL), 0);
	}
	assert_true(view_stats(g->view).pages > VIEW_PAGES_MAX);
}

#define T(name) cmocka_unit_test_setup_teardown(name, start, end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(each_page_that_is_fetched_costs_one),
		T(each_page_of_a_large_read_costs_one),
		T(pages_at_hand_cost_a_little),
		T(no_fuel_no_read),
		T(lengths_that_cannot_be_are_refused),
		T(failed_read_leaves_zeros),
		T(same_instant_until_refreshed),
		T(full_view_starts_over),
		T(fault_leaves_no_page_behind),
		T(numbers_are_of_four_sizes),
		T(strings_end_where_they_end),
		T(large_reads_equal_small_ones),
		T(what_is_kept_goes_with_the_pages),
		T(full_view_forgets_translations),
		cmocka_unit_test(reads_cross_ranges_that_touch),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
