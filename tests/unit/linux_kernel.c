/* SPDX-License-Identifier: Apache-2.0 */
#include "linux/kernel.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/cleanup.h"
#include "base/limits.h"
#include "guest/paging.h"
#include "make/kernel.h"
#include "make/torture.h"
#include "ram/fake.h"

static struct {
	struct memory m;
	struct kernel_in in;
	struct ram *ram;
	struct view *view;
	struct kernel *kernel;
	struct err err;
} g;

static int start(void **state)
{
	(void)state;
	g.in = kernel_in_default();
	return 0;
}

static void shut(void)
{
	kernel_close(&g.kernel);
	view_close(&g.view);
	ram_close(&g.ram);
}

static int end(void **state)
{
	(void)state;
	shut();
	memory_free(&g.m);
	return 0;
}

/* Make a guest out of g.in, in memory that was free. */
static void make(void)
{
	shut();
	memory_free(&g.m);
	kernel_make(&g.m, &g.in);
}

/* Open what is in memory; an error comes with a text, and with nothing else. */
static int look(void)
{
	int r;

	shut();
	memset(&g.err, 0, sizeof(g.err));
	g.view = memory_view(&g.m, VIEW_FUEL_ATTACH, &g.ram);
	r = kernel_open(g.view, &g.kernel, &g.err);
	if (r < 0) {
		assert_null(g.kernel);
		assert_int_equal(g.err.code, r);
		assert_true(g.err.text[0] && !strchr(g.err.text, '\n'));
	}
	return r;
}

/* A variable of the image, in memory. */
static void set_u64(uint64_t at, uint64_t value)
{
	memory_u64(&g.m, g.in.image + at, value);
	if (g.view)
		view_refresh(g.view);
}

static void assert_is_default(const struct kernel *kernel)
{
	struct kernel_in in = kernel_in_default();

	assert_int_equal(kernel->text.v, in.text);
	assert_int_equal(kernel->image.v, in.image);
	assert_int_equal(kernel->end.v, in.text + KERNEL_END);
	assert_int_equal(kernel->page_offset.v, in.page_offset);
	assert_int_equal(kernel->space.levels, in.levels);
	assert_int_equal(kernel->space.root.v, in.image + KERNEL_ROOT);
	assert_string_equal(kernel->banner, "Linux version 6.12.0-made (nobody@nowhere) #1 SMP");
	assert_string_equal(kernel->release, "6.12.0-made");
	assert_string_equal(kernel->build_id, "0102030405060708090a0b0c0d0e0f1011121314");
	assert_int_equal(kernel->cpus, 4);
	assert_int_equal(kernel->cpu_offset[3], 0xffff800012343000);
	assert_int_equal(kernel->boot.canary, in.canary);
}

static void kernel_describes_itself(void **state)
{
	(void)state;
	make();
	assert_int_equal(look(), 0);
	assert_is_default(g.kernel);
	assert_string_equal(g.kernel->found_by, "low-memory trampoline");
	assert_int_equal(g.kernel->boot.first_task_ns, 374843069);
	assert_int_equal(g.kernel->boot.first_task.v, g.in.page_offset + g.in.image +
			 KERNEL_FIRST_TASK);
	assert_int_equal(kernel_check(g.kernel, g.view, NULL), 0);
}

static void every_layout_and_depth_is_found_both_ways(void **state)
{
	(void)state;
	for (int layout = OLD; layout < LAYOUTS; layout++)
		for (uint8_t levels = 4; levels <= 5; levels++)
			for (int scan = 0; scan < 2; scan++) {
				g.in.layout = (enum kallsyms_layout)layout;
				g.in.levels = levels;
				g.in.no_trampoline = scan;
				if (levels == 5)
					g.in.page_offset = 0xff11000000000000;
				else
					g.in.page_offset = 0xffff9c0000000000;
				make();
				assert_int_equal(look(), 0);
				assert_int_equal(g.kernel->space.levels, levels);
				assert_string_equal(g.kernel->found_by, scan ?
						    "page-table scan" : "low-memory trampoline");
				assert_int_equal(kernel_check(g.kernel, g.view, NULL), 0);
			}
}

static void memory_without_a_kernel_is_no_kernel_yet(void **state)
{
	(void)state;
	memory_page(&g.m, 0x1000);
	assert_int_equal(look(), -ENOENT);
	assert_non_null(strstr(g.err.text, "no Linux kernel found"));
	for (uint64_t at = 0; at < 0x100000; at += 0x1000)
		memset(memory_page(&g.m, at), 0xff, 0x1000);
	assert_int_equal(look(), -ENOENT);
}

