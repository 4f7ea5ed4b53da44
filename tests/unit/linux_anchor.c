/* SPDX-License-Identifier: Apache-2.0 */
#include "linux/anchor.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/cleanup.h"
#include "base/limits.h"
#include "guest/paging.h"
#include "make/kernel.h"
#include "ram/fake.h"

static struct {
	struct memory m;
	struct kernel_in in;
	struct anchor seen[16];
	size_t seen_n;
	int answer;		/* what a candidate is told */
} g;

static int start(void **state)
{
	(void)state;
	memset(&g, 0, sizeof(g));
	g.in = kernel_in_default();
	return 0;
}

static int end(void **state)
{
	(void)state;
	memory_free(&g.m);
	return 0;
}

static int note(const struct anchor *anchor, void *ctx, struct err *err)
{
	(void)ctx;
	(void)err;
	if (g.seen_n < ARRAY_SIZE(g.seen))
		g.seen[g.seen_n] = *anchor;
	g.seen_n++;
	return g.answer;
}

static int search(struct ram *ram)
{
	cleanup(view_close) struct view *view = NULL;
	struct err err = {0};
	int r;

	g.seen_n = 0;
	assert_int_equal(view_open(ram, VIEW_FUEL_ATTACH, &view), 0);
	r = anchor_search(view, note, NULL, &err);
	if (r < 0)
		assert_int_equal(err.code, r == g.answer ? 0 : r);
	return r;
}

static int search_memory(void)
{
	cleanup(ram_close) struct ram *ram = memory_open(&g.m);

	return search(ram);
}

static void trampoline_first_then_the_scan(void **state)
{
	(void)state;
	kernel_make(&g.m, &g.in);
	assert_int_equal(search_memory(), 0);
	/* The scan does not know the depth, and what was shown is not shown again. */
	assert_int_equal(g.seen_n, 2);
	assert_string_equal(g.seen[0].found_by, "low-memory trampoline");
	assert_int_equal(g.seen[0].levels, 4);
	assert_int_equal(g.seen[0].text.v, g.in.text);
	assert_int_equal(g.seen[0].image.v, g.in.image);
	assert_int_equal(g.seen[0].size_bytes, 20 << 20);
	assert_string_equal(g.seen[1].found_by, "page-table scan");
	assert_int_equal(g.seen[1].levels, 5);
}

static void candidate_that_is_taken_ends_the_search(void **state)
{
	(void)state;
	kernel_make(&g.m, &g.in);
	for (g.answer = -EBADMSG; g.answer <= 1; g.answer += 1 + EBADMSG) {
		assert_int_equal(search_memory(), g.answer);
		assert_int_equal(g.seen_n, 1);
	}
}

/* The first 2 MiB of the image are split into small pages, for other rights. */
static void split_pages_are_looked_through(void **state)
{
	struct memory *m = &g.m;
	uint64_t pmd, table = 0x300000;

	(void)state;
	kernel_make(m, &g.in);
	pmd = memory_map(m, (struct space){ gpa_of(g.in.image + KERNEL_ROOT), 4 }, g.in.text,
			 g.in.image, 2, PTE_PRESENT);
	memory_u64(m, pmd, table | PTE_PRESENT);
	for (uint64_t i = 3; i < 512; i++)
		memory_u64(m, table + 8 * i, (g.in.image + i * 0x1000) | PTE_PRESENT);
	assert_int_equal(search_memory(), 0);
	assert_int_equal(g.seen[0].image.v, g.in.image);
	/* Split pages that lie elsewhere. */
	memory_u64(m, table + 8 * 3, 0x12345000 | PTE_PRESENT);
	assert_int_equal(search_memory(), 0);
	assert_int_equal(g.seen_n, 0);
}

static void holes_in_the_map_do_not_end_the_image(void **state)
{
	struct space space = { gpa_of(g.in.image + KERNEL_ROOT), 4 };

	(void)state;
	kernel_make(&g.m, &g.in);
	for (unsigned i = 3; i < 7; i++)
		memory_u64(&g.m, memory_map(&g.m, space, g.in.text + i * 0x200000, 0, 2, 0), 0);
	assert_int_equal(search_memory(), 0);
	assert_int_equal(g.seen[0].size_bytes, 20 << 20);
}

static void image_must_have_a_size_and_ram(void **state)
{
	struct space space = { gpa_of(g.in.image + KERNEL_ROOT), 4 };

	(void)state;
	kernel_make(&g.m, &g.in);
	memory_drop(&g.m, g.in.image);
	assert_int_equal(search_memory(), 0);
	assert_int_equal(g.seen_n, 0);
	memory_page(&g.m, g.in.image);
	for (unsigned i = 7; i < 10; i++)
		memory_u64(&g.m, memory_map(&g.m, space, g.in.text + i * 0x200000, 0, 2, 0), 0);
	assert_int_equal(search_memory(), 0);
	assert_int_equal(g.seen_n, 0);
}

