/* SPDX-License-Identifier: Apache-2.0 */
#include "check/check.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/cleanup.h"
#include "check/run.h"
#include "guest/gate.h"
#include "make/modules.h"

#define STUBS_BYTES (204u * 8)

static const char *const exceptions[] = {
	"divide_error", "debug", "nmi", "int3", "overflow", "bounds", "invalid_op",
	"device_not_available", "double_fault", "coproc_segment_overrun", "invalid_tss",
	"segment_not_present", "stack_segment", "general_protection", "page_fault",
	"spurious_interrupt_bug", "coprocessor_error", "alignment_check", NULL,
	"simd_coprocessor_error",
};

struct guest {
	struct made_modules made;
	gva table, descriptor, early, stubs, timer, syscall;
	gva handlers[ARRAY_SIZE(exceptions)];
	struct check_result result;
};

static void set_gate(struct guest *g, unsigned vector, gva handler, uint8_t access)
{
	static const uint8_t stacks[32] = { [1] = 3, [2] = 2, [8] = 1, [18] = 4, [29] = 5 };
	uint8_t bytes[GATE_BYTES] = { 0 };

	memcpy(bytes, &handler.v, 2);
	bytes[4] = vector < 32 ? stacks[vector] : 0;
	bytes[2] = 0x10;
	bytes[5] = access;
	memcpy(bytes + 6, (uint8_t *)&handler.v + 2, 6);
	world_copy(g->made.world, gva_add(g->table, vector * GATE_BYTES), bytes, sizeof(bytes));
}

/* As the kernel sets it up. */
static void set_table(struct guest *g)
{
	for (unsigned i = 0; i < GATES; i++) {
		gva handler = gva_add(g->stubs, (i - 32) * 8ull);

		if (i < 32)
			handler = i < ARRAY_SIZE(exceptions) && exceptions[i] ?
					  g->handlers[i] :
					  gva_add(g->early, i * 9ull);
		set_gate(g, i, handler, i == 3 || i == 4 ? 0xee : 0x8e);
	}
	set_gate(g, 0x80, g->syscall, 0xee);
	set_gate(g, 0xec, g->timer, 0x8e);
}

static int start(void **state)
{
	static char names[ARRAY_SIZE(exceptions)][40];
	struct guest *g = calloc(1, sizeof(*g));
	struct made_symbol symbols[32];
	uint8_t descriptor[10] = { 0xff, 0x0f };
	gva spurious;
	size_t n = 0;

	for (size_t i = 0; i < ARRAY_SIZE(exceptions); i++) {
		if (!exceptions[i])
			continue;
		snprintf(names[i], sizeof(names[i]), "asm_exc_%s", exceptions[i]);
		symbols[n++] = (struct made_symbol){ names[i], 16, &g->handlers[i], true };
	}
	symbols[n++] = (struct made_symbol){ "irq_entries_start", STUBS_BYTES, &g->stubs, true };
	symbols[n++] = (struct made_symbol){ "spurious_entries_start", 256, &spurious, true };
	symbols[n++] = (struct made_symbol){ "asm_sysvec_apic_timer_interrupt", 16, &g->timer, true };
	symbols[n++] = (struct made_symbol){ "int80_emulation", 16, &g->syscall, true };
	symbols[n++] = (struct made_symbol){ "early_idt_handler_array", 512, &g->early, true };
	symbols[n++] = (struct made_symbol){ "idt_table", GATES * GATE_BYTES, &g->table, false };
	symbols[n++] = (struct made_symbol){ "idt_descr", 16, &g->descriptor, false };
	made_modules_open(&g->made, false, symbols, n);
	set_table(g);
	memcpy(descriptor + 2, &g->table.v, 8);
	world_copy(g->made.world, g->descriptor, descriptor, sizeof(descriptor));
	*state = g;
	return 0;
}

static int end(void **state)
{
	struct guest *g = *state;

	check_result_clear(&g->result);
	made_modules_close(&g->made);
	free(g);
	return 0;
}

static enum check_state run(struct guest *g)
{
	check_result_clear(&g->result);
	memset(&g->result, 0, sizeof(g->result));
	check_execute(check_by_id("idt"), world_kernel(g->made.world), world_view(g->made.world),
		      &g->result);
	return g->result.state;
}

static void expect(struct guest *g, const char *name)
{
	assert_int_equal(run(g), CHECK_FINDING);
	assert_int_equal(g->result.findings.n, 1);
	assert_string_equal(g->result.findings.v[0]->object_name, name);
}

static void the_kernels_table_is_clean(void **state)
{
	struct guest *g = *state;

	assert_int_equal(run(g), CHECK_CLEAN);
	assert_int_equal(g->result.covered.v[0].count, GATES);
}

