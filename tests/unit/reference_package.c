/* SPDX-License-Identifier: Apache-2.0 */
#include "reference/package.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/cleanup.h"
#include "make/package.h"
#include "reference/identify.h"
#include "reference/rpm.h"

#define RELEASE "6.1.0-99-amd64"
#define VERSION "6.1.9-1"

/* What was visited, one line each: "package version kind module release build". */
struct seen {
	char text[2048];
	unsigned n;
};

static int note(struct packaged *member, void *ctx, struct err *err)
{
	cleanup(blob_free) struct blob file = {0};
	cleanup(blob_free) struct blob plain = {0};
	bool module = member->kind == PACKAGED_MODULE;
	struct seen *seen = ctx;
	struct identified id;
	size_t n = strlen(seen->text);
	int r = packaged_read(member, &file, err);

	if (r >= 0)
		r = module ? package_module(&file, &plain, err) :
			     package_vmlinux(&file, &plain, err);
	if (r >= 0)
		r = module ? identify_module(&plain, &id, err) :
			     identify_kernel(&plain, &id, err);
	if (r < 0)
		return r;
	assert_int_equal(strlen(member->source->sha256), 64);
	snprintf(seen->text + n, sizeof(seen->text) - n, "%s %s %s %s %s %.4s\n",
		 member->source->package, member->source->version,
		 module ? member->module : "kernel", member->release, id.release, id.build_id);
	seen->n++;
	return 0;
}

struct fixture {
	char dir[64];
	char path[128];
};

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	strcpy(f->dir, "/tmp/hvsm-package-XXXXXX");
	assert_non_null(mkdtemp(f->dir));
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

/* Write the file, free its bytes, and give back its path. */
static const char *put(struct fixture *f, const char *name, struct blob blob)
{
	make_file(f->dir, name, &blob);
	blob_free(&blob);
	snprintf(f->path, sizeof(f->path), "%s/%s", f->dir, name);
	return f->path;
}

static void assert_holds(const char *path, const char *what)
{
	struct seen seen = {0};
	struct err err = {0};

	if (package_each(path, note, &seen, &err) < 0)
		fail_msg("%s", err.text);
	assert_string_equal(seen.text, what);
}

static void assert_fails(const char *path, int code, const char *why)
{
	struct seen seen = {0};
	struct err err = {0};

	assert_int_equal(package_each(path, note, &seen, &err), code);
	if (!strstr(err.text, why))
		fail_msg("'%s' does not say '%s'", err.text, why);
}

static void debian_package(void **state)
{
	const char *path = put(*state, "a.deb", make_kernel_deb(0x11, RELEASE, VERSION));

	assert_holds(path,
		     "linux-image-" RELEASE " " VERSION " kernel  " RELEASE " 1111\n"
		     "linux-image-" RELEASE " " VERSION " ext4 " RELEASE " " RELEASE " 1212\n"
		     "linux-image-" RELEASE " " VERSION " snd_hda_intel " RELEASE " " RELEASE
		     " 1313\n");
}

static void packages_packed_in_every_way(void **state)
{
	static const enum packing packings[] = {
		PACKED_NOT, PACKED_GZIP, PACKED_BZIP2, PACKED_XZ, PACKED_LZMA, PACKED_ZSTD,
	};
	struct made_file file = { "lib/modules/1-x/a.ko", make_module(0x22, "1-x") };

	for (size_t i = 0; i < ARRAY_SIZE(packings); i++) {
		assert_holds(put(*state, "a.deb", make_deb("p", "1", &file, 1, packings[i])),
			     "p 1 a 1-x 1-x 2222\n");
		assert_holds(put(*state, "a.rpm", make_rpm("p", "1", "2.fc40", &file, 1,
							   packings[i])),
			     "p 1-2.fc40 a 1-x 1-x 2222\n");
	}
	blob_free(&file.blob);
}

