/* SPDX-License-Identifier: Apache-2.0 */
#include "reference/reference.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/cleanup.h"
#include "make/package.h"
#include "reference/store.h"

#define RELEASE "6.1.0-99-amd64"
#define VERSION "6.1.9-1"

struct fixture {
	char dir[64];
	char store[80];
	char path[4][128];
	const char *paths[4];
	struct kernel kernel;
	struct reference_options options;
};

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	strcpy(f->dir, "/tmp/hvsm-reference-XXXXXX");
	assert_non_null(mkdtemp(f->dir));
	snprintf(f->store, sizeof(f->store), "%s/store", f->dir);
	strcpy(f->kernel.release, RELEASE);
	make_build_id(0x11, f->kernel.build_id);
	f->options.paths = f->paths;
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;
	char command[128];

	snprintf(command, sizeof(command), "rm -rf '%s'", f->dir);
	assert_int_equal(system(command), 0);
	free(f);
	return 0;
}

static const char *put(struct fixture *f, unsigned slot, const char *name, struct blob blob)
{
	make_file(f->dir, name, &blob);
	blob_free(&blob);
	strcpy(f->path[slot], f->dir);
	strcat(f->path[slot], "/");
	strcat(f->path[slot], name);
	return f->path[slot];
}

/* One more --reference. */
static void name(struct fixture *f, const char *file, struct blob blob)
{
	size_t n = f->options.paths_n++;

	f->paths[n] = put(f, (unsigned)n, file, blob);
}

static struct reference *opened(struct fixture *f)
{
	struct reference *reference = NULL;
	struct err err = {0};

	if (reference_open(&f->options, &f->kernel, &reference, &err) < 0)
		fail_msg("%s", err.text);
	return reference;
}

static void assert_fails(struct fixture *f, int code, const char *why)
{
	struct reference *reference = NULL;
	struct err err = {0};

	assert_int_equal(reference_open(&f->options, &f->kernel, &reference, &err), code);
	assert_null(reference);
	if (!strstr(err.text, why))
		fail_msg("'%s' does not say '%s'", err.text, why);
}

static int module(struct reference *reference, const char *called, unsigned char id)
{
	cleanup(blob_free) struct blob blob = {0};
	char build_id[41] = "";

	if (id)
		make_build_id(id, build_id);
	return reference_module(reference, called, build_id, &blob, NULL);
}

static void add_to_store(struct fixture *f, const char *path)
{
	cleanup(store_close) struct store *store = NULL;
	struct store_addition addition = {0};

	assert_int_equal(store_open(f->store, true, &store, NULL), 0);
	assert_int_equal(store_add(store, path, NULL, &addition, NULL), 0);
	vec_free(&addition.list);
}

/* The same, whether the package is named or lies in the store. */
static void package_or_store(void **state)
{
	struct fixture *f = *state;
	cleanup(blob_free) struct blob vmlinux = make_vmlinux(0x11, RELEASE, "Debian " VERSION);

	name(f, "a.deb", make_kernel_deb(0x11, RELEASE, VERSION));
	for (int i = 0; i < 2; i++) {
		cleanup(reference_close) struct reference *reference = opened(f);
		const struct blob *found = reference_vmlinux(reference);

		assert_string_equal(reference_source(reference)->package, "linux-image-" RELEASE);
		assert_string_equal(reference_source(reference)->source, "package");
		assert_int_equal(found->size, vmlinux.size);
		assert_memory_equal(found->data, vmlinux.data, vmlinux.size);
		assert_true(reference_has_modules(reference));
		assert_int_equal(module(reference, "ext4", 0), 0);
		assert_int_equal(module(reference, "ext4", 0x12), 0);
		assert_int_equal(module(reference, "ext4", 0x77), -ENOENT);
		assert_int_equal(module(reference, "snd-hda-intel", 0x13), 0);
		assert_int_equal(module(reference, "snd_hda_intel", 0), 0);
		assert_int_equal(module(reference, "evil", 0), -ENOENT);
		assert_int_equal(module(reference, "", 0), -ENOENT);
		add_to_store(f, f->path[0]);
		f->options.store = f->store;
		f->options.paths_n = 0;
	}
}

/* A package that the store has is not unpacked again, and means the same. */
static void named_package_that_the_store_has(void **state)
{
	struct fixture *f = *state;
	cleanup(reference_close) struct reference *reference = NULL;
	char build[41];

	name(f, "other.deb", make_kernel_deb(0x31, "5.10.0-1-amd64", "5.10.1-1"));
	name(f, "right.deb", make_kernel_deb(0x11, RELEASE, VERSION));
	add_to_store(f, f->path[0]);
	add_to_store(f, f->path[1]);
	f->options.store = f->store;
	f->options.paths_n = 1;
	assert_fails(f, -ENOENT, make_build_id(0x31, build));
	assert_fails(f, -ENOENT, "5.10.0-1-amd64");
	f->options.paths_n = 2;
	reference = opened(f);
	assert_string_equal(reference_source(reference)->package, "linux-image-" RELEASE);
	assert_true(reference_has_modules(reference));
	assert_int_equal(module(reference, "ext4", 0), 0);
	assert_int_equal(module(reference, "ext4", 0x32), -ENOENT);
}

