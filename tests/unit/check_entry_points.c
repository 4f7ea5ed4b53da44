/* SPDX-License-Identifier: Apache-2.0 */
#include "check/check.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/cleanup.h"
#include "check/run.h"
#include "guest/paging.h"
#include "make/world.h"

#define AREA	   0xfffffe0000001000ull	/* of the only CPU */
#define STACK_AT   0x1000u
#define TSS_AT	   0x2000u
#define STACKS_AT  0x4000u
#define NX_RO	   (PTE_PRESENT | PTE_NX)
#define ONE	   0, 0, 0

static const struct made_struct types[] = {
	{ "cpu_entry_area", 0x9000, {
		{ "gdt", 0, "u8", 4096, 0, 0 }, { "entry_stack_page", STACK_AT, "u8", 4096, 0, 0 },
		{ "tss", TSS_AT, "u8", 0x2000, 0, 0 },
		{ "estacks", STACKS_AT, "u8", 0x5000, 0, 0 } } },
	{ "x86_hw_tss", 104, {
		{ "sp0", 4, "u64", ONE }, { "ist", 36, "u64", 7, 0, 0 },
		{ "io_bitmap_base", 102, "u16", ONE } } },
	{ "x86_io_bitmap", 0x1018, {
		{ "bitmap", 16, "u8", 8, 0, 0 }, { "mapall", 0x800, "u8", 8, 0, 0 } } },
	{ "tss_struct", 0x2000, {
		{ "x86_tss", 0, "x86_hw_tss", ONE }, { "io_bitmap", 104, "x86_io_bitmap", ONE } } },
	{ "cea_exception_stacks", 0x5000, {
		{ "DF_stack", 0, "u8", 4096, 0, 0 }, { "NMI_stack", 0x1000, "u8", 4096, 0, 0 },
		{ "DB_stack", 0x2000, "u8", 4096, 0, 0 },
		{ "MCE_stack", 0x3000, "u8", 4096, 0, 0 } } },
	{ "entry_stack", 4096, { { "stack", 0, "u64", ONE } } },
};

struct guest {
	struct world *world;
	struct kernel kernel;
	uint64_t cpu_offset[1];
	gva gdt, stack, tss;	/* per-CPU variables: each in pages of its own */
	struct check_result result;
};

/* The entry of the page of @at; tables that are not there are made. */
static uint64_t *entry_of(struct guest *g, uint64_t at)
{
	const struct kernel *kernel = &g->kernel;
	uint64_t table = kernel->space.root.v, *entry;

	for (unsigned level = 4;; level--) {
		entry = world_at(g->world, gva_add(kernel->page_offset,
						   table + 8 * paging_index(gva_of(at), level)), 8);
		if (level == 1)
			return entry;
		if (!(*entry & PTE_PRESENT)) {
			gva made = world_alloc(g->world, 2 * GUEST_PAGE_SIZE);

			made.v = (made.v + GUEST_PAGE_MASK) & ~GUEST_PAGE_MASK;
			*entry = (made.v - kernel->page_offset.v) | PTE_PRESENT | PTE_WRITE;
		}
		table = *entry & PTE_ADDRESS;
	}
}

static uint64_t frame_of(const struct guest *g, gva variable)
{
	return g->kernel.image.v + (variable.v - g->kernel.text.v);
}

static void map_area(struct guest *g, uint64_t at, gva variable, unsigned pages, uint64_t flags)
{
	for (unsigned i = 0; i < pages; i++)
		*entry_of(g, AREA + at + i * 0x1000ull) =
			(frame_of(g, variable) + i * 0x1000ull) | flags;
}

static uint64_t *descriptor(struct guest *g, unsigned i)
{
	return world_at(g->world, gva_add(g->gdt, 8ull * i), 8);
}

static void set_tables(struct guest *g)
{
	static const uint64_t fixed[] = {
		0, 0x00cf9b000000ffff, 0x00af9b000000ffff, 0x00cf93000000ffff,
		0x00cffb000000ffff, 0x00cff3000000ffff, 0x00affb000000ffff, 0,
	};
	uint64_t tss = AREA + TSS_AT;

	for (unsigned i = 0; i < 16; i++)
		*descriptor(g, i) = i < ARRAY_SIZE(fixed) ? fixed[i] : 0;
	*descriptor(g, 8) = 0x1fff | (tss & 0xffffff) << 16 | 0x8bull << 40 |
			    (tss >> 24 & 0xff) << 56;
	*descriptor(g, 9) = tss >> 32;
	*descriptor(g, 15) = 0x0040f50000000000;
	for (unsigned i = 0; i < 4; i++)
		world_put(g->world, gva_add(g->tss, 36 + 8ull * i),
			  AREA + STACKS_AT + 0x1000ull * (i + 1));
	for (unsigned i = 4; i < 7; i++)
		world_put(g->world, gva_add(g->tss, 36 + 8ull * i), 0);
	world_put(g->world, gva_add(g->tss, 4), AREA + STACK_AT + 0x1000);
	world_set(g->world, g->tss, "tss_struct.x86_tss.io_bitmap_base", 104 + 0x1018);
	map_area(g, 0, g->gdt, 1, NX_RO);
	map_area(g, STACK_AT, g->stack, 1, NX_RO | PTE_WRITE);
	map_area(g, TSS_AT, g->tss, 2, NX_RO);
}

