/* SPDX-License-Identifier: Apache-2.0 */
#include "linux/task_ns.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include "base/cleanup.h"
#include "base/limits.h"
#include "make/world.h"

#define NS(name) { name, 64, { { "ns", 16, "ns_common", 0, 0, 0 } } }

static const struct made_struct types[] = {
	{ "ns_common", 24, { { "inum", 16, "u32", 0, 0, 0 } } },
	NS("uts_namespace"), NS("ipc_namespace"), NS("mnt_namespace"), NS("net"),
	NS("cgroup_namespace"), NS("user_namespace"), NS("pid_namespace"),
	{ "nsproxy", 64, {
		{ "uts_ns", 8, "ptr", 0, 0, 0 }, { "ipc_ns", 16, "ptr", 0, 0, 0 },
		{ "mnt_ns", 24, "ptr", 0, 0, 0 }, { "net_ns", 32, "ptr", 0, 0, 0 },
		{ "cgroup_ns", 40, "ptr", 0, 0, 0 } } },
	{ "cred", 16, { { "user_ns", 8, "ptr", 0, 0, 0 } } },
	{ "upid", 16, { { "nr", 0, "u32", 0, 0, 0 }, { "ns", 8, "ptr", 0, 0, 0 } } },
	{ "pid", 64, { { "level", 4, "u32", 0, 0, 0 }, { "numbers", 64, "upid", 1, 0, 0 } } },
	{ "task_struct", 64, {
		{ "nsproxy", 8, "ptr", 0, 0, 0 }, { "real_cred", 16, "ptr", 0, 0, 0 },
		{ "thread_pid", 24, "ptr", 0, 0, 0 } } },
};

struct guest {
	struct world *world;
	struct task task;
	gva proxy, cred, pid;
};

static gva make_ns(struct guest *g, const char *path, uint32_t inum)
{
	gva ns = world_alloc(g->world, 64);

	world_set(g->world, ns, path, inum);
	return ns;
}

static void enter(struct guest *g, unsigned level, int nr, gva ns)
{
	gva upid = gva_add(world_member(g->world, g->pid, "pid.numbers"), 16 * level);

	world_set(g->world, g->pid, "pid.level", level);
	world_set(g->world, upid, "upid.nr", (uint32_t)nr);
	world_set(g->world, upid, "upid.ns", ns.v);
}

static int start(void **state)
{
	static const char *const pointers[] = { "uts", "ipc", "mnt", "net", "cgroup" };
	struct guest *g = calloc(1, sizeof(*g));
	char member[64];

	g->world = world_new();
	world_start(g->world, types, ARRAY_SIZE(types));
	g->task.pid = 7;
	g->task.at = world_alloc(g->world, 64);
	g->proxy = world_alloc(g->world, 64);
	g->cred = world_alloc(g->world, 16);
	g->pid = world_alloc(g->world, 1024);
	world_set(g->world, g->task.at, "task_struct.nsproxy", g->proxy.v);
	world_set(g->world, g->task.at, "task_struct.real_cred", g->cred.v);
	world_set(g->world, g->task.at, "task_struct.thread_pid", g->pid.v);
	for (uint32_t i = 0; i < ARRAY_SIZE(pointers); i++) {
		snprintf(member, sizeof(member), "nsproxy.%s_ns", pointers[i]);
		world_set(g->world, g->proxy, member,
			  make_ns(g, "uts_namespace.ns.inum", 100 + i).v);
	}
	world_set(g->world, g->cred, "cred.user_ns", make_ns(g, "user_namespace.ns.inum", 200).v);
	enter(g, 0, 7, make_ns(g, "pid_namespace.ns.inum", 300));
	*state = g;
	return 0;
}

static int end(void **state)
{
	struct guest *g = *state;

	world_end(&g->world);
	free(g);
	return 0;
}

static int read_ns(struct guest *g, struct task_ns *ns)
{
	return task_namespaces(world_kernel(g->world), world_view(g->world), &g->task, ns, NULL);
}

static void namespaces_have_their_numbers(void **state)
{
	struct guest *g = *state;
	struct task_ns ns;

	assert_int_equal(read_ns(g, &ns), 0);
	assert_int_equal(ns.uts, 100);
	assert_int_equal(ns.ipc, 101);
	assert_int_equal(ns.mnt, 102);
	assert_int_equal(ns.net, 103);
	assert_int_equal(ns.cgroup, 104);
	assert_int_equal(ns.user, 200);
	assert_int_equal(ns.pid, 300);
	assert_int_equal(ns.time, 0);		/* there are none in this kernel */
	assert_int_equal(ns.pid_level, 0);
	assert_int_equal(ns.pid_inside, 7);
}

static void the_innermost_pid_namespace_counts(void **state)
{
	struct guest *g = *state;
	struct task_ns ns;

	enter(g, PID_LEVELS_MAX, 1, make_ns(g, "pid_namespace.ns.inum", 301));
	assert_int_equal(read_ns(g, &ns), 0);
	assert_int_equal(ns.pid, 301);
	assert_int_equal(ns.pid_level, PID_LEVELS_MAX);
	assert_int_equal(ns.pid_inside, 1);
}

static void a_task_that_ends_has_none(void **state)
{
	struct guest *g = *state;
	struct task_ns ns;

	world_set(g->world, g->task.at, "task_struct.nsproxy", 0);
	world_set(g->world, g->task.at, "task_struct.thread_pid", 0);
	assert_int_equal(read_ns(g, &ns), 0);
	assert_int_equal(ns.mnt, 0);
	assert_int_equal(ns.pid, 0);
	assert_int_equal(ns.user, 200);
}

static void too_many_levels_are_refused(void **state)
{
	static const uint32_t levels[] = { PID_LEVELS_MAX + 1, 0x7fffffff, 0xffffffff };
	struct guest *g = *state;
	struct task_ns ns = { .mnt = 1 };

	for (size_t i = 0; i < ARRAY_SIZE(levels); i++) {
		world_set(g->world, g->pid, "pid.level", levels[i]);
		assert_int_equal(read_ns(g, &ns), -EBADMSG);
		assert_int_equal(ns.mnt, 1);
	}
}

static void wild_pointers_are_told(void **state)
{
	struct guest *g = *state;
	struct task_ns ns;

	world_set(g->world, g->proxy, "nsproxy.mnt_ns", world_nowhere().v);
	assert_int_equal(read_ns(g, &ns), -EFAULT);
	assert_int_equal(ns.mnt, 0);
	assert_int_equal(ns.uts, 100);		/* what there is, is there */
	world_set(g->world, g->proxy, "nsproxy.mnt_ns", 0x400000);
	assert_int_equal(read_ns(g, &ns), -EBADMSG);
	world_set(g->world, g->task.at, "task_struct.nsproxy", world_nowhere().v);
	assert_int_equal(read_ns(g, &ns), -EFAULT);
	assert_int_equal(ns.pid, 300);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, start, end)

int main(void)
{
	static const struct CMUnitTest tests[] = {
		TEST(namespaces_have_their_numbers),
		TEST(the_innermost_pid_namespace_counts),
		TEST(a_task_that_ends_has_none),
		TEST(too_many_levels_are_refused),
		TEST(wild_pointers_are_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