static void a_gate_to_a_module(void **state)
{
	struct guest *g = *state;
	gva module = made_module(&g->made, "evil");

	set_gate(g, 14, made_text(&g->made, module), 0x8e);
	expect(g, "idt_table[14]");
	assert_string_equal(g->result.findings.v[0]->owner, "module evil");
}

static void a_gate_to_another_handler(void **state)
{
	struct guest *g = *state;

	set_gate(g, 14, g->handlers[13], 0x8e);
	expect(g, "idt_table[14]");
	set_table(g);
	set_gate(g, 14, gva_add(g->handlers[14], 1), 0x8e);
	expect(g, "idt_table[14]");
	set_table(g);
	set_gate(g, 40, gva_add(g->stubs, 9 * 8), 0x8e);	/* the stub of 41 */
	expect(g, "idt_table[40]");
	set_table(g);
	set_gate(g, 0x80, g->timer, 0xee);	/* any system vector: judged by its name alone */
	assert_int_equal(run(g), CHECK_FINDING);
}

static void what_the_boot_left_is_only_where_nothing_is_set(void **state)
{
	struct guest *g = *state;

	set_gate(g, 25, gva_add(g->early, 25 * 13), 0x8e);	/* with an ENDBR */
	assert_int_equal(run(g), CHECK_CLEAN);
	set_gate(g, 25, gva_add(g->early, 24 * 9), 0x8e);
	expect(g, "idt_table[25]");
	set_table(g);
	set_gate(g, 14, gva_add(g->early, 14 * 9), 0x8e);
	expect(g, "idt_table[14]");
}

static void a_gate_of_the_wrong_form(void **state)
{
	struct guest *g = *state;

	set_gate(g, 14, g->handlers[14], 0xee);		/* for everyone */
	expect(g, "idt_table[14]");
	set_gate(g, 14, g->handlers[14], 0x8f);		/* a trap gate */
	expect(g, "idt_table[14]");
	set_table(g);
	world_copy(g->made.world, gva_add(g->table, 14 * GATE_BYTES + 2), "\x33\x00", 2);
	expect(g, "idt_table[14]");			/* in the code segment of programs */
	set_table(g);
	world_copy(g->made.world, gva_add(g->table, 14 * GATE_BYTES + 12), "\x01", 1);
	expect(g, "idt_table[14]");			/* reserved */
}

static void a_gate_with_another_stack(void **state)
{
	struct guest *g = *state;

	((uint8_t *)world_at(g->made.world, gva_add(g->table, 14 * GATE_BYTES), GATE_BYTES))[4] = 1;
	expect(g, "idt_table[14]");
	set_table(g);
	((uint8_t *)world_at(g->made.world, gva_add(g->table, 8 * GATE_BYTES), GATE_BYTES))[4] = 0;
	expect(g, "idt_table[8]");
}

static void gates_that_are_not_present_lead_nowhere(void **state)
{
	struct guest *g = *state;

	set_gate(g, 0x80, gva_of(0), 0);
	assert_int_equal(run(g), CHECK_CLEAN);
}

static void table_of_zeros_is_not_clean(void **state)
{
	struct guest *g = *state;

	set_gate(g, 14, gva_of(0), 0);
	assert_int_equal(run(g), CHECK_INCONCLUSIVE);
	for (unsigned i = 0; i < GATES; i++)
		set_gate(g, i, gva_of(0), 0);
	assert_int_equal(run(g), CHECK_INCONCLUSIVE);
}

static void another_table_for_the_cpus(void **state)
{
	struct guest *g = *state;
	gva other = made_pages(&g->made, 1, false);

	world_copy(g->made.world, gva_add(g->descriptor, 2), &other.v, 8);
	expect(g, "idt_descr");
	other = world_nowhere();
	world_copy(g->made.world, gva_add(g->descriptor, 2), &other.v, 8);
	expect(g, "idt_descr");
	world_copy(g->made.world, gva_add(g->descriptor, 2), &g->table.v, 8);
	world_copy(g->made.world, g->descriptor, "\xff\x01", 2);
	expect(g, "idt_descr");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, start, end)
		TEST(the_kernels_table_is_clean),
		TEST(a_gate_to_a_module),
		TEST(a_gate_to_another_handler),
		TEST(what_the_boot_left_is_only_where_nothing_is_set),
		TEST(a_gate_of_the_wrong_form),
		TEST(a_gate_with_another_stack),
		TEST(gates_that_are_not_present_lead_nowhere),
		TEST(table_of_zeros_is_not_clean),
		TEST(another_table_for_the_cpus),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
