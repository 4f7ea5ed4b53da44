/* SPDX-License-Identifier: Apache-2.0 */
#include "check/check.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/cleanup.h"
#include "base/limits.h"
#include "check/run.h"
#include "make/tasks.h"
#include "ram/fake.h"

#define PF_EXITING  0x4u
#define TASK_NEW    0x800u
#define EXIT_DEAD   0x10u
#define EXIT_ZOMBIE 0x20u

struct guest {
	struct made_tasks made;
	gva init, shell, sleeper, thread;
	struct check_result result;
};

/* PID 1 with a shell, which has a child that sleeps and has a second thread. */
static int start(void **state)
{
	struct guest *g = calloc(1, sizeof(*g));

	made_tasks_open(&g->made);
	g->init = made_task(&g->made, 1, "init", g->made.init_task);
	g->shell = made_task(&g->made, 10, "sh", g->init);
	g->sleeper = made_task(&g->made, 20, "sleep", g->shell);
	g->thread = made_thread(&g->made, 21, g->sleeper);
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
	check_execute(check_by_id("hidden-task"), &g->made.kernel, world_view(g->made.world),
		      &g->result);
	return g->result.state;
}

static void set(struct guest *g, gva task, const char *path, uint64_t value)
{
	world_set(g->made.world, task, path, value);
}

static gva member(struct guest *g, gva task, const char *path)
{
	return world_member(g->made.world, task, path);
}

static bool tells(const struct finding *finding, const char *what, const char *found)
{
	for (size_t i = 0; i < finding->evidence.n; i++)
		if (!strcmp(finding->evidence.v[i].what, what) &&
		    !strcmp(finding->evidence.v[i].found, found))
			return true;
	return false;
}

/* One finding, of task @name, which is missing from @views ("," between them, none behind). */
static void expect_missing(struct guest *g, const char *name, const char *views)
{
	const struct finding *finding;
	char title[256];

	assert_int_equal(run(g), CHECK_FINDING);
	assert_int_equal(g->result.findings.n, 1);
	finding = g->result.findings.v[0];
	assert_string_equal(finding->object_kind, "task");
	assert_string_equal(finding->object_name, name);
	snprintf(title, sizeof(title), "missing from %s", views);
	assert_non_null(strstr(finding->title, title));
	assert_string_equal(strstr(finding->title, title), title);
}

static uint64_t covered(const struct guest *g, const char *what)
{
	for (size_t i = 0; i < g->result.covered.n; i++)
		if (!strcmp(g->result.covered.v[i].what, what))
			return g->result.covered.v[i].count;
	return UINT64_MAX;
}

static void tasks_that_are_everywhere_are_clean(void **state)
{
	struct guest *g = *state;

	made_run(&g->made, g->shell);
	made_run(&g->made, g->thread);
	assert_int_equal(run(g), CHECK_CLEAN);
	assert_int_equal(covered(g, "tasks"), 4);
	assert_int_equal(covered(g, "processes in the task list"), 3);
	assert_int_equal(covered(g, "threads in their groups"), 4);
	assert_int_equal(covered(g, "children of tasks"), 3);
	assert_int_equal(covered(g, "tasks in the PID map"), 4);
	assert_int_equal(covered(g, "processes in groups and sessions"), 3);
	assert_int_equal(covered(g, "tasks in control groups"), 4);
	assert_int_equal(covered(g, "tasks on run queues"), 2);
	assert_int_equal(covered(g, "tasks in PID maps of containers"), 0);
}

static void a_task_out_of_the_list_is_found(void **state)
{
	struct guest *g = *state;

	made_unlink(&g->made, member(g, g->sleeper, "task_struct.tasks"));
	expect_missing(g, "20", "task list");
	assert_true(tells(g->result.findings.v[0], "task list", "missing"));
	assert_true(tells(g->result.findings.v[0], "PID map", "there"));
	assert_true(tells(g->result.findings.v[0], "control groups", "there"));
}

