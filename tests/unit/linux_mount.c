/* SPDX-License-Identifier: Apache-2.0 */
#include "linux/mount.h"

#include <stdarg.h>
#include <setjmp.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/cleanup.h"
#include "base/limits.h"
#include "make/holder.h"
#include "ram/fake.h"

/* As far as the view asks; what differs between kernels follows. */
#define COMMON_TYPES                                                                          \
	HOLDER_TYPES,                                                                         \
	{ "rb_node", 24, { { "__rb_parent_color", 0, "u64" }, { "rb_right", 8, "ptr" },       \
			   { "rb_left", 16, "ptr" } } },                                      \
	{ "rb_root", 8, { { "rb_node", 0, "ptr" } } },                                        \
	{ "path", 16, { { "mnt", 0, "ptr" }, { "dentry", 8, "ptr" } } },                      \
	{ "file", 64, { { "f_path", 0, "path" } } },                                          \
	{ "qstr", 16, { { "len", 4, "u32" }, { "name", 8, "ptr" } } },                        \
	{ "dentry", 128, { { "d_hash", 0, "hlist_node" }, { "d_parent", 16, "ptr" },          \
			   { "d_name", 24, "qstr" }, { "d_inode", 40, "ptr" },                \
			   { "d_op", 48, "ptr" }, { "d_sb", 56, "ptr" } } },                  \
	{ "dentry_operations", 64, { { "d_dname", 0, "ptr" } } },                             \
	{ "inode", 64, { { "i_ino", 0, "u64" }, { "i_private", 8, "ptr" } } },                \
	{ "file_system_type", 64, { { "name", 0, "ptr" } } },                                 \
	{ "super_block", 128, { { "s_dev", 0, "u32" }, { "s_flags", 8, "u64" },               \
				{ "s_type", 16, "ptr" }, { "s_subtype", 24, "ptr" },          \
				{ "s_root", 32, "ptr" }, { "s_user_ns", 40, "ptr" } } },      \
	{ "vfsmount", 32, { { "mnt_root", 0, "ptr" }, { "mnt_sb", 8, "ptr" },                 \
			    { "mnt_flags", 16, "u32" } } },                                   \
	{ "mount", 256, { { "mnt", 0, "vfsmount" }, { "mnt_parent", 32, "ptr" },              \
			  { "mnt_mountpoint", 40, "ptr" }, { "mnt_devname", 48, "ptr" },      \
			  { "mnt_id", 56, "u32" }, { "mnt_group_id", 60, "u32" },             \
			  { "mnt_master", 64, "ptr" }, { "mnt_list", 72, "list_head" },       \
			  { "mnt_id_unique", 88, "u64" }, { "mnt_node", 96, "rb_node" } } },  \
	{ "ns_common", 24, { { "inum", 16, "u32" } } },                                       \
	{ "nsproxy", 64, { { "mnt_ns", 0, "ptr" } } }

static const struct made_struct list_types[] = {
	COMMON_TYPES,
	{ "mnt_namespace", 128, { { "ns", 0, "ns_common" }, { "list", 24, "list_head" },
				  { "mounts", 40, "u32" } } },
};

static const struct made_struct tree_types[] = {
	COMMON_TYPES,
	{ "mnt_namespace", 128, { { "ns", 0, "ns_common" }, { "mounts", 24, "rb_root" },
				  { "mnt_ns_tree_node", 40, "rb_node" } } },
};

static struct world *world;
static struct tasks tasks;
static struct mounts got;
static struct err err;
static gva ns, sb, root, all;
static bool is_tree;

static gva new_dentry(gva parent, const char *name)
{
	gva dentry = world_alloc(world, 128);

	world_set(world, dentry, "dentry.d_parent", parent.v ? parent.v : dentry.v);
	world_set(world, dentry, "dentry.d_hash.pprev", dentry.v);
	world_set(world, dentry, "dentry.d_name.len", strlen(name));
	world_set(world, dentry, "dentry.d_name.name", world_text(world, name).v);
	world_set(world, dentry, "dentry.d_sb", sb.v);
	return dentry;
}

