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

#define AREA	   0xfffffe0000001000ull	/* of the CPU */
#define IDT	   0xfffffe0000000000ull
#define CR0	   0x80050033u
#define CR4	   0x00300820u		/* SMAP, SMEP, UMIP, PAE */

struct guest {
	struct made_tasks made;
	gva root;		/* of the only process */
	struct registers cpu;
	struct check_result result;
};

static int start(void **state)
{
	struct guest *g = calloc(1, sizeof(*g));
	gva task;

	made_tasks_open(&g->made);
	task = made_task(&g->made, 10, "init", g->made.init_task);
	g->root = world_alloc(g->made.world, 3 * GUEST_PAGE_SIZE);
	g->root.v = (g->root.v + GUEST_PAGE_MASK) & ~GUEST_PAGE_MASK;
	world_set(g->made.world, gva_of(world_get(g->made.world, task, "task_struct.mm")),
		  "mm_struct.pgd", g->root.v);
	g->cpu = (struct registers){
		.have = REGISTERS_CONTROL | REGISTERS_TABLES | REGISTERS_CODE | REGISTERS_EFER,
		.cr0 = CR0, .cr4 = CR4, .efer = 0xd01, .cs = 0x10, .rip = 0xffffffff81000000,
		.cr3 = g->made.kernel.space.root.v, .idt = IDT, .idt_limit = 0xfff,
		.gdt = AREA, .gdt_limit = 0x7f, .tr = AREA + 0x2000,
	};
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

static uint32_t *features(struct guest *g)
{
	return world_at(g->made.world, world_member(g->made.world, g->made.boot_cpu,
						    "cpuinfo_x86.x86_capability"), 4 * 24);
}

static void all_features(struct guest *g)
{
	features(g)[1] |= 1u << 20;
	features(g)[9] |= 1u << 7 | 1u << 20;
	features(g)[16] |= 1u << 2;
	world_set(g->made.world, g->made.tlb_state, "tlb_state.cr4", CR4);
	world_put(g->made.world, g->made.online, 1);
}

static enum check_state run_with(struct guest *g, size_t cpus)
{
	struct view *view = world_view(g->made.world);

	check_result_clear(&g->result);
	memset(&g->result, 0, sizeof(g->result));
	assert_int_equal(ram_set_registers(view_ram(view), &g->cpu, cpus, NULL), 0);
	check_execute(check_by_id("control-registers"), &g->made.kernel, view, &g->result);
	return g->result.state;
}

static void expect(struct guest *g, const char *name)
{
	assert_int_equal(run_with(g, 1), CHECK_FINDING);
	assert_int_equal(g->result.findings.n, 1);
	assert_string_equal(g->result.findings.v[0]->object_name, name);
}

static void a_cpu_as_the_kernel_sets_it_is_clean(void **state)
{
	struct guest *g = *state;

	assert_int_equal(run_with(g, 1), CHECK_CLEAN);
	all_features(g);
	assert_int_equal(run_with(g, 1), CHECK_CLEAN);
	g->cpu.cr3 = g->root.v - g->made.kernel.page_offset.v;
	assert_int_equal(run_with(g, 1), CHECK_CLEAN);
}

static void without_registers_that_part_is_not_covered(void **state)
{
	struct guest *g = *state;

	assert_int_equal(run_with(g, 0), CHECK_NOT_COVERED);
	all_features(g);
	assert_int_equal(run_with(g, 0), CHECK_CLEAN);
	assert_non_null(strstr(g->result.reason, "registers are not at hand"));
}

static void each_protection_that_is_off(void **state)
{
	struct guest *g = *state;

	all_features(g);
	g->cpu.cr0 &= ~0x10000ull;
	expect(g, "vCPU 0 CR0.WP");
	g->cpu.cr0 = CR0;
	g->cpu.cr4 = CR4 & ~0x100000ull;
	expect(g, "vCPU 0 CR4.SMEP");
	g->cpu.cr4 = CR4 & ~0x200000ull;
	expect(g, "vCPU 0 CR4.SMAP");
	g->cpu.cr4 = CR4;
	g->cpu.efer &= ~0x800ull;
	expect(g, "vCPU 0 EFER.NXE");
}

static void what_the_cpu_does_not_have_need_not_be_on(void **state)
{
	struct guest *g = *state;

	g->cpu.cr4 = 0x20;
	g->cpu.efer = 0x501;
	assert_int_equal(run_with(g, 1), CHECK_CLEAN);
}

static void tables_that_are_not_the_kernels(void **state)
{
	struct guest *g = *state;

	g->cpu.idt += 8;
	expect(g, "vCPU 0 IDTR");
	g->cpu.idt = IDT;
	g->cpu.idt_limit = 0xffff;
	expect(g, "vCPU 0 IDTR");
	g->cpu.idt_limit = 0xfff;
	g->cpu.gdt = 0xffff888000001000;
	expect(g, "vCPU 0 GDTR");
	g->cpu.gdt = AREA;
	g->cpu.tr = AREA;
	expect(g, "vCPU 0 TR");
}

static void a_page_table_that_no_process_has(void **state)
{
	struct guest *g = *state;

	g->cpu.cr3 = 0x7000;
	expect(g, "vCPU 0 CR3");
	/* Firmware may run on its own. */
	g->cpu.rip = 0x7fe00000;
	assert_int_equal(run_with(g, 1), CHECK_INCONCLUSIVE);
}

static void a_cpu_that_was_not_started_is_not_judged(void **state)
{
	struct guest *g = *state;

	all_features(g);
	g->cpu = (struct registers){ .have = REGISTERS_CONTROL, .cr0 = 0x60000010 };
	assert_int_equal(run_with(g, 1), CHECK_CLEAN);
	assert_int_equal(g->result.covered.n, 1);	/* the copy */
}

static void entries_where_they_are_known(void **state)
{
	struct guest *g = *state;

	g->cpu.have |= REGISTERS_ENTRIES;
	g->cpu.lstar = g->made.entry.v;
	assert_int_equal(run_with(g, 1), CHECK_CLEAN);
	g->cpu.lstar += 16;
	expect(g, "vCPU 0 LSTAR");
}

static void the_kernels_own_copy_gave_it_up(void **state)
{
	struct guest *g = *state;

	all_features(g);
	world_set(g->made.world, g->made.tlb_state, "tlb_state.cr4", CR4 & ~0x100000u);
	expect(g, "CPU 0's copy CR4");
	/* One that never started has what the kernel was built with. */
	world_put(g->made.world, g->made.online, 2);
	assert_int_equal(run_with(g, 1), CHECK_CLEAN);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, start, end)
		TEST(a_cpu_as_the_kernel_sets_it_is_clean),
		TEST(without_registers_that_part_is_not_covered),
		TEST(each_protection_that_is_off),
		TEST(what_the_cpu_does_not_have_need_not_be_on),
		TEST(tables_that_are_not_the_kernels),
		TEST(a_page_table_that_no_process_has),
		TEST(a_cpu_that_was_not_started_is_not_judged),
		TEST(entries_where_they_are_known),
		TEST(the_kernels_own_copy_gave_it_up),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
