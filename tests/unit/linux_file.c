/* SPDX-License-Identifier: Apache-2.0 */
#include "linux/file.h"

#include <stdarg.h>
#include <setjmp.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/cleanup.h"
#include "base/limits.h"
#include "make/holder.h"
#include "ram/fake.h"

static const struct made_struct types[] = {
	HOLDER_TYPES,
	{ "path", 16, { { "mnt", 0, "ptr" }, { "dentry", 8, "ptr" } } },
	{ "file", 128, { { "f_path", 0, "path" }, { "f_inode", 16, "ptr" },
			 { "f_flags", 24, "u32" }, { "f_pos", 32, "u64" } } },
	{ "qstr", 16, { { "len", 4, "u32" }, { "name", 8, "ptr" } } },
	{ "dentry", 128, { { "d_hash", 0, "hlist_node" }, { "d_parent", 16, "ptr" },
			   { "d_name", 24, "qstr" }, { "d_inode", 40, "ptr" },
			   { "d_op", 48, "ptr" }, { "d_sb", 56, "ptr" } } },
	{ "dentry_operations", 64, { { "d_dname", 0, "ptr" } } },
	{ "inode", 128, { { "i_mode", 0, "u16" }, { "i_ino", 8, "u64" }, { "i_rdev", 16, "u32" },
			  { "i_size", 24, "u64" }, { "i_sb", 32, "ptr" },
			  { "i_private", 40, "ptr" } } },
	{ "file_system_type", 64, { { "name", 0, "ptr" } } },
	{ "super_block", 64, { { "s_dev", 0, "u32" }, { "s_magic", 8, "u64" },
			       { "s_type", 16, "ptr" } } },
	{ "vfsmount", 32, { { "mnt_root", 0, "ptr" } } },
	{ "mount", 128, { { "mnt", 0, "vfsmount" }, { "mnt_parent", 32, "ptr" },
			  { "mnt_mountpoint", 40, "ptr" }, { "mnt_id", 48, "u32" } } },
};

static struct world *world;
static struct tasks tasks;
static struct files got;
static struct err err;
static gva table, sb, mount, root, dname;

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

static gva new_file(gva dentry, uint32_t mode)
{
	gva file = world_alloc(world, 128), inode = world_alloc(world, 128);

	world_set(world, inode, "inode.i_mode", mode);
	world_set(world, inode, "inode.i_ino", 42);
	world_set(world, inode, "inode.i_size", 4096);
	world_set(world, inode, "inode.i_sb", sb.v);
	world_set(world, dentry, "dentry.d_inode", inode.v);
	world_set(world, file, "file.f_inode", inode.v);
	world_set(world, file, "file.f_path.dentry", dentry.v);
	world_set(world, file, "file.f_path.mnt", mount.v);
	return file;
}

static int setup(void **state)
{
	gva type;

	(void)state;
	world = world_new();
	world_start(world, types, ARRAY_SIZE(types));
	sb = world_alloc(world, 64);
	type = world_alloc(world, 64);
	world_set(world, type, "file_system_type.name", world_text(world, "tmpfs").v);
	world_set(world, sb, "super_block.s_type", type.v);
	world_set(world, sb, "super_block.s_dev", 8u << 20 | 1);
	dname = world_alloc(world, 64);
	world_set(world, dname, "dentry_operations.d_dname", dname.v);
	mount = world_alloc(world, 128);
	root = new_dentry(gva_of(0), "/");
	world_set(world, mount, "mount.mnt.mnt_root", root.v);
	world_set(world, mount, "mount.mnt_parent", mount.v);
	world_set(world, mount, "mount.mnt_id", 21);
	table = holder_files(world, holder_task(world, &tasks, 7), 64);
	err = (struct err){ 0 };
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	files_free(&got);
	tasks_free(&tasks);
	world_end(&world);
	return 0;
}

static int list(void)
{
	files_free(&got);
	return file_list(world_kernel(world), world_view(world), &tasks, &got, &err);
}

static void a_file_is_what_its_parts_say(void **state)
{
	gva file = new_file(new_dentry(root, "log"), 0100644);

	(void)state;
	world_set(world, file, "file.f_flags", FILE_O_WRONLY | FILE_O_APPEND);
	world_set(world, file, "file.f_pos", 17);
	holder_open(world, table, 3, file, true);
	holder_open(world, table, 5, file, false);
	assert_int_equal(list(), 0);
	assert_int_equal(got.all.n, 2);
	for (size_t i = 0; i < 2; i++) {
		const struct file *seen = &got.all.v[i];

		assert_string_equal(seen->path, "/log");
		assert_int_equal(seen->type, FILE_REGULAR);
		assert_string_equal(file_type_name(seen->type), "regular");
		assert_int_equal(seen->inode, 42);
		assert_int_equal(seen->size_bytes, 4096);
		assert_int_equal(dev_major(seen->dev), 8);
		assert_int_equal(dev_minor(seen->dev), 1);
		assert_int_equal(seen->position, 17);
		assert_int_equal(seen->mount, 21);
		assert_true(file_writes(seen) && !file_reads(seen));
		assert_false(seen->deleted || seen->memfd);
		assert_int_equal(seen->pid, 7);
	}
	assert_int_equal(got.all.v[0].fd, 3);
	assert_true(got.all.v[0].cloexec);
	assert_false(got.all.v[1].cloexec);
}