static void bare_files(void **state)
{
	struct blob vmlinux = make_vmlinux(0x33, RELEASE, "x");
	struct blob module = make_module(0x44, RELEASE);

	assert_holds(put(*state, "boot", make_bzimage(&vmlinux, PACKED_XZ)),
		     "  kernel  " RELEASE " 3333\n");
	assert_holds(put(*state, "elf", make_packed(PACKED_NOT, vmlinux.data, vmlinux.size)),
		     "  kernel  " RELEASE " 3333\n");
	assert_holds(put(*state, "vmlinux.xz", make_packed(PACKED_XZ, vmlinux.data, vmlinux.size)),
		     "  kernel  " RELEASE " 3333\n");
	assert_holds(put(*state, "a-b.ko.zst", make_packed(PACKED_ZSTD, module.data, module.size)),
		     "  a_b  " RELEASE " 4444\n");
	assert_holds(put(*state, "odd name", make_packed(PACKED_NOT, module.data, module.size)),
		     "  odd name  " RELEASE " 4444\n");
	blob_free(&vmlinux);
	blob_free(&module);
}

/* Debug packages have files of the same names and build IDs, without the code. */
static void debug_information_is_passed_over(void **state)
{
	struct made_file files[] = {
		{ "./usr/lib/debug/lib/modules/1-x/kernel/a.ko", make_module(0x22, "1-x") },
		{ "./usr/lib/debug/boot/vmlinux-1-x", make_vmlinux(0x23, "1-x", "x") },
		{ "./lib/modules/1-x/kernel/a.ko", make_module(0x24, "1-x") },
	};

	assert_holds(put(*state, "a.deb", make_deb("p", "1", files, 3, PACKED_GZIP)),
		     "p 1 a 1-x 1-x 2424\n");
	for (size_t i = 0; i < ARRAY_SIZE(files); i++)
		blob_free(&files[i].blob);
}

/* By name; what else lies there, and links, are passed over. */
static void directory(void **state)
{
	struct fixture *f = *state;
	struct blob vmlinux = make_vmlinux(0x33, RELEASE, "x");
	char path[160];

	put(f, "README", make_packed(PACKED_NOT, "text", 4));
	put(f, "vmlinuz.txt", make_packed(PACKED_NOT, "text", 4));
	put(f, "vmlinuz-of-another-world", make_packed(PACKED_NOT, "text", 4));
	put(f, "vmlinuz", make_bzimage(&vmlinux, PACKED_ZSTD));
	put(f, "z.deb", make_kernel_deb(0x11, RELEASE, VERSION));
	snprintf(path, sizeof(path), "%s/modules", f->dir);
	assert_int_equal(mkdir(path, 0700), 0);
	snprintf(path, sizeof(path), "%s/modules/1-x", f->dir);
	assert_int_equal(mkdir(path, 0700), 0);
	put(f, "modules/1-x/m.ko", make_module(0x55, "1-x"));
	snprintf(path, sizeof(path), "%s/link.ko", f->dir);
	assert_int_equal(symlink("/dev/zero", path), 0);
	assert_holds(f->dir,
		     "  m 1-x 1-x 5555\n"
		     "  kernel  " RELEASE " 3333\n"
		     "linux-image-" RELEASE " " VERSION " kernel  " RELEASE " 1111\n"
		     "linux-image-" RELEASE " " VERSION " ext4 " RELEASE " " RELEASE " 1212\n"
		     "linux-image-" RELEASE " " VERSION " snd_hda_intel " RELEASE " " RELEASE
		     " 1313\n");
	blob_free(&vmlinux);
}

static void signature_of_an_rpm(void **state)
{
	struct made_file file = { "lib/modules/1-x/a.ko", make_module(0x22, "1-x") };
	struct reference_source source = {0};
	cleanup(file_close) FILE *rpm = NULL;
	struct err err = {0};

	rpm = fopen(put(*state, "a.rpm", make_rpm("p", "1", "2", &file, 1, PACKED_NOT)), "rb");
	assert_non_null(rpm);
	assert_int_equal(rpm_describe(fileno(rpm), &source, &err), 0);
	assert_string_equal(source.signature, "signed, signature not verified");
	blob_free(&file.blob);
}

