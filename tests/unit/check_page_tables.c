/* SPDX-License-Identifier: Apache-2.0 */
#include "check/check.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "check/run.h"
#include "guest/paging.h"
#include "make/tasks.h"

#define HUGE  (2ull << 20)
#define PAGES 0xffffea0000000000ull

struct guest {
	struct made_tasks made;
	gva root[2];		/* of the two processes; a page for their programs behind each */
	gva own;		/* the kernel's, in the direct map */
	gva task[2];
	struct check_result result;
};

static uint64_t *entry_in(struct guest *g, gva root, gva at, unsigned level)
{
	const struct kernel *kernel = &g->made.kernel;
	uint64_t table = root.v - kernel->page_offset.v, *entry;

	for (unsigned now = 4;; now--) {
		entry = world_at(g->made.world, gva_add(kernel->page_offset,
							table + 8 * paging_index(at, now)), 8);
		if (now == level)
			return entry;
		table = *entry & PTE_ADDRESS;
	}
}

/* A page-aligned copy of @pages pages at @from, or zeros. */
static gva copy_pages(struct guest *g, gva from, unsigned pages)
{
	gva to = world_alloc(g->made.world, (pages + 1) * GUEST_PAGE_SIZE);

	to.v = (to.v + GUEST_PAGE_MASK) & ~GUEST_PAGE_MASK;
	if (from.v)
		world_copy(g->made.world, to, world_at(g->made.world, from,
						       pages * GUEST_PAGE_SIZE),
			   pages * GUEST_PAGE_SIZE);
	return to;
}

/* Give a root its own copies of the tables down to the one that has the page of @at. */
static void unshare(struct guest *g, gva root, gva at, unsigned level)
{
	for (unsigned now = 4; now > level; now--) {
		uint64_t *entry = entry_in(g, root, at, now);
		gva page_offset = g->made.kernel.page_offset;
		gva copy = copy_pages(g, gva_add(page_offset, *entry & PTE_ADDRESS), 1);

		*entry = (*entry & ~PTE_ADDRESS) | (copy.v - page_offset.v);
	}
}

static int start(void **state)
{
	struct guest *g = calloc(1, sizeof(*g));
	const struct kernel *kernel = &g->made.kernel;

	made_tasks_open(&g->made);
	world_put(g->made.world, g->made.pages, PAGES);
	world_put(g->made.world, g->made.direct_end, kernel->page_offset.v + (1ull << 40));
	/* The pair of the kernel's root is a copy of it, made where there is room. */
	g->own = copy_pages(g, gva_add(kernel->page_offset, kernel->space.root.v), 2);
	memset(world_at(g->made.world, gva_add(g->own, GUEST_PAGE_SIZE), GUEST_PAGE_SIZE), 0,
	       GUEST_PAGE_SIZE);
	g->made.kernel.space.root.v = g->own.v - kernel->page_offset.v;
	for (unsigned i = 0; i < 2; i++) {
		g->task[i] = made_task(&g->made, 10 + (int)i, i ? "second" : "first",
				       g->made.init_task);
		g->root[i] = copy_pages(g, g->own, 2);
		world_set(g->made.world,
			  gva_of(world_get(g->made.world, g->task[i], "task_struct.mm")),
			  "mm_struct.pgd", g->root[i].v);
	}
	*state = g;
	return 0;
}

static int end(void **state)
{
	struct guest *g = *state;

	check_result_clear(&g->result);
	made_tasks_close(&g->made);
	free(g);
	return 0;
}

static enum check_state run(struct guest *g)
{
	struct view *view = world_view(g->made.world);

	check_result_clear(&g->result);
	memset(&g->result, 0, sizeof(g->result));
	view_set_kernel(view, g->made.kernel.space);
	check_execute(check_by_id("page-tables"), &g->made.kernel, view, &g->result);
	return g->result.state;
}

static void expect(struct guest *g, const char *kind, const char *name, const char *title)
{
	assert_int_equal(run(g), CHECK_FINDING);
	assert_int_equal(g->result.findings.n, 1);
	assert_string_equal(g->result.findings.v[0]->object_kind, kind);
	assert_non_null(strstr(g->result.findings.v[0]->object_name, name));
	assert_non_null(strstr(g->result.findings.v[0]->title, title));
}

static void isolate(struct guest *g)
{
	uint32_t *word = world_at(g->made.world,
				  world_member(g->made.world, g->made.boot_cpu,
					       "cpuinfo_x86.x86_capability"), 4 * 24);

	word[7] |= 1u << 11;
}

