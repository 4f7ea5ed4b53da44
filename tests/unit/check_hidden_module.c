/* SPDX-License-Identifier: Apache-2.0 */
#include "check/check.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/limits.h"
#include "check/run.h"
#include "make/modules.h"
#include "make/torture.h"
#include "ram/fake.h"

#define UNFORMED 3u
#define COMING	 1u
#define INT3	 0xcc

struct guest {
	struct made_modules made;
	gva first, evil;
	struct check_result result;
};

static int start_as(void **state, bool blocks)
{
	struct guest *g = calloc(1, sizeof(*g));

	made_modules_open(&g->made, blocks, NULL, 0);
	g->first = made_module(&g->made, "first");
	g->evil = made_module(&g->made, "evil");
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

	check_result_clear(&g->result);
	made_modules_close(&g->made);
	free(g);
	return 0;
}

static enum check_state run(struct guest *g)
{
	struct view *view = world_view(g->made.world);

	check_result_clear(&g->result);
	memset(&g->result, 0, sizeof(g->result));
	check_execute(check_by_id("hidden-module"), world_kernel(g->made.world), view, &g->result);
	return g->result.state;
}

/* One finding, about @name, with @title in its title. */
static void expect(struct guest *g, const char *name, const char *title)
{
	assert_int_equal(run(g), CHECK_FINDING);
	assert_int_equal(g->result.findings.n, 1);
	assert_string_equal(g->result.findings.v[0]->object_name, name);
	assert_non_null(strstr(g->result.findings.v[0]->title, title));
}

static uint8_t *text_of(struct guest *g, gva at, uint32_t bytes)
{
	return world_at(g->made.world, at, bytes);
}

static void modules_that_are_everywhere_are_clean(void **state)
{
	struct guest *g = *state;

	assert_int_equal(run(g), CHECK_CLEAN);
	assert_string_equal(g->result.reason, "");
}

static void off_the_list(void **state)
{
	struct guest *g = *state;

	made_off_list(&g->made, g->evil);
	expect(g, "evil", "hidden from the list");
	assert_string_equal(g->result.findings.v[0]->owner, "module evil");
}

static void off_sysfs(void **state)
{
	struct guest *g = *state;

	made_off_sysfs(&g->made, g->evil);
	expect(g, "evil", "hidden from /sys/module");
}

static void off_the_tree(void **state)
{
	struct guest *g = *state;

	made_off_tree(&g->made, g->evil);
	expect(g, "evil", "hidden from the tree");
}

static void off_everything(struct guest *g)
{
	made_off_list(&g->made, g->evil);
	made_off_sysfs(&g->made, g->evil);
	made_off_tree(&g->made, g->evil);
}

static void off_all_three_its_code_is_there(void **state)
{
	struct guest *g = *state;

	text_of(g, made_text(&g->made, g->evil), 1)[0] = 0x90;
	off_everything(g);
	expect(g, "evil", "in no list");
}

static void without_its_struct_its_code_is_there(void **state)
{
	struct guest *g = *state;
	gva text = made_text(&g->made, g->evil);

	text_of(g, text, 1)[0] = 0x90;
	off_everything(g);
	memset(text_of(g, g->evil, 768), 0, 768);
	assert_int_equal(run(g), CHECK_FINDING);
	assert_string_equal(g->result.findings.v[0]->object_kind, "module-code");
	assert_int_equal(g->result.findings.v[0]->object_at.v, text.v);
	assert_string_equal(g->result.findings.v[0]->owner, "no one");
}

/* free_module() waits for readers under module_mutex, with the code still there. */
static void code_of_a_module_that_is_being_unloaded_is_no_finding(void **state)
{
	struct guest *g = *state;

	off_everything(g);
	world_set(g->made.world, g->evil, "module.state", UNFORMED);
	world_set(g->made.world, g->made.mutex, "mutex.owner.counter", g->first.v);
	assert_int_equal(run(g), CHECK_INCONCLUSIVE);
	world_set(g->made.world, g->made.mutex, "mutex.owner.counter", 0);
	world_put(g->made.world, g->made.init_list, g->first.v);
	assert_int_equal(run(g), CHECK_INCONCLUSIVE);
	world_put(g->made.world, g->made.init_list, 0);
	expect(g, "evil", "in no list");
}

static void a_mutex_that_is_held_hides_no_living_module(void **state)
{
	struct guest *g = *state;

	off_everything(g);
	world_set(g->made.world, g->made.mutex, "mutex.owner.counter", g->first.v);
	expect(g, "evil", "in no list");
}