static gva new_mount(uint32_t id, gva parent, gva point, gva its_root)
{
	gva mount = world_alloc(world, 256);

	world_set(world, mount, "mount.mnt_id", id);
	world_set(world, mount, "mount.mnt_id_unique", 1000 + id);
	world_set(world, mount, "mount.mnt_parent", parent.v ? parent.v : mount.v);
	world_set(world, mount, "mount.mnt_mountpoint", point.v ? point.v : its_root.v);
	world_set(world, mount, "mount.mnt_devname", world_text(world, "source").v);
	world_set(world, mount, "mount.mnt.mnt_root", its_root.v);
	world_set(world, mount, "mount.mnt.mnt_sb", sb.v);
	return mount;
}

/* Below the topmost node, on its left side, one under the other. */
static void tree_add(gva space, gva mount)
{
	gva node = world_member(world, mount, "mount.mnt_node");
	gva at = world_member(world, space, "mnt_namespace.mounts");
	uint64_t below = world_get(world, space, "mnt_namespace.mounts.rb_node"), parent = 0;

	while (below) {
		parent = below;
		at = gva_add(gva_of(below), 16);
		below = world_get(world, gva_of(below), "rb_node.rb_left");
	}
	world_put(world, at, node.v);
	world_set(world, node, "rb_node.__rb_parent_color", parent | 1);
}

static void add(gva space, gva mount)
{
	if (is_tree)
		tree_add(space, mount);
	else
		world_list_add(world, world_member(world, space, "mnt_namespace.list"),
			       world_member(world, mount, "mount.mnt_list"));
}

static gva new_ns(uint32_t inum)
{
	gva at = world_alloc(world, 128);

	world_set(world, at, "mnt_namespace.ns.inum", inum);
	if (!is_tree) {
		gva head = world_member(world, at, "mnt_namespace.list");

		world_put(world, head, head.v);
		world_put(world, gva_add(head, 8), head.v);
	}
	return at;
}

static void enter(gva task, gva space)
{
	gva proxy = world_alloc(world, 64);

	world_set(world, proxy, "nsproxy.mnt_ns", space.v);
	world_set(world, task, "task_struct.nsproxy", proxy.v);
}

static void start(void)
{
	gva type, root_dentry;

	world = world_new();
	all = world_symbol(world, "mnt_ns_tree", 64);
	if (is_tree)
		world_start(world, tree_types, ARRAY_SIZE(tree_types));
	else
		world_start(world, list_types, ARRAY_SIZE(list_types));
	sb = world_alloc(world, 128);
	type = world_alloc(world, 64);
	world_set(world, type, "file_system_type.name", world_text(world, "tmpfs").v);
	world_set(world, sb, "super_block.s_type", type.v);
	world_set(world, sb, "super_block.s_dev", 8u << 20 | 1);
	root_dentry = new_dentry(gva_of(0), "/");
	world_set(world, sb, "super_block.s_root", root_dentry.v);
	ns = new_ns(4026531841u);
	root = new_mount(1, gva_of(0), gva_of(0), root_dentry);
	add(ns, root);
	enter(holder_task(world, &tasks, 7), ns);
	err = (struct err){ 0 };
}

static int setup_list(void **state)
{
	(void)state;
	is_tree = false;
	start();
	return 0;
}

static int setup_tree(void **state)
{
	(void)state;
	is_tree = true;
	start();
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	mounts_free(&got);
	tasks_free(&tasks);
	world_end(&world);
	return 0;
}

static int list(void)
{
	mounts_free(&got);
	return mount_list(world_kernel(world), world_view(world), &tasks, &got, &err);
}

static gva root_of(gva mount)
{
	return gva_of(world_get(world, mount, "mount.mnt.mnt_root"));
}