/* 1 GiB of image: as much as there is at most. */
static void image_has_a_limit(void **state)
{
	struct space space = { gpa_of(g.in.image + KERNEL_ROOT), 4 };

	(void)state;
	g.in.text = 0xffffffff80000000;
	kernel_make(&g.m, &g.in);
	for (uint64_t at = 0; at < 1u << 30; at += 2u << 20)
		memory_map(&g.m, space, g.in.text + at, g.in.image + at, 2, PTE_PRESENT);
	assert_int_equal(search_memory(), 0);
	assert_int_equal(g.seen[0].size_bytes, KERNEL_IMAGE_MAX);
}

/* A backend one of whose pages cannot be read, or that ends. */
static struct {
	struct ram ram;
	struct ram *inner;
	uint64_t bad_page;
	uint64_t fails_after;
	int code;
} flaky;

static int read_flaky(struct ram *ram, size_t range, uint64_t offset, void *buf, size_t len,
		      struct err *err)
{
	uint64_t at = ram->ranges[range].start.v + offset;

	if (flaky.fails_after && ram->reads >= flaky.fails_after)
		return err_set(err, flaky.code, "ended");
	if (at < flaky.bad_page + GUEST_PAGE_SIZE && flaky.bad_page < at + len)
		return err_set(err, -EFAULT, "not just now");
	return ram_read(flaky.inner, gpa_of(at), buf, len, err);
}

static void open_flaky(uint64_t size)
{
	static const struct ram_ops ops = { .name = "flaky", .read = read_flaky };
	struct ram_range range = { gpa_of(0), size };

	memset(&flaky, 0, sizeof(flaky));
	flaky.bad_page = UINT64_MAX - GUEST_PAGE_SIZE;
	flaky.ram.ops = &ops;
	flaky.inner = memory_open(&g.m);
	assert_int_equal(ram_set_ranges(&flaky.ram, &range, 1, NULL), 0);
}

static void close_flaky(void)
{
	ram_close(&flaky.inner);
	free(flaky.ram.ranges);
}

/* In one stretch of memory, as guests have it. */
static void page_that_cannot_be_read_hides_no_other(void **state)
{
	(void)state;
	g.in.image = 0x200000;
	g.in.no_trampoline = true;
	kernel_make(&g.m, &g.in);
	for (uint64_t at = 0; at < 0x280000; at += GUEST_PAGE_SIZE)
		memory_page(&g.m, at);
	open_flaky(0x280000);
	assert_int_equal(search(&flaky.ram), 0);
	assert_int_equal(g.seen_n, 2);
	flaky.bad_page = g.in.image + 0x2000;
	assert_int_equal(search(&flaky.ram), 0);
	assert_int_equal(g.seen_n, 2);
	close_flaky();
}

static void guest_that_ends_ends_the_search(void **state)
{
	static const int codes[] = { -ESRCH, -EIO };
	uint64_t reads;

	(void)state;
	g.in.image = 0x200000;
	kernel_make(&g.m, &g.in);
	for (uint64_t at = 0; at < 0x280000; at += GUEST_PAGE_SIZE)
		memory_page(&g.m, at);
	open_flaky(0x280000);
	assert_int_equal(search(&flaky.ram), 0);
	reads = flaky.ram.reads;
	for (size_t i = 0; i < ARRAY_SIZE(codes); i++)
		for (uint64_t n = 1; n <= reads; n++) {
			flaky.ram.reads = 0;
			flaky.fails_after = n;
			flaky.code = codes[i];
			assert_int_equal(search(&flaky.ram), codes[i]);
		}
	close_flaky();
}

/* Tables upon tables in low memory: they cost the fuel of low memory, not the kernel. */
static void fuel_of_low_memory_is_its_own(void **state)
{
	(void)state;
	g.in.no_trampoline = true;
	kernel_make(&g.m, &g.in);
	for (uint64_t at = 0x1000; at < 0x100000; at += GUEST_PAGE_SIZE) {
		uint64_t *page = memory_page(&g.m, at);

		for (unsigned j = 0; j < TABLE_ENTRIES; j++)
			page[j] = (0x1000 + (at + j * 0x1000) % 0xf0000) | PTE_PRESENT;
		page[0] = PTE_LARGE | PTE_PRESENT;
	}
	assert_int_equal(search_memory(), 0);
	assert_int_equal(g.seen[g.seen_n - 2].text.v, g.in.text);
}

#define T(name) cmocka_unit_test_setup_teardown(name, start, end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(trampoline_first_then_the_scan),
		T(candidate_that_is_taken_ends_the_search),
		T(split_pages_are_looked_through),
		T(holes_in_the_map_do_not_end_the_image),
		T(image_must_have_a_size_and_ram),
		T(image_has_a_limit),
		T(page_that_cannot_be_read_hides_no_other),
		T(guest_that_ends_ends_the_search),
		T(fuel_of_low_memory_is_its_own),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