static void a_task_out_of_the_pid_map_is_found(void **state)
{
	struct guest *g = *state;

	made_forget(&g->made, 20);
	expect_missing(g, "20", "PID map");
}

static void a_thread_out_of_the_pid_map_is_found(void **state)
{
	struct guest *g = *state;

	made_forget(&g->made, 21);
	expect_missing(g, "21", "PID map");
}

static void a_thread_out_of_its_group_is_found(void **state)
{
	struct guest *g = *state;

	made_unlink(&g->made, member(g, g->thread, "task_struct.thread_node"));
	expect_missing(g, "21", "thread group");
}

static void a_child_without_a_parent_is_found(void **state)
{
	struct guest *g = *state;

	made_unlink(&g->made, member(g, g->sleeper, "task_struct.sibling"));
	expect_missing(g, "20", "children of a task");
}

static void a_task_out_of_its_control_group_is_found(void **state)
{
	struct guest *g = *state;

	made_unlink(&g->made, member(g, g->sleeper, "task_struct.cg_list"));
	expect_missing(g, "20", "control groups");
}

/* What sleeps and is in neither list nor map still has a parent, or a control group. */
static void a_sleeper_with_one_trace_left_is_found(void **state)
{
	static const char *const traces[] = { "task_struct.sibling", "task_struct.cg_list" };
	struct guest *g = *state;
	gva heads[2];

	heads[0] = member(g, g->shell, "task_struct.children");
	heads[1] = member(g, g->made.css_set, "css_set.tasks");
	for (size_t i = 0; i < ARRAY_SIZE(traces); i++) {
		gva ghost = made_task(&g->made, 40 + (int)i, "ghost", g->shell);

		made_hide(&g->made, ghost);
		assert_int_equal(run(g), CHECK_CLEAN);
		world_list_add(g->made.world, heads[i], member(g, ghost, traces[i]));
		assert_int_equal(run(g), CHECK_FINDING);
		assert_int_equal(g->result.findings.n, 1);
		assert_int_equal(g->result.findings.v[0]->object_at.v, ghost.v);
		made_unlink(&g->made, member(g, ghost, traces[i]));
	}
}

static void what_runs_is_found_wherever_it_is_missing(void **state)
{
	struct guest *g = *state;
	gva ghost = made_task(&g->made, 40, "ghost", g->shell);

	made_hide(&g->made, ghost);
	made_run(&g->made, g->shell);
	made_run(&g->made, ghost);
	expect_missing(g, "40", "task list, thread group, children of a task, PID map, "
		       "control groups");
	/* The list that CPUs are balanced with can do without it, the tree cannot. */
	made_unlink(&g->made, member(g, ghost, "task_struct.se.group_node"));
	assert_int_equal(run(g), CHECK_FINDING);
	assert_int_equal(g->result.findings.n, 1);
}

static void what_the_cpu_is_at_is_found(void **state)
{
	struct guest *g = *state;
	gva ghost = made_task(&g->made, 40, "ghost", g->shell);

	made_hide(&g->made, ghost);
	set(g, g->made.rq, "rq.curr", ghost.v);
	assert_int_equal(run(g), CHECK_FINDING);
	set(g, g->made.rq, "rq.curr", g->made.init_task.v);
	assert_int_equal(run(g), CHECK_CLEAN);
	world_put(g->made.world, g->made.current, ghost.v);
	assert_int_equal(run(g), CHECK_FINDING);
	world_put(g->made.world, g->made.current, g->made.init_task.v);
	set(g, g->made.rq, "rq.stop", ghost.v);
	assert_int_equal(run(g), CHECK_FINDING);
}

