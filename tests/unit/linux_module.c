/* SPDX-License-Identifier: Apache-2.0 */
#include "linux/module.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/limits.h"
#include "make/modules.h"
#include "make/torture.h"
#include "ram/fake.h"

struct guest {
	struct made_modules made;
	gva first, second;
	struct modules modules;
	struct err err;
};

static int start_as(void **state, bool blocks)
{
	struct guest *g = calloc(1, sizeof(*g));

	made_modules_open(&g->made, blocks, NULL, 0);
	g->first = made_module(&g->made, "first");
	g->second = made_module(&g->made, "second");
	*state = g;
	return 0;
}

static int start(void **state)
{
	return start_as(state, false);
}

static int start_old(void **state)
{
	return start_as(state, true);
}

static int end(void **state)
{
	struct guest *g = *state;

	modules_free(&g->modules);
	made_modules_close(&g->made);
	free(g);
	return 0;
}

static int read_by(struct guest *g, unsigned by)
{
	modules_free(&g->modules);
	memset(&g->modules, 0, sizeof(g->modules));
	return modules_read(world_kernel(g->made.world), world_view(g->made.world), by,
			    &g->modules, &g->err);
}

static void set(struct guest *g, gva object, const char *path, uint64_t value)
{
	world_set(g->made.world, object, path, value);
}

static void modules_come_with_all_ways_that_lead_to_them(void **state)
{
	struct guest *g = *state;
	const struct module_info *module;

	assert_int_equal(read_by(g, MODULE_BY_ALL | MODULE_DETAILS), 0);
	assert_int_equal(g->modules.walked, MODULE_BY_ALL);
	assert_int_equal(g->modules.list.n, 2);
	module = &g->modules.list.v[0];
	assert_string_equal(module->name, "first");
	assert_int_equal(module->at.v, g->first.v);
	assert_int_equal(module->found_by, MODULE_BY_ALL);
	assert_int_equal(module->state, MODULE_LIVE);
	assert_int_equal(module->refcount, 0);
	assert_int_equal(module->area[MODULE_TEXT].at.v, made_text(&g->made, g->first).v);
	assert_int_equal(module->area[MODULE_TEXT].size_bytes, 4096);
	assert_int_equal(module->size_bytes, 8192);
	assert_int_equal(module->error, 0);
	assert_ptr_equal(modules_find(&g->modules, g->second), &g->modules.list.v[1]);
	assert_null(modules_find(&g->modules, gva_add(g->second, 8)));
}

static void a_module_off_the_list_is_found_by_the_tree_and_sysfs(void **state)
{
	struct guest *g = *state;

	made_off_list(&g->made, g->first);
	assert_int_equal(read_by(g, MODULE_BY_LIST), 0);
	assert_int_equal(g->modules.list.n, 1);
	assert_int_equal(read_by(g, MODULE_BY_ALL), 0);
	assert_int_equal(g->modules.list.n, 2);
	assert_int_equal(modules_find(&g->modules, g->first)->found_by,
			 MODULE_BY_TREE | MODULE_BY_SYSFS);
	made_off_tree(&g->made, g->first);
	assert_int_equal(read_by(g, MODULE_BY_ALL), 0);
	assert_int_equal(modules_find(&g->modules, g->first)->found_by, MODULE_BY_SYSFS);
	made_off_sysfs(&g->made, g->first);
	assert_int_equal(read_by(g, MODULE_BY_ALL), 0);
	assert_null(modules_find(&g->modules, g->first));
}

static void parts_of_old_blocks_follow_from_their_sums(void **state)
{
	struct guest *g = *state;
	const struct module_info *module;
	uint64_t text = made_text(&g->made, g->first).v;

	set(g, g->first, "module.core_layout.size", 0x5000);
	set(g, g->first, "module.core_layout.text_size", 0x1000);
	set(g, g->first, "module.core_layout.ro_size", 0x3000);
	set(g, g->first, "module.core_layout.ro_after_init_size", 0x4000);
	assert_int_equal(read_by(g, MODULE_BY_LIST), 0);
	module = &g->modules.list.v[0];
	assert_int_equal(module->area[MODULE_TEXT].size_bytes, 0x1000);
	assert_int_equal(module->area[MODULE_RODATA].at.v, text + 0x1000);
	assert_int_equal(module->area[MODULE_RODATA].size_bytes, 0x2000);
	assert_int_equal(module->area[MODULE_RO_AFTER_INIT].at.v, text + 0x3000);
	assert_int_equal(module->area[MODULE_DATA].at.v, text + 0x4000);
	assert_int_equal(module->area[MODULE_DATA].size_bytes, 0x1000);
	assert_int_equal(module->size_bytes, 0x5000);
}