static void mounts_come_with_all_they_have(void **state)
{
	gva dir = new_dentry(root_of(root), "mnt"), inner = new_dentry(root_of(root), "in");
	gva mount = new_mount(5, root, dir, new_dentry(inner, "ner")), master;
	char text[64];

	(void)state;
	add(ns, mount);
	master = new_mount(9, gva_of(0), gva_of(0), root_of(root));
	world_set(world, master, "mount.mnt_group_id", 3);
	world_set(world, mount, "mount.mnt_master", master.v);
	world_set(world, mount, "mount.mnt_group_id", 4);
	world_set(world, mount, "mount.mnt.mnt_flags", 0x1000 | 0x40 | 0x04 | 0x20);
	world_set(world, sb, "super_block.s_flags", 1 | 16);
	world_set(world, sb, "super_block.s_subtype", world_text(world, "sub").v);
	assert_int_equal(list(), 0);
	assert_int_equal(got.namespaces.n, 1);
	assert_int_equal(got.namespaces.v[0].inode, 4026531841u);
	assert_int_equal(got.namespaces.v[0].pid, 7);
	assert_true(got.namespaces.v[0].complete);
	assert_int_equal(got.all.n, 2);
	assert_int_equal(got.all.v[0].id, 1);
	assert_int_equal(got.all.v[0].parent, 1);
	assert_string_equal(got.all.v[0].point, "/");
	assert_string_equal(got.all.v[0].root, "/");
	assert_int_equal(got.all.v[1].id, 5);
	assert_int_equal(got.all.v[1].parent, 1);
	assert_int_equal(got.all.v[1].dev, 8u << 20 | 1);
	assert_int_equal(got.all.v[1].shared, 4);
	assert_int_equal(got.all.v[1].master, 3);
	assert_string_equal(got.all.v[1].point, "/mnt");
	assert_string_equal(got.all.v[1].root, "/in/ner");
	assert_string_equal(got.all.v[1].type, "tmpfs.sub");
	assert_string_equal(got.all.v[1].source, "source");
	assert_string_equal(mount_print_flags(&got.all.v[1], text, sizeof(text)),
			    "ro,noexec,relatime");
	assert_string_equal(mount_print_super_flags(&got.all.v[1], text, sizeof(text)), "ro,sync");
}

static void a_reader_of_mountinfo_is_no_mount(void **state)
{
	gva cursor = world_alloc(world, 256);

	(void)state;
	world_set(world, cursor, "mount.mnt.mnt_flags", 0x10000000);
	add(ns, cursor);
	assert_int_equal(list(), 0);
	assert_int_equal(got.all.n, 1);
}

static void namespaces_without_tasks_are_in_the_tree_of_all(void **state)
{
	gva other = new_ns(4026532999u), node;

	(void)state;
	node = world_member(world, other, "mnt_namespace.mnt_ns_tree_node");
	world_put(world, all, node.v);
	add(other, new_mount(20, gva_of(0), gva_of(0), root_of(root)));
	assert_int_equal(list(), 0);
	assert_int_equal(got.namespaces.n, 2);
	assert_int_equal(got.namespaces.v[1].inode, 4026532999u);
	assert_int_equal(got.namespaces.v[1].pid, 0);
	assert_int_equal(got.namespaces.v[1].mounts_n, 1);
}

static void threads_may_be_elsewhere(void **state)
{
	gva other = new_ns(4026532999u);

	(void)state;
	add(other, new_mount(20, gva_of(0), gva_of(0), root_of(root)));
	enter(holder_thread(world, &tasks, 8), other);
	assert_int_equal(list(), 0);
	assert_int_equal(got.namespaces.n, 2);
	assert_int_equal(got.namespaces.v[1].pid, 7);
	assert_int_equal(got.namespaces.v[0].tasks, 1);
}

static void a_cycle_in_the_tree_is_told(void **state)
{
	gva mount = new_mount(5, root, root_of(root), root_of(root));
	gva node = world_member(world, mount, "mount.mnt_node");
	gva top = world_member(world, root, "mount.mnt_node");

	(void)state;
	add(ns, mount);
	world_set(world, node, "rb_node.rb_left", top.v);
	assert_int_equal(list(), -EBADMSG);
	assert_false(got.namespaces.v[0].complete);
	assert_in_range(got.all.n, 1, 3);
	world_set(world, node, "rb_node.rb_left", node.v);
	assert_int_equal(list(), -EBADMSG);
	assert_in_range(got.all.n, 1, 3);
}

static void a_cycle_in_the_list_is_told(void **state)
{
	gva mount = new_mount(5, root, root_of(root), root_of(root));
	gva link = world_member(world, mount, "mount.mnt_list");

	(void)state;
	add(ns, mount);
	world_put(world, link, link.v);
	assert_int_equal(list(), -EBADMSG);
	assert_false(got.namespaces.v[0].complete);
	assert_in_range(got.all.n, 1, 3);
}