static int start(void **state)
{
	struct guest *g = calloc(1, sizeof(*g));
	gva pad;

	g->world = world_new();
	pad = world_symbol(g->world, "before", 64);
	world_symbol(g->world, "padding", (uint32_t)(4096 - ((pad.v + 64) & 4095)));
	g->gdt = world_symbol(g->world, "gdt_page", 4096);
	g->stack = world_symbol(g->world, "entry_stack_storage", 4096);
	g->tss = world_symbol(g->world, "cpu_tss_rw", 0x2000);
	world_start(g->world, types, ARRAY_SIZE(types));
	g->kernel = *world_kernel(g->world);
	g->kernel.cpus = 1;
	g->kernel.cpu_offset = g->cpu_offset;
	set_tables(g);
	*state = g;
	return 0;
}

static int end(void **state)
{
	struct guest *g = *state;

	check_result_clear(&g->result);
	world_end(&g->world);
	free(g);
	return 0;
}

static enum check_state run(struct guest *g)
{
	check_result_clear(&g->result);
	memset(&g->result, 0, sizeof(g->result));
	check_execute(check_by_id("entry-points"), &g->kernel, world_view(g->world), &g->result);
	return g->result.state;
}

static void expect(struct guest *g, const char *name)
{
	assert_int_equal(run(g), CHECK_FINDING);
	assert_int_equal(g->result.findings.n, 1);
	assert_string_equal(g->result.findings.v[0]->object_name, name);
	set_tables(g);
}

static void what_the_kernel_sets_is_clean(void **state)
{
	struct guest *g = *state;

	assert_int_equal(g->gdt.v % GUEST_PAGE_SIZE, 0);
	assert_int_equal(run(g), CHECK_CLEAN);
	*descriptor(g, 8) ^= 2ull << 40;	/* busy or not */
	*descriptor(g, 12) = 0x00cff2000000ffff;	/* data of a thread */
	world_set(g->world, g->tss, "tss_struct.x86_tss.io_bitmap_base", 104 + 16);
	assert_int_equal(run(g), CHECK_CLEAN);
}

static void descriptors_that_are_not_the_kernels(void **state)
{
	struct guest *g = *state;

	*descriptor(g, 2) |= 3ull << 45;	/* the kernel's code for programs */
	expect(g, "CPU 0 GDT[2]");
	*descriptor(g, 7) = 0x0000ec0000100000;	/* a gate */
	expect(g, "CPU 0 GDT[7]");
	*descriptor(g, 5) += 1 << 16;		/* another base */
	expect(g, "CPU 0 GDT[5]");
	*descriptor(g, 13) = 0x0000ec0000100000;
	expect(g, "CPU 0 GDT[13]");
	*descriptor(g, 14) = 0x00cf9a000000ffff;	/* code of ring 0 */
	expect(g, "CPU 0 GDT[14]");
	*descriptor(g, 8) += 1 << 16;
	expect(g, "CPU 0 GDT[8]");
	*descriptor(g, 8) |= 3ull << 45;
	expect(g, "CPU 0 GDT[8]");
	*descriptor(g, 10) = 0x0000ec0000100000;
	expect(g, "CPU 0 GDT[10]");
}

static void stacks_that_are_not_the_kernels(void **state)
{
	struct guest *g = *state;

	world_put(g->world, gva_add(g->tss, 36 + 8), 0xffff888000007000);
	expect(g, "CPU 0 IST 2");
	world_put(g->world, gva_add(g->tss, 36 + 8 * 6), 0xffff888000007000);
	expect(g, "CPU 0 IST 7");
	world_put(g->world, gva_add(g->tss, 4), 0xffff888000007000);
	expect(g, "CPU 0 SP0");
	world_set(g->world, g->tss, "tss_struct.x86_tss.io_bitmap_base", 200);
	expect(g, "CPU 0 I/O bitmap");
}

static void an_area_that_maps_other_memory(void **state)
{
	struct guest *g = *state;

	map_area(g, 0, g->stack, 1, NX_RO);
	expect(g, "CPU 0 GDT");
	map_area(g, 0, g->gdt, 1, NX_RO | PTE_WRITE);
	expect(g, "CPU 0 GDT");
	map_area(g, STACK_AT, g->stack, 1, PTE_PRESENT | PTE_WRITE);
	expect(g, "CPU 0 entry stack");
	map_area(g, TSS_AT + 0x1000, g->tss, 1, NX_RO);
	expect(g, "CPU 0 task state");
}

static void a_cpu_that_was_not_started_has_nothing_yet(void **state)
{
	struct guest *g = *state;

	memset(world_at(g->world, g->gdt, 4096), 0, 4096);
	memset(world_at(g->world, g->tss, 4096), 0, 4096);
	assert_int_equal(run(g), CHECK_CLEAN);
	assert_int_equal(g->result.covered.n, 1);	/* the pages */
}

static void an_area_that_is_not_there_is_not_clean(void **state)
{
	struct guest *g = *state;

	*entry_of(g, AREA) = 0;
	assert_int_equal(run(g), CHECK_INCONCLUSIVE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, start, end)
		TEST(what_the_kernel_sets_is_clean),
		TEST(descriptors_that_are_not_the_kernels),
		TEST(stacks_that_are_not_the_kernels),
		TEST(an_area_that_maps_other_memory),
		TEST(a_cpu_that_was_not_started_has_nothing_yet),
		TEST(an_area_that_is_not_there_is_not_clean),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