static void processes_that_share_the_kernels_half_are_clean(void **state)
{
	struct guest *g = *state;

	assert_int_equal(run(g), CHECK_CLEAN);
	isolate(g);
	assert_int_equal(run(g), CHECK_CLEAN);
}

static void own_tables_that_say_the_same_are_clean(void **state)
{
	struct guest *g = *state;

	unshare(g, g->root[1], g->made.kernel.text, 2);
	assert_int_equal(run(g), CHECK_CLEAN);
}

static void text_of_one_process_is_other_memory(void **state)
{
	struct guest *g = *state;

	unshare(g, g->root[1], g->made.kernel.text, 2);
	*entry_in(g, g->root[1], g->made.kernel.text, 2) += 8 * HUGE;
	expect(g, "page-table", "page table of 11 second", "sees the kernel otherwise");
	assert_int_equal(g->result.findings.v[0]->severity, SEVERITY_CRITICAL);
}

static void text_of_one_process_is_writable(void **state)
{
	struct guest *g = *state;

	*entry_in(g, g->own, g->made.kernel.text, 2) &= ~PTE_WRITE;
	unshare(g, g->root[0], g->made.kernel.text, 2);
	*entry_in(g, g->root[0], g->made.kernel.text, 2) |= PTE_WRITE;
	expect(g, "page-table", "page table of 10 first", "sees the kernel otherwise");
}

/* 4 KiB of a page of 2 MiB lead elsewhere. */
static void one_page_of_a_large_one_is_other_memory(void **state)
{
	struct guest *g = *state;
	gva text = g->made.kernel.text, table = copy_pages(g, gva_of(0), 1);
	uint64_t *large;

	unshare(g, g->root[0], text, 2);
	large = entry_in(g, g->root[0], text, 2);
	for (unsigned i = 0; i < TABLE_ENTRIES; i++)
		world_put(g->made.world, gva_add(table, 8ull * i),
			  (*large & ~PTE_LARGE) + (uint64_t)i * GUEST_PAGE_SIZE);
	*large = (table.v - g->made.kernel.page_offset.v) | PTE_PRESENT | PTE_WRITE;
	assert_int_equal(run(g), CHECK_CLEAN);
	world_put(g->made.world, gva_add(table, 8 * 5), 8 * HUGE | PTE_PRESENT | PTE_WRITE);
	expect(g, "page-table", "page table of 10 first", "sees the kernel otherwise");
	assert_int_equal(g->result.findings.v[0]->object_at.v, text.v + 5 * GUEST_PAGE_SIZE);
}

static void memory_that_one_process_adds(void **state)
{
	struct guest *g = *state;
	gva at = gva_of(0xffffc90000000000);

	world_put(g->made.world, gva_add(g->root[1], 8 * paging_index(at, 4)),
		  *entry_in(g, g->own, g->made.kernel.text, 4));
	expect(g, "page-table", "page table of 11 second", "sees the kernel otherwise");
}

/* Only the kernel's list of page tables has it: no task does. */
static void page_table_of_nobody(void **state)
{
	struct guest *g = *state;
	gva root = copy_pages(g, g->own, 2);
	uint64_t number = (root.v - g->made.kernel.page_offset.v) >> GUEST_PAGE_SHIFT;
	gva page = world_alloc(g->made.world, 64);

	/* A map of all pages that has this one where the test has room for it. */
	world_put(g->made.world, g->made.pages, page.v - number * 64);
	world_list_add(g->made.world, g->made.pgd_list,
		       world_member(g->made.world, page, "page.lru"));
	assert_int_equal(run(g), CHECK_CLEAN);
	unshare(g, root, g->made.kernel.text, 2);
	*entry_in(g, root, g->made.kernel.text, 2) += 8 * HUGE;
	expect(g, "page-table", "page table of physical 0x", "Page table");
}

static void what_a_cpu_has_loaded_is_looked_at(void **state)
{
	struct guest *g = *state;
	gva mm = world_alloc(g->made.world, 128), root = copy_pages(g, g->own, 2);

	world_set(g->made.world, mm, "mm_struct.pgd", root.v);
	world_set(g->made.world, g->made.tlb_state, "tlb_state.loaded_mm", mm.v);
	unshare(g, root, g->made.kernel.text, 2);
	*entry_in(g, root, g->made.kernel.text, 2) += 8 * HUGE;
	expect(g, "page-table", "page table of physical 0x", "Page table");
}

