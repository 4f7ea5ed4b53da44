/* SPDX-License-Identifier: Apache-2.0 */
#include "linux/path.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/cleanup.h"
#include "base/limits.h"
#include "make/world.h"

static const struct made_struct types[] = {
	{ "path", 16, { { "mnt", 0, "ptr", 0, 0, 0 }, { "dentry", 8, "ptr", 0, 0, 0 } } },
	{ "file", 64, { { "f_path", 16, "path", 0, 0, 0 } } },
	{ "hlist_bl_node", 16, { { "next", 0, "ptr", 0, 0, 0 }, { "pprev", 8, "ptr", 0, 0, 0 } } },
	{ "qstr", 16, { { "len", 4, "u32", 0, 0, 0 }, { "name", 8, "ptr", 0, 0, 0 } } },
	{ "dentry", 128, {
		{ "d_hash", 8, "hlist_bl_node", 0, 0, 0 }, { "d_parent", 24, "ptr", 0, 0, 0 },
		{ "d_name", 32, "qstr", 0, 0, 0 }, { "d_inode", 48, "ptr", 0, 0, 0 },
		{ "d_op", 96, "ptr", 0, 0, 0 }, { "d_sb", 104, "ptr", 0, 0, 0 } } },
	{ "dentry_operations", 80, { { "d_dname", 72, "ptr", 0, 0, 0 } } },
	{ "inode", 640, { { "i_ino", 64, "u64", 0, 0, 0 }, { "i_private", 600, "ptr", 0, 0, 0 } } },
	{ "super_block", 64, { { "s_type", 40, "ptr", 0, 0, 0 } } },
	{ "file_system_type", 16, { { "name", 0, "ptr", 0, 0, 0 } } },
	{ "vfsmount", 24, { { "mnt_root", 0, "ptr", 0, 0, 0 } } },
	{ "mount", 128, {
		{ "mnt_parent", 16, "ptr", 0, 0, 0 }, { "mnt_mountpoint", 24, "ptr", 0, 0, 0 },
		{ "mnt", 32, "vfsmount", 0, 0, 0 } } },
	{ "ns_common", 24, { { "ops", 8, "ptr", 0, 0, 0 } } },
	{ "proc_ns_operations", 16, { { "name", 0, "ptr", 0, 0, 0 } } },
};

/* A root with /mnt/disk, and on that another file system. */
struct tree {
	struct world *world;
	gva root, dir, disk;		/* dentries: "/", "/mnt", "/mnt/disk" */
	gva disk_root, file;		/* of what is mounted there: its root, and "file" in it */
	gva root_mount, disk_mount;	/* struct mount */
	char buf[PATH_BYTES_MAX];
	struct err err;
};

static gva make_dentry(struct tree *t, gva parent, const char *name)
{
	gva dentry = world_alloc(t->world, 128);

	world_set(t->world, dentry, "dentry.d_parent", parent.v ? parent.v : dentry.v);
	world_set(t->world, dentry, "dentry.d_hash.pprev", 0xffff888000001000);
	world_set(t->world, dentry, "dentry.d_name.len", strlen(name));
	world_set(t->world, dentry, "dentry.d_name.name", world_text(t->world, name).v);
	return dentry;
}

static gva make_mount(struct tree *t, gva root, gva parent, gva point)
{
	gva mount = world_alloc(t->world, 128);

	world_set(t->world, mount, "mount.mnt.mnt_root", root.v);
	world_set(t->world, mount, "mount.mnt_parent", parent.v ? parent.v : mount.v);
	world_set(t->world, mount, "mount.mnt_mountpoint", point.v);
	return mount;
}

static gva mnt(struct tree *t, gva mount)
{
	return world_member(t->world, mount, "mount.mnt");
}

static int start(void **state)
{
	struct tree *t = calloc(1, sizeof(*t));

	t->world = world_new();
	world_start(t->world, types, ARRAY_SIZE(types));
	t->root = make_dentry(t, gva_of(0), "/");
	t->dir = make_dentry(t, t->root, "mnt");
	t->disk = make_dentry(t, t->dir, "disk");
	t->root_mount = make_mount(t, t->root, gva_of(0), t->root);
	t->disk_root = make_dentry(t, gva_of(0), "/");
	t->disk_mount = make_mount(t, t->disk_root, t->root_mount, t->disk);
	t->file = make_dentry(t, t->disk_root, "file");
	*state = t;
	return 0;
}

static int end(void **state)
{
	struct tree *t = *state;

	world_end(&t->world);
	free(t);
	return 0;
}

static int print(struct tree *t, gva dentry, gva mount, size_t size)
{
	memset(t->buf, 'x', sizeof(t->buf));
	return path_print_at(world_kernel(t->world), world_view(t->world), dentry,
			     mnt(t, mount), gva_of(0), t->buf, size, &t->err);
}

