/* SPDX-License-Identifier: Apache-2.0 */
#include "linux/module_symbols.h"

#include <elf.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/cleanup.h"
#include "base/limits.h"
#include "make/world.h"

#define NAMES_BYTES (8u << 20)

static const struct made_struct types[] = {
	{ "module", 64, { { "kallsyms", 8, "ptr" } } },
	{ "mod_kallsyms", 32, { { "symtab", 0, "ptr" }, { "num_symtab", 8, "u32" },
				{ "strtab", 16, "ptr" }, { "typetab", 24, "ptr" } } },
};

static struct {
	struct world *world;
	struct module_info module;
	gva table, symbols, letters, names;
} g;

/* Four symbols: undefined, a function, data, a function without a name. */
static int start(void **state)
{
	static const Elf64_Sym symbols[] = {
		{ .st_name = 1, .st_shndx = SHN_UNDEF },
		{ .st_name = 6, .st_shndx = 1, .st_value = 0xffffffffc0001000, .st_size = 16 },
		{ .st_name = 11, .st_shndx = 2, .st_value = 0xffffffffc0002000, .st_size = 8 },
		{ .st_name = 0, .st_shndx = 1, .st_value = 0xffffffffc0001010 },
	};

	(void)state;
	g.world = world_new();
	world_start(g.world, types, ARRAY_SIZE(types));
	memset(&g.module, 0, sizeof(g.module));
	g.module.at = world_alloc(g.world, 64);
	g.table = world_alloc(g.world, 32);
	g.symbols = world_alloc(g.world, sizeof(symbols));
	g.letters = world_text(g.world, "Utdt");
	g.names = world_alloc(g.world, NAMES_BYTES);
	world_set(g.world, g.module.at, "module.kallsyms", g.table.v);
	world_set(g.world, g.table, "mod_kallsyms.symtab", g.symbols.v);
	world_set(g.world, g.table, "mod_kallsyms.num_symtab", ARRAY_SIZE(symbols));
	world_set(g.world, g.table, "mod_kallsyms.strtab", g.names.v);
	world_set(g.world, g.table, "mod_kallsyms.typetab", g.letters.v);
	world_copy(g.world, g.symbols, symbols, sizeof(symbols));
	world_copy(g.world, g.names, "\0none\0init\0data", 16);
	return 0;
}

static int end(void **state)
{
	(void)state;
	world_end(&g.world);
	return 0;
}

static int read_symbols(struct module_symbols **ret)
{
	return module_symbols_read(world_kernel(g.world), world_view(g.world), &g.module, ret,
				   NULL);
}

static int refused(void)
{
	struct module_symbols *symbols = NULL;
	int r = read_symbols(&symbols);

	assert_null(symbols);
	assert_true(r < 0);
	return r;
}

static void named_and_defined_symbols_are_given(void **state)
{
	cleanup(module_symbols_free) struct module_symbols *symbols = NULL;
	struct module_symbol symbol;

	(void)state;
	assert_int_equal(read_symbols(&symbols), 0);
	assert_int_equal(module_symbols_count(symbols), 2);
	symbol = module_symbols_get(symbols, 0);
	assert_string_equal(symbol.name, "init");
	assert_int_equal(symbol.type, 't');
	assert_int_equal(symbol.at.v, 0xffffffffc0001000);
	assert_int_equal(module_symbols_at(symbols, gva_of(0xffffffffc0002007), &symbol), 0);
	assert_string_equal(symbol.name, "data");
	assert_int_equal(module_symbols_at(symbols, gva_of(0xffffffffc0000fff), &symbol), -ENOENT);
}

static void module_without_symbols(void **state)
{
	(void)state;
	world_set(g.world, g.table, "mod_kallsyms.num_symtab", 0);
	assert_int_equal(refused(), -ENOENT);
	world_set(g.world, g.module.at, "module.kallsyms", 0);
	assert_int_equal(refused(), -ENOENT);
}

static void tables_that_cannot_be(void **state)
{
	static const char *const pointers[] = { "symtab", "strtab", "typetab" };

	(void)state;
	world_set(g.world, g.table, "mod_kallsyms.num_symtab", MODULE_SYMBOLS_MAX + 1);
	assert_int_equal(refused(), -ELOOP);
	world_set(g.world, g.table, "mod_kallsyms.num_symtab", 4);
	for (size_t i = 0; i < ARRAY_SIZE(pointers); i++) {
		char path[64];
		uint64_t before;

		snprintf(path, sizeof(path), "mod_kallsyms.%s", pointers[i]);
		before = world_get(g.world, g.table, path);
		world_set(g.world, g.table, path, world_nowhere().v);
		assert_int_equal(refused(), -EFAULT);
		world_set(g.world, g.table, path, before);
	}
}

/* Every symbol can have the same one: whoever prints them would not end. */
static void names_without_end_are_refused(void **state)
{
	(void)state;
	memset(world_at(g.world, g.names, NAMES_BYTES), 'x', NAMES_BYTES - 1);
	assert_int_equal(refused(), -EBADMSG);
	world_put(g.world, gva_add(g.symbols, sizeof(Elf64_Sym)), UINT32_MAX);
	assert_int_equal(refused(), -ELOOP);
}

#define T(name) cmocka_unit_test_setup_teardown(name, start, end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(named_and_defined_symbols_are_given),
		T(module_without_symbols),
		T(tables_that_cannot_be),
		T(names_without_end_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
