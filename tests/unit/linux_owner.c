/* SPDX-License-Identifier: Apache-2.0 */
#include "linux/owner.h"

#include <elf.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "linux/exec.h"
#include "linux/module_symbols.h"
#include "linux/owner_table.h"
#include "make/modules.h"
#include "make/torture.h"

struct guest {
	struct made_modules made;
	gva function, data, good, hidden;
	struct owners *owners;
	struct err err;
};

static int start(void **state)
{
	struct guest *g = calloc(1, sizeof(*g));
	const struct made_symbol symbols[] = {
		{ "some_function", 64, &g->function, true },
		{ "some_data", 64, &g->data, false },
	};

	made_modules_open(&g->made, false, symbols, 2);
	g->good = made_module(&g->made, "good");
	g->hidden = made_module(&g->made, "hidden");
	made_off_list(&g->made, g->hidden);
	*state = g;
	return 0;
}

static int end(void **state)
{
	struct guest *g = *state;

	owners_close(&g->owners);
	made_modules_close(&g->made);
	free(g);
	return 0;
}

static void open_owners(struct guest *g)
{
	owners_close(&g->owners);
	assert_int_equal(owners_open(world_kernel(g->made.world), world_view(g->made.world),
				     &g->owners, &g->err), 0);
}

static struct owner ask(struct guest *g, gva at)
{
	struct owner owner;

	assert_int_equal(owner_of(g->owners, at, &owner, &g->err), 0);
	return owner;
}

static void code_of_the_kernel(void **state)
{
	struct guest *g = *state;
	struct owner owner;

	open_owners(g);
	owner = ask(g, gva_add(g->function, 4));
	assert_int_equal(owner.kind, OWNER_KERNEL);
	assert_string_equal(owner.text, "kernel");
	assert_string_equal(owner.symbol, "some_function+0x4");
	assert_int_equal(owner.offset, 4);
	assert_false(owner.is_start);
	assert_true(ask(g, g->function).is_start);
	assert_true(owner_is_function(g->owners, g->function));
	assert_false(owner_is_function(g->owners, gva_add(g->function, 1)));
	assert_false(owner_is_function(g->owners, g->data));	/* no function's letter */
	assert_true(owners_is_kernel_text(g->owners, g->function));
	assert_false(owners_is_kernel_text(g->owners, g->made.list));
}

/* Symbols as the kernel keeps them: the null symbol first. */
static void give_symbols(struct guest *g, gva module)
{
	struct world *world = g->made.world;
	gva text = made_text(&g->made, module);
	Elf64_Sym symbols[] = {
		{ 0 },
		{ .st_name = 1, .st_shndx = 1, .st_value = text.v + 0x10, .st_size = 0x20 },
		{ .st_name = 6, .st_shndx = 1, .st_value = text.v + 0x40 },
		{ .st_name = 12, .st_shndx = 2, .st_value = module.v },
	};
	gva table = world_alloc(world, 32), at = world_alloc(world, sizeof(symbols));
	gva names = world_alloc(world, 64), letters = world_alloc(world, 8);

	world_copy(world, at, symbols, sizeof(symbols));
	world_copy(world, names, "\0open\0close\0data", 17);
	world_copy(world, letters, "?ttd", 4);
	world_set(world, table, "mod_kallsyms.symtab", at.v);
	world_set(world, table, "mod_kallsyms.num_symtab", 4);
	world_set(world, table, "mod_kallsyms.strtab", names.v);
	world_set(world, table, "mod_kallsyms.typetab", letters.v);
	world_set(world, module, "module.kallsyms", table.v);
}

