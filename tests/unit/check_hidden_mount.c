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

#define CHAINS	   8u
#define INTERNAL   0xffffffffffffffeaull	/* MNT_NS_INTERNAL */

static const struct made_struct types[] = {
	{ "list_head", 16, { { "next", 0, "ptr" }, { "prev", 8, "ptr" } } },
	{ "hlist_head", 8, { { "first", 0, "ptr" } } },
	{ "hlist_node", 16, { { "next", 0, "ptr" }, { "pprev", 8, "ptr" } } },
	{ "ns_common", 24, { { "inum", 16, "u32" } } },
	{ "mount", 128, { { "mnt_hash", 0, "hlist_node" }, { "mnt_parent", 16, "ptr" },
			  { "mnt_ns", 24, "ptr" }, { "mnt_instance", 32, "list_head" },
			  { "mnt_list", 48, "list_head" } } },
	{ "mnt_namespace", 64, { { "ns", 0, "ns_common" }, { "list", 24, "list_head" } } },
	{ "super_block", 64, { { "s_list", 0, "list_head" }, { "s_mounts", 16, "list_head" } } },
};

struct guest {
	struct world *world;
	gva chains, super, ns, root, mount;
	struct check_result result;
};

static void empty_list(struct guest *g, gva head)
{
	world_put(g->world, head, head.v);
	world_put(g->world, gva_add(head, 8), head.v);
}

static gva make_namespace(struct guest *g, unsigned inum)
{
	gva ns = world_alloc(g->world, 64);

	world_set(g->world, ns, "mnt_namespace.ns.inum", inum);
	empty_list(g, world_member(g->world, ns, "mnt_namespace.list"));
	return ns;
}

/* In its file system, in its namespace, and where a path finds it. */
static gva make_mount(struct guest *g, gva parent)
{
	gva mount = world_alloc(g->world, 128);

	world_set(g->world, mount, "mount.mnt_ns", g->ns.v);
	world_set(g->world, mount, "mount.mnt_parent", parent.v ? parent.v : mount.v);
	world_list_add(g->world, world_member(g->world, g->super, "super_block.s_mounts"),
		       world_member(g->world, mount, "mount.mnt_instance"));
	world_list_add(g->world, world_member(g->world, g->ns, "mnt_namespace.list"),
		       world_member(g->world, mount, "mount.mnt_list"));
	if (parent.v)
		world_hlist_add(g->world, gva_add(g->chains, 8),
				world_member(g->world, mount, "mount.mnt_hash"));
	return mount;
}

static int start(void **state)
{
	struct guest *g = calloc(1, sizeof(*g));
	gva table, mask, supers;

	g->world = world_new();
	table = world_symbol(g->world, "mount_hashtable", 8);
	mask = world_symbol(g->world, "m_hash_mask", 8);
	supers = world_symbol(g->world, "super_blocks", 16);
	world_start(g->world, types, ARRAY_SIZE(types));
	g->chains = world_alloc(g->world, CHAINS * 8);
	world_put(g->world, table, g->chains.v);
	world_put(g->world, mask, CHAINS - 1);
	empty_list(g, supers);
	g->super = world_alloc(g->world, 64);
	empty_list(g, world_member(g->world, g->super, "super_block.s_mounts"));
	world_list_add(g->world, supers, world_member(g->world, g->super, "super_block.s_list"));
	g->ns = make_namespace(g, 77);
	g->root = make_mount(g, gva_of(0));
	g->mount = make_mount(g, g->root);
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
	check_execute(check_by_id("hidden-mount"), world_kernel(g->world), world_view(g->world),
		      &g->result);
	return g->result.state;
}

static void take_out(struct guest *g, gva mount, const char *path)
{
	gva link = world_member(g->world, mount, path);
	uint64_t next = world_get(g->world, link, "list_head.next");
	uint64_t prev = world_get(g->world, link, "list_head.prev");

	world_set(g->world, gva_of(prev), "list_head.next", next);
	world_set(g->world, gva_of(next), "list_head.prev", prev);
}

static void mounts_that_are_listed_are_clean(void **state)
{
	struct guest *g = *state;

	assert_int_equal(run(g), CHECK_CLEAN);
	assert_int_equal(g->result.covered.v[0].count, 2);
}

static void a_mount_that_is_not_listed_is_found(void **state)
{
	struct guest *g = *state;

	take_out(g, g->mount, "mount.mnt_list");
	assert_int_equal(run(g), CHECK_FINDING);
	assert_int_equal(g->result.findings.n, 1);
	assert_int_equal(g->result.findings.v[0]->object_at.v, g->mount.v);
}

/* ... nor does it help to give up the namespace, or the file system: a path leads there. */
static void a_path_to_it_is_enough(void **state)
{
	struct guest *g = *state;

	take_out(g, g->mount, "mount.mnt_list");
	take_out(g, g->mount, "mount.mnt_instance");
	world_set(g->world, g->mount, "mount.mnt_ns", 0);
	assert_int_equal(run(g), CHECK_FINDING);
	assert_int_equal(g->result.findings.n, 1);
}

static void what_the_kernel_mounts_for_itself_is_in_no_list(void **state)
{
	struct guest *g = *state;

	take_out(g, g->root, "mount.mnt_list");
	world_set(g->world, g->root, "mount.mnt_ns", INTERNAL);
	assert_int_equal(run(g), CHECK_CLEAN);
}

static void what_was_unmounted_in_use_is_in_no_list(void **state)
{
	struct guest *g = *state;

	take_out(g, g->mount, "mount.mnt_list");
	take_out(g, g->root, "mount.mnt_list");
	world_set(g->world, g->mount, "mount.mnt_ns", 0);
	world_set(g->world, g->root, "mount.mnt_ns", 0);
	assert_int_equal(run(g), CHECK_CLEAN);
}

static void lists_that_lie_are_not_clean(void **state)
{
	struct guest *g = *state;
	gva other = make_namespace(g, 78), list = world_member(g->world, other,
							       "mnt_namespace.list");
	gva ours = world_member(g->world, g->ns, "mnt_namespace.list");

	/* Another that leads into the list of the first. */
	world_set(g->world, g->root, "mount.mnt_ns", other.v);
	world_put(g->world, list, world_get(g->world, ours, "list_head.next"));
	assert_int_equal(run(g), CHECK_INCONCLUSIVE);
	world_put(g->world, list, list.v);
	assert_int_equal(run(g), CHECK_FINDING);
	world_set(g->world, g->root, "mount.mnt_ns", world_nowhere().v);
	assert_int_equal(run(g), CHECK_INCONCLUSIVE);
}

static void a_table_without_end_is_refused(void **state)
{
	struct guest *g = *state;
	gva mask;

	assert_int_equal(kernel_symbol(world_kernel(g->world), "m_hash_mask", &mask, NULL), 0);
	world_put(g->world, mask, UINT32_MAX);
	assert_int_equal(run(g), CHECK_INCONCLUSIVE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(mounts_that_are_listed_are_clean, start, end),
		cmocka_unit_test_setup_teardown(a_mount_that_is_not_listed_is_found, start, end),
		cmocka_unit_test_setup_teardown(a_path_to_it_is_enough, start, end),
		cmocka_unit_test_setup_teardown(what_the_kernel_mounts_for_itself_is_in_no_list,
						start, end),
		cmocka_unit_test_setup_teardown(what_was_unmounted_in_use_is_in_no_list, start,
						end),
		cmocka_unit_test_setup_teardown(lists_that_lie_are_not_clean, start, end),
		cmocka_unit_test_setup_teardown(a_table_without_end_is_refused, start, end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