static void unused_memory_and_thunks_are_clean(void **state)
{
	static const uint8_t thunks[] = { 0xff, 0xe1, INT3, 0x41, 0xff, 0xe3, INT3 };
	struct guest *g = *state;
	gva page = made_pages(&g->made, 1, true);

	memset(text_of(g, page, GUEST_PAGE_SIZE), INT3, GUEST_PAGE_SIZE);
	assert_int_equal(run(g), CHECK_CLEAN);
	memcpy(text_of(g, gva_add(page, 64), sizeof(thunks)), thunks, sizeof(thunks));
	assert_int_equal(run(g), CHECK_CLEAN);
	/* One byte more, at the very end, is code. */
	text_of(g, gva_add(page, GUEST_PAGE_SIZE - 1), 1)[0] = 0xc3;
	assert_int_equal(run(g), CHECK_FINDING);
	text_of(g, gva_add(page, GUEST_PAGE_SIZE - 1), 1)[0] = 0xff;
	assert_int_equal(run(g), CHECK_FINDING);
}

static void writable_code_without_an_owner_says_so(void **state)
{
	struct guest *g = *state;
	gva page = made_pages(&g->made, 1, true);

	made_protect(&g->made, page, true, true);
	assert_int_equal(run(g), CHECK_FINDING);
	assert_string_equal(g->result.findings.v[0]->evidence.v[0].found,
			    "4 KiB, executable and writable");
}

static void hidden_by_its_state(void **state)
{
	struct guest *g = *state;

	world_set(g->made.world, g->evil, "module.state", UNFORMED);
	expect(g, "evil", "hidden by its state");
	world_set(g->made.world, g->evil, "module.state", 77);
	expect(g, "evil", "hidden by its state");
}

static void a_module_that_is_being_loaded_is_clean(void **state)
{
	struct guest *g = *state;

	world_set(g->made.world, g->evil, "module.state", UNFORMED);
	made_protect(&g->made, made_text(&g->made, g->evil), false, true);
	made_off_sysfs(&g->made, g->evil);
	assert_int_equal(run(g), CHECK_CLEAN);
	/* It is in sysfs before its init function runs; until then nobody can tell. */
	world_set(g->made.world, g->evil, "module.state", COMING);
	made_protect(&g->made, made_text(&g->made, g->evil), true, false);
	assert_int_equal(run(g), CHECK_INCONCLUSIVE);
}

static void a_module_that_waits_to_be_unloaded_is_no_finding(void **state)
{
	struct guest *g = *state;

	world_set(g->made.world, g->evil, "module.state", UNFORMED);
	made_off_sysfs(&g->made, g->evil);
	expect(g, "evil", "hidden by its state");
	world_set(g->made.world, g->evil, "module.refcnt.counter", 0);
	assert_int_equal(run(g), CHECK_INCONCLUSIVE);
}

static void names_that_are_none(void **state)
{
	struct guest *g = *state;
	gva name = world_member(g->made.world, g->evil, "module.name");

	world_copy(g->made.world, name, "\0", 1);
	assert_int_equal(run(g), CHECK_FINDING);
	assert_non_null(strstr(g->result.findings.v[0]->object_name, "(no name) at 0x"));
	world_copy(g->made.world, name, "a\033[2J", 6);
	assert_int_equal(run(g), CHECK_FINDING);
	assert_non_null(strstr(g->result.findings.v[0]->title, "name was wiped"));
}

static void a_node_that_stands_for_something_else(void **state)
{
	struct guest *g = *state;

	world_set(g->made.world, g->evil, "module.mem[0].mtn.mod", g->first.v);
	assert_int_equal(run(g), CHECK_FINDING);
	assert_non_null(strstr(g->result.findings.v[0]->title, "forged node"));
}

static void text_that_claims_its_neighbour(void **state)
{
	struct guest *g = *state;

	/* Text, data and the guard page, as if all of it were text. */
	world_set(g->made.world, g->first, "module.mem[0].size", 3 * GUEST_PAGE_SIZE);
	assert_int_equal(run(g), CHECK_FINDING);
	assert_string_equal(g->result.findings.v[0]->object_name, "first");
}