static void expect(struct tree *t, gva dentry, gva mount, const char *path)
{
	assert_int_equal(print(t, dentry, mount, sizeof(t->buf)), (int)strlen(path));
	assert_string_equal(t->buf, path);
}

static void paths_cross_mounts(void **state)
{
	struct tree *t = *state;

	expect(t, t->file, t->disk_mount, "/mnt/disk/file");
	expect(t, t->disk_root, t->disk_mount, "/mnt/disk");
	expect(t, t->disk, t->root_mount, "/mnt/disk");
	expect(t, t->root, t->root_mount, "/");
}

static void mounts_stack(void **state)
{
	struct tree *t = *state;
	gva top = make_dentry(t, gva_of(0), "/");
	gva mount = make_mount(t, top, t->disk_mount, t->disk_root);

	expect(t, make_dentry(t, top, "a"), mount, "/mnt/disk/a");
}

static void paths_end_at_a_given_root(void **state)
{
	struct tree *t = *state;
	gva root = world_alloc(t->world, 16), path = world_alloc(t->world, 16);

	world_set(t->world, root, "path.mnt", mnt(t, t->root_mount).v);
	world_set(t->world, root, "path.dentry", t->dir.v);
	world_set(t->world, path, "path.mnt", mnt(t, t->disk_mount).v);
	world_set(t->world, path, "path.dentry", t->file.v);
	assert_true(path_print(world_kernel(t->world), world_view(t->world), path, root, t->buf,
			       sizeof(t->buf), NULL) > 0);
	assert_string_equal(t->buf, "/disk/file");

	/* One that is above it is named from the root of all. */
	world_set(t->world, path, "path.mnt", mnt(t, t->root_mount).v);
	world_set(t->world, path, "path.dentry", t->root.v);
	assert_true(path_print(world_kernel(t->world), world_view(t->world), path, root, t->buf,
			       sizeof(t->buf), NULL) > 0);
	assert_string_equal(t->buf, "/");
}

static void deleted_files_say_so(void **state)
{
	struct tree *t = *state;

	world_set(t->world, t->file, "dentry.d_hash.pprev", 0);
	expect(t, t->file, t->disk_mount, "/mnt/disk/file (deleted)");
}

static void open_files_have_the_name_of_their_path(void **state)
{
	struct tree *t = *state;
	gva file = world_alloc(t->world, 64);

	world_set(t->world, file, "file.f_path.mnt", mnt(t, t->disk_mount).v);
	world_set(t->world, file, "file.f_path.dentry", t->file.v);
	assert_true(path_print_file(world_kernel(t->world), world_view(t->world), file, gva_of(0),
				    t->buf, sizeof(t->buf), NULL) > 0);
	assert_string_equal(t->buf, "/mnt/disk/file");
}

/* A file without a directory, of a file system that names its files. */
static gva make_special(struct tree *t, const char *type, const char *name, uint64_t ino)
{
	gva dentry = make_dentry(t, gva_of(0), name), sb = world_alloc(t->world, 64);
	gva fs = world_alloc(t->world, 16), op = world_alloc(t->world, 80);
	gva inode = world_alloc(t->world, 640);

	world_set(t->world, dentry, "dentry.d_op", op.v);
	world_set(t->world, op, "dentry_operations.d_dname", 0xffffffff81000000);
	world_set(t->world, dentry, "dentry.d_sb", sb.v);
	world_set(t->world, sb, "super_block.s_type", fs.v);
	world_set(t->world, fs, "file_system_type.name", world_text(t->world, type).v);
	world_set(t->world, dentry, "dentry.d_inode", inode.v);
	world_set(t->world, inode, "inode.i_ino", ino);
	return dentry;
}

static void files_without_a_directory_are_named_by_their_kind(void **state)
{
	static const struct {
		const char *type, *name, *path;
	} known[] = {
		{ "pipefs", "", "pipe:[42]" },
		{ "sockfs", "", "socket:[42]" },
		{ "anon_inodefs", "[eventpoll]", "anon_inode:[eventpoll]" },
		{ "pidfs", "x", "anon_inode:[pidfd]" },
		{ "tmpfs", "memfd:a/b", "/memfd:a/b (deleted)" },
		{ "hugetlbfs", "SYSV1", "/SYSV1 (deleted)" },
		{ "dmabuf", "7", "/7:" },
	};
	struct tree *t = *state;

	for (size_t i = 0; i < ARRAY_SIZE(known); i++)
		expect(t, make_special(t, known[i].type, known[i].name, 42), t->root_mount,
		       known[i].path);
}

static void namespaces_are_named_by_their_kind(void **state)
{
	struct tree *t = *state;
	gva dentry = make_special(t, "nsfs", "", 4026531841);
	gva ns = world_alloc(t->world, 24), ops = world_alloc(t->world, 16);
	gva inode = gva_of(world_get(t->world, dentry, "dentry.d_inode"));

	world_set(t->world, inode, "inode.i_private", ns.v);
	world_set(t->world, ns, "ns_common.ops", ops.v);
	world_set(t->world, ops, "proc_ns_operations.name", world_text(t->world, "mnt").v);
	expect(t, dentry, t->root_mount, "mnt:[4026531841]");
}

