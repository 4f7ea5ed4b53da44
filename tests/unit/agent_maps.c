/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/maps.h"

#include <stdarg.h>
#include <setjmp.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "agent/interpreter.h"
#include "agent/modules.h"
#include "agent/mounts.h"

static void a_mapping_has_its_file(void **state)
{
	char line[] = "7f5c1000-7f5c4000 r-xp 00002000 fd:01 1234567        /usr/lib/a b.so\n";
	char bare[] = "7ffd0000-7ffd2000 rw-p 00000000 00:00 0 \n";
	char high[] = "ffffffffff600000-ffffffffff601000 --xp 00000000 00:00 0      [vsyscall]\n";
	struct map_line map;

	(void)state;
	assert_int_equal(map_parse(line, &map), 0);
	assert_string_equal(map.range, "7f5c1000-7f5c4000");
	assert_true(map.executable);
	assert_int_equal(map.first_page, 2);
	assert_int_equal(map.pages, 3);
	assert_int_equal(map.device, 0xfd << 20 | 1);
	assert_int_equal(map.inode, 1234567);
	assert_string_equal(map.path, "/usr/lib/a b.so");
	assert_int_equal(map_parse(bare, &map), 0);
	assert_false(map.executable);
	assert_string_equal(map.path, "");
	assert_int_equal(map_parse(high, &map), 0);
	assert_string_equal(map.range, "ffffffffff600000-ffffffffff601000");
}

static void what_is_no_mapping_is_refused(void **state)
{
	static const char *const lines[] = {
		"", "\n", "7f-8f", "8f-7f r-xp 0 0:0 1", "7f-8f rx 0 0:0 1", "x-y r-xp 0 0:0 1",
	};
	struct map_line map;

	(void)state;
	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
		char line[64];

		strcpy(line, lines[i]);
		assert_int_equal(map_parse(line, &map), -EBADMSG);
	}
}

static void a_mount_has_its_place_and_type(void **state)
{
	char line[] = "36 35 98:5 /mnt1 /mnt\\0402\\011x rw,noatime master:1 shared:2 - "
		      "fuse.sshfs a\\040b rw,errors=continue";
	char plain[] = "24 1 0:2 / / rw - rootfs rootfs rw";
	char cut[] = "24 1 0:2 / / rw rootfs rootfs rw";
	char relative[] = "24 1 0:2 / x rw - rootfs rootfs rw";
	struct mount_line mount;

	(void)state;
	assert_int_equal(mount_parse(line, &mount), 0);
	assert_int_equal(mount.id, 36);
	assert_int_equal(mount.device, 98 << 20 | 5);
	assert_string_equal(mount.point, "/mnt 2\tx");
	assert_string_equal(mount.type, "fuse.sshfs");
	assert_true(mount_is_slow(mount.type));
	assert_int_equal(mount_parse(plain, &mount), 0);
	assert_string_equal(mount.point, "/");
	assert_string_equal(mount.type, "rootfs");
	assert_false(mount_is_slow(mount.type));
	assert_false(mount_is_slow("fusectl"));
	assert_true(mount_is_slow("fuseblk.ntfs"));
	assert_true(mount_is_stacked("overlay"));
	assert_false(mount_is_stacked("ext4"));
	assert_int_equal(mount_parse(cut, &mount), -EBADMSG);
	assert_int_equal(mount_parse(relative, &mount), -EBADMSG);
}

static void a_way_is_slow_that_leads_through_a_slow_mount(void **state)
{
	struct map slow = {0};

	(void)state;
	assert_false(mount_way_is_slow(&slow, "/"));
	assert_int_equal(mount_put_slow(&slow, "/a/b"), 0);
	assert_int_equal(mount_put_slow(&slow, "/a/b"), 0);
	assert_true(mount_way_is_slow(&slow, "/a/b"));
	assert_true(mount_way_is_slow(&slow, "/a/b/c/d"));
	assert_false(mount_way_is_slow(&slow, "/a/bc"));
	assert_false(mount_way_is_slow(&slow, "/a"));
	assert_false(mount_way_is_slow(&slow, "/"));
	assert_false(mount_way_is_slow(&slow, "/x/a/b"));
	assert_int_equal(mount_put_slow(&slow, "/"), 0);
	assert_true(mount_way_is_slow(&slow, "/"));
	assert_true(mount_way_is_slow(&slow, "/x"));
	map_free(&slow);
}