static void tasks_of_all_classes_and_groups_are_found(void **state)
{
	struct guest *g = *state;
	struct world *world = g->made.world;
	gva ghost = made_task(&g->made, 40, "ghost", g->shell), group, queue;

	made_hide(&g->made, ghost);
	queue = gva_add(member(g, g->made.rq, "rq.rt.active.queue"), 16 * 99);
	world_list_add(world, queue, member(g, ghost, "task_struct.rt.run_list"));
	assert_int_equal(run(g), CHECK_FINDING);
	made_unlink(&g->made, member(g, ghost, "task_struct.rt.run_list"));
	assert_int_equal(run(g), CHECK_CLEAN);

	set(g, g->made.rq, "rq.dl.root.rb_root.rb_node",
	    member(g, ghost, "task_struct.dl.rb_node").v);
	assert_int_equal(run(g), CHECK_FINDING);
	set(g, g->made.rq, "rq.dl.root.rb_root.rb_node", 0);

	/* An entity of a control group leads to that group's queue. */
	group = world_alloc(world, 128);
	queue = world_alloc(world, 128);
	set(g, group, "sched_entity.my_q", queue.v);
	set(g, queue, "cfs_rq.tasks_timeline.rb_root.rb_node",
	    member(g, ghost, "task_struct.se.run_node").v);
	set(g, g->made.rq, "rq.cfs.tasks_timeline.rb_root.rb_node",
	    member(g, group, "sched_entity.run_node").v);
	assert_int_equal(run(g), CHECK_FINDING);
	set(g, queue, "cfs_rq.tasks_timeline.rb_root.rb_node", 0);
	set(g, queue, "cfs_rq.curr", member(g, ghost, "task_struct.se").v);
	assert_int_equal(run(g), CHECK_FINDING);

	/* A group's queue in itself: no cycle is followed, and none is clean. */
	set(g, queue, "cfs_rq.curr", group.v);
	assert_int_equal(run(g), CHECK_INCONCLUSIVE);
}

/* The server of the deadline class lies in the run queue; only there it is none of the tasks. */
static void a_deadline_server_is_no_task(void **state)
{
	struct guest *g = *state;
	gva server = gva_add(g->made.rq, 3072);

	set(g, g->made.rq, "rq.dl.root.rb_root.rb_node", server.v);
	assert_int_equal(run(g), CHECK_CLEAN);
}

static void a_task_in_the_idle_tasks_place_is_found(void **state)
{
	struct guest *g = *state;
	gva ghost = made_task(&g->made, 40, "ghost", g->shell);

	made_hide(&g->made, ghost);
	set(g, g->made.rq, "rq.idle", ghost.v);
	set(g, g->made.rq, "rq.curr", ghost.v);
	assert_int_equal(run(g), CHECK_FINDING);
	/* The more it looks like one, the less it can be anything else. */
	set(g, ghost, "task_struct.pid", 0);
	set(g, ghost, "task_struct.tgid", 0);
	assert_int_equal(run(g), CHECK_FINDING);
	world_put(g->made.world, g->made.idle_threads, ghost.v);
	assert_int_equal(run(g), CHECK_FINDING);
	set(g, ghost, "task_struct.mm", 0);
	assert_int_equal(run(g), CHECK_FINDING);
	set(g, ghost, "task_struct.sched_class", g->made.idle_class.v);
	assert_int_equal(run(g), CHECK_CLEAN);
}

static void a_false_leader_hides_nobody(void **state)
{
	struct guest *g = *state;

	made_unlink(&g->made, member(g, g->sleeper, "task_struct.tasks"));
	set(g, g->sleeper, "task_struct.group_leader", g->shell.v);
	set(g, g->sleeper, "task_struct.tgid", 10);
	assert_int_equal(run(g), CHECK_FINDING);
	/* As a thread of the other it would have to be among its threads. */
	set(g, g->sleeper, "task_struct.signal",
	    world_get(g->made.world, g->shell, "task_struct.signal"));
	assert_int_equal(run(g), CHECK_FINDING);
}

static void a_wrong_pid_is_found(void **state)
{
	struct guest *g = *state;

	set(g, g->sleeper, "task_struct.pid", 0);
	assert_int_equal(run(g), CHECK_FINDING);
	assert_int_equal(g->result.findings.n, 1);
	assert_string_equal(g->result.findings.v[0]->object_name, "20");
	assert_true(tells(g->result.findings.v[0], "task_struct.pid", "0"));
}

