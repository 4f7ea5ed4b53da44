/* SPDX-License-Identifier: Apache-2.0 */
#include "reference/parcel.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/cleanup.h"
#include "make/package.h"

#define RELEASE "6.1.0-99-amd64"

/* A package, and beside it a module that somebody built, as the configuration names them. */
struct fixture {
	char dir[64], package[96], folder[96];
	const char *paths[2];
	struct reference_options options;
	struct reference *reference;
	struct parcel parcel;
};

static void put(const char *dir, const char *name, struct blob blob)
{
	make_file(dir, name, &blob);
	blob_free(&blob);
}

static int set_up(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	struct kernel kernel = { .release = RELEASE };

	assert_non_null(f);
	strcpy(f->dir, "/tmp/hvsm-parcel-XXXXXX");
	assert_non_null(mkdtemp(f->dir));
	snprintf(f->package, sizeof(f->package), "%s/kernel.deb", f->dir);
	snprintf(f->folder, sizeof(f->folder), "%s/built", f->dir);
	put(f->dir, "kernel.deb", make_kernel_deb(0x11, RELEASE, "6.1.9-1"));
	assert_int_equal(mkdir(f->folder, 0700), 0);
	put(f->folder, "vendor.ko", make_module(0x33, RELEASE));
	f->paths[0] = f->package;
	f->paths[1] = f->folder;
	f->options = (struct reference_options){ .paths = f->paths, .paths_n = 2 };
	make_build_id(0x11, kernel.build_id);
	assert_int_equal(reference_open(&f->options, &kernel, &f->reference, NULL), 0);
	assert_int_equal(parcel_pack(f->reference, &f->parcel, NULL), 0);
	*state = f;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;
	char command[128];

	snprintf(command, sizeof(command), "rm -rf '%s'", f->dir);
	assert_int_equal(system(command), 0);
	blob_free(&f->parcel.table);
	reference_close(&f->reference);
	free(f);
	return 0;
}

static int unpack(struct fixture *f, const struct blob *table, struct reference **ret)
{
	int modules = fcntl(f->parcel.modules, F_DUPFD_CLOEXEC, 0);
	int r = parcel_unpack(table->data, table->size, modules, &f->options, ret, NULL);

	if (r < 0)
		close(modules);
	return r;
}

static void assert_module(struct reference *reference, const char *name)
{
	cleanup(blob_free) struct blob blob = { 0 };

	assert_int_equal(reference_module(reference, name, "", &blob, NULL), 0);
	assert_true(blob.size > 64);
	assert_memory_equal(blob.data, "\177ELF", 4);
}

static void it_is_the_same_reference_without_its_kernel(void **state)
{
	cleanup(reference_close) struct reference *reference = NULL;
	cleanup(blob_free) struct blob none = { 0 };
	struct fixture *f = *state;

	assert_int_equal(unpack(f, &f->parcel.table, &reference), 0);
	/* Who packed it may be gone. */
	reference_close(&f->reference);
	assert_string_equal(reference_source(reference)->path, f->package);
	assert_string_equal(reference_source(reference)->source, "package");
	assert_int_equal(strlen(reference_source(reference)->sha256), 64);
	assert_null(reference_vmlinux(reference)->data);
	assert_true(reference_has_modules(reference));
	assert_module(reference, "ext4");
	assert_module(reference, "snd-hda-intel");
	assert_module(reference, "vendor");
	assert_int_equal(reference_module(reference, "other", "", &none, NULL), -ENOENT);
}

static void half_a_table_is_none(void **state)
{
	cleanup(reference_close) struct reference *reference = NULL;
	struct fixture *f = *state;

	for (size_t n = 0; n < f->parcel.table.size; n++) {
		/* Of its own, so that a sanitizer sees who reads further. */
		struct blob part = { malloc(n + 1), n };

		memcpy(part.data, f->parcel.table.data, n);
		part.data = realloc(part.data, n ? n : 1);
		assert_int_equal(unpack(f, &part, &reference), -EPROTO);
		assert_null(reference);
		blob_free(&part);
	}
}

/* Refused, or another reference; what it says of modules is tried. */
static void no_byte_that_is_another_does_harm(void **state)
{
	struct fixture *f = *state;
	struct blob *table = &f->parcel.table;
	unsigned refused = 0;

	for (size_t i = 0; i < table->size; i++)
		for (unsigned bit = 0; bit < 8; bit++) {
			cleanup(reference_close) struct reference *reference = NULL;
			cleanup(blob_free) struct blob module = { 0 };
			int r;

			table->data[i] ^= (uint8_t)(1u << bit);
			r = unpack(f, table, &reference);
			table->data[i] ^= (uint8_t)(1u << bit);
			assert_true(r == 0 || r == -EPROTO);
			refused += r < 0;
			if (r == 0)
				(void)!reference_module(reference, "ext4", "", &module, NULL);
		}
	assert_true(refused > table->size);
}

static void replace(struct blob *table, const char *old, const char *new)
{
	size_t n = strlen(old);
	void *at = memmem(table->data, table->size, old, n);

	assert_non_null(at);
	assert_int_equal(strlen(new), n);
	memcpy(at, new, n);
}

static void only_files_that_were_named_are_read(void **state)
{
	static const char *const others[] = { "built-vendor.ko", "buil//vendor.ko", "built/../a/d.ko" };
	cleanup(reference_close) struct reference *reference = NULL;
	struct fixture *f = *state;

	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
		struct blob table = { malloc(f->parcel.table.size), f->parcel.table.size };

		memcpy(table.data, f->parcel.table.data, table.size);
		replace(&table, "built/vendor.ko", others[i]);
		assert_int_equal(unpack(f, &table, &reference), -EPROTO);
		blob_free(&table);
	}
}

static void modules_lie_in_a_file_and_inside_of_it(void **state)
{
	cleanup(reference_close) struct reference *reference = NULL;
	struct fixture *f = *state;
	const struct blob *table = &f->parcel.table;
	int fds[2];

	/* In none. */
	assert_int_equal(parcel_unpack(table->data, table->size, -1, &f->options, &reference, NULL),
			 -EPROTO);
	assert_int_equal(pipe(fds), 0);
	assert_int_equal(parcel_unpack(table->data, table->size, fds[0], &f->options, &reference,
				       NULL), -EPROTO);
	close(fds[0]);
	close(fds[1]);
	/* In one that has a name. */
	fds[0] = open(f->package, O_RDONLY | O_CLOEXEC);
	assert_int_equal(parcel_unpack(table->data, table->size, fds[0], &f->options, &reference,
				       NULL), -EPROTO);
	close(fds[0]);
	assert_int_equal(ftruncate(f->parcel.modules, 16), 0);
	assert_int_equal(unpack(f, table, &reference), -EPROTO);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(it_is_the_same_reference_without_its_kernel),
		TEST(half_a_table_is_none),
		TEST(no_byte_that_is_another_does_harm),
		TEST(only_files_that_were_named_are_read),
		TEST(modules_lie_in_a_file_and_inside_of_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