/* Debian builds one release several times: modules of another build would be false alarms. */
static void modules_of_another_build_are_not_taken(void **state)
{
	struct fixture *f = *state;
	struct made_file file = { "lib/modules/" RELEASE "/a.ko", make_module(0x20, RELEASE) };

	name(f, "kernel.deb", make_kernel_deb(0x11, RELEASE, VERSION));
	name(f, "other.deb", make_deb("linux-modules-x", "6.1.9-2", &file, 1, PACKED_XZ));
	for (int i = 0; i < 2; i++) {
		cleanup(reference_close) struct reference *reference = opened(f);

		assert_int_equal(module(reference, "a", 0), -ENOENT);
		assert_int_equal(module(reference, "a", 0x20), 0);
		assert_int_equal(module(reference, "ext4", 0), 0);
		add_to_store(f, f->path[0]);
		add_to_store(f, f->path[1]);
		f->options.store = f->store;
		f->options.paths_n = 0;
	}
	blob_free(&file.blob);
}

/* The banner of a bare kernel tells which package it is from. */
static void modules_of_the_version_in_the_banner(void **state)
{
	struct fixture *f = *state;
	struct blob vmlinux = make_vmlinux(0x11, RELEASE, "Debian " VERSION);
	struct made_file files[] = {
		{ "lib/modules/" RELEASE "/a.ko", make_module(0x20, RELEASE) },
		{ "lib/modules/5.10/b.ko", make_module(0x21, "5.10") },
	};
	cleanup(reference_close) struct reference *reference = NULL;

	name(f, "vmlinuz", make_bzimage(&vmlinux, PACKED_ZSTD));
	name(f, "a.deb", make_deb("linux-modules-x", VERSION, files, 2, PACKED_XZ));
	name(f, "own.ko", make_module(0x22, RELEASE));
	reference = opened(f);
	assert_string_equal(reference_source(reference)->source, "file");
	assert_string_equal(reference_source(reference)->package, "");
	assert_int_equal(module(reference, "a", 0), 0);
	assert_int_equal(module(reference, "b", 0), -ENOENT);
	assert_int_equal(module(reference, "own", 0), 0);
	blob_free(&files[0].blob);
	blob_free(&files[1].blob);
	blob_free(&vmlinux);
}

/* … and no other, however it begins. */
static void versions_that_a_banner_tells(void **state)
{
	static const struct { const char *build, *version; bool told; } lines[] = {
		{ "Debian 6.1.9-1", "6.1.9-1", true }, { "Debian 6.1.9-1", "6.1.9", false },
		{ "Debian 6.1.9-1", "1", false }, { "Debian 6.1.9-1", ".1.9-1", false },
		{ "Debian 6.1.9-1", "6.1.9-12", false }, { "Debian 6.1.9-12", "6.1.9-1", false },
		{ "Debian 6.1.9-1.1", "6.1.9-1", false }, { "Debian 6.1.9-1+b1", "6.1.9-1", false },
		{ "x 6.5.6-300.fc39.x86_64", "6.5.6-300.fc39", true },
		{ "x (Ubuntu 5.15.0-91.101-generic 5.15.131)", "5.15.0-91.101", true },
		{ "x (Ubuntu 5.15.0-91.101-generic 5.15.131)", "5.15.131", true },
	};
	struct fixture *f = *state;

	f->options.paths_n = 2;
	for (size_t i = 0; i < ARRAY_SIZE(lines); i++) {
		struct blob vmlinux = make_vmlinux(0x11, RELEASE, lines[i].build);
		struct made_file file = { "lib/modules/" RELEASE "/a.ko", make_module(0x20, RELEASE) };
		cleanup(reference_close) struct reference *reference = NULL;

		f->paths[0] = put(f, 0, "vmlinux", vmlinux);
		f->paths[1] = put(f, 1, "a.deb", make_deb("p", lines[i].version, &file, 1, PACKED_NOT));
		reference = opened(f);
		if (module(reference, "a", 0) != (lines[i].told ? 0 : -ENOENT))
			fail_msg("'%s' and '%s'", lines[i].build, lines[i].version);
		blob_free(&file.blob);
	}
}

static void named_kernel_must_be_the_guests(void **state)
{
	struct fixture *f = *state;
	char build[41];

	name(f, "a.deb", make_kernel_deb(0x31, "5.10.0-1-amd64", "5.10.1-1"));
	assert_fails(f, -ENOENT, f->kernel.build_id);
	assert_fails(f, -ENOENT, make_build_id(0x31, build));
	assert_fails(f, -ENOENT, "5.10.0-1-amd64");
	/* What is in the store does not make up for it: somebody said what to compare with. */
	name(f, "b.deb", make_kernel_deb(0x11, RELEASE, VERSION));
	add_to_store(f, f->path[1]);
	f->options.store = f->store;
	f->options.paths_n = 1;
	assert_fails(f, -ENOENT, f->kernel.build_id);
	f->options.paths_n = 2;
	reference_close(&(struct reference *){ opened(f) });
	f->paths[0] = "/nonexistent";
	assert_fails(f, -ENOENT, "/nonexistent");
	f->paths[0] = put(f, 3, "text", make_packed(PACKED_NOT, "text", 4));
	assert_fails(f, -EBADMSG, "text'");
}