static void code_of_a_module(void **state)
{
	struct guest *g = *state;
	gva text = made_text(&g->made, g->good);
	struct owner owner;

	give_symbols(g, g->good);
	open_owners(g);
	owner = ask(g, gva_add(text, 0x14));
	assert_int_equal(owner.kind, OWNER_MODULE);
	assert_int_equal(owner.object.v, g->good.v);
	assert_string_equal(owner.text, "module good");
	assert_string_equal(owner.symbol, "open+0x4 [good]");
	assert_true(owner_is_function(g->owners, gva_add(text, 0x40)));
	assert_false(owner_is_function(g->owners, g->good));
	owner = ask(g, g->good);
	assert_int_equal(owner.kind, OWNER_NONE);
	assert_string_equal(owner.text, "no one (data of module good)");
}

static void code_of_a_hidden_module_is_no_ones(void **state)
{
	struct guest *g = *state;
	struct owner owner;

	open_owners(g);
	owner = ask(g, made_text(&g->made, g->hidden));
	assert_int_equal(owner.kind, OWNER_NONE);
	assert_int_equal(owner.object.v, g->hidden.v);
	assert_string_equal(owner.text, "no one (text of the hidden module hidden)");
	assert_false(owner_is_function(g->owners, made_text(&g->made, g->hidden)));
}

static void data_and_nothing_are_no_ones(void **state)
{
	struct guest *g = *state;

	open_owners(g);
	assert_string_equal(ask(g, g->made.list).text, "no one (data of the kernel)");
	assert_string_equal(ask(g, world_nowhere()).text, "no one");
	assert_string_equal(ask(g, gva_of(0)).text, "no one");
}

static void an_unknown_address_is_no_ones_only_if_all_could_be_read(void **state)
{
	struct guest *g = *state;
	struct owner owner;

	world_set(g->made.world, g->good, "module.list.next", world_nowhere().v);
	open_owners(g);
	assert_int_equal(owners_modules_error(g->owners), -EFAULT);
	assert_int_equal(owner_of(g->owners, world_nowhere(), &owner, &g->err), -EFAULT);
	assert_int_equal(owner.kind, OWNER_NONE);
	/* What is known is known nevertheless. */
	assert_int_equal(owner_of(g->owners, g->function, &owner, &g->err), 0);
	assert_int_equal(owner_of(g->owners, made_text(&g->made, g->good), &owner, &g->err), 0);
}

static void every_executable_page_is_listed(void **state)
{
	struct guest *g = *state;
	struct exec_ranges exec = { 0 };

	open_owners(g);
	assert_int_equal(exec_read(world_kernel(g->made.world), world_view(g->made.world),
				   g->owners, &exec, &g->err), 0);
	assert_int_equal(exec.list.n, 3);
	assert_int_equal(exec.list.v[0].kind, OWNER_KERNEL);
	assert_int_equal(exec.list.v[0].size_bytes, 2u << 20);
	assert_int_equal(exec.list.v[1].kind, OWNER_MODULE);
	assert_int_equal(exec.list.v[1].object.v, g->good.v);
	assert_int_equal(exec.list.v[2].kind, OWNER_NONE);
	assert_int_equal(exec.list.v[2].start.v, made_text(&g->made, g->hidden).v);
	assert_int_equal(exec.bytes, (2u << 20) + 2 * GUEST_PAGE_SIZE);
	exec_free(&exec);
}

static void pieces_that_overlap_share_no_byte(void **state)
{
	struct pieces pieces = { 0 };
	static const struct {
		uint64_t start, size;
	} in[] = { { 0x3000, 0x1000 }, { 0x1000, 0x1000 }, { 0x1000, 0x2800 }, { 0x3400, 0x100 } };
	const uint64_t base = 0xffffffff80000000ull;

	(void)state;
	for (size_t i = 0; i < 4; i++)
		assert_int_equal(pieces_add(&pieces, OWNER_BPF, gva_of(base + in[i].start),
					    in[i].size, gva_of(i)), 0);
	assert_int_equal(pieces_add(&pieces, OWNER_BPF, gva_of(UINT64_MAX - 1), 16, gva_of(9)), 0);
	assert_int_equal(pieces_add(&pieces, OWNER_BPF, gva_of(0x1000), 16, gva_of(9)), 0);
	pieces_sort(&pieces);
	assert_int_equal(pieces.list.n, 2);
	assert_int_equal(pieces.list.v[0].object.v, 2);
	assert_int_equal(pieces.list.v[1].object.v, 0);
	assert_int_equal(pieces.list.v[1].start.v, base + 0x3800);
	assert_int_equal(pieces.list.v[1].size_bytes, 0x800);
	assert_ptr_equal(pieces_from(&pieces, gva_of(base)), &pieces.list.v[0]);
	assert_ptr_equal(pieces_from(&pieces, gva_of(base + 0x37ff)), &pieces.list.v[0]);
	assert_ptr_equal(pieces_from(&pieces, gva_of(base + 0x3800)), &pieces.list.v[1]);
	assert_null(pieces_from(&pieces, gva_of(base + 0x4000)));
	vec_free(&pieces.list);
}