static void lists_that_lie_are_never_clean(void **state)
{
	struct guest *g = *state;

	world_set(g->made.world, g->evil, "module.list.next",
		  world_member(g->made.world, g->first, "module.list").v);
	assert_int_equal(run(g), CHECK_INCONCLUSIVE);
	assert_non_null(strstr(g->result.reason, "list of modules"));
}

static void a_tree_that_lies_is_never_clean(void **state)
{
	struct guest *g = *state;

	world_put(g->made.world, gva_add(g->made.tree, 8), world_nowhere().v);
	assert_int_equal(run(g), CHECK_INCONCLUSIVE);
}

static bool found(const struct guest *g, const char *name)
{
	for (size_t i = 0; i < g->result.findings.n; i++)
		if (!strcmp(g->result.findings.v[i]->object_name, name))
			return true;
	return false;
}

static void what_else_is_corrupt_is_no_excuse(void **state)
{
	struct guest *g = *state;

	text_of(g, made_text(&g->made, g->evil), 1)[0] = 0x90;
	off_everything(g);
	world_set(g->made.world, g->first, "module.mem[1].size", UINT32_MAX);
	assert_int_equal(run(g), CHECK_FINDING);
	assert_non_null(strstr(g->result.reason, "not all modules"));
	assert_true(found(g, "evil"));
	world_put(g->made.world, gva_add(g->made.tree, 8), world_nowhere().v);
	assert_int_equal(run(g), CHECK_FINDING);
	assert_true(found(g, "evil"));
}

static void init_code_that_stays_is_not_clean(void **state)
{
	struct guest *g = *state;
	gva code = made_pages(&g->made, 1, true);

	world_set(g->made.world, g->first, "module.mem[4].base", code.v);
	world_set(g->made.world, g->first, "module.mem[4].size", GUEST_PAGE_SIZE);
	assert_int_not_equal(run(g), CHECK_CLEAN);
}

/* Whatever fails, and whenever: never clean, and never another finding than the true one. */
static void every_failure_is_told(void **state)
{
	struct guest *g = *state;

	made_off_list(&g->made, g->evil);
	for (uint64_t nth = 1;; nth++) {
		enum check_state now;

		torture_allocation(nth);
		now = run(g);
		if (torture_allocations() < nth) {
			torture_allocation(0);
			break;
		}
		torture_allocation(0);
		assert_int_not_equal(now, CHECK_CLEAN);
	}
	for (uint64_t nth = 1; nth < 500; nth++) {
		struct view *view = world_view(g->made.world);

		fake_fail_after(view_ram(view), nth);
		check_result_clear(&g->result);
		memset(&g->result, 0, sizeof(g->result));
		check_execute(check_by_id("hidden-module"), world_kernel(g->made.world), view,
			      &g->result);
		fake_fail_after(view_ram(view), 0);
		assert_int_not_equal(g->result.state, CHECK_CLEAN);
		for (size_t i = 0; i < g->result.findings.n; i++)
			assert_string_equal(g->result.findings.v[i]->object_name, "evil");
		if (g->result.state == CHECK_FINDING && !g->result.reason[0])
			return;
	}
	fail_msg("reads without end");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, start, end)
#define TEST_OLD(name) cmocka_unit_test_setup_teardown(name, start_old, end)
		TEST(modules_that_are_everywhere_are_clean),
		TEST_OLD(modules_that_are_everywhere_are_clean),
		TEST(off_the_list),
		TEST_OLD(off_the_list),
		TEST(off_sysfs),
		TEST(off_the_tree),
		TEST_OLD(off_the_tree),
		TEST(off_all_three_its_code_is_there),
		TEST_OLD(off_all_three_its_code_is_there),
		TEST(without_its_struct_its_code_is_there),
		TEST(code_of_a_module_that_is_being_unloaded_is_no_finding),
		TEST(a_mutex_that_is_held_hides_no_living_module),
		TEST(unused_memory_and_thunks_are_clean),
		TEST(writable_code_without_an_owner_says_so),
		TEST(hidden_by_its_state),
		TEST(a_module_that_is_being_loaded_is_clean),
		TEST(a_module_that_waits_to_be_unloaded_is_no_finding),
		TEST(names_that_are_none),
		TEST(a_node_that_stands_for_something_else),
		TEST(text_that_claims_its_neighbour),
		TEST(lists_that_lie_are_never_clean),
		TEST(a_tree_that_lies_is_never_clean),
		TEST(what_else_is_corrupt_is_no_excuse),
		TEST(init_code_that_stays_is_not_clean),
		TEST(every_failure_is_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