/* What QEMU booted serves, and the store has it from then on. */
static void kernel_file_is_remembered(void **state)
{
	struct fixture *f = *state;
	struct blob vmlinux = make_vmlinux(0x11, RELEASE, "x");
	cleanup(reference_close) struct reference *reference = NULL;

	f->options.store = f->store;
	f->options.kernel_file = put(f, 0, "vmlinuz", make_bzimage(&vmlinux, PACKED_LZ4_LEGACY));
	f->options.kernel_name = "/boot/vmlinuz";
	reference = opened(f);
	assert_string_equal(reference_source(reference)->source, "kernel file");
	assert_string_equal(reference_source(reference)->path, "/boot/vmlinuz");
	assert_false(reference_has_modules(reference));
	assert_int_equal(module(reference, "ext4", 0), -ENOENT);
	reference_close(&reference);
	assert_int_equal(unlink(f->options.kernel_file), 0);
	reference = opened(f);
	assert_string_equal(reference_source(reference)->path, "/boot/vmlinuz");
	blob_free(&vmlinux);
}

/* Modules that were named go with the kernel that QEMU booted. */
static void named_modules_and_booted_kernel(void **state)
{
	struct fixture *f = *state;
	struct blob vmlinux = make_vmlinux(0x11, RELEASE, "x");
	cleanup(reference_close) struct reference *reference = NULL;

	name(f, "own.ko", make_module(0x22, RELEASE));
	assert_fails(f, -ENOENT, "no reference");
	f->options.kernel_file = put(f, 3, "vmlinuz", make_bzimage(&vmlinux, PACKED_ZSTD));
	f->options.kernel_name = "/boot/vmlinuz";
	reference = opened(f);
	assert_int_equal(module(reference, "own", 0), 0);
	blob_free(&vmlinux);
}

static void kernel_file_that_is_no_kernel(void **state)
{
	struct fixture *f = *state;

	f->options.kernel_name = "/boot/vmlinuz";
	f->options.kernel_file = put(f, 0, "text", make_packed(PACKED_NOT, "text", 4));
	assert_fails(f, -ENOENT, "no reference");
	f->options.kernel_file = "/dev/zero";
	assert_fails(f, -ENOENT, "no reference");
}

static void kernel_file_that_does_not_match(void **state)
{
	struct fixture *f = *state;
	struct blob vmlinux = make_vmlinux(0x31, RELEASE, "x");

	assert_fails(f, -ENOENT, "no reference");
	f->options.store = f->store;
	f->options.kernel_file = put(f, 0, "vmlinuz", make_bzimage(&vmlinux, PACKED_XZ));
	f->options.kernel_name = "/boot/vmlinuz";
	assert_fails(f, -ENOENT, f->kernel.build_id);
	f->kernel.build_id[0] = '\0';
	assert_fails(f, -ENOENT, "no build ID");
	blob_free(&vmlinux);
}

static void damaged_store_is_no_missing_one(void **state)
{
	struct fixture *f = *state;
	cleanup(file_close) FILE *file = NULL;
	char path[128];

	f->options.store = f->store;
	assert_fails(f, -ENOENT, "no reference");
	name(f, "a.deb", make_kernel_deb(0x11, RELEASE, VERSION));
	add_to_store(f, f->path[0]);
	snprintf(path, sizeof(path), "%s/store.db", f->store);
	file = fopen(path, "r+b");
	assert_non_null(file);
	fputs("no database", file);
	fflush(file);
	f->options.paths_n = 0;
	assert_fails(f, -EBADMSG, "damaged");
}

static unsigned freed;

static void count_free(void *kept)
{
	freed += kept == &freed;
}

static void kept_state_is_freed_with_it(void **state)
{
	struct fixture *f = *state;
	struct reference *reference;

	name(f, "a.deb", make_kernel_deb(0x11, RELEASE, VERSION));
	reference = opened(f);
	assert_null(reference_kept(reference, KEEP_MODULES)->state);
	*reference_kept(reference, KEEP_KERNEL) = (struct reference_kept){ &freed, count_free };
	assert_ptr_equal(reference_kept(reference, KEEP_KERNEL)->state, &freed);
	freed = 0;
	reference_close(&reference);
	assert_int_equal(freed, 1);
	assert_null(reference);
}

int main(void)
{
#define TEST(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(package_or_store),
		TEST(named_package_that_the_store_has),
		TEST(modules_of_another_build_are_not_taken),
		TEST(modules_of_the_version_in_the_banner),
		TEST(versions_that_a_banner_tells),
		TEST(named_kernel_must_be_the_guests),
		TEST(kernel_file_is_remembered),
		TEST(named_modules_and_booted_kernel),
		TEST(kernel_file_that_is_no_kernel),
		TEST(kernel_file_that_does_not_match),
		TEST(damaged_store_is_no_missing_one),
		TEST(kept_state_is_freed_with_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