/* Under isolation, the page behind a root is what its program runs on. */
static void a_programs_table_has_more_than_the_kernel_gave(void **state)
{
	struct guest *g = *state;
	gva text = g->made.kernel.text, half = gva_add(g->root[1], GUEST_PAGE_SIZE);

	world_put(g->made.world, gva_add(half, 8 * paging_index(text, 4)),
		  *entry_in(g, g->own, text, 4));
	assert_int_equal(run(g), CHECK_CLEAN);
	isolate(g);
	expect(g, "page-table", "page table of 11 second while its program runs",
	       "sees the kernel otherwise");
}

static void local_descriptors_are_a_processs_own(void **state)
{
	struct guest *g = *state;
	gva at = gva_of(0xffff880000000000), table = copy_pages(g, gva_of(0), 3);
	uint64_t phys = table.v - g->made.kernel.page_offset.v;

	world_put(g->made.world, gva_add(g->root[0], 8 * paging_index(at, 4)),
		  phys | PTE_PRESENT | PTE_WRITE);
	world_put(g->made.world, table, (phys + 0x1000) | PTE_PRESENT | PTE_WRITE);
	world_put(g->made.world, gva_add(table, 0x1000), (phys + 0x2000) | PTE_PRESENT | PTE_WRITE);
	world_put(g->made.world, gva_add(table, 0x2000), 0x7000 | PTE_PRESENT | PTE_NX);
	expect(g, "page-table", "page table of 10 first", "sees the kernel otherwise");
	isolate(g);
	assert_int_equal(run(g), CHECK_CLEAN);
	world_put(g->made.world, gva_add(table, 0x2000), 0x7000 | PTE_PRESENT);
	expect(g, "page-table", "page table of 10 first", "sees the kernel otherwise");
}

static void image_of_the_kernel_is_other_memory(void **state)
{
	struct guest *g = *state;

	/* The second part: in the first are the variables that tell where to look. */
	*entry_in(g, g->own, gva_add(g->made.kernel.text, HUGE), 2) += 8 * HUGE;
	expect(g, "memory", "memory at 0xffffffff81200000", "Data of the kernel is mapped");
}

static void map_of_all_memory_leads_elsewhere(void **state)
{
	struct guest *g = *state;
	gva at = gva_add(g->made.kernel.page_offset, 9 * HUGE);

	*entry_in(g, g->own, at, 2) += HUGE;
	expect(g, "memory", "memory at 0xffff888001200000", "map of all memory");
}

static void data_of_the_kernel_is_open_to_programs(void **state)
{
	struct guest *g = *state;
	gva data = gva_add(g->made.kernel.page_offset, 9 * HUGE);

	for (unsigned level = 2; level <= 4; level++)
		*entry_in(g, g->own, data, level) |= PTE_USER;
	*entry_in(g, g->own, data, 2) |= PTE_NX;
	expect(g, "memory", "memory at 0xffff888001200000", "open to programs");
}

static void memory_of_programs_in_the_kernels_own_table(void **state)
{
	struct guest *g = *state;

	world_put(g->made.world, g->own, *entry_in(g, g->own, g->made.kernel.text, 4));
	assert_int_equal(run(g), CHECK_FINDING);
	assert_non_null(strstr(g->result.findings.v[0]->title, "memory of a program"));
}

static void tables_that_cannot_be_read_are_not_clean(void **state)
{
	struct guest *g = *state;

	world_put(g->made.world, gva_add(g->root[0], 8 * 300), (1ull << 40) | PTE_PRESENT);
	assert_int_equal(run(g), CHECK_INCONCLUSIVE);
}

static void process_without_a_page_table_is_not_clean(void **state)
{
	struct guest *g = *state;

	world_set(g->made.world, gva_of(world_get(g->made.world, g->task[0], "task_struct.mm")),
		  "mm_struct.pgd", 0);
	assert_int_equal(run(g), CHECK_INCONCLUSIVE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, start, end)
		TEST(processes_that_share_the_kernels_half_are_clean),
		TEST(own_tables_that_say_the_same_are_clean),
		TEST(text_of_one_process_is_other_memory),
		TEST(text_of_one_process_is_writable),
		TEST(one_page_of_a_large_one_is_other_memory),
		TEST(memory_that_one_process_adds),
		TEST(page_table_of_nobody),
		TEST(what_a_cpu_has_loaded_is_looked_at),
		TEST(a_programs_table_has_more_than_the_kernel_gave),
		TEST(local_descriptors_are_a_processs_own),
		TEST(image_of_the_kernel_is_other_memory),
		TEST(map_of_all_memory_leads_elsewhere),
		TEST(data_of_the_kernel_is_open_to_programs),
		TEST(memory_of_programs_in_the_kernels_own_table),
		TEST(tables_that_cannot_be_read_are_not_clean),
		TEST(process_without_a_page_table_is_not_clean),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