static void what_must_be_there_is_missed_by_name(void **state)
{
	static const struct { const char *name; int code; } needed[] = {
		{ "_text", -ENOENT }, { "init_top_pgt", -ENOENT }, { "phys_base", -ENOENT },
		{ "page_offset_base", -ENOTSUP }, { "nr_cpu_ids", -ENOTSUP },
		{ "__per_cpu_offset", -ENOTSUP }, { "linux_banner", -ENOTSUP },
		{ "init_uts_ns", -ENOTSUP }, { "init_task", -ENOTSUP }, { "_end", -ENOENT },
		{ "__start_BTF", -ENOTSUP }, { "__stop_BTF", -ENOTSUP },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(needed); i++) {
		g.in.without = needed[i].name;
		make();
		assert_int_equal(look(), needed[i].code);
		assert_non_null(strstr(g.err.text, strstr(needed[i].name, "BTF") ? "BTF" :
				       needed[i].name));
	}
	g.in.without = "__start_notes";
	make();
	assert_int_equal(look(), 0);
	assert_string_equal(g.kernel->build_id, "");
}

/* One variable each that contradicts what was found. */
static void contradictions_are_refused(void **state)
{
	static const struct { uint64_t at, value; } forged[] = {
		{ KERNEL_PHYS_BASE, 0 }, { KERNEL_PHYS_BASE, UINT64_MAX },
		{ KERNEL_PAGE_OFFSET, 0 }, { KERNEL_PAGE_OFFSET, 0xffff9c0040000000 },
		{ KERNEL_CPUS, 0 }, { KERNEL_CPUS, CPUS_MAX + 1 }, { KERNEL_CPUS, UINT32_MAX },
		{ KERNEL_BANNER, 0 }, { KERNEL_BTF, 0 }, { KERNEL_BTF + 8, UINT64_MAX },
		{ KERNEL_ROOT + 8 * 511, 0 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(forged); i++) {
		int r;

		make();
		memory_u64(&g.m, g.in.image + forged[i].at, forged[i].value);
		r = look();
		assert_true(r == -EBADMSG || r == -ENOENT);
	}
}

static void wild_links_do_not_keep_us_out(void **state)
{
	static const uint64_t wild[] = { 0, 1, 0xdead000000000100, UINT64_MAX, 0xffffffff00000000 };

	(void)state;
	make();
	for (size_t i = 0; i < ARRAY_SIZE(wild); i++) {
		set_u64(KERNEL_INIT_TASK + 8, wild[i]);
		assert_int_equal(look(), 0);
		assert_is_default(g.kernel);
		assert_int_equal(g.kernel->boot.first_task.v, 0);
		assert_int_equal(kernel_check(g.kernel, g.view, NULL), 0);
	}
}

static void all_cpus_that_a_kernel_can_have(void **state)
{
	(void)state;
	g.in.cpus = CPUS_MAX;
	make();
	assert_int_equal(look(), 0);
	assert_int_equal(kernel_per_cpu(g.kernel, gva_of(0x1000), 0).v, 0xffff800012341000);
	assert_int_equal(g.kernel->cpus, CPUS_MAX);
}

/* After a reset: another kernel, another boot of the same, or something else altogether. */
static void reboot_is_noticed(void **state)
{
	static const struct { uint64_t at, value; } changes[] = {
		{ KERNEL_INIT_TASK, 0x998877 },		/* the canary */
		{ KERNEL_FIRST_TASK + 40, 5 },		/* when PID 1 was made */
		{ KERNEL_INIT_TASK + 8, 0xffff9c0001202900 },
		{ KERNEL_BANNER, 0 },
		{ KERNEL_BANNER + 16, 0x3333333333333333 },
		{ KERNEL_ROOT + 8 * 511, 0 },
		{ KERNEL_ROOT + 8 * 511, PTE_ADDRESS | PTE_PRESENT },
	};

	(void)state;
	make();
	for (size_t i = 0; i < ARRAY_SIZE(changes); i++) {
		uint64_t before;

		make();
		assert_int_equal(look(), 0);
		memcpy(&before, (uint8_t *)memory_page(&g.m, g.in.image + changes[i].at) +
		       (changes[i].at & 0xfff), 8);
		set_u64(changes[i].at, changes[i].value);
		assert_int_equal(kernel_check(g.kernel, g.view, &g.err), -ESTALE);
		assert_int_equal(g.err.code, -ESTALE);
		set_u64(changes[i].at, before);
		assert_int_equal(kernel_check(g.kernel, g.view, NULL), 0);
	}
}

static void other_mapping_of_the_text_is_noticed(void **state)
{
	struct space space;

	(void)state;
	for (unsigned i = 0; i < 2; i++) {
		make();
		assert_int_equal(look(), 0);
		space = g.kernel->space;
		memory_map(&g.m, space, g.in.text, i ? 0x4000000 : g.in.image, 2,
			   i ? PTE_PRESENT : 0);
		view_refresh(g.view);
		assert_int_equal(kernel_check(g.kernel, g.view, NULL), -ESTALE);
	}
}

static void ended_fuel_is_not_a_reboot(void **state)
{
	(void)state;
	make();
	assert_int_equal(look(), 0);
	view_refuel(g.view, 0);
	view_refresh(g.view);
	assert_int_equal(kernel_check(g.kernel, g.view, NULL), -ELOOP);
}

/* The trampoline is the last kernel's until the next has made its own. */
static void stale_trampoline_leads_on_to_the_scan(void **state)
{
	struct kernel_in old = kernel_in_default();

	(void)state;
	old.text = 0xffffffff8b000000;
	old.image = 0x5000000;
	kernel_make(&g.m, &old);
	memset(memory_page(&g.m, old.image + KERNEL_KALLSYMS), 0x77, GUEST_PAGE_SIZE);
	g.in.no_trampoline = true;
	kernel_make(&g.m, &g.in);
	assert_int_equal(look(), 0);
	assert_is_default(g.kernel);
	assert_string_equal(g.kernel->found_by, "page-table scan");
	/* Without the new kernel there are only the remains of the old. */
	memset(memory_page(&g.m, g.in.image + KERNEL_KALLSYMS), 0x77, GUEST_PAGE_SIZE);
	assert_int_equal(look(), -ENOENT);
	assert_non_null(strstr(g.err.text, "only the remains"));
	assert_non_null(strstr(g.err.text, "symbol table"));
}

/* Page tables in low memory that map the kernel's image elsewhere. */
static void make_decoys(unsigned n)
{
	for (uint64_t i = 0; i < n; i++) {
		uint64_t root = 0x1000 + i * 0x3000;

		memory_u64(&g.m, root + 8 * 511, (root + 0x1000) | PTE_PRESENT);
		memory_u64(&g.m, root + 0x1000 + 8 * 510, (root + 0x2000) | PTE_PRESENT);
		memory_u64(&g.m, root + 0x1000 + 8 * 511, (root + 0x2000) | PTE_PRESENT);
		for (unsigned j = 0; j < 10; j++)
			memory_u64(&g.m, root + 0x2000 + 8 * (i + j),
				   (g.in.image + j * 0x200000) | PTE_PRESENT | PTE_LARGE);
	}
}

static void some_decoys_do_not_hide_the_kernel(void **state)
{
	(void)state;
	g.in.no_trampoline = true;
	make();
	make_decoys(3);
	assert_int_equal(look(), 0);
	assert_is_default(g.kernel);
}

static void many_decoys_are_a_limit_that_is_told(void **state)
{
	(void)state;
	g.in.no_trampoline = true;
	make();
	make_decoys(60);
	assert_int_equal(look(), -ELOOP);
	assert_non_null(strstr(g.err.text, "look like a kernel"));
	make();
	make_decoys(2);
	memory_u64(&g.m, 0x9000 + 8 * 511, *((uint64_t *)memory_page(&g.m, g.in.image +
								     KERNEL_ROOT) + 511));
	assert_int_equal(look(), 0);
	assert_string_equal(g.kernel->found_by, "low-memory trampoline");
}

/* Tables that all lead to tables: each look at one costs hundreds of reads. */
static void decoys_of_tables_end_by_fuel(void **state)
{
	(void)state;
	for (uint64_t i = 0; i < 500; i++) {
		uint64_t *page = memory_page(&g.m, 0x200000 + i * 0x1000);

		page[510] = (0x600000 + i % 400 * 0x1000) | PTE_PRESENT;
		page[511] = page[510];
	}
	for (uint64_t i = 0; i < 400; i++) {
		uint64_t *page = memory_page(&g.m, 0x600000 + i * 0x1000);

		for (unsigned j = 0; j < TABLE_ENTRIES; j++)
			page[j] = (0x600000 + (i + j) % 400 * 0x1000) | PTE_PRESENT;
		page[0] = PTE_LARGE | PTE_PRESENT;
	}
	assert_true(look() < 0);
}

static void ram_that_ends_behind_the_tables_is_enough(void **state)
{
	(void)state;
	make();
	/* The variables come first, then types and symbols; 60 pages of 20 MiB are there at all. */
	memory_drop(&g.m, g.in.image + KERNEL_END - 1);
	assert_int_equal(look(), 0);
	memory_drop(&g.m, g.in.image + KERNEL_KALLSYMS + 0x2000);
	assert_int_equal(look(), -ENOENT);
	memory_drop(&g.m, g.in.image);
	assert_int_equal(look(), -ENOENT);
}

/* What bounds loops, and where tables lie, is the guest's word. */
static void symbols_that_lead_astray_are_refused(void **state)
{
	static const struct { const char *name; uint64_t to; } moved[] = {
		{ "_end", 0 }, { "_end", UINT64_MAX }, { "_end", 0xffffffff9a400000 },
		{ "_end", 0xffffffff9a400001 + KERNEL_IMAGE_MAX },
		{ "__stop_BTF", UINT64_MAX }, { "__stop_BTF", 0xffffffff9a400000 },
		{ "__start_BTF", 0 }, { "__start_BTF", 0xffffffff9a400000 + (15 << 20) },
		{ "init_top_pgt", 0 }, { "init_top_pgt", UINT64_MAX },
		{ "linux_banner", 0 }, { "linux_banner", UINT64_MAX },
		{ "__per_cpu_offset", UINT64_MAX - 7 }, { "init_task", UINT64_MAX },
		{ "page_offset_base", 0xffffffff9a400000 }, { "nr_cpu_ids", 0x1000 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(moved); i++) {
		g.in.moved = moved[i].name;
		g.in.moved_to = moved[i].to;
		make();
		assert_true(look() < 0);
	}
	/* Notes are done without. */
	g.in.moved = "__stop_notes";
	g.in.moved_to = UINT64_MAX;
	make();
	assert_int_equal(look(), 0);
	assert_string_equal(g.kernel->build_id, "");
}

/* An image of 20 MiB: every part of it must stay where it is, or be unmapped. */
static void image_that_leads_elsewhere_is_noticed(void **state)
{
	struct space space;

	(void)state;
	g.in.moved = "_end";
	g.in.moved_to = g.in.text + (18 << 20);
	make();
	assert_int_equal(look(), 0);
	space = g.kernel->space;
	assert_int_equal(kernel_check(g.kernel, g.view, NULL), 0);
	memory_map(&g.m, space, g.in.text + (6 << 20), 0, 2, 0);
	view_refresh(g.view);
	assert_int_equal(kernel_check(g.kernel, g.view, NULL), 0);
	memory_map(&g.m, space, g.in.text + (8 << 20), 0x4000000, 2, PTE_PRESENT);
	view_refresh(g.view);
	assert_int_equal(kernel_check(g.kernel, g.view, NULL), -ESTALE);
}

static void members_are_read_as_numbers(void **state)
{
	struct field f = { .there = true, .at = 4, .size_bytes = 4 };
	gva object;
	uint64_t value = 77;

	(void)state;
	make();
	memory_u64(&g.m, g.in.image + KERNEL_INIT_TASK, 0x8765432100000000);
	assert_int_equal(look(), 0);
	object = gva_of(g.in.text + KERNEL_INIT_TASK);
	assert_int_equal(field_read(g.view, object, &f, &value, NULL), 0);
	assert_int_equal(value, 0x87654321);
	f.bits = 5;
	f.bit_at = 3;
	assert_int_equal(field_read(g.view, object, &f, &value, NULL), 0);
	assert_int_equal(value, 0x87654321 >> 3 & 0x1f);
	f.size_bytes = 9;
	assert_int_equal(field_read(g.view, object, &f, &value, NULL), -EINVAL);
	f.size_bytes = 0;
	assert_int_equal(field_read(g.view, object, &f, &value, NULL), -EINVAL);
	f.there = false;
	assert_int_equal(field_read(g.view, object, &f, &value, NULL), -ENOENT);
	assert_int_equal(value, 0x87654321 >> 3 & 0x1f);
}

/* From the Nth read on, nothing can be read any more: for every N an error, and a clean end. */
static void fault_at_every_read(void **state)
{
	uint64_t reads;
	int r = -1;

	(void)state;
	make();
	assert_int_equal(look(), 0);
	reads = g.ram->reads;
	for (uint64_t n = 1; n <= reads; n++) {
		shut();
		g.view = memory_view(&g.m, VIEW_FUEL_ATTACH, &g.ram);
		fake_fail_after(g.ram, n);
		r = kernel_open(g.view, &g.kernel, &g.err);
		if (r >= 0) {
			/* The last read of all is of what is done without. */
			assert_is_default(g.kernel);
			assert_true(n > reads - 2);
		} else {
			assert_null(g.kernel);
			assert_int_equal(g.err.code, r);
		}
	}
}

/* Pages that cannot be read just now, one at a time: never half a kernel. */
static void every_page_missing(void **state)
{
	struct memory copy;

	(void)state;
	make();
	copy = g.m;
	for (size_t i = 0; i < copy.pages_n; i++) {
		size_t rest = copy.pages_n - i - 1;

		memcpy(&g.m, &copy, sizeof(copy));
		memmove(&g.m.pages[i], &g.m.pages[i + 1], rest * sizeof(g.m.pages[0]));
		g.m.pages_n--;
		if (look() >= 0)
			assert_is_default(g.kernel);
	}
	shut();
	memcpy(&g.m, &copy, sizeof(copy));
}

/*
 * Init memory that the kernel freed and a balloon gave back lies in the middle of its image:
 * there is RAM, but no page. What lies behind it is read all the same.
 */
static void page_of_the_image_that_was_given_back(void **state)
{
	uint8_t **page = NULL, *bytes;

	(void)state;
	make();
	for (size_t i = 0; i < g.m.pages_n; i++)
		if (g.m.pages[i].at == g.in.image + KERNEL_BTF)
			page = &g.m.pages[i].bytes;
	assert_non_null(page);
	bytes = *page;
	*page = NULL;
	/* The symbols behind it are known, so it is the types that are missed. */
	assert_int_equal(look(), -EBADMSG);
	assert_non_null(strstr(g.err.text, "BTF"));
	*page = bytes;
	assert_int_equal(look(), 0);
	assert_is_default(g.kernel);
}

static void memory_runs_out_at_every_allocation(void **state)
{
	uint64_t n = 0, count;

	(void)state;
	make();
	do {
		int r;

		shut();
		memset(&g.err, 0, sizeof(g.err));
		g.view = memory_view(&g.m, VIEW_FUEL_ATTACH, &g.ram);
		torture_allocation(++n);
		r = kernel_open(g.view, &g.kernel, &g.err);
		count = torture_allocations();
		torture_allocation(0);
		if (n <= count) {
			assert_int_equal(r, -ENOMEM);
			assert_int_equal(g.err.code, r);
			assert_null(g.kernel);
		} else {
			assert_int_equal(r, 0);
			assert_is_default(g.kernel);
		}
	} while (n <= count);
	assert_true(n > 10);
}

#define T(name) cmocka_unit_test_setup_teardown(name, start, end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(kernel_describes_itself),
		T(every_layout_and_depth_is_found_both_ways),
		T(memory_without_a_kernel_is_no_kernel_yet),
		T(what_must_be_there_is_missed_by_name),
		T(contradictions_are_refused),
		T(wild_links_do_not_keep_us_out),
		T(all_cpus_that_a_kernel_can_have),
		T(reboot_is_noticed),
		T(other_mapping_of_the_text_is_noticed),
		T(ended_fuel_is_not_a_reboot),
		T(stale_trampoline_leads_on_to_the_scan),
		T(some_decoys_do_not_hide_the_kernel),
		T(many_decoys_are_a_limit_that_is_told),
		T(decoys_of_tables_end_by_fuel),
		T(ram_that_ends_behind_the_tables_is_enough),
		T(symbols_that_lead_astray_are_refused),
		T(image_that_leads_elsewhere_is_noticed),
		T(members_are_read_as_numbers),
		T(fault_at_every_read),
		T(every_page_missing),
		T(page_of_the_image_that_was_given_back),
		T(memory_runs_out_at_every_allocation),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