/* Who asks for 20 does not find it under 30. */
static void a_number_in_the_wrong_place_is_found(void **state)
{
	struct guest *g = *state;
	gva number = gva_of(world_get(g->made.world, g->sleeper, "task_struct.thread_pid"));

	made_forget(&g->made, 20);
	world_put(g->made.world, gva_add(member(g, g->made.map, "xa_node.slots"), 8 * 30),
		  number.v);
	expect_missing(g, "20", "PID map");
}

static void containers_have_maps_of_their_own(void **state)
{
	struct guest *g = *state;
	gva ns = made_namespace(&g->made), other = made_task(&g->made, 41, "other", g->init);
	gva inside = made_task(&g->made, 40, "inside", g->init), node;

	made_inside(&g->made, other, ns, 1);
	made_inside(&g->made, inside, ns, 2);
	assert_int_equal(run(g), CHECK_CLEAN);
	assert_int_equal(covered(g, "tasks in PID maps of containers"), 2);

	/* Hidden from the outer one, it is still in the inner one; and the other way round. */
	made_hide(&g->made, inside);
	assert_int_equal(run(g), CHECK_CLEAN);	/* its pid_links are gone as well */
	world_hlist_add(g->made.world,
			gva_of(world_get(g->made.world, inside, "task_struct.thread_pid") + 16),
			member(g, inside, "task_struct.pid_links"));
	assert_int_equal(run(g), CHECK_FINDING);
	assert_int_equal(g->result.findings.v[0]->object_at.v, inside.v);

	node = gva_of(world_get(g->made.world, ns, "pid_namespace.idr.idr_rt.xa_head") - 2);
	world_put(g->made.world, gva_add(member(g, node, "xa_node.slots"), 8 * 2), 0);
	world_put(g->made.world, gva_add(member(g, node, "xa_node.slots"), 8), 0);
	assert_int_equal(run(g), CHECK_FINDING);
	assert_string_equal(g->result.findings.v[0]->object_name, "41");
	assert_true(tells(g->result.findings.v[0], "PID map of a container", "missing"));
}

static void zombies_are_clean(void **state)
{
	struct guest *g = *state;

	set(g, g->sleeper, "task_struct.exit_state", EXIT_ZOMBIE);
	set(g, g->sleeper, "task_struct.flags", PF_EXITING);
	set(g, g->sleeper, "task_struct.mm", 0);
	made_unlink(&g->made, member(g, g->sleeper, "task_struct.cg_list"));
	assert_int_equal(run(g), CHECK_CLEAN);
}

/* A task that has ended: everything is gone but what runs its last instructions. */
static gva make_dead(struct guest *g)
{
	gva dead = made_task(&g->made, 40, "dead", g->shell);

	made_hide(&g->made, dead);
	set(g, dead, "task_struct.exit_state", EXIT_DEAD);
	set(g, dead, "task_struct.flags", PF_EXITING);
	set(g, dead, "task_struct.mm", 0);
	set(g, dead, "task_struct.fs", 0);
	set(g, dead, "task_struct.files", 0);
	set(g, dead, "task_struct.nsproxy", 0);
	set(g, dead, "task_struct.thread_pid", 0);
	made_run(&g->made, dead);
	return dead;
}

static void a_task_at_its_end_is_neither_clean_nor_found(void **state)
{
	struct guest *g = *state;
	gva dead = make_dead(g);

	assert_int_equal(run(g), CHECK_INCONCLUSIVE);
	assert_non_null(strstr(g->result.reason, "'dead' is ending"));
	/* It computes a little more while it ends, but not for seconds. */
	set(g, dead, "task_struct.se.sum_exec_runtime", 1000000);
	assert_int_equal(run(g), CHECK_INCONCLUSIVE);
	set(g, dead, "task_struct.se.sum_exec_runtime", 3000000000);
	assert_int_equal(run(g), CHECK_FINDING);
}

