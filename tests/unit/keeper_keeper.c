/* SPDX-License-Identifier: Apache-2.0 */
#include "keeper/keeper.h"

#include <stdarg.h>
#include <setjmp.h>
#include <stdlib.h>
#include <cmocka.h>

#include "base/limits.h"
#include "make/agent_build.h"
#include "make/tasks.h"

static struct {
	struct made_tasks made;
	struct keeper *keeper;
	gva thread;
	struct err err;
} g;

/* A guest with processes, none of which has memory, and a host that has an agent's program. */
static int setup(void **state)
{
	struct made_build build = made_build();
	struct blob file = made_build_file(&build);
	struct builds builds = {0};
	struct build **slot;
	gva shell, init;

	(void)state;
	made_tasks_open(&g.made);
	init = made_task(&g.made, 1, "init", g.made.init_task);
	shell = made_task(&g.made, 10, "sh", init);
	g.thread = made_thread(&g.made, 11, shell);
	world_set(g.made.world, init, "task_struct.mm", 0);
	world_set(g.made.world, shell, "task_struct.mm", 0);
	world_set(g.made.world, g.thread, "task_struct.mm", 0);
	slot = vec_add(&builds.all);
	assert_non_null(slot);
	assert_int_equal(build_read(&file, "agent", slot, &g.err), 0);
	assert_int_equal(keeper_open(&builds, &g.keeper, &g.err), 0);
	assert_int_equal(builds.all.n, 0);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	keeper_close(&g.keeper);
	made_tasks_close(&g.made);
	return 0;
}

static int look(struct view *view)
{
	g.err = (struct err){0};
	return keeper_look(g.keeper, &g.made.kernel, view, &g.err);
}

static void a_guest_without_one_has_none(void **state)
{
	const struct keeper_agent *agent = keeper_agent(g.keeper);
	struct blob kept = {0};

	(void)state;
	assert_int_equal(look(world_view(g.made.world)), 0);
	assert_int_equal(agent->state, KEEPER_ABSENT);
	assert_int_equal(agent->pid, 0);
	assert_int_equal(agent->processes, 0);
	assert_int_equal(agent->problems.n, 0);
	assert_null(keeper_measured(g.keeper));
	assert_null(keeper_inside(g.keeper));
	assert_null(keeper_build(g.keeper));
	assert_int_equal(keeper_remember(g.keeper, &kept, &g.err), 0);
	assert_int_equal(kept.size, 0);
}

/* Each check of the agent asks: what failed is not tried again, and not forgotten. */
static void a_look_that_failed_fails_again_at_no_cost(void **state)
{
	struct view *view = world_view(g.made.world);
	uint64_t fuel;

	(void)state;
	view_refuel(view, 3);
	assert_int_equal(look(view), -ELOOP);
	assert_string_not_equal(keeper_agent(g.keeper)->unseen[KEEPER_PRESENCE], "");
	view_refuel(view, 2);
	fuel = view_fuel(view);
	assert_int_equal(look(view), -ELOOP);
	assert_int_equal(g.err.code, -ELOOP);
	assert_int_equal(view_fuel(view), fuel);
	assert_string_not_equal(keeper_agent(g.keeper)->unseen[KEEPER_PRESENCE], "");

	/* With more of it, or at another instant, it may go well. */
	view_refuel(view, VIEW_FUEL_SWEEP);
	assert_int_equal(look(view), 0);
	assert_string_equal(keeper_agent(g.keeper)->unseen[KEEPER_PRESENCE], "");
	view_refresh(view);
	view_refuel(view, 3);
	assert_int_equal(look(view), -ELOOP);
	view_refresh(view);
	view_refuel(view, VIEW_FUEL_SWEEP);
	assert_int_equal(look(view), 0);
}

static void a_look_that_went_well_costs_nothing_more(void **state)
{
	struct view *view = world_view(g.made.world);
	uint64_t fuel;

	(void)state;
	assert_int_equal(look(view), 0);
	fuel = view_fuel(view);
	assert_int_equal(look(view), 0);
	assert_int_equal(view_fuel(view), fuel);
}

static void what_others_have_kept_is_refused(void **state)
{
	static const uint8_t zeros[4096];

	(void)state;
	assert_int_equal(keeper_recall(g.keeper, zeros, 0, &g.err), -EBADMSG);
	assert_int_equal(keeper_recall(g.keeper, zeros, 16, &g.err), -EBADMSG);
	assert_int_equal(keeper_recall(g.keeper, zeros, sizeof(zeros), &g.err), -EBADMSG);
	assert_int_equal(look(world_view(g.made.world)), 0);
	assert_int_equal(keeper_agent(g.keeper)->state, KEEPER_ABSENT);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_guest_without_one_has_none),
		TEST(a_look_that_failed_fails_again_at_no_cost),
		TEST(a_look_that_went_well_costs_nothing_more),
		TEST(what_others_have_kept_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
