/* SPDX-License-Identifier: Apache-2.0 */
#include "linux/task_set.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>

#include "base/cleanup.h"
#include "make/world.h"

#define STACK_BYTES 16384u
#define AREA_BYTES  (STACK_BYTES + 4096u)
#define DEAD	    0x80u	/* TASK_DEAD */
#define EXIT_DEAD   0x10u

static const struct made_struct types[] = {
	{ "list_head", 16, { { "next", 0, "ptr" }, { "prev", 8, "ptr" } } },
	{ "rb_node", 24, { { "__rb_parent_color", 0, "u64" }, { "rb_right", 8, "ptr" },
			   { "rb_left", 16, "ptr" } } },
	{ "vm_struct", 64, { { "nr_pages", 0, "u32" }, { "caller", 8, "ptr" } } },
	{ "vmap_area", 64, { { "va_start", 0, "u64" }, { "va_end", 8, "u64" },
			     { "rb_node", 16, "rb_node" }, { "list", 40, "list_head" },
			     { "vm", 56, "ptr" } } },
	{ "thread_struct", 64, { { "sp", 24, "u64" } } },
	{ "task_struct", 192, { { "stack", 0, "ptr" }, { "__state", 8, "u32" },
				{ "exit_state", 12, "u32" }, { "signal", 16, "ptr" },
				{ "sighand", 24, "ptr" }, { "cred", 32, "ptr" },
				{ "thread", 64, "thread_struct" } } },
};

struct guest {
	struct world *world;
	gva areas, known, lost, lost_stack;
	struct task_set set;
	uint64_t stacks;
	struct err err;
};

static gva make_area(struct guest *g, uint64_t bytes)
{
	gva stack = world_alloc(g->world, AREA_BYTES), area = world_alloc(g->world, 64);

	world_set(g->world, area, "vmap_area.va_start", stack.v);
	world_set(g->world, area, "vmap_area.va_end", stack.v + bytes);
	world_list_add(g->world, g->areas, world_member(g->world, area, "vmap_area.list"));
	return stack;
}

static gva make_task(struct guest *g, gva stack)
{
	gva task = world_alloc(g->world, 192);

	world_set(g->world, task, "task_struct.stack", stack.v);
	world_set(g->world, task, "task_struct.thread.sp", stack.v + STACK_BYTES - 512);
	world_set(g->world, task, "task_struct.signal", task.v);
	world_set(g->world, task, "task_struct.sighand", task.v);
	world_set(g->world, task, "task_struct.cred", task.v);
	return task;
}

/* A task that is in a view, and one that is in none: it left its address on its stack. */
static int start(void **state)
{
	struct guest *g = calloc(1, sizeof(*g));
	struct task_seen *seen;

	g->world = world_new();
	world_symbol(g->world, "init_task", 192);
	g->areas = world_symbol(g->world, "vmap_area_list", 16);
	world_start(g->world, types, ARRAY_SIZE(types));
	world_put(g->world, g->areas, g->areas.v);
	world_put(g->world, gva_add(g->areas, 8), g->areas.v);
	g->known = make_task(g, make_area(g, AREA_BYTES));
	g->lost_stack = make_area(g, AREA_BYTES);
	g->lost = make_task(g, g->lost_stack);
	world_put(g->world, gva_add(g->lost_stack, STACK_BYTES - 600), g->lost.v);
	assert_int_equal(task_set_open(world_kernel(g->world), world_view(g->world), &g->set,
				       &g->err), 0);
	assert_int_equal(task_set_add(&g->set, g->known, VIEW_LIST, &seen, &g->err), 0);
	*state = g;
	return 0;
}

static int end(void **state)
{
	struct guest *g = *state;

	task_set_close(&g->set);
	world_end(&g->world);
	free(g);
	return 0;
}

static int look(struct guest *g)
{
	world_view(g->world);
	return tasks_by_stack(&g->set, &g->stacks, &g->err);
}

static void a_task_in_no_view_is_found(void **state)
{
	struct guest *g = *state;

	assert_int_equal(look(g), 0);
	assert_int_equal(g->stacks, 1);
	assert_int_equal(g->set.n, 2);
	assert_int_equal(g->set.v[1].at.v, g->lost.v);
	assert_int_equal(g->set.v[1].views, 1u << VIEW_STACKS);
}