/* One namespace that leads nowhere does not take the others along. */
static void a_wild_namespace_does_not_end_the_rest(void **state)
{
	gva other = holder_task(world, &tasks, 8);

	(void)state;
	enter(other, gva_of(0x4000));
	enter(holder_task(world, &tasks, 9), world_nowhere());
	world_set(world, holder_task(world, &tasks, 10), "task_struct.nsproxy", 0);
	enter(holder_task(world, &tasks, 11), ns);
	assert_true(list() < 0);
	assert_int_equal(got.namespaces.n, 1);
	assert_int_equal(got.namespaces.v[0].tasks, 2);
	assert_int_equal(got.all.n, 1);
}

static void what_cannot_be_read_of_a_mount_is_told(void **state)
{
	gva mount = new_mount(5, root, root_of(root), root_of(root));

	(void)state;
	add(ns, mount);
	world_set(world, mount, "mount.mnt_devname", world_nowhere().v);
	world_set(world, mount, "mount.mnt.mnt_sb", 0x1000);
	assert_true(list() < 0);
	assert_int_equal(got.all.n, 2);
	assert_string_equal(got.all.v[1].type, "?");
	assert_string_equal(got.all.v[1].source, "?");
	assert_int_equal(got.all.v[1].id, 5);
}

static void a_root_below_itself_ends(void **state)
{
	gva a = new_dentry(root_of(root), "a"), b = new_dentry(a, "b");
	gva mount = new_mount(5, root, root_of(root), b);

	(void)state;
	add(ns, mount);
	world_set(world, a, "dentry.d_parent", b.v);
	assert_int_equal(list(), -EBADMSG);
	assert_int_equal(got.all.n, 2);
	assert_string_equal(got.all.v[1].root, "?");
}

static void names_of_no_or_absurd_length_are_told(void **state)
{
	gva dir = new_dentry(root_of(root), "a");

	(void)state;
	add(ns, new_mount(5, root, root_of(root), dir));
	world_set(world, dir, "dentry.d_name.len", 0);
	assert_int_equal(list(), -EBADMSG);
	world_set(world, dir, "dentry.d_name.len", UINT32_MAX);
	assert_int_equal(list(), -EBADMSG);
	assert_int_equal(got.all.n, 2);
}

/* Whichever read of the guest fails: what was found is no complete list. */
static void no_read_fails_unnoticed(void **state)
{
	struct ram *ram = view_ram(world_view(world));
	uint64_t reads;

	(void)state;
	add(ns, new_mount(5, root, new_dentry(root_of(root), "mnt"), root_of(root)));
	reads = ram->reads;
	assert_int_equal(list(), 0);
	reads = ram->reads - reads;
	assert_true(reads > 2);
	for (uint64_t n = 1; n <= reads; n++) {
		fake_fail_after(ram, n);
		assert_true(list() < 0);
		assert_true(err.text[0]);
	}
	fake_fail_after(ram, 0);
	assert_int_equal(list(), 0);
}

#define LIST_TEST(name) cmocka_unit_test_setup_teardown(name, setup_list, teardown)
#define TREE_TEST(name) cmocka_unit_test_setup_teardown(name, setup_tree, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		LIST_TEST(mounts_come_with_all_they_have),
		TREE_TEST(mounts_come_with_all_they_have),
		LIST_TEST(a_reader_of_mountinfo_is_no_mount),
		TREE_TEST(namespaces_without_tasks_are_in_the_tree_of_all),
		LIST_TEST(threads_may_be_elsewhere),
		TREE_TEST(a_cycle_in_the_tree_is_told),
		LIST_TEST(a_cycle_in_the_list_is_told),
		LIST_TEST(a_wild_namespace_does_not_end_the_rest),
		TREE_TEST(what_cannot_be_read_of_a_mount_is_told),
		TREE_TEST(a_root_below_itself_ends),
		TREE_TEST(names_of_no_or_absurd_length_are_told),
		LIST_TEST(no_read_fails_unnoticed),
		TREE_TEST(no_read_fails_unnoticed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