static void the_living_cannot_pass_for_dead(void **state)
{
	static const struct {
		const char *path;
		uint64_t value;
	} signs[] = {
		{ "task_struct.exit_state", EXIT_ZOMBIE },
		{ "task_struct.flags", 0 },
		{ "task_struct.mm", 0xffff888000001000 },
		{ "task_struct.fs", 0xffff888000001000 },
		{ "task_struct.files", 0xffff888000001000 },
		{ "task_struct.nsproxy", 0xffff888000001000 },
	};
	struct guest *g = *state;
	gva dead = make_dead(g);

	for (size_t i = 0; i < ARRAY_SIZE(signs); i++) {
		uint64_t before = world_get(g->made.world, dead, signs[i].path);

		set(g, dead, signs[i].path, signs[i].value);
		assert_int_equal(run(g), CHECK_FINDING);
		set(g, dead, signs[i].path, before);
	}
}

static void a_task_in_the_making_is_neither_clean_nor_found(void **state)
{
	struct guest *g = *state;

	set(g, g->sleeper, "task_struct.__state", TASK_NEW);
	assert_int_equal(run(g), CHECK_CLEAN);
	made_unlink(&g->made, member(g, g->sleeper, "task_struct.cg_list"));
	assert_int_equal(run(g), CHECK_INCONCLUSIVE);
	assert_non_null(strstr(g->result.reason, "'sleep' is being made"));
	/* What waits for a CPU was made already. */
	set(g, g->sleeper, "task_struct.on_rq", 1);
	assert_int_equal(run(g), CHECK_FINDING);
	set(g, g->sleeper, "task_struct.on_rq", 0);
	made_run(&g->made, g->sleeper);
	set(g, g->sleeper, "task_struct.on_rq", 0);
	set(g, g->sleeper, "task_struct.__state", TASK_NEW);
	assert_int_equal(run(g), CHECK_FINDING);
}

static void a_broken_list_is_inconclusive(void **state)
{
	struct guest *g = *state;
	gva link = member(g, g->shell, "task_struct.tasks");
	uint64_t next = member(g, g->sleeper, "task_struct.tasks").v;

	world_put(g->made.world, link, member(g, g->init, "task_struct.tasks").v);
	assert_int_equal(run(g), CHECK_INCONCLUSIVE);
	assert_non_null(strstr(g->result.reason, "task list"));
	world_put(g->made.world, link, world_nowhere().v);
	assert_int_equal(run(g), CHECK_INCONCLUSIVE);
	world_put(g->made.world, link, 0x400000);
	assert_int_equal(run(g), CHECK_INCONCLUSIVE);
	world_put(g->made.world, link, next);
	assert_int_equal(run(g), CHECK_CLEAN);
}

/* A list that is broken is no witness, but the others are. */
static void a_broken_list_hides_nobody(void **state)
{
	struct guest *g = *state;

	world_put(g->made.world, member(g, g->shell, "task_struct.tasks"), 0x400000);
	made_forget(&g->made, 20);
	assert_int_equal(run(g), CHECK_FINDING);
	assert_int_equal(g->result.findings.n, 1);
	assert_string_equal(g->result.findings.v[0]->object_name, "20");
	assert_true(g->result.reason[0]);
}

/* Nor does one run queue, control group or number that is broken. */
static void one_broken_part_hides_no_other(void **state)
{
	struct guest *g = *state;
	struct world *world = g->made.world;
	gva ghost = made_task(&g->made, 40, "ghost", g->shell);
	const gva heads[] = {
		member(g, g->made.rq, "rq.cfs_tasks"),
		gva_add(member(g, g->made.rq, "rq.rt.active.queue"), 16 * 3),
		member(g, g->made.css_set, "css_set.mg_tasks"),
		member(g, g->init, "task_struct.children"),
		gva_add(member(g, g->made.map, "xa_node.slots"), 8 * 2),
		member(g, g->made.rq, "rq.dl.root.rb_root.rb_node"),
	};

	made_hide(&g->made, ghost);
	made_run(&g->made, ghost);
	for (size_t i = 0; i < ARRAY_SIZE(heads); i++) {
		uint64_t before;

		memcpy(&before, world_at(world, heads[i], 8), 8);
		world_put(world, heads[i], world_nowhere().v);
		assert_int_equal(run(g), CHECK_FINDING);
		assert_int_equal(g->result.findings.n, 1);
		assert_string_equal(g->result.findings.v[0]->object_name, "40");
		assert_true(g->result.reason[0]);
		world_put(world, heads[i], before);
	}
}