/* Wherever it was cut off, nothing but an error comes of it. */
static void truncated_packages(void **state)
{
	struct made_file file = { "lib/modules/1-x/a.ko", make_module(0x22, "1-x") };
	struct blob packages[] = {
		make_deb("p", "1", &file, 1, PACKED_XZ), make_rpm("p", "1", "2", &file, 1, PACKED_XZ),
	};

	for (size_t i = 0; i < ARRAY_SIZE(packages); i++) {
		/* What ends such a file may be padding. */
		for (size_t size = 8; size < packages[i].size - 2; size += 7) {
			struct seen seen = {0};
			const char *path = put(*state, "cut",
					       make_packed(PACKED_NOT, packages[i].data, size));

			if (package_each(path, note, &seen, NULL) != -EBADMSG)
				fail_msg("%zu of %zu bytes", size, packages[i].size);
		}
		blob_free(&packages[i]);
	}
	blob_free(&file.blob);
}

/* Any byte of it changed: an end, one way or the other, and no damage to us. */
static void changed_packages(void **state)
{
	struct made_file file = { "lib/modules/1-x/a.ko", make_module(0x22, "1-x") };
	struct blob packages[] = {
		make_deb("p", "1", &file, 1, PACKED_NOT), make_rpm("p", "1", "2", &file, 1, PACKED_NOT),
	};

	for (size_t i = 0; i < ARRAY_SIZE(packages); i++) {
		for (size_t at = 0; at < packages[i].size; at += 5) {
			struct seen seen = {0};
			int r;

			packages[i].data[at] ^= 0xff;
			r = package_each(put(*state, "odd", make_packed(PACKED_NOT, packages[i].data,
									packages[i].size)),
					 note, &seen, NULL);
			assert_true(r == 0 || r == -EBADMSG || r == -ELOOP);
			packages[i].data[at] ^= 0xff;
		}
		blob_free(&packages[i]);
	}
	blob_free(&file.blob);
}

static void what_is_none_of_it(void **state)
{
	struct fixture *f = *state;
	struct blob text = { (uint8_t *)(uintptr_t)"!<arch>\n", 8 };
	char path[128];

	assert_fails(put(f, "text", make_packed(PACKED_NOT, "some text", 9)), -EBADMSG,
		     "neither a package");
	assert_fails(put(f, "nothing", make_packed(PACKED_NOT, "", 0)), -EBADMSG,
		     "neither a package");
	assert_fails("/nonexistent/x", -ENOENT, "No such file");
	assert_fails("/dev/null", -EBADMSG, "not a file");
	assert_fails(put(f, "empty.deb", make_packed(PACKED_NOT, text.data, text.size)), -EBADMSG,
		     "without data.tar");
	snprintf(path, sizeof(path), "%s/fifo", f->dir);
	assert_int_equal(mkfifo(path, 0600), 0);
	assert_fails(path, -EBADMSG, "not a file");
}

static void module_that_is_none(void **state)
{
	struct made_file file = { "lib/modules/1-x/a.ko", make_packed(PACKED_NOT, "no module", 9) };

	assert_fails(put(*state, "a.deb", make_deb("p", "1", &file, 1, PACKED_XZ)), -EBADMSG,
		     "not an ELF file");
	blob_free(&file.blob);
}

static int enough(struct packaged *member, void *ctx, struct err *err)
{
	struct seen *seen = ctx;

	(void)member;
	(void)err;
	seen->n++;
	return 1;
}

static void rest_of_a_package_is_skipped(void **state)
{
	struct fixture *f = *state;
	struct seen seen = {0};

	put(f, "a.deb", make_kernel_deb(0x11, RELEASE, VERSION));
	put(f, "b.deb", make_kernel_deb(0x21, RELEASE, VERSION));
	assert_int_equal(package_each(f->dir, enough, &seen, NULL), 0);
	assert_int_equal(seen.n, 2);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(debian_package),
		TEST(packages_packed_in_every_way),
		TEST(bare_files),
		TEST(debug_information_is_passed_over),
		TEST(directory),
		TEST(signature_of_an_rpm),
		TEST(truncated_packages),
		TEST(changed_packages),
		TEST(what_is_none_of_it),
		TEST(module_that_is_none),
		TEST(rest_of_a_package_is_skipped),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
