/* SPDX-License-Identifier: Apache-2.0 */

/* The checks syscall-table, syscall32-table and syscall-dispatch. */
#include "check/check.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/cleanup.h"
#include "check/run.h"
#include "make/modules.h"

#define ENTRIES	   304u
#define CODE_BYTES 256u

struct guest {
	struct made_modules made;
	gva table, table32, ni, read, write, kill, read32;
	gva entry, entry_end, dispatch, choose, thunk, tracer, helper;
	gva evil;
	struct check_result result;
	uint8_t code[CODE_BYTES];	/* of what is put together now */
	size_t code_n;
	gva code_at;
};

/* --- code --- */

static void begin(struct guest *g, gva at)
{
	g->code_at = at;
	g->code_n = 0;
	memset(g->code, 0xcc, sizeof(g->code));
}

static void put(struct guest *g, const void *bytes, size_t n)
{
	memcpy(g->code + g->code_n, bytes, n);
	g->code_n += n;
}

static void branch(struct guest *g, const char *opcode, size_t n, gva target)
{
	int32_t rel;

	put(g, opcode, n);
	rel = (int32_t)(target.v - (g->code_at.v + g->code_n + sizeof(rel)));
	put(g, &rel, sizeof(rel));
}

static void finish(struct guest *g)
{
	world_copy(g->made.world, g->code_at, g->code, sizeof(g->code));
}

/* swapgs; call do_syscall_64; sysretq */
static void set_entry(struct guest *g)
{
	begin(g, g->entry);
	put(g, "\x0f\x01\xf8", 3);
	branch(g, "\xe8", 1, g->dispatch);
	put(g, "\x48\x0f\x07", 3);
	finish(g);
}

/* nop; call x64_sys_call; ret */
static void set_dispatch(struct guest *g, gva target)
{
	begin(g, g->dispatch);
	put(g, "\x0f\x1f\x44\x00\x00", 5);
	branch(g, "\xe8", 1, target);
	put(g, "\xc3", 1);
	finish(g);
}

/* cmp esi, 1; je write; jb read; cmp esi, 62; je @kill; jmp ni */
static void set_choose(struct guest *g, gva kill)
{
	begin(g, g->choose);
	put(g, "\x0f\x1f\x44\x00\x00", 5);
	put(g, "\x83\xfe\x01", 3);
	branch(g, "\x0f\x84", 2, g->write);
	branch(g, "\x0f\x82", 2, g->read);
	put(g, "\x83\xfe\x3e", 3);
	branch(g, "\x0f\x84", 2, kill);
	branch(g, "\xe9", 1, g->ni);
	finish(g);
}

static void set_tables(struct guest *g)
{
	for (unsigned i = 0; i < ENTRIES; i++) {
		gva handler = i == 0 ? g->read : i == 1 ? g->write : i == 62 ? g->kill : g->ni;

		world_put(g->made.world, gva_add(g->table, i * 8), handler.v);
		world_put(g->made.world, gva_add(g->table32, i * 8),
			  i == 3 ? g->read32.v : g->ni.v);
	}
}

