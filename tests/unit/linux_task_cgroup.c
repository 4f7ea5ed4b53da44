/* SPDX-License-Identifier: Apache-2.0 */
#include "linux/task_cgroup.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/cleanup.h"
#include "base/limits.h"
#include "make/world.h"

static const struct made_struct types[] = {
	{ "list_head", 16, { { "next", 0, "ptr", 0, 0, 0 }, { "prev", 8, "ptr", 0, 0, 0 } } },
	{ "task_struct", 64, { { "cgroups", 8, "ptr", 0, 0, 0 } } },
	{ "css_set", 64, { { "dfl_cgrp", 8, "ptr", 0, 0, 0 },
			   { "cgrp_links", 16, "list_head", 0, 0, 0 } } },
	{ "cgrp_cset_link", 48, { { "cgrp", 0, "ptr", 0, 0, 0 },
				  { "cgrp_link", 32, "list_head", 0, 0, 0 } } },
	{ "cgroup", 64, { { "kn", 8, "ptr", 0, 0, 0 }, { "root", 16, "ptr", 0, 0, 0 } } },
	{ "cgroup_root", 128, { { "name", 32, "u8", 64, 0, 0 } } },
	{ "kernfs_node", 64, { { "parent", 8, "ptr", 0, 0, 0 }, { "name", 16, "ptr", 0, 0, 0 } } },
};

struct guest {
	struct world *world;
	struct task task;
	gva set, links;
	gva top;		/* kernfs_node of the root */
	char buf[PATH_BYTES_MAX];
	struct err err;
};

static gva make_node(struct guest *g, gva parent, const char *name)
{
	gva node = world_alloc(g->world, 64);

	world_set(g->world, node, "kernfs_node.parent", parent.v);
	world_set(g->world, node, "kernfs_node.name", world_text(g->world, name).v);
	return node;
}

static gva make_cgroup(struct guest *g, const char *root_name, gva node)
{
	gva cgroup = world_alloc(g->world, 64), root = world_alloc(g->world, 128);

	world_set(g->world, cgroup, "cgroup.kn", node.v);
	world_set(g->world, cgroup, "cgroup.root", root.v);
	world_copy(g->world, world_member(g->world, root, "cgroup_root.name"), root_name,
		   (uint32_t)strlen(root_name) + 1);
	return cgroup;
}

static void add_hierarchy(struct guest *g, gva cgroup)
{
	gva link = world_alloc(g->world, 48);

	world_set(g->world, link, "cgrp_cset_link.cgrp", cgroup.v);
	world_list_add(g->world, g->links, world_member(g->world, link, "cgrp_cset_link.cgrp_link"));
}