/* Who takes the stack's address out of its task must go on there all the same. */
static void where_it_sleeps_gives_it_away(void **state)
{
	struct guest *g = *state;

	world_set(g->world, g->lost, "task_struct.stack", 0);
	assert_int_equal(look(g), 0);
	assert_int_equal(g->set.n, 2);
}

static void a_freed_stack_leads_to_nobody(void **state)
{
	struct guest *g = *state;

	world_set(g->world, g->lost, "task_struct.stack", 0);
	world_set(g->world, g->lost, "task_struct.__state", DEAD);
	assert_int_equal(look(g), 0);
	assert_int_equal(g->set.n, 1);
	world_set(g->world, g->lost, "task_struct.__state", 0);
	world_set(g->world, g->lost, "task_struct.exit_state", EXIT_DEAD);
	assert_int_equal(look(g), 0);
	assert_int_equal(g->set.n, 1);
}

/* What was a task once, and is other memory by now, but for where its stack pointer was. */
static void what_is_no_task_any_more_leads_to_nobody(void **state)
{
	static const char *const lost[] = {
		"task_struct.signal", "task_struct.sighand", "task_struct.cred",
	};
	struct guest *g = *state;

	world_set(g->world, g->lost, "task_struct.stack", 0);
	for (size_t i = 0; i < ARRAY_SIZE(lost); i++) {
		uint64_t was = world_get(g->world, g->lost, lost[i]);

		world_set(g->world, g->lost, lost[i], 0x1234);
		assert_int_equal(look(g), 0);
		assert_int_equal(g->set.n, 1);
		world_set(g->world, g->lost, lost[i], was);
	}
}

static void areas_of_other_sizes_are_no_stacks(void **state)
{
	struct guest *g = *state;
	gva other = make_area(g, 8192);

	world_set(g->world, g->lost, "task_struct.stack", 0);
	world_set(g->world, g->lost, "task_struct.thread.sp", 0);
	world_set(g->world, g->lost, "task_struct.stack", other.v);
	world_put(g->world, gva_add(other, 4096), g->lost.v);
	assert_int_equal(look(g), 0);
	assert_int_equal(g->set.n, 1);
}

static void a_broken_list_of_areas_is_told(void **state)
{
	struct guest *g = *state;

	world_put(g->world, g->areas, world_nowhere().v);
	assert_int_equal(look(g), -EFAULT);
	world_put(g->world, g->areas, 0x1234);
	assert_int_equal(look(g), -EBADMSG);
}

static void a_kernel_without_areas_is_told(void **state)
{
	struct guest *g = *state;

	world_set(g->world, g->known, "task_struct.stack", 0);
	assert_int_equal(look(g), -ENOENT);
}

/* A stack full of pointers, and areas that share it, end by the fuel. */
static void shared_pages_cost_fuel(void **state)
{
	struct guest *g = *state;
	struct view *view = world_view(g->world);

	for (uint32_t i = 0; i < STACK_BYTES; i += 8)
		world_put(g->world, gva_add(g->lost_stack, i), g->known.v + i * 8);
	view_refresh(view);
	view_refuel(view, 200);
	assert_int_equal(tasks_by_stack(&g->set, &g->stacks, &g->err), -ELOOP);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_task_in_no_view_is_found, start, end),
		cmocka_unit_test_setup_teardown(where_it_sleeps_gives_it_away, start, end),
		cmocka_unit_test_setup_teardown(a_freed_stack_leads_to_nobody, start, end),
		cmocka_unit_test_setup_teardown(what_is_no_task_any_more_leads_to_nobody, start, end),
		cmocka_unit_test_setup_teardown(areas_of_other_sizes_are_no_stacks, start, end),
		cmocka_unit_test_setup_teardown(a_broken_list_of_areas_is_told, start, end),
		cmocka_unit_test_setup_teardown(a_kernel_without_areas_is_told, start, end),
		cmocka_unit_test_setup_teardown(shared_pages_cost_fuel, start, end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