static void interpreters_are_known_by_name(void **state)
{
	(void)state;
	assert_true(interpreter_by_name("/bin/sh"));
	assert_true(interpreter_by_name("/usr/bin/python3.11"));
	assert_true(interpreter_by_name("perl"));
	assert_false(interpreter_by_name("/bin/sha256sum"));
	assert_false(interpreter_by_name("/bin/shred"));
	assert_false(interpreter_by_name("/bin/sh/true"));
}

#define COUNT(text) interpreter_files(text, sizeof(text), files)

static void a_script_is_the_first_arguments_that_are_no_options(void **state)
{
	const char *files[INTERPRETER_FILES_MAX];

	(void)state;
	assert_int_equal(COUNT("sh\0-x\0a.sh\0b"), 2);
	assert_string_equal(files[0], "a.sh");
	assert_int_equal(COUNT("sh"), 0);
	assert_int_equal(COUNT("sh\0-c\0rm x\0name"), 0);
	assert_int_equal(COUNT("sh\0-ec\0rm x"), 0);
	assert_int_equal(COUNT("sh\0--rc\0x"), 1);
	assert_int_equal(COUNT("sh\0x\0-c\0y"), 2);
	assert_int_equal(COUNT("x\0a\0b\0c\0d\0e"), INTERPRETER_FILES_MAX);
	assert_int_equal(COUNT("sh\0\0\0x"), 1);
	/* Cut: the last has no end. */
	assert_int_equal(interpreter_files("sh\0abc", 6, files), 0);
	assert_int_equal(interpreter_files("", 0, files), 0);
}

static void assert_path(const char *file, const char *want)
{
	char path[64];

	assert_int_equal(interpreter_path(7, file, path, sizeof(path)), strlen(want));
	assert_string_equal(path, want);
}

static void a_file_is_what_the_process_means_by_its_name(void **state)
{
	(void)state;
	assert_path("/a/b", "/proc/7/root/a/b");
	assert_path("a/b", "/proc/7/cwd/a/b");
	assert_path("/proc/self/fd/3", "/proc/7/fd/3");
	assert_path("/dev/fd/63", "/proc/7/fd/63");
	assert_path("/dev/stdin", "/proc/7/fd/0");
	assert_path("/dev/fdx", "/proc/7/root/dev/fdx");
}

static void a_module_is_named_after_its_file(void **state)
{
	char name[16];

	(void)state;
	assert_int_equal(modules_name("kernel/fs/nls/nls-cp437.ko.xz", 29, name, sizeof(name)), 9);
	assert_string_equal(name, "nls_cp437");
	assert_int_equal(modules_name("x.ko", 4, name, sizeof(name)), 1);
	assert_int_equal(modules_name("x.k", 3, name, sizeof(name)), 0);
	assert_int_equal(modules_name("x", 1, name, sizeof(name)), 0);
	assert_int_equal(modules_name("", 0, name, sizeof(name)), 0);
	assert_int_equal(modules_name("aaaaaaaaaaaaaaaa.ko", 19, name, sizeof(name)), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_mapping_has_its_file),
		cmocka_unit_test(what_is_no_mapping_is_refused),
		cmocka_unit_test(a_mount_has_its_place_and_type),
		cmocka_unit_test(a_way_is_slow_that_leads_through_a_slow_mount),
		cmocka_unit_test(interpreters_are_known_by_name),
		cmocka_unit_test(a_script_is_the_first_arguments_that_are_no_options),
		cmocka_unit_test(a_file_is_what_the_process_means_by_its_name),
		cmocka_unit_test(a_module_is_named_after_its_file),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
