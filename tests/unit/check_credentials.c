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

#define USER   1000u
#define OWNER  1u	/* of a program that may be dumped */
#define CAPS   0x1ffffffffffull

/* PID 1 and a service are root's; a shell is a user's, with two children and a thread. */
struct guest {
	struct made_tasks made;
	gva user_ns, groups, kernel;	/* the kernel's own */
	gva init, service, shell, child, thread, program;
	struct check_result result;
};

static void set(struct guest *g, gva at, const char *path, uint64_t value)
{
	world_set(g->made.world, at, path, value);
}

static gva get(struct guest *g, gva at, const char *path)
{
	return gva_of(world_get(g->made.world, at, path));
}

static gva make_cred(struct guest *g, uint32_t uid, gva groups)
{
	gva cred = world_alloc(g->made.world, 128), user = world_alloc(g->made.world, 64);
	gva ucounts = world_alloc(g->made.world, 64);
	static const char *const ids[] = {
		"cred.uid", "cred.euid", "cred.suid", "cred.fsuid",
	};

	for (size_t i = 0; i < ARRAY_SIZE(ids); i++)
		set(g, cred, ids[i], uid);
	set(g, cred, "cred.cap_bset", CAPS);
	if (!uid) {
		set(g, cred, "cred.cap_permitted", CAPS);
		set(g, cred, "cred.cap_effective", CAPS);
	}
	set(g, user, "user_struct.uid", uid);
	set(g, ucounts, "ucounts.uid", uid);
	set(g, ucounts, "ucounts.ns", g->user_ns.v);
	set(g, cred, "cred.user", user.v);
	set(g, cred, "cred.ucounts", ucounts.v);
	set(g, cred, "cred.user_ns", g->user_ns.v);
	set(g, cred, "cred.group_info", groups.v);
	return cred;
}

static void give(struct guest *g, gva task, gva cred)
{
	set(g, task, "task_struct.real_cred", cred.v);
	set(g, task, "task_struct.cred", cred.v);
}

/* Forked by @parent, and has executed @programs since. */
static gva fork_task(struct guest *g, int pid, gva parent, uint32_t uid, unsigned programs)
{
	gva task = made_task(&g->made, pid, "task", parent);
	uint64_t before = world_get(g->made.world, parent, "task_struct.self_exec_id");

	give(g, task, make_cred(g, uid, uid ? world_alloc(g->made.world, 64) : g->groups));
	set(g, task, "task_struct.parent_exec_id", before);
	set(g, task, "task_struct.self_exec_id", before + programs);
	set(g, get(g, task, "task_struct.mm"), "mm_struct.flags", OWNER);
	set(g, task, "task_struct.start_boottime", (uint64_t)pid * 1000);
	return task;
}

static int start(void **state)
{
	struct guest *g = calloc(1, sizeof(*g));

	made_tasks_open(&g->made);
	g->user_ns = world_alloc(g->made.world, 64);
	g->groups = world_alloc(g->made.world, 64);
	g->kernel = make_cred(g, 0, g->groups);
	give(g, g->made.init_task, g->kernel);
	g->init = fork_task(g, 1, g->made.init_task, 0, 1);
	g->service = fork_task(g, 5, g->init, 0, 1);
	g->shell = fork_task(g, 10, g->init, USER, 1);
	g->child = fork_task(g, 20, g->shell, USER, 0);
	g->thread = made_thread(&g->made, 21, g->child);
	give(g, g->thread, get(g, g->child, "task_struct.real_cred"));
	set(g, g->thread, "task_struct.start_boottime", 21000);
	g->program = fork_task(g, 30, g->shell, USER, 1);
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
	check_execute(check_by_id("credentials"), &g->made.kernel, world_view(g->made.world),
		      &g->result);
	return g->result.state;
}

/* One finding, about this task. */
static void expect(struct guest *g, const char *name, const char *title)
{
	assert_int_equal(run(g), CHECK_FINDING);
	assert_int_equal(g->result.findings.n, 1);
	assert_string_equal(g->result.findings.v[0]->object_name, name);
	assert_non_null(strstr(g->result.findings.v[0]->title, title));
}

static void everyone_has_their_own(void **state)
{
	struct guest *g = *state;

	assert_int_equal(run(g), CHECK_CLEAN);
	assert_int_equal(g->result.covered.v[0].count, 6);
	assert_int_equal(g->result.covered.v[1].count, 5);
}

static void taken_from_the_kernel(void **state)
{
	struct guest *g = *state;

	give(g, g->program, g->kernel);
	expect(g, "30", "the kernel's own");
}

static void taken_from_another(void **state)
{
	struct guest *g = *state;

	give(g, g->program, get(g, g->service, "task_struct.real_cred"));
	expect(g, "30", "of another process");
}

/* All of its threads have them: one finding, of the process. */
static void taken_by_all_threads(void **state)
{
	struct guest *g = *state;
	gva cred = get(g, g->service, "task_struct.real_cred");

	give(g, g->child, cred);
	give(g, g->thread, cred);
	expect(g, "20", "of another process");
}