static int start(void **state)
{
	struct guest *g = calloc(1, sizeof(*g));
	gva end;
	const struct made_symbol symbols[] = {
		{ "sys_call_table", ENTRIES * 8, &g->table, false },
		{ "ia32_sys_call_table", ENTRIES * 8, &g->table32, false },
		{ "table_end", 8, &end, false },
		{ "sys_ni_syscall", 64, &g->ni, true },
		{ "__x64_sys_read", 64, &g->read, true },
		{ "__x64_sys_write", 64, &g->write, true },
		{ "__x64_sys_kill", 64, &g->kill, true },
		{ "__ia32_sys_read", 64, &g->read32, true },
		{ "entry_SYSCALL_64", CODE_BYTES, &g->entry, true },
		{ "__entry_text_end", 64, &g->entry_end, true },
		{ "do_syscall_64", CODE_BYTES, &g->dispatch, true },
		{ "x64_sys_call", CODE_BYTES, &g->choose, true },
		{ "__x86_indirect_thunk_rax", 64, &g->thunk, true },
		{ "ftrace_caller", 64, &g->tracer, true },
		{ "helper", 64, &g->helper, true },
	};
	gva module;

	made_modules_open(&g->made, false, symbols, ARRAY_SIZE(symbols));
	module = made_module(&g->made, "evil");
	g->evil = made_text(&g->made, module);
	set_entry(g);
	set_dispatch(g, g->choose);
	set_choose(g, g->kill);
	set_tables(g);
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

static enum check_state run(struct guest *g, const char *check)
{
	check_result_clear(&g->result);
	memset(&g->result, 0, sizeof(g->result));
	check_execute(check_by_id(check), world_kernel(g->made.world), world_view(g->made.world),
		      &g->result);
	return g->result.state;
}

static void expect(struct guest *g, const char *check, const char *name, const char *owner)
{
	assert_int_equal(run(g, check), CHECK_FINDING);
	assert_int_equal(g->result.findings.n, 1);
	assert_string_equal(g->result.findings.v[0]->object_name, name);
	if (owner)
		assert_string_equal(g->result.findings.v[0]->owner, owner);
}

static void tables_of_a_kernel_are_clean(void **state)
{
	struct guest *g = *state;

	assert_int_equal(run(g, "syscall-table"), CHECK_CLEAN);
	assert_int_equal(g->result.covered.v[0].count, ENTRIES);
	assert_int_equal(run(g, "syscall32-table"), CHECK_CLEAN);
}

static void entries_to_elsewhere(void **state)
{
	struct guest *g = *state;

	world_put(g->made.world, gva_add(g->table, 62 * 8), g->evil.v);
	expect(g, "syscall-table", "sys_call_table[62]", "module evil");
	assert_non_null(strstr(g->result.findings.v[0]->title, "kill"));
	world_put(g->made.world, gva_add(g->table32, 3 * 8), g->evil.v);
	expect(g, "syscall32-table", "ia32_sys_call_table[3]", "module evil");
	set_tables(g);
	world_put(g->made.world, gva_add(g->table, 62 * 8), world_nowhere().v);
	expect(g, "syscall-table", "sys_call_table[62]", "no one");
	world_put(g->made.world, gva_add(g->table, 62 * 8), 0);
	expect(g, "syscall-table", "sys_call_table[62]", "no one");
}

static void entries_to_another_function_of_the_kernel(void **state)
{
	struct guest *g = *state;

	world_put(g->made.world, gva_add(g->table, 62 * 8), g->ni.v);	/* switched off */
	expect(g, "syscall-table", "sys_call_table[62]", "kernel");
	world_put(g->made.world, gva_add(g->table, 62 * 8), g->read.v);
	expect(g, "syscall-table", "sys_call_table[62]", "kernel");
	world_put(g->made.world, gva_add(g->table, 62 * 8), g->kill.v + 1);
	expect(g, "syscall-table", "sys_call_table[62]", "kernel");
	world_put(g->made.world, gva_add(g->table, 62 * 8), g->helper.v);
	expect(g, "syscall-table", "sys_call_table[62]", "kernel");
}

static void dispatch_of_a_kernel_is_clean(void **state)
{
	struct guest *g = *state;

	assert_int_equal(run(g, "syscall-dispatch"), CHECK_CLEAN);
	/* Once more, out of what is remembered. */
	assert_int_equal(run(g, "syscall-dispatch"), CHECK_CLEAN);
}

static void the_tracer_may_stand_at_the_start(void **state)
{
	struct guest *g = *state;

	begin(g, g->choose);
	memcpy(g->code, world_at(g->made.world, g->choose, CODE_BYTES), CODE_BYTES);
	branch(g, "\xe8", 1, g->tracer);
	finish(g);
	assert_int_equal(run(g, "syscall-dispatch"), CHECK_CLEAN);
	/* … and nowhere else. */
	set_choose(g, g->tracer);
	assert_int_equal(run(g, "syscall-dispatch"), CHECK_FINDING);
}

static void one_branch_to_a_module(void **state)
{
	struct guest *g = *state;

	set_choose(g, g->evil);
	expect(g, "syscall-dispatch", "x64_sys_call[62]", "module evil");
	set_choose(g, g->kill);
	assert_int_equal(run(g, "syscall-dispatch"), CHECK_CLEAN);
}

static void one_branch_to_another_call(void **state)
{
	struct guest *g = *state;

	set_choose(g, g->write);
	expect(g, "syscall-dispatch", "x64_sys_call[62]", "kernel");
}

static void all_branches_to_a_module_are_one_finding(void **state)
{
	struct guest *g = *state;

	begin(g, g->choose);
	branch(g, "\xe9", 1, g->evil);
	finish(g);
	expect(g, "syscall-dispatch", "x64_sys_call", "module evil");
}

static void a_jump_through_a_register(void **state)
{
	struct guest *g = *state;

	/* movabs rax, evil; jmp rax */
	begin(g, g->choose);
	put(g, "\x48\xb8", 2);
	put(g, &g->evil.v, 8);
	put(g, "\xff\xe0", 2);
	finish(g);
	assert_int_equal(run(g, "syscall-dispatch"), CHECK_FINDING);
	begin(g, g->dispatch);
	put(g, "\x48\xb8", 2);
	put(g, &g->evil.v, 8);
	put(g, "\xff\xe0", 2);
	finish(g);
	assert_int_equal(run(g, "syscall-dispatch"), CHECK_FINDING);
}

static void a_jump_through_memory(void **state)
{
	struct guest *g = *state;
	int32_t rel = 0;

	/* jmp [rip]; the address behind it */
	begin(g, g->dispatch);
	put(g, "\xff\x25", 2);
	put(g, &rel, 4);
	put(g, &g->evil.v, 8);
	finish(g);
	assert_int_equal(run(g, "syscall-dispatch"), CHECK_FINDING);
	assert_string_equal(g->result.findings.v[0]->owner, "module evil");
}

static void an_address_that_is_pushed(void **state)
{
	struct guest *g = *state;
	uint32_t low = (uint32_t)g->evil.v;

	/* push evil; ret */
	begin(g, g->dispatch);
	put(g, "\x68", 1);
	put(g, &low, 4);
	put(g, "\xc3", 1);
	finish(g);
	expect(g, "syscall-dispatch", "do_syscall_64", "module evil");
}

static void a_table_that_is_not_the_kernels(void **state)
{
	struct guest *g = *state;
	uint32_t own = (uint32_t)g->table.v, other = (uint32_t)made_pages(&g->made, 1, false).v;

	/* mov rax, [rax*8 + table]; call thunk; ret */
	begin(g, g->dispatch);
	put(g, "\x48\x8b\x04\xc5", 4);
	put(g, &own, 4);
	branch(g, "\xe8", 1, g->thunk);
	put(g, "\xc3", 1);
	finish(g);
	assert_int_equal(run(g, "syscall-dispatch"), CHECK_CLEAN);
	memcpy(g->code + 4, &other, 4);
	finish(g);
	assert_int_equal(run(g, "syscall-dispatch"), CHECK_FINDING);
}

static void a_breakpoint_that_no_kprobe_owns(void **state)
{
	struct guest *g = *state;

	set_dispatch(g, g->choose);
	world_copy(g->made.world, gva_add(g->dispatch, 5), "\xcc", 1);
	assert_int_equal(run(g, "syscall-dispatch"), CHECK_FINDING);
}

static void a_branch_into_the_middle(void **state)
{
	struct guest *g = *state;

	/* Over the first half of an instruction whose other half is one, too. */
	begin(g, g->dispatch);
	put(g, "\xeb\x01\x48\x0f\x1f\x00\xc3", 7);
	finish(g);
	assert_int_equal(run(g, "syscall-dispatch"), CHECK_FINDING);
}

static void what_cannot_be_followed_is_not_clean(void **state)
{
	struct guest *g = *state;

	begin(g, g->choose);
	put(g, "\x0f\xa2\x85\xf6", 4);		/* cpuid; test esi, esi */
	branch(g, "\x0f\x84", 2, g->read);
	branch(g, "\xe9", 1, g->ni);
	finish(g);
	assert_int_equal(run(g, "syscall-dispatch"), CHECK_INCONCLUSIVE);
	begin(g, g->dispatch);
	put(g, "\x06", 1);			/* no instruction */
	finish(g);
	assert_int_equal(run(g, "syscall-dispatch"), CHECK_INCONCLUSIVE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, start, end)
		TEST(tables_of_a_kernel_are_clean),
		TEST(entries_to_elsewhere),
		TEST(entries_to_another_function_of_the_kernel),
		TEST(dispatch_of_a_kernel_is_clean),
		TEST(the_tracer_may_stand_at_the_start),
		TEST(one_branch_to_a_module),
		TEST(one_branch_to_another_call),
		TEST(all_branches_to_a_module_are_one_finding),
		TEST(a_jump_through_a_register),
		TEST(a_jump_through_memory),
		TEST(an_address_that_is_pushed),
		TEST(a_table_that_is_not_the_kernels),
		TEST(a_breakpoint_that_no_kprobe_owns),
		TEST(a_branch_into_the_middle),
		TEST(what_cannot_be_followed_is_not_clean),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