static void parts_that_overlap_are_an_error(void **state)
{
	struct guest *g = *state;

	set(g, g->first, "module.core_layout.text_size", 0x10000);
	assert_int_equal(read_by(g, MODULE_BY_LIST), -EBADMSG);
	assert_int_equal(g->modules.list.n, 2);
	assert_int_equal(g->modules.list.v[0].error, -EBADMSG);
	assert_int_equal(g->modules.list.v[0].area[MODULE_TEXT].size_bytes, 0);
	assert_int_equal(g->modules.list.v[1].error, 0);
}

static void absurd_sizes_are_left_out_and_told(void **state)
{
	struct guest *g = *state;

	set(g, g->first, "module.mem[0].size", UINT32_MAX);
	assert_int_equal(read_by(g, MODULE_BY_LIST), -EBADMSG);
	assert_int_equal(g->modules.list.v[0].area[MODULE_TEXT].size_bytes, 0);
	set(g, g->first, "module.mem[0].size", 4096);
	set(g, g->first, "module.mem[0].base", 0x1000);
	assert_int_equal(read_by(g, MODULE_BY_LIST), -EBADMSG);
	set(g, g->first, "module.mem[0].base", UINT64_MAX & ~0xfffull);
	set(g, g->first, "module.mem[0].size", 8192);
	assert_int_equal(read_by(g, MODULE_BY_LIST), -EBADMSG);
	assert_int_equal(g->modules.list.v[0].area[MODULE_TEXT].size_bytes, 0);
}

static void a_list_with_a_cycle_never_looks_complete(void **state)
{
	struct guest *g = *state;

	set(g, g->second, "module.list.next",
	    world_member(g->made.world, g->first, "module.list").v);
	assert_int_equal(read_by(g, MODULE_BY_ALL), -EBADMSG);
	assert_false(g->modules.walked & MODULE_BY_LIST);
	assert_true(g->modules.walked & MODULE_BY_TREE);
	assert_int_equal(g->modules.list.n, 2);		/* what was seen is there */
}

static void a_wild_link_never_looks_complete(void **state)
{
	struct guest *g = *state;

	set(g, g->first, "module.list.next", world_nowhere().v);
	assert_int_equal(read_by(g, MODULE_BY_LIST), -EFAULT);
	assert_int_equal(g->modules.walked, 0);
	assert_int_equal(g->modules.list.n, 1);
}

static gva node_of(struct guest *g, gva module, unsigned copy)
{
	return gva_add(world_member(g->made.world, module, "module.mem[0].mtn"),
		       8 + 24ull * copy);
}

static void a_tree_with_a_cycle_never_looks_complete(void **state)
{
	struct guest *g = *state;
	gva first = node_of(g, g->first, 0), last = g->made.last_node[0];

	world_set(g->made.world, last, "rb_node.rb_left", first.v);
	assert_int_equal(read_by(g, MODULE_BY_TREE), -EBADMSG);
	assert_false(g->modules.walked & MODULE_BY_TREE);
	/* A node that claims two parents: one of them is lying. */
	world_set(g->made.world, first, "rb_node.__rb_parent_color", last.v);
	assert_int_equal(read_by(g, MODULE_BY_TREE), -EBADMSG);
}

static void twins_in_a_tree_are_an_error(void **state)
{
	struct guest *g = *state;
	gva first = node_of(g, g->first, 1);

	world_set(g->made.world, first, "rb_node.rb_left",
		  world_get(g->made.world, first, "rb_node.rb_right"));
	assert_int_equal(read_by(g, MODULE_BY_TREE), -EBADMSG);
}

static void nodes_say_which_copy_they_are_in(void **state)
{
	struct guest *g = *state;
	struct module_nodes nodes = { 0 };

	assert_int_equal(module_nodes_read(world_kernel(g->made.world),
					   world_view(g->made.world), &nodes, &g->err), 0);
	assert_int_equal(nodes.list.n, 4);
	for (size_t i = 0; i < nodes.list.n; i++) {
		assert_int_equal(nodes.list.v[i].copies, 3);
		assert_int_equal(nodes.list.v[i].size_bytes, 4096);
	}
	module_nodes_free(&nodes);
	/* The second copy ends at its root. */
	world_put(g->made.world, gva_add(g->made.tree, 16), 0);
	assert_int_equal(module_nodes_read(world_kernel(g->made.world),
					   world_view(g->made.world), &nodes, &g->err), 0);
	assert_int_equal(nodes.list.n, 4);
	assert_int_equal(nodes.list.v[0].copies, 1);
	module_nodes_free(&nodes);
}