/* A task in the root of the unified hierarchy. */
static int start(void **state)
{
	struct guest *g = calloc(1, sizeof(*g));
	gva unified;

	g->world = world_new();
	world_start(g->world, types, ARRAY_SIZE(types));
	g->task.at = world_alloc(g->world, 64);
	g->set = world_alloc(g->world, 64);
	g->links = world_member(g->world, g->set, "css_set.cgrp_links");
	g->top = make_node(g, gva_of(0), "");
	unified = make_cgroup(g, "", g->top);
	world_set(g->world, g->task.at, "task_struct.cgroups", g->set.v);
	world_set(g->world, g->set, "css_set.dfl_cgrp", unified.v);
	add_hierarchy(g, unified);
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

static void unify(struct guest *g, gva node)
{
	world_set(g->world, g->set, "css_set.dfl_cgrp", make_cgroup(g, "", node).v);
}

static int print(struct guest *g, size_t size)
{
	memset(g->buf, 'x', sizeof(g->buf));
	return task_cgroup(world_kernel(g->world), world_view(g->world), &g->task, g->buf, size,
			   &g->err);
}

static void expect(struct guest *g, const char *path)
{
	assert_int_equal(print(g, sizeof(g->buf)), (int)strlen(path));
	assert_string_equal(g->buf, path);
}

static void paths_begin_at_the_root(void **state)
{
	struct guest *g = *state;

	expect(g, "/");
	unify(g, make_node(g, make_node(g, g->top, "system.slice"), "ssh.service"));
	expect(g, "/system.slice/ssh.service");
}

static void the_hierarchy_of_systemd_tells_more_than_a_root(void **state)
{
	struct guest *g = *state;

	add_hierarchy(g, make_cgroup(g, "", make_node(g, g->top, "memory")));
	expect(g, "/memory");
	add_hierarchy(g, make_cgroup(g, "", make_node(g, g->top, "cpu")));
	expect(g, "/memory");
	add_hierarchy(g, make_cgroup(g, "systemd", g->top));
	expect(g, "/memory");
	add_hierarchy(g, make_cgroup(g, "systemd", make_node(g, g->top, "user.slice")));
	expect(g, "/user.slice");
	/* But the unified one comes first. */
	unify(g, make_node(g, g->top, "unified"));
	expect(g, "/unified");
}

static void a_cycle_of_groups_ends_by_the_limit(void **state)
{
	struct guest *g = *state;
	gva outer = make_node(g, g->top, "a"), inner = make_node(g, outer, "b");

	world_set(g->world, outer, "kernfs_node.parent", inner.v);
	unify(g, inner);
	assert_int_equal(print(g, sizeof(g->buf)), -ELOOP);
	assert_string_equal(g->buf, "");
}

static void wild_pointers_and_names_are_refused(void **state)
{
	struct guest *g = *state;
	gva node = make_node(g, g->top, "a/b");

	unify(g, node);
	assert_int_equal(print(g, sizeof(g->buf)), -EBADMSG);
	world_set(g->world, node, "kernfs_node.name", world_text(g->world, "").v);
	assert_int_equal(print(g, sizeof(g->buf)), -EBADMSG);
	world_set(g->world, node, "kernfs_node.name", world_nowhere().v);
	assert_int_equal(print(g, sizeof(g->buf)), -EFAULT);
	world_set(g->world, node, "kernfs_node.parent", 0x400000);
	assert_int_equal(print(g, sizeof(g->buf)), -EFAULT);
	world_set(g->world, g->set, "css_set.dfl_cgrp", world_nowhere().v);
	assert_int_equal(print(g, sizeof(g->buf)), -EFAULT);
	world_set(g->world, g->task.at, "task_struct.cgroups", 0);
	assert_int_equal(print(g, sizeof(g->buf)), -ENOENT);
}

static void a_broken_list_of_hierarchies_is_told(void **state)
{
	struct guest *g = *state;

	add_hierarchy(g, make_cgroup(g, "", make_node(g, g->top, "memory")));
	world_put(g->world, gva_add(g->links, 8), g->links.v);
	add_hierarchy(g, make_cgroup(g, "", make_node(g, g->top, "cpu")));
	world_put(g->world, g->links, world_nowhere().v);
	assert_int_equal(print(g, sizeof(g->buf)), -EFAULT);
	assert_string_equal(g->buf, "");
}

static void every_size_of_buffer_is_respected(void **state)
{
	struct guest *g = *state;

	unify(g, make_node(g, make_node(g, g->top, "a"), "bc"));
	for (size_t size = 1; size < sizeof("/a/bc"); size++) {
		assert_int_equal(print(g, size), -ELOOP);
		assert_string_equal(g->buf, "");
		assert_true(g->buf[size] == 'x');
	}
	assert_int_equal(print(g, sizeof("/a/bc")), 5);
	assert_true(g->buf[sizeof("/a/bc")] == 'x');
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, start, end)

int main(void)
{
	static const struct CMUnitTest tests[] = {
		TEST(paths_begin_at_the_root),
		TEST(the_hierarchy_of_systemd_tells_more_than_a_root),
		TEST(a_cycle_of_groups_ends_by_the_limit),
		TEST(wild_pointers_and_names_are_refused),
		TEST(a_broken_list_of_hierarchies_is_told),
		TEST(every_size_of_buffer_is_respected),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