/* A list of more links than there can be tasks, which lie in each other. */
static void a_list_without_end_ends_by_the_limit(void **state)
{
	struct guest *g = *state;
	struct world *world = g->made.world;
	uint32_t n = TASKS_MAX + 100;
	gva links = world_alloc(world, 16 * n + 4096);

	made_unlink(&g->made, member(g, g->shell, "task_struct.tasks"));
	for (uint32_t i = 0; i < n; i++)
		world_list_add(world, member(g, g->made.init_task, "task_struct.tasks"),
			       gva_add(links, 16 * i + 2048));
	assert_int_equal(run(g), CHECK_INCONCLUSIVE);
	assert_non_null(strstr(g->result.reason, "over"));
}

static void no_failed_read_passes_for_clean(void **state)
{
	struct guest *g = *state;
	uint64_t n = 1;

	made_run(&g->made, g->shell);
	for (;; n++) {
		struct view *view = world_view(g->made.world);

		check_result_clear(&g->result);
		memset(&g->result, 0, sizeof(g->result));
		fake_fail_after(view_ram(view), n);
		check_execute(check_by_id("hidden-task"), &g->made.kernel, view, &g->result);
		fake_fail_after(view_ram(view), 0);
		if (g->result.state == CHECK_CLEAN)
			break;
		assert_int_equal(g->result.state, CHECK_INCONCLUSIVE);
		assert_true(g->result.reason[0]);
	}
	assert_true(n > 10);
}

static void no_lack_of_fuel_passes_for_clean(void **state)
{
	struct guest *g = *state;
	struct check check = *check_by_id("hidden-task");

	for (check.fuel_max = 0; check.fuel_max < 1000; check.fuel_max++) {
		check_result_clear(&g->result);
		memset(&g->result, 0, sizeof(g->result));
		check_execute(&check, &g->made.kernel, world_view(g->made.world), &g->result);
		if (g->result.state == CHECK_CLEAN)
			break;
		assert_int_equal(g->result.state, CHECK_INCONCLUSIVE);
	}
	assert_in_range(check.fuel_max, 10, 999);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, start, end)

int main(void)
{
	static const struct CMUnitTest tests[] = {
		TEST(tasks_that_are_everywhere_are_clean),
		TEST(a_task_out_of_the_list_is_found),
		TEST(a_task_out_of_the_pid_map_is_found),
		TEST(a_thread_out_of_the_pid_map_is_found),
		TEST(a_thread_out_of_its_group_is_found),
		TEST(a_child_without_a_parent_is_found),
		TEST(a_task_out_of_its_control_group_is_found),
		TEST(a_sleeper_with_one_trace_left_is_found),
		TEST(what_runs_is_found_wherever_it_is_missing),
		TEST(what_the_cpu_is_at_is_found),
		TEST(tasks_of_all_classes_and_groups_are_found),
		TEST(a_deadline_server_is_no_task),
		TEST(a_task_in_the_idle_tasks_place_is_found),
		TEST(a_false_leader_hides_nobody),
		TEST(a_wrong_pid_is_found),
		TEST(a_number_in_the_wrong_place_is_found),
		TEST(containers_have_maps_of_their_own),
		TEST(zombies_are_clean),
		TEST(a_task_at_its_end_is_neither_clean_nor_found),
		TEST(the_living_cannot_pass_for_dead),
		TEST(a_task_in_the_making_is_neither_clean_nor_found),
		TEST(a_broken_list_is_inconclusive),
		TEST(a_broken_list_hides_nobody),
		TEST(one_broken_part_hides_no_other),
		TEST(a_list_without_end_ends_by_the_limit),
		TEST(no_failed_read_passes_for_clean),
		TEST(no_lack_of_fuel_passes_for_clean),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
