/* SPDX-License-Identifier: Apache-2.0 */
#include "linux/module_sections.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/cleanup.h"
#include "base/limits.h"
#include "make/world.h"

#define COMMON                                                                              \
	{ "attribute", 16, { { "name", 0, "ptr" } } },                                       \
	{ "attribute_group", 40, { { "name", 0, "ptr" }, { "bin_attrs", 32, "ptr" } } },      \
	{ "bin_attribute", 64, { { "attr", 0, "attribute" }, { "private", 24, "ptr" } } },    \
	{ "module_sect_attrs", 48, { { "grp", 0, "attribute_group" } } },                    \
	{ "module", 64, { { "sect_attrs", 8, "ptr" } } }

static const struct made_struct types_new[] = { COMMON };
static const struct made_struct types_old[] = {
	COMMON,
	{ "module_sect_attr", 72, { { "battr", 0, "bin_attribute" }, { "address", 64, "u64" } } },
};

struct guest {
	struct world *world;
	bool old;
	struct module_info module;
	gva attrs, list;
	unsigned n;
	struct module_sections sections;
};

static int start(void **state)
{
	struct guest *g = calloc(1, sizeof(*g));

	g->old = *state != NULL;
	g->world = world_new();
	world_start(g->world, g->old ? types_old : types_new,
		    g->old ? ARRAY_SIZE(types_old) : ARRAY_SIZE(types_new));
	g->module.at = world_alloc(g->world, 64);
	g->attrs = world_alloc(g->world, 64);
	g->list = world_alloc(g->world, 8 * (MODULE_SECTIONS_MAX + 2));
	world_set(g->world, g->module.at, "module.sect_attrs", g->attrs.v);
	world_put(g->world, gva_add(g->attrs, 32), g->list.v);
	*state = g;
	return 0;
}

static int start_old(void **state)
{
	static int yes;

	*state = &yes;
	return start(state);
}

static int start_new(void **state)
{
	*state = NULL;
	return start(state);
}

static int end(void **state)
{
	struct guest *g = *state;

	module_sections_free(&g->sections);
	world_end(&g->world);
	free(g);
	return 0;
}

static void add(struct guest *g, const char *name, uint64_t at)
{
	gva attribute = world_alloc(g->world, 72);

	world_put(g->world, attribute, world_text(g->world, name).v);
	world_put(g->world, gva_add(attribute, g->old ? 64 : 24), at);
	world_put(g->world, gva_add(g->list, 8ull * g->n++), attribute.v);
}

static int read_all(struct guest *g)
{
	return module_sections_read(world_kernel(g->world), world_view(g->world), &g->module,
				    &g->sections, NULL);
}

static void sections_are_read_in_order(void **state)
{
	struct guest *g = *state;

	add(g, ".text", 0x1000);
	add(g, ".a_name_that_is_longer_than_any_that_is_kept_of_it_which_is_63_bytes", 0x2000);
	assert_int_equal(read_all(g), 0);
	assert_int_equal(g->sections.list.n, 2);
	assert_string_equal(g->sections.list.v[0].name, ".text");
	assert_int_equal(g->sections.list.v[0].at.v, 0x1000);
	assert_int_equal(g->sections.list.v[1].at.v, 0x2000);
	assert_int_equal(strlen(g->sections.list.v[1].name), 63);
}

static void a_module_without_a_list(void **state)
{
	struct guest *g = *state;

	world_set(g->world, g->module.at, "module.sect_attrs", 0);
	assert_int_equal(read_all(g), -ENOENT);
}

static void lists_that_lead_astray(void **state)
{
	struct guest *g = *state;

	add(g, ".text", 0x1000);
	world_put(g->world, gva_add(g->list, 8), world_nowhere().v);
	assert_int_equal(read_all(g), -EFAULT);
	world_put(g->world, gva_add(g->attrs, 32), world_nowhere().v);
	assert_int_equal(read_all(g), -EFAULT);
}

static void a_list_without_end(void **state)
{
	struct guest *g = *state;
	uint64_t first;

	add(g, ".text", 0x1000);
	memcpy(&first, world_at(g->world, g->list, 8), 8);
	for (unsigned i = 1; i <= MODULE_SECTIONS_MAX; i++)
		world_put(g->world, gva_add(g->list, 8ull * i), first);
	assert_int_equal(read_all(g), -ELOOP);
}

static void the_build_id_is_in_a_note(void **state)
{
	static const uint8_t note[36] = { 4, 0, 0, 0, 20, 0, 0, 0, 3, 0, 0, 0, 'G', 'N', 'U', 0,
					  0xab, [35] = 0xcd };
	struct guest *g = *state;
	gva at = world_alloc(g->world, 36);
	char id[41];

	world_copy(g->world, at, note, sizeof(note));
	add(g, ".text", 0x1000);
	assert_int_equal(read_all(g), 0);
	assert_int_equal(module_build_id(world_view(g->world), &g->module, &g->sections, id, NULL),
			 -ENOENT);
	add(g, ".note.gnu.build-id", at.v);
	module_sections_free(&g->sections);
	assert_int_equal(read_all(g), 0);
	assert_int_equal(module_build_id(world_view(g->world), &g->module, &g->sections, id, NULL),
			 0);
	assert_string_equal(id, "ab000000000000000000000000000000000000cd");
	*(uint8_t *)world_at(g->world, at, 1) = 5;
	assert_int_equal(module_build_id(world_view(g->world), &g->module, &g->sections, id, NULL),
			 -ENOENT);
	assert_string_equal(id, "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, start_new, end)
		cmocka_unit_test_setup_teardown(sections_are_read_in_order, start_old, end),
		TEST(sections_are_read_in_order),
		TEST(a_module_without_a_list),
		TEST(lists_that_lead_astray),
		TEST(a_list_without_end),
		TEST(the_build_id_is_in_a_note),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