static void acting_with_others(void **state)
{
	struct guest *g = *state;

	set(g, g->program, "task_struct.cred", g->kernel.v);
	expect(g, "30", "the kernel's own");
	/* It runs: within a system call that may be. */
	set(g, g->program, "task_struct.__state", 0);
	assert_int_equal(run(g), CHECK_CLEAN);
}

static void changed_in_place(void **state)
{
	struct guest *g = *state;
	gva cred = get(g, g->shell, "task_struct.real_cred");

	set(g, cred, "cred.uid", 0);
	expect(g, "10", "changed in place");
	set(g, cred, "cred.uid", USER);
	set(g, cred, "cred.cap_effective", 1);
	expect(g, "10", "changed in place");
	set(g, cred, "cred.cap_effective", 0);
	set(g, cred, "cred.cap_ambient", 1);
	expect(g, "10", "changed in place");
	set(g, cred, "cred.cap_ambient", 0);
	set(g, cred, "cred.user_ns", g->groups.v);
	expect(g, "10", "changed in place");
	set(g, cred, "cred.user_ns", g->user_ns.v);
	assert_int_equal(run(g), CHECK_CLEAN);
}

static void raised(void **state)
{
	struct guest *g = *state;
	gva cred = get(g, g->child, "task_struct.real_cred");

	set(g, cred, "cred.euid", 0);
	expect(g, "20", "raised");
	set(g, cred, "cred.euid", USER);
	set(g, cred, "cred.cap_permitted", 1);
	expect(g, "20", "raised");
}

/* With what prepare_kernel_cred() makes, whatever it has executed. */
static void raised_with_new_ones(void **state)
{
	struct guest *g = *state;

	give(g, g->program, make_cred(g, 0, g->groups));
	set(g, g->program, "task_struct.self_exec_id",
	    world_get(g->made.world, g->program, "task_struct.parent_exec_id") + 7);
	expect(g, "30", "raised");
}

/* What may have been so when it was forked, or come from a program in between. */
static void what_nobody_can_tell_is_no_finding(void **state)
{
	struct guest *g = *state;
	gva mm = get(g, g->shell, "task_struct.mm");
	gva signal = get(g, g->shell, "task_struct.signal");
	uint64_t programs = world_get(g->made.world, g->shell, "task_struct.self_exec_id");

	give(g, g->child, make_cred(g, 0, world_alloc(g->made.world, 64)));
	give(g, g->thread, get(g, g->child, "task_struct.real_cred"));
	expect(g, "20", "raised");
	/* The parent has dropped its own rights since. */
	set(g, mm, "mm_struct.flags", 0);
	assert_int_equal(run(g), CHECK_CLEAN);
	set(g, mm, "mm_struct.flags", OWNER);
	/* The parent takes orphans. */
	set(g, signal, "signal_struct.is_child_subreaper", 1);
	assert_int_equal(run(g), CHECK_CLEAN);
	set(g, signal, "signal_struct.is_child_subreaper", 0);
	/* The parent has executed another program since. */
	set(g, g->shell, "task_struct.self_exec_id", programs + 1);
	assert_int_equal(run(g), CHECK_CLEAN);
	set(g, g->shell, "task_struct.self_exec_id", programs);
	/* Two programs: the first may have been setuid. */
	set(g, g->child, "task_struct.self_exec_id", programs + 2);
	assert_int_equal(run(g), CHECK_CLEAN);
	set(g, g->child, "task_struct.self_exec_id", programs);
	expect(g, "20", "raised");
}

static void wild_pointers_are_inconclusive(void **state)
{
	struct guest *g = *state;
	gva cred = get(g, g->shell, "task_struct.real_cred");
	gva user = get(g, cred, "cred.user");

	set(g, cred, "cred.user", world_nowhere().v);
	assert_int_equal(run(g), CHECK_INCONCLUSIVE);
	set(g, cred, "cred.user", 0);
	assert_int_equal(run(g), CHECK_INCONCLUSIVE);
	set(g, cred, "cred.user", user.v);
	set(g, g->shell, "task_struct.real_cred", 0x1000);
	assert_int_equal(run(g), CHECK_INCONCLUSIVE);
	set(g, g->shell, "task_struct.real_cred", 0);
	assert_int_equal(run(g), CHECK_INCONCLUSIVE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(everyone_has_their_own, start, end),
		cmocka_unit_test_setup_teardown(taken_from_the_kernel, start, end),
		cmocka_unit_test_setup_teardown(taken_from_another, start, end),
		cmocka_unit_test_setup_teardown(taken_by_all_threads, start, end),
		cmocka_unit_test_setup_teardown(acting_with_others, start, end),
		cmocka_unit_test_setup_teardown(changed_in_place, start, end),
		cmocka_unit_test_setup_teardown(raised, start, end),
		cmocka_unit_test_setup_teardown(raised_with_new_ones, start, end),
		cmocka_unit_test_setup_teardown(what_nobody_can_tell_is_no_finding, start, end),
		cmocka_unit_test_setup_teardown(wild_pointers_are_inconclusive, start, end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