static void names_without_an_end_are_cut(void **state)
{
	struct guest *g = *state;
	char name[56];

	memset(name, 'x', sizeof(name));
	world_copy(g->made.world, world_member(g->made.world, g->first, "module.name"), name,
		   sizeof(name));
	assert_int_equal(read_by(g, MODULE_BY_LIST), 0);
	assert_int_equal(strlen(g->modules.list.v[0].name), sizeof(name) - 1);
}

static void details_are_read_when_they_are_asked_for(void **state)
{
	struct guest *g = *state;
	struct world *world = g->made.world;
	gva use = world_alloc(world, 48);

	world_set(world, use, "module_use.source", g->second.v);
	world_list_add(world, world_member(world, g->first, "module.source_list"), use);
	set(g, g->first, "module.version", world_text(world, "1.2").v);
	set(g, g->first, "module.args", world_text(world, "debug=1").v);
	set(g, g->first, "module.taints", 1u << 12 | 1u << 13);
	assert_int_equal(read_by(g, MODULE_BY_LIST), 0);
	assert_string_equal(g->modules.list.v[0].taint, "OE");
	assert_string_equal(g->modules.list.v[0].version, "");
	assert_int_equal(read_by(g, MODULE_BY_LIST | MODULE_DETAILS), 0);
	assert_string_equal(g->modules.list.v[0].version, "1.2");
	assert_string_equal(g->modules.list.v[0].args, "debug=1");
	assert_int_equal(g->modules.list.v[0].used_by.n, 1);
	assert_int_equal(g->modules.list.v[0].used_by.v[0].v, g->second.v);
}

static void users_in_a_cycle_are_an_error(void **state)
{
	struct guest *g = *state;
	gva use = world_alloc(g->made.world, 48);

	world_list_add(g->made.world,
		       world_member(g->made.world, g->first, "module.source_list"), use);
	world_put(g->made.world, use, use.v);
	assert_int_equal(read_by(g, MODULE_BY_LIST | MODULE_DETAILS), -EBADMSG);
	assert_int_equal(g->modules.list.v[0].error, -EBADMSG);
}

/* Each read and each allocation fails once: no crash, and what came out says that it lacks. */
static void every_failure_is_told(void **state)
{
	struct guest *g = *state;
	unsigned failed = 0;

	for (uint64_t nth = 1; nth < 200; nth++) {
		int r;

		torture_allocation(nth);
		r = read_by(g, MODULE_BY_ALL | MODULE_DETAILS);
		torture_allocation(0);
		if (!r)
			break;
		assert_int_equal(r, -ENOMEM);
		failed++;
	}
	assert_true(failed > 3);
	for (uint64_t nth = 1; nth < 200; nth++) {
		struct view *view = world_view(g->made.world);
		int r;

		modules_free(&g->modules);
		memset(&g->modules, 0, sizeof(g->modules));
		fake_fail_after(view_ram(view), nth);
		r = modules_read(world_kernel(g->made.world), view, MODULE_BY_ALL, &g->modules,
				 &g->err);
		fake_fail_after(view_ram(view), 0);
		if (!r)
			return;
		assert_int_equal(r, -EFAULT);
	}
	fail_msg("reads without end");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, start, end)
#define TEST_OLD(name) cmocka_unit_test_setup_teardown(name, start_old, end)
		TEST(modules_come_with_all_ways_that_lead_to_them),
		TEST_OLD(modules_come_with_all_ways_that_lead_to_them),
		TEST(a_module_off_the_list_is_found_by_the_tree_and_sysfs),
		TEST_OLD(a_module_off_the_list_is_found_by_the_tree_and_sysfs),
		TEST_OLD(parts_of_old_blocks_follow_from_their_sums),
		TEST_OLD(parts_that_overlap_are_an_error),
		TEST(absurd_sizes_are_left_out_and_told),
		TEST(a_list_with_a_cycle_never_looks_complete),
		TEST(a_wild_link_never_looks_complete),
		TEST(a_tree_with_a_cycle_never_looks_complete),
		TEST(twins_in_a_tree_are_an_error),
		TEST(nodes_say_which_copy_they_are_in),
		TEST(names_without_an_end_are_cut),
		TEST(details_are_read_when_they_are_asked_for),
		TEST(users_in_a_cycle_are_an_error),
		TEST(every_failure_is_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