static void names_that_are_gone_are_told_from_those_that_look_so(void **state)
{
	gva gone = new_dentry(root, "gone"), looks = new_dentry(root, "x (deleted)");

	(void)state;
	world_set(world, gone, "dentry.d_hash.pprev", 0);
	holder_open(world, table, 0, new_file(gone, 0100600), false);
	holder_open(world, table, 1, new_file(looks, 0100600), false);
	assert_int_equal(list(), 0);
	assert_true(got.all.v[0].deleted);
	assert_string_equal(got.all.v[0].path, "/gone (deleted)");
	assert_false(got.all.v[1].deleted);
	assert_string_equal(got.all.v[1].path, "/x (deleted)");
}

static void only_a_file_without_a_tree_is_a_memfd(void **state)
{
	gva memfd = new_dentry(gva_of(0), "memfd:x"), named = new_dentry(root, "memfd:x");

	(void)state;
	world_set(world, memfd, "dentry.d_op", dname.v);
	holder_open(world, table, 0, new_file(memfd, 0100600), false);
	holder_open(world, table, 1, new_file(named, 0100600), false);
	holder_open(world, table, 2, new_file(new_dentry(gva_of(0), "memfd"), 0100600), false);
	assert_int_equal(list(), 0);
	assert_true(got.all.v[0].memfd && got.all.v[0].deleted);
	assert_string_equal(got.all.v[0].path, "/memfd:x (deleted)");
	assert_false(got.all.v[1].memfd);
	assert_false(got.all.v[2].memfd);
}

static void types_are_told_by_the_mode(void **state)
{
	static const struct { uint32_t mode; enum file_type type; } modes[] = {
		{ 0010000, FILE_FIFO }, { 0020000, FILE_CHAR }, { 0040000, FILE_DIRECTORY },
		{ 0060000, FILE_BLOCK }, { 0120000, FILE_LINK }, { 0140000, FILE_SOCKET },
		{ 0170000, FILE_UNKNOWN }, { 0, FILE_UNKNOWN },
	};

	(void)state;
	for (uint32_t i = 0; i < ARRAY_SIZE(modes); i++)
		holder_open(world, table, i, new_file(new_dentry(root, "x"), modes[i].mode), false);
	assert_int_equal(list(), 0);
	for (size_t i = 0; i < ARRAY_SIZE(modes); i++)
		assert_int_equal(got.all.v[i].type, modes[i].type);
	world_set(world, sb, "super_block.s_magic", 0x09041934);
	assert_int_equal(list(), 0);
	assert_int_equal(got.all.v[0].type, FILE_ANON);
}

static void what_cannot_be_read_of_a_file_is_told(void **state)
{
	gva a = new_file(new_dentry(root, "a"), 0100600), b = new_file(root, 0040700);

	(void)state;
	world_set(world, a, "file.f_inode", world_nowhere().v);
	world_set(world, b, "file.f_path.dentry", 0x1000);
	holder_open(world, table, 0, a, false);
	holder_open(world, table, 1, b, false);
	holder_open(world, table, 2, world_nowhere(), false);
	holder_open(world, table, 3, new_file(new_dentry(root, "c"), 0100600), false);
	assert_true(list() < 0);
	assert_int_equal(got.all.n, 3);
	assert_string_equal(got.all.v[0].path, "/a");
	assert_int_equal(got.all.v[0].type, FILE_UNKNOWN);
	assert_int_equal(got.all.v[1].type, FILE_DIRECTORY);
	assert_int_equal(got.all.v[1].path[0], '?');
	assert_string_equal(got.all.v[2].path, "/c");
	assert_non_null(strstr(err.text, "PID 7, file 0"));
}

/* Many files with one long path would make much memory out of little. */
static void paths_have_a_bound_together(void **state)
{
	char name[256];
	gva dir = root, file;
	uint32_t n = 0;

	(void)state;
	memset(name, 'x', 255);
	name[255] = '\0';
	for (int i = 0; i < 15; i++)
		dir = new_dentry(dir, name);
	file = new_file(dir, 0100600);
	for (uint32_t pid = 100; pid < 110; pid++) {
		gva files = holder_files(world, holder_task(world, &tasks, pid), 4096);

		for (uint32_t fd = 0; fd < 4096; fd++, n++)
			holder_open(world, files, fd, file, false);
	}
	assert_int_equal(list(), -ELOOP);
	assert_in_range(got.path_bytes, 1, FILE_PATHS_BYTES_MAX);
	assert_in_range(got.all.n, 1, n - 1);
}

/* Whichever read of the guest fails: what was found is no complete list. */
static void no_read_fails_unnoticed(void **state)
{
	struct ram *ram = view_ram(world_view(world));
	uint64_t reads;

	(void)state;
	holder_open(world, table, 3, new_file(new_dentry(root, "log"), 0100644), false);
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

#define FILE_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		FILE_TEST(a_file_is_what_its_parts_say),
		FILE_TEST(names_that_are_gone_are_told_from_those_that_look_so),
		FILE_TEST(only_a_file_without_a_tree_is_a_memfd),
		FILE_TEST(types_are_told_by_the_mode),
		FILE_TEST(what_cannot_be_read_of_a_file_is_told),
		FILE_TEST(paths_have_a_bound_together),
		FILE_TEST(no_read_fails_unnoticed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
