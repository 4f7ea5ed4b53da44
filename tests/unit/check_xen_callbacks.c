/* SPDX-License-Identifier: Apache-2.0 */
#include "check/check.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/cleanup.h"
#include "check/run.h"
#include "make/modules.h"
#include "ram/machine.h"

static const char *const names[] = {
	"xen_asm_exc_xen_hypervisor_callback", "xen_failsafe_callback", "xen_entry_SYSCALL_64",
	"xen_asm_exc_page_fault", "xen_asm_xenpv_exc_nmi", "xen_asm_exc_int3",
	"xen_asm_int80_emulation", "xen_asm_exc_xen_unknown_trap", "xen_early_idt_handler_array",
};

enum { EVENT, FAILSAFE, SYSCALL, FAULT, NMI, INT3, INT80, UNKNOWN, EARLY, NAMES };

struct guest {
	struct made_modules made;
	gva at[NAMES];
	struct registers cpus[2];
	struct ram *ram;
	struct check_result result;
};

static void set_cpus(struct guest *g)
{
	assert_int_equal(ram_set_registers(g->ram, g->cpus, 2, NULL), 0);
}

static int start(void **state)
{
	struct guest *g = calloc(1, sizeof(*g));
	struct made_symbol symbols[NAMES];

	for (size_t i = 0; i < NAMES; i++)
		symbols[i] = (struct made_symbol){ names[i], i == EARLY ? 512 : 16, &g->at[i],
						   true };
	made_modules_open(&g->made, false, symbols, NAMES);
	g->ram = view_ram(world_view(g->made.world));
	for (size_t i = 0; i < 2; i++) {
		struct registers *cpu = &g->cpus[i];

		cpu->have = REGISTERS_CALLBACKS;
		cpu->event = g->at[EVENT].v;
		cpu->failsafe = g->at[FAILSAFE].v;
		cpu->syscall = g->at[SYSCALL].v;
		cpu->traps[2] = (struct trap){ g->at[NMI].v, 0x13, 0 };
		cpu->traps[3] = (struct trap){ g->at[INT3].v, 0x13, 3 };
		cpu->traps[14] = (struct trap){ g->at[FAULT].v, 0x13, 4 };
		cpu->traps[25] = (struct trap){ g->at[EARLY].v + 25 * 12, 0x13, 4 };
		cpu->traps[29] = (struct trap){ g->at[UNKNOWN].v, 0x13, 4 };
		cpu->traps[0x80] = (struct trap){ g->at[INT80].v, 0x13, 3 };
	}
	set_cpus(g);
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

/* All of this guest's frames are the machine's of the same number: it needs no other tables. */
static enum check_state run(struct guest *g)
{
	if (!g->ram->machine)
		assert_int_equal(machine_new(16, &g->ram->machine, NULL), 0);
	check_result_clear(&g->result);
	memset(&g->result, 0, sizeof(g->result));
	check_execute(check_by_id("xen-callbacks"), world_kernel(g->made.world),
		      world_view(g->made.world), &g->result);
	return g->result.state;
}

static void expect(struct guest *g, const char *name)
{
	set_cpus(g);
	assert_int_equal(run(g), CHECK_FINDING);
	assert_int_equal(g->result.findings.n, 1);
	assert_string_equal(g->result.findings.v[0]->object_name, name);
}

static void what_the_kernel_told_xen_is_clean(void **state)
{
	struct guest *g = *state;

	assert_int_equal(run(g), CHECK_CLEAN);
	assert_int_equal(g->result.covered.n, 2);
	assert_int_equal(g->result.covered.v[0].count, 6);
	assert_int_equal(g->result.covered.v[1].count, 12);
}

static void other_guests_have_none(void **state)
{
	struct guest *g = *state;

	check_execute(check_by_id("xen-callbacks"), world_kernel(g->made.world),
		      world_view(g->made.world), &g->result);
	assert_int_equal(g->result.state, CHECK_CLEAN);
	assert_int_equal(g->result.covered.n, 0);
}

static void a_callback_that_leads_elsewhere(void **state)
{
	struct guest *g = *state;

	g->cpus[1].syscall = 0xffffffffc0123450;
	expect(g, "vCPU 1 syscall callback");
	g->cpus[1].syscall = g->at[EVENT].v;	/* the kernel's, and not for that */
	expect(g, "vCPU 1 syscall callback");
	g->cpus[1].syscall = g->at[SYSCALL].v;
	g->cpus[0].event += 1;
	expect(g, "vCPU 0 event callback");
	g->cpus[0].event -= 1;
	g->cpus[0].failsafe = 0xffff888000001000;
	expect(g, "vCPU 0 failsafe callback");
}

static void a_trap_that_leads_elsewhere(void **state)
{
	struct guest *g = *state;

	g->cpus[1].traps[14].at = g->at[NMI].v;
	expect(g, "vCPU 1 trap 14");
	g->cpus[1].traps[14].at = g->at[FAULT].v;
	g->cpus[0].traps[0x80].at = 0xffffffffc0123450;
	expect(g, "vCPU 0 trap 128");
	g->cpus[0].traps[0x80].at = g->at[INT80].v;
	g->cpus[0].traps[200].at = g->at[FAULT].v;	/* a vector that the kernel never sets */
	expect(g, "vCPU 0 trap 200");
	g->cpus[0].traps[200].at = 0;
	g->cpus[0].traps[14].at = g->at[EARLY].v + 14 * 12;	/* only where nothing is set */
	expect(g, "vCPU 0 trap 14");
}

static void a_trap_in_another_code_segment(void **state)
{
	struct guest *g = *state;

	g->cpus[1].traps[14].cs = 0x0b;		/* of 32 bits: it takes half of the address */
	expect(g, "vCPU 1 trap 14");
	g->cpus[1].traps[14].cs = 0x17;		/* of a local table */
	expect(g, "vCPU 1 trap 14");
	g->cpus[1].traps[14].cs = 0xe033;	/* Xen's own, for a kernel of 64 bits */
	set_cpus(g);
	assert_int_equal(run(g), CHECK_CLEAN);
}

static void a_trap_that_programs_may_call(void **state)
{
	struct guest *g = *state;

	g->cpus[0].traps[14].flags = 7;
	expect(g, "vCPU 0 trap 14");
}

static void what_is_not_set_or_not_known_is_not_clean(void **state)
{
	struct guest *g = *state;

	g->cpus[0].syscall = 0;
	set_cpus(g);
	assert_int_equal(run(g), CHECK_INCONCLUSIVE);
	g->cpus[0].syscall = g->at[SYSCALL].v;
	g->cpus[0].traps[14].at = 0;
	set_cpus(g);
	assert_int_equal(run(g), CHECK_INCONCLUSIVE);
	g->cpus[0].have = 0;
	set_cpus(g);
	assert_int_equal(run(g), CHECK_INCONCLUSIVE);
	assert_int_equal(ram_set_registers(g->ram, NULL, 0, NULL), 0);
	assert_int_equal(run(g), CHECK_INCONCLUSIVE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(what_the_kernel_told_xen_is_clean, start, end),
		cmocka_unit_test_setup_teardown(other_guests_have_none, start, end),
		cmocka_unit_test_setup_teardown(a_callback_that_leads_elsewhere, start, end),
		cmocka_unit_test_setup_teardown(a_trap_that_leads_elsewhere, start, end),
		cmocka_unit_test_setup_teardown(a_trap_in_another_code_segment, start, end),
		cmocka_unit_test_setup_teardown(a_trap_that_programs_may_call, start, end),
		cmocka_unit_test_setup_teardown(what_is_not_set_or_not_known_is_not_clean, start,
						end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
