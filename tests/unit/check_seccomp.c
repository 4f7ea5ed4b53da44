/* SPDX-License-Identifier: Apache-2.0 */
#include "check/check.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/cleanup.h"
#include "check/run.h"
#include "make/tasks.h"

#define MODE_FILTER 2u

/* A parent with a filter, which its two children have from it; the younger has one of its own. */
struct guest {
	struct made_tasks made;
	gva init, parent, older, younger;
	gva filter, second;
	struct check_result result;
};

static void set(struct guest *g, gva at, const char *path, uint64_t value)
{
	world_set(g->made.world, at, path, value);
}

static void confine(struct guest *g, gva task, gva filter, uint32_t filters)
{
	set(g, task, "task_struct.seccomp.mode", filters ? MODE_FILTER : 0);
	set(g, task, "task_struct.seccomp.filter_count", filters);
	set(g, task, "task_struct.seccomp.filter", filter.v);
	set(g, task, "task_struct.thread_info.syscall_work", filters ? 1 : 0);
}

static gva make(struct guest *g, int pid, gva parent)
{
	gva task = made_task(&g->made, pid, "task", parent);

	set(g, task, "task_struct.cred", world_get(g->made.world, task, "task_struct.real_cred"));
	set(g, task, "task_struct.start_boottime", (uint64_t)pid * 1000);
	return task;
}

static int start(void **state)
{
	struct guest *g = calloc(1, sizeof(*g));

	made_tasks_open(&g->made);
	g->init = make(g, 1, g->made.init_task);
	g->parent = make(g, 10, g->init);
	g->older = make(g, 20, g->parent);
	g->younger = make(g, 30, g->parent);
	g->filter = world_alloc(g->made.world, 64);
	g->second = world_alloc(g->made.world, 64);
	set(g, g->second, "seccomp_filter.prev", g->filter.v);
	confine(g, g->parent, g->filter, 1);
	confine(g, g->older, g->filter, 1);
	confine(g, g->younger, g->second, 2);
	*state = g;
	return 0;
}

static int end(void **state)
{
	struct guest *g = *state;

	check_result_clear(&g->result);
	made_tasks_close(&g->made);
	free(g);
	return 0;
}

static enum check_state run(struct guest *g)
{
	check_result_clear(&g->result);
	memset(&g->result, 0, sizeof(g->result));
	check_execute(check_by_id("seccomp"), &g->made.kernel, world_view(g->made.world),
		      &g->result);
	return g->result.state;
}

static void expect(struct guest *g, const char *name)
{
	assert_int_equal(run(g), CHECK_FINDING);
	assert_int_equal(g->result.findings.n, 1);
	assert_string_equal(g->result.findings.v[0]->object_name, name);
}

static void filters_that_are_inherited(void **state)
{
	struct guest *g = *state;

	assert_int_equal(run(g), CHECK_CLEAN);
	assert_int_equal(g->result.covered.v[1].count, 3);
}

static void half_a_filter(void **state)
{
	struct guest *g = *state;

	set(g, g->older, "task_struct.seccomp.mode", 0);
	expect(g, "20");
	confine(g, g->older, g->filter, 1);
	set(g, g->older, "task_struct.thread_info.syscall_work", 0);
	expect(g, "20");
	confine(g, g->older, gva_of(0), 1);
	expect(g, "20");
	confine(g, g->older, gva_of(0), 0);
	set(g, g->older, "task_struct.seccomp.filter_count", 1);
	expect(g, "20");
}

static void whole_filter_of_the_younger(void **state)
{
	struct guest *g = *state;

	confine(g, g->younger, gva_of(0), 0);
	expect(g, "30");
}

/* The older may have been forked before the parent had a filter. */
static void no_filter_of_the_older(void **state)
{
	struct guest *g = *state;

	confine(g, g->older, gva_of(0), 0);
	assert_int_equal(run(g), CHECK_CLEAN);
}

/* An orphan that came from elsewhere. */
static void adopted_child(void **state)
{
	struct guest *g = *state;
	gva signal = gva_of(world_get(g->made.world, g->parent, "task_struct.signal"));

	confine(g, g->younger, gva_of(0), 0);
	set(g, signal, "signal_struct.is_child_subreaper", 1);
	assert_int_equal(run(g), CHECK_CLEAN);
}

static void circle_of_filters_is_inconclusive(void **state)
{
	struct guest *g = *state;

	set(g, g->second, "seccomp_filter.prev", g->second.v);
	assert_int_equal(run(g), CHECK_INCONCLUSIVE);
	set(g, g->second, "seccomp_filter.prev", world_nowhere().v);
	assert_int_equal(run(g), CHECK_INCONCLUSIVE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(filters_that_are_inherited, start, end),
		cmocka_unit_test_setup_teardown(half_a_filter, start, end),
		cmocka_unit_test_setup_teardown(whole_filter_of_the_younger, start, end),
		cmocka_unit_test_setup_teardown(no_filter_of_the_older, start, end),
		cmocka_unit_test_setup_teardown(adopted_child, start, end),
		cmocka_unit_test_setup_teardown(circle_of_filters_is_inconclusive, start, end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