static void a_cycle_of_entries_ends_by_the_limit(void **state)
{
	struct tree *t = *state;

	world_set(t->world, t->disk, "dentry.d_parent", t->dir.v);
	world_set(t->world, t->dir, "dentry.d_parent", t->disk.v);
	world_set(t->world, t->dir, "dentry.d_name.len", 1);
	world_set(t->world, t->disk, "dentry.d_name.len", 1);
	assert_int_equal(print(t, t->file, t->disk_mount, sizeof(t->buf)), -ELOOP);
	assert_memory_equal(t->buf, "?/", 2);
	assert_true(strlen(t->buf) < sizeof(t->buf));
}

/* No name is added there, so only the count of entries can end it. */
static void a_cycle_of_mounts_ends_by_the_limit(void **state)
{
	struct tree *t = *state;
	gva other = make_mount(t, t->disk_root, t->disk_mount, t->disk_root);

	world_set(t->world, t->disk_mount, "mount.mnt_parent", other.v);
	world_set(t->world, t->disk_mount, "mount.mnt_mountpoint", t->disk_root.v);
	assert_int_equal(print(t, t->file, t->disk_mount, sizeof(t->buf)), -ELOOP);
	assert_string_equal(t->buf, "?/file");
}

static void wild_pointers_are_refused(void **state)
{
	struct tree *t = *state;

	world_set(t->world, t->dir, "dentry.d_parent", 0x400000);
	assert_int_equal(print(t, t->file, t->disk_mount, sizeof(t->buf)), -EBADMSG);
	assert_string_equal(t->buf, "?/mnt/disk/file");

	world_set(t->world, t->dir, "dentry.d_parent", world_nowhere().v);
	assert_int_equal(print(t, t->file, t->disk_mount, sizeof(t->buf)), -EFAULT);

	world_set(t->world, t->disk_mount, "mount.mnt_parent", 0);
	assert_int_equal(print(t, t->file, t->disk_mount, sizeof(t->buf)), -EBADMSG);

	world_set(t->world, t->file, "dentry.d_op", world_nowhere().v);
	assert_int_equal(print(t, t->file, t->disk_mount, sizeof(t->buf)), -EFAULT);
	assert_string_equal(t->buf, "?/");

	assert_int_equal(print(t, gva_of(0), t->disk_mount, sizeof(t->buf)), -EFAULT);
	assert_int_equal(print(t, gva_of(UINT64_MAX - 7), t->disk_mount, sizeof(t->buf)), -EFAULT);
}

static void impossible_names_are_refused(void **state)
{
	struct tree *t = *state;

	world_set(t->world, t->disk, "dentry.d_name.len", 256);
	assert_int_equal(print(t, t->file, t->disk_mount, sizeof(t->buf)), -EBADMSG);
	world_set(t->world, t->disk, "dentry.d_name.len", 0);
	assert_int_equal(print(t, t->file, t->disk_mount, sizeof(t->buf)), -EBADMSG);
	world_set(t->world, t->disk, "dentry.d_name.len", 6);	/* "disk" and its zero */
	assert_int_equal(print(t, t->file, t->disk_mount, sizeof(t->buf)), -EBADMSG);
	world_set(t->world, t->disk, "dentry.d_name.name", world_text(t->world, "/etc/p").v);
	assert_int_equal(print(t, t->file, t->disk_mount, sizeof(t->buf)), -EBADMSG);
	assert_string_equal(t->buf, "?/file");
}

static void every_size_of_buffer_is_respected(void **state)
{
	struct tree *t = *state;
	size_t whole = strlen("/mnt/disk/file") + 1;

	for (size_t size = 1; size < whole; size++) {
		assert_int_equal(print(t, t->file, t->disk_mount, size), -ELOOP);
		assert_true(strlen(t->buf) < size);
		assert_true(t->buf[size] == 'x');
	}
	assert_int_equal(print(t, t->file, t->disk_mount, whole), (int)whole - 1);
	assert_true(t->buf[whole] == 'x');
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, start, end)

int main(void)
{
	static const struct CMUnitTest tests[] = {
		TEST(paths_cross_mounts),
		TEST(mounts_stack),
		TEST(paths_end_at_a_given_root),
		TEST(deleted_files_say_so),
		TEST(open_files_have_the_name_of_their_path),
		TEST(files_without_a_directory_are_named_by_their_kind),
		TEST(namespaces_are_named_by_their_kind),
		TEST(a_cycle_of_entries_ends_by_the_limit),
		TEST(a_cycle_of_mounts_ends_by_the_limit),
		TEST(wild_pointers_are_refused),
		TEST(impossible_names_are_refused),
		TEST(every_size_of_buffer_is_respected),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