static void forged_symbol_tables(void **state)
{
	struct guest *g = *state;
	struct world *world = g->made.world;
	struct module_symbols *symbols = NULL;
	struct module_info module = { .at = g->good };
	gva table;

	give_symbols(g, g->good);
	table = gva_of(world_get(world, g->good, "module.kallsyms"));
	assert_int_equal(module_symbols_read(world_kernel(world), world_view(world), &module,
					     &symbols, &g->err), 0);
	assert_int_equal(module_symbols_count(symbols), 3);
	assert_string_equal(module_symbols_get(symbols, 1).name, "close");
	module_symbols_free(&symbols);

	world_set(world, table, "mod_kallsyms.num_symtab", UINT32_MAX);
	assert_int_equal(module_symbols_read(world_kernel(world), world_view(world), &module,
					     &symbols, &g->err), -ELOOP);
	world_set(world, table, "mod_kallsyms.num_symtab", 0);
	assert_int_equal(module_symbols_read(world_kernel(world), world_view(world), &module,
					     &symbols, &g->err), -ENOENT);
	world_set(world, table, "mod_kallsyms.num_symtab", 4);
	world_set(world, table, "mod_kallsyms.strtab", world_nowhere().v);
	assert_int_equal(module_symbols_read(world_kernel(world), world_view(world), &module,
					     &symbols, &g->err), -EFAULT);
	/* A name that begins 4 GiB behind the first. */
	world_set(world, table, "mod_kallsyms.strtab", table.v);
	memset(world_at(world, gva_of(world_get(world, table, "mod_kallsyms.symtab") + 24), 4),
	       0xff, 4);
	assert_int_equal(module_symbols_read(world_kernel(world), world_view(world), &module,
					     &symbols, &g->err), -ELOOP);
	assert_null(symbols);
}

static void memory_that_runs_out_is_told(void **state)
{
	struct guest *g = *state;

	give_symbols(g, g->good);
	for (uint64_t nth = 1; nth < 500; nth++) {
		struct owners *owners = NULL;
		struct owner owner;
		int r;

		torture_allocation(nth);
		r = owners_open(world_kernel(g->made.world), world_view(g->made.world), &owners,
				NULL);
		if (r >= 0)
			r = owner_of(owners, world_nowhere(), &owner, NULL);
		owners_close(&owners);
		if (torture_allocations() < nth) {
			torture_allocation(0);
			assert_int_equal(r, 0);
			return;
		}
		torture_allocation(0);
		assert_true(r == -ENOMEM || r == 0);
	}
	fail_msg("allocations without end");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, start, end)
		TEST(code_of_the_kernel),
		TEST(code_of_a_module),
		TEST(code_of_a_hidden_module_is_no_ones),
		TEST(data_and_nothing_are_no_ones),
		TEST(an_unknown_address_is_no_ones_only_if_all_could_be_read),
		TEST(every_executable_page_is_listed),
		cmocka_unit_test(pieces_that_overlap_share_no_byte),
		TEST(forged_symbol_tables),
		TEST(memory_that_runs_out_is_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
