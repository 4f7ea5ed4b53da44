/* SPDX-License-Identifier: Apache-2.0 */
#include "check/check.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/cleanup.h"
#include "check/run.h"
#include "make/world.h"

#define LINK 0, 0, 0

static const struct made_struct types[] = {
	{ "list_head", 16, { { "next", 0, "ptr", LINK }, { "prev", 8, "ptr", LINK } } },
	{ "cgroup_root", 4352, { { "hierarchy_id", 0, "u32", LINK },
				 { "root_list", 8, "list_head", LINK },
				 { "release_agent_path", 64, "u8", 4096, 0, 0 },
				 { "name", 4200, "u8", 64, 0, 0 } } },
};

struct guest {
	struct world *world;
	gva modprobe, pattern, roots;
	struct check_result result;
};

static int start(void **state)
{
	struct guest *g = calloc(1, sizeof(*g));

	g->world = world_new();
	g->modprobe = world_symbol(g->world, "modprobe_path", 256);
	g->pattern = world_symbol(g->world, "core_pattern", 128);
	g->roots = world_symbol(g->world, "cgroup_roots", 16);
	world_symbol(g->world, "behind", 64);
	world_start(g->world, types, ARRAY_SIZE(types));
	world_put(g->world, g->roots, g->roots.v);
	world_put(g->world, gva_add(g->roots, 8), g->roots.v);
	*state = g;
	return 0;
}

static int end(void **state)
{
	struct guest *g = *state;

	check_result_clear(&g->result);
	world_end(&g->world);
	free(g);
	return 0;
}

static enum check_state run(struct guest *g)
{
	check_result_clear(&g->result);
	memset(&g->result, 0, sizeof(g->result));
	check_execute(check_by_id("usermode-helpers"), world_kernel(g->world),
		      world_view(g->world), &g->result);
	return g->result.state;
}

static enum check_state with(struct guest *g, gva at, const char *value)
{
	world_copy(g->world, at, value, (uint32_t)strlen(value) + 1);
	return run(g);
}

static void empty_paths_start_nothing(void **state)
{
	struct guest *g = *state;

	assert_int_equal(run(g), CHECK_CLEAN);
	assert_int_equal(g->result.covered.v[0].count, 2);
}

static void programs_of_the_system_are_clean(void **state)
{
	static const char *const good[] = {
		"/sbin/modprobe", "/usr/sbin/modprobe", "/bin/true", "/bin/false",
		"/run/current-system/sw/bin/modprobe", "/usr/bin/busybox", "",
	};

	for (size_t i = 0; i < ARRAY_SIZE(good); i++)
		assert_int_equal(with(*state, ((struct guest *)*state)->modprobe, good[i]),
				 CHECK_CLEAN);
}

static void foreign_programs_are_found(void **state)
{
	static const char *const bad[] = {
		"/tmp/x", "/tmp/modprobe", "/var/tmp/modprobe", "/dev/shm/modprobe",
		"/proc/666/fd/3", "/home/user/modprobe", "modprobe", "tmp/modprobe",
		"/usr/bin/.x/modprobe", "/usr/../tmp/modprobe", "/usr//modprobe",
		"/sbin/modprobed", "/usr/bin/python3", "/", "/modprobe", "/usr/",
	};
	struct guest *g = *state;

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		assert_int_equal(with(g, g->modprobe, bad[i]), CHECK_FINDING);
		assert_int_equal(g->result.findings.n, 1);
		assert_string_equal(g->result.findings.v[0]->object_name, "modprobe_path");
	}
}

/* Without a '|' a core pattern names a file, which may be anywhere. */
static void core_patterns(void **state)
{
	static const char *const good[] = {
		"core", "/tmp/core.%p", "|/usr/lib/systemd/systemd-coredump %P %u",
		"|/usr/share/apport/apport -p%p", "|/bin/false", "|/srv/dumps/take %p /tmp/x", "|",
	};
	static const char *const bad[] = {
		"|/tmp/x %p", "| /tmp/x", "|/proc/%P/fd/666 %P", "|/dev/shm/x", "|tmp/x", "|/srv/.x",
	};
	struct guest *g = *state;

	for (size_t i = 0; i < ARRAY_SIZE(good); i++)
		assert_int_equal(with(g, g->pattern, good[i]), CHECK_CLEAN);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_int_equal(with(g, g->pattern, bad[i]), CHECK_FINDING);
}

static gva add_hierarchy(struct guest *g, const char *agent)
{
	gva root = world_alloc(g->world, 4352);

	world_set(g->world, root, "cgroup_root.hierarchy_id", 7);
	world_copy(g->world, world_member(g->world, root, "cgroup_root.release_agent_path"),
		   agent, (uint32_t)strlen(agent) + 1);
	world_list_add(g->world, g->roots,
		       world_member(g->world, root, "cgroup_root.root_list"));
	return root;
}

static void release_agents(void **state)
{
	struct guest *g = *state;

	add_hierarchy(g, "/lib/systemd/systemd-cgroups-agent");
	assert_int_equal(run(g), CHECK_CLEAN);
	add_hierarchy(g, "/tmp/x");
	assert_int_equal(run(g), CHECK_FINDING);
	assert_string_equal(g->result.findings.v[0]->object_name, "release_agent of hierarchy 7");
}

static void broken_list_of_hierarchies_is_inconclusive(void **state)
{
	struct guest *g = *state;
	gva root = add_hierarchy(g, "");

	world_set(g->world, root, "cgroup_root.root_list.next", world_nowhere().v);
	assert_int_equal(run(g), CHECK_INCONCLUSIVE);
	/* A circle that misses the head. */
	world_set(g->world, root, "cgroup_root.root_list.next",
		  world_member(g->world, root, "cgroup_root.root_list").v);
	assert_int_equal(run(g), CHECK_INCONCLUSIVE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(empty_paths_start_nothing, start, end),
		cmocka_unit_test_setup_teardown(programs_of_the_system_are_clean, start, end),
		cmocka_unit_test_setup_teardown(foreign_programs_are_found, start, end),
		cmocka_unit_test_setup_teardown(core_patterns, start, end),
		cmocka_unit_test_setup_teardown(release_agents, start, end),
		cmocka_unit_test_setup_teardown(broken_list_of_hierarchies_is_inconclusive, start,
						end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
