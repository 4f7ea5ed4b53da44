/* SPDX-License-Identifier: Apache-2.0 */
#include "reference/store.h"

#include <dirent.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/cleanup.h"
#include "make/package.h"

#define RELEASE "6.1.0-99-amd64"
#define VERSION "6.1.9-1"

struct fixture {
	char dir[64];
	char store[80];
	char path[128];		/* of the file that was put last */
};

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	strcpy(f->dir, "/tmp/hvsm-store-XXXXXX");
	assert_non_null(mkdtemp(f->dir));
	snprintf(f->store, sizeof(f->store), "%s/store", f->dir);
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

static const char *put(struct fixture *f, const char *name, struct blob blob)
{
	make_file(f->dir, name, &blob);
	blob_free(&blob);
	snprintf(f->path, sizeof(f->path), "%s/%s", f->dir, name);
	return f->path;
}

static struct store *opened(struct fixture *f)
{
	struct store *store = NULL;
	struct err err = {0};

	if (store_open(f->store, true, &store, &err) < 0)
		fail_msg("%s", err.text);
	return store;
}

/* Add it: how many sources are new. */
static unsigned add(struct store *store, const char *path)
{
	struct store_addition addition = {0};
	struct err err = {0};
	unsigned fresh = 0;

	if (store_add(store, path, NULL, &addition, &err) < 0)
		fail_msg("%s", err.text);
	for (size_t i = 0; i < addition.list.n; i++)
		fresh += !addition.list.v[i].known;
	vec_free(&addition.list);
	return fresh;
}

static int count(const struct store_entry *entry, void *ctx, struct err *err)
{
	(void)entry;
	(void)err;
	++*(unsigned *)ctx;
	return 0;
}

static unsigned sources(struct store *store)
{
	unsigned n = 0;

	assert_int_equal(store_each(store, count, &n, NULL), 0);
	return n;
}

/* The files under blobs/; @name receives the last one's path. */
static unsigned blobs(const struct fixture *f, char name[256])
{
	cleanup(dir_close) DIR *dir = NULL;
	const struct dirent *entry;
	char path[128];
	unsigned n = 0;

	snprintf(path, sizeof(path), "%s/blobs", f->store);
	dir = opendir(path);
	assert_non_null(dir);
	while ((entry = readdir(dir)))
		if (entry->d_name[0] != '.' && ++n && name)
			snprintf(name, 256, "%s/%.100s", path, entry->d_name);
	return n;
}

static int kernel(struct store *store, unsigned char id, struct reference_source *source,
		  struct blob *ret)
{
	struct identified found;
	char build_id[41];
	int r = store_kernel(store, make_build_id(id, build_id), "", source, &found, ret, NULL);

	if (r == 0)
		assert_string_equal(found.build_id, build_id);
	return r;
}

static int take_version(const char *version, const char *build_id, void *ctx)
{
	(void)build_id;
	return !strcmp(version, ctx);
}

static void package_is_kept(void **state)
{
	cleanup(store_close) struct store *store = opened(*state);
	cleanup(blob_free) struct blob vmlinux = make_vmlinux(0x11, RELEASE, "Debian " VERSION);
	cleanup(blob_free) struct blob module = make_module(0x12, RELEASE);
	cleanup(blob_free) struct blob found = {0};
	cleanup(blob_free) struct blob ext4 = {0};
	struct reference_source source;
	char version[] = VERSION;

	assert_int_equal(add(store, put(*state, "a.deb", make_kernel_deb(0x11, RELEASE, VERSION))),
			 1);
	assert_int_equal(kernel(store, 0x11, &source, &found), 0);
	assert_string_equal(source.package, "linux-image-" RELEASE);
	assert_string_equal(source.version, VERSION);
	assert_string_equal(source.source, "package");
	assert_int_equal(found.size, vmlinux.size);
	assert_memory_equal(found.data, vmlinux.data, vmlinux.size);
	assert_int_equal(store_has_modules(store, RELEASE, NULL), 1);
	assert_int_equal(store_has_modules(store, "5.10", NULL), 0);
	assert_int_equal(store_module(store, "ext4", RELEASE, take_version, version, &ext4, NULL), 0);
	assert_int_equal(ext4.size, module.size);
	assert_memory_equal(ext4.data, module.data, module.size);
	blob_free(&ext4);
	assert_int_equal(store_module(store, "xfs", RELEASE, take_version, version, &ext4, NULL),
			 -ENOENT);
	assert_int_equal(kernel(store, 0x12, &source, &ext4), -ENOENT);
}

static void what_is_there_is_not_added_again(void **state)
{
	cleanup(store_close) struct store *store = opened(*state);
	const char *path = put(*state, "a.deb", make_kernel_deb(0x11, RELEASE, VERSION));

	assert_int_equal(add(store, path), 1);
	assert_int_equal(add(store, path), 0);
	assert_int_equal(sources(store), 1);
	assert_int_equal(blobs(*state, NULL), 1);
}

/* Bare files of a directory are one source, whatever packages lie among them. */
static void directory_is_one_source(void **state)
{
	struct fixture *f = *state;
	cleanup(store_close) struct store *store = opened(f);
	cleanup(blob_free) struct blob module = {0};
	cleanup(blob_free) struct blob found = {0};
	struct blob vmlinux = make_vmlinux(0x31, RELEASE, "x");
	struct reference_source source;
	char none[] = "", path[160];

	snprintf(path, sizeof(path), "%s/in", f->dir);
	assert_int_equal(mkdir(path, 0700), 0);
	put(f, "in/a.ko", make_module(0x32, RELEASE));
	put(f, "in/b.deb", make_kernel_deb(0x11, RELEASE, VERSION));
	put(f, "in/c.ko", make_module(0x33, RELEASE));
	put(f, "in/vmlinuz", make_bzimage(&vmlinux, PACKED_GZIP));
	assert_int_equal(add(store, path), 2);
	assert_int_equal(add(store, path), 0);
	assert_int_equal(kernel(store, 0x31, &source, &found), 0);
	assert_string_equal(source.source, "directory");
	assert_string_equal(source.path, path);
	assert_int_equal(store_module(store, "c", RELEASE, take_version, none, &module, NULL), 0);
	blob_free(&vmlinux);
}

static void removed_source_leaves_nothing(void **state)
{
	cleanup(store_close) struct store *store = opened(*state);
	struct reference_source source;
	cleanup(blob_free) struct blob found = {0};
	char id[13];

	add(store, put(*state, "a.deb", make_kernel_deb(0x11, RELEASE, VERSION)));
	add(store, put(*state, "b.deb", make_kernel_deb(0x21, "5.10.0-1-amd64", "5.10.1-1")));
	assert_int_equal(blobs(*state, NULL), 2);
	assert_int_equal(kernel(store, 0x11, &source, &found), 0);
	snprintf(id, sizeof(id), "%.12s", source.sha256);
	assert_int_equal(store_remove(store, id, &source, NULL), 0);
	assert_string_equal(source.package, "linux-image-" RELEASE);
	assert_int_equal(blobs(*state, NULL), 1);
	assert_int_equal(sources(store), 1);
	blob_free(&found);
	assert_int_equal(kernel(store, 0x11, &source, &found), -ENOENT);
	assert_int_equal(kernel(store, 0x21, &source, &found), 0);
	assert_int_equal(store_remove(store, id, &source, NULL), -ENOENT);
}

static void ids_that_name_nothing(void **state)
{
	static const char *const ids[] = {
		"", "123", "*", "12*4", "ABCD", "12345g", "[0-9]", "????",
		"12345678901234567890123456789012345678901234567890123456789012345",
	};
	cleanup(store_close) struct store *store = opened(*state);
	struct reference_source source;

	add(store, put(*state, "a.deb", make_kernel_deb(0x11, RELEASE, VERSION)));
	for (size_t i = 0; i < ARRAY_SIZE(ids); i++)
		assert_int_equal(store_remove(store, ids[i], &source, NULL), -EINVAL);
	assert_int_equal(sources(store), 1);
}

/* One release, built twice: a package counts for more than a bare file. */
static void kernel_of_a_package_is_preferred(void **state)
{
	cleanup(store_close) struct store *store = opened(*state);
	cleanup(blob_free) struct blob vmlinux = make_vmlinux(0x11, RELEASE, "Debian " VERSION);
	cleanup(blob_free) struct blob found = {0};
	struct reference_source file = { .source = "kernel file", .path = "/x", .sha256 = "1234" };
	struct reference_source source;

	assert_int_equal(store_add_kernel(store, &file, &vmlinux, NULL), 0);
	assert_int_equal(store_add_kernel(store, &file, &vmlinux, NULL), 0);
	assert_int_equal(sources(store), 1);
	assert_int_equal(kernel(store, 0x11, &source, &found), 0);
	assert_string_equal(source.source, "kernel file");
	blob_free(&found);
	add(store, put(*state, "a.deb", make_kernel_deb(0x11, RELEASE, VERSION)));
	file.sha256[0] = '5';
	assert_int_equal(store_add_kernel(store, &file, &vmlinux, NULL), 0);
	assert_int_equal(kernel(store, 0x11, &source, &found), 0);
	assert_string_equal(source.source, "package");
}

/* Every byte of it, changed: an error, never another kernel. */
static void changed_blob_is_noticed(void **state)
{
	cleanup(store_close) struct store *store = opened(*state);
	struct reference_source source;
	struct blob found = {0};
	char name[256];
	struct stat st;
	int fd;

	add(store, put(*state, "vmlinux", make_vmlinux(0x11, RELEASE, "x")));
	assert_int_equal(blobs(*state, name), 1);
	fd = open(name, O_RDWR);
	assert_true(fd >= 0 && fstat(fd, &st) == 0 && st.st_size > 100);
	for (off_t at = 0; at < st.st_size; at++) {
		uint8_t byte, other;

		assert_int_equal(pread(fd, &byte, 1, at), 1);
		other = byte ^ 0x20;
		assert_int_equal(pwrite(fd, &other, 1, at), 1);
		assert_int_equal(kernel(store, 0x11, &source, &found), -EBADMSG);
		assert_int_equal(pwrite(fd, &byte, 1, at), 1);
	}
	assert_int_equal(kernel(store, 0x11, &source, &found), 0);
	blob_free(&found);
	assert_int_equal(ftruncate(fd, st.st_size - 1), 0);
	assert_int_equal(kernel(store, 0x11, &source, &found), -EBADMSG);
	assert_int_equal(unlink(name), 0);
	assert_int_equal(kernel(store, 0x11, &source, &found), -EBADMSG);
	close(fd);
}

/* Blocks of the database overwritten: errors, or what is right. */
static void damaged_database(void **state)
{
	struct fixture *f = *state;
	struct store *store = opened(f);
	char path[160], zeros[512] = {0}, saved[512];
	unsigned refused = 0;
	struct stat st;
	int fd;

	add(store, put(f, "a.deb", make_kernel_deb(0x11, RELEASE, VERSION)));
	store_close(&store);
	snprintf(path, sizeof(path), "%s/store.db", f->store);
	fd = open(path, O_RDWR);
	assert_true(fd >= 0 && fstat(fd, &st) == 0);
	for (off_t at = 0; at < st.st_size; at += 512) {
		struct reference_source source;
		struct blob found = {0};
		int r;

		assert_int_equal(pread(fd, saved, 512, at), 512);
		assert_int_equal(pwrite(fd, zeros, 512, at), 512);
		r = store_open(f->store, false, &store, NULL);
		if (r == 0)
			r = kernel(store, 0x11, &source, &found);
		assert_true(r == 0 || r == -EBADMSG || r == -ENOENT || r == -ENOTSUP || r == -EIO);
		refused += r == -EBADMSG;
		blob_free(&found);
		store_close(&store);
		assert_int_equal(pwrite(fd, saved, 512, at), 512);
	}
	close(fd);
	assert_true(refused > 0);
}

static void stores_that_are_not_ours(void **state)
{
	struct fixture *f = *state;
	struct store *store = NULL;
	struct err err = {0};
	cleanup(file_close) FILE *file = NULL;
	char path[160];

	assert_int_equal(store_open(f->store, false, &store, NULL), -ENOENT);
	store = opened(f);
	store_close(&store);
	assert_int_equal(chmod(f->store, 0777), 0);
	assert_int_equal(store_open(f->store, true, &store, &err), -EACCES);
	assert_non_null(strstr(err.text, "not safe"));
	assert_int_equal(chmod(f->store, 0700), 0);
	snprintf(path, sizeof(path), "%s/store.db", f->store);
	file = fopen(path, "wb");
	assert_non_null(file);
	for (int i = 0; i < 4096; i++)
		fputs("no database ", file);
	fflush(file);
	assert_int_equal(store_open(f->store, true, &store, NULL), -EBADMSG);
	assert_null(store);
}

static void nothing_is_left_of_what_failed(void **state)
{
	cleanup(store_close) struct store *store = opened(*state);
	struct made_file files[] = {
		{ "lib/modules/1-x/a.ko", make_module(0x22, "1-x") },
		{ "lib/modules/1-x/b.ko", make_packed(PACKED_NOT, "no module", 9) },
	};
	struct store_addition addition = {0};

	assert_int_equal(store_add(store, put(*state, "a.deb", make_deb("p", "1", files, 2,
									PACKED_XZ)),
				   NULL, &addition, NULL), -EBADMSG);
	assert_int_equal(addition.list.n, 0);
	assert_int_equal(sources(store), 0);
	assert_int_equal(blobs(*state, NULL), 0);
	for (size_t i = 0; i < 2; i++)
		blob_free(&files[i].blob);
	files[0] = (struct made_file){ "usr/share/doc/x", make_packed(PACKED_NOT, "text", 4) };
	assert_int_equal(store_add(store, put(*state, "a.deb", make_deb("p", "1", files, 1,
									PACKED_XZ)),
				   NULL, &addition, NULL), -ENOENT);
	blob_free(&files[0].blob);
}

/* What a process left behind that died while it wrote. */
static void leftovers_are_removed(void **state)
{
	struct fixture *f = *state;
	cleanup(store_close) struct store *store = opened(f);

	put(f, "store/blobs/new-0123", make_packed(PACKED_NOT, "half", 4));
	put(f, "store/blobs/abcdef", make_packed(PACKED_NOT, "whole", 5));
	assert_int_equal(blobs(f, NULL), 2);
	add(store, put(f, "vmlinux", make_vmlinux(0x11, RELEASE, "x")));
	assert_int_equal(blobs(f, NULL), 1);
}

/* Processes that add, all at once: each of the same, and one of its own. */
static void concurrent_additions(void **state)
{
	struct fixture *f = *state;
	cleanup(store_close) struct store *store = NULL;
	int status;

	put(f, "same.deb", make_kernel_deb(0x11, RELEASE, VERSION));
	for (unsigned char i = 0; i < 8; i++) {
		pid_t pid = fork();

		assert_true(pid >= 0);
		if (!pid) {
			char name[32], path[128];
			struct store *mine = opened(f);

			snprintf(path, sizeof(path), "%s/same.deb", f->dir);
			add(mine, path);
			snprintf(name, sizeof(name), "own-%u", i);
			add(mine, put(f, name, make_vmlinux((unsigned char)(0x40 + i), RELEASE, "x")));
			store_close(&mine);
			_exit(0);
		}
	}
	for (unsigned i = 0; i < 8; i++) {
		assert_true(wait(&status) > 0);
		assert_int_equal(status, 0);
	}
	store = opened(f);
	assert_int_equal(sources(store), 9);
	assert_int_equal(blobs(f, NULL), 9);
	for (unsigned char i = 0; i < 8; i++) {
		struct reference_source source;
		struct blob found = {0};

		assert_int_equal(kernel(store, (unsigned char)(0x40 + i), &source, &found), 0);
		blob_free(&found);
	}
}

/* Wherever it is killed: what is listed is whole, and the next one can add. */
static void killed_while_it_adds(void **state)
{
	struct fixture *f = *state;
	unsigned added = 0;

	for (unsigned char i = 0; i < 40; i++) {
		struct reference_source source;
		struct blob found = {0};
		struct store *store;
		const char *path = put(f, "a.deb", make_kernel_deb(i, RELEASE, VERSION));
		pid_t pid = fork();
		int r;

		assert_true(pid >= 0);
		if (!pid) {
			store = opened(f);
			add(store, path);
			store_close(&store);
			_exit(0);
		}
		usleep(i * 250);
		kill(pid, SIGKILL);
		assert_int_equal(waitpid(pid, NULL, 0), pid);
		store = opened(f);
		r = kernel(store, i, &source, &found);
		assert_true(r == 0 || r == -ENOENT);
		added += r == 0;
		blob_free(&found);
		assert_int_equal(add(store, path), r == 0 ? 0 : 1);
		assert_int_equal(kernel(store, i, &source, &found), 0);
		blob_free(&found);
		assert_int_equal(sources(store), i + 1);
		assert_int_equal(blobs(f, NULL), i + 1);
		store_close(&store);
	}
	print_message("# %u of 40 were quicker\n", added);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(package_is_kept),
		TEST(what_is_there_is_not_added_again),
		TEST(directory_is_one_source),
		TEST(removed_source_leaves_nothing),
		TEST(ids_that_name_nothing),
		TEST(kernel_of_a_package_is_preferred),
		TEST(changed_blob_is_noticed),
		TEST(damaged_database),
		TEST(stores_that_are_not_ours),
		TEST(nothing_is_left_of_what_failed),
		TEST(leftovers_are_removed),
		TEST(concurrent_additions),
		TEST(killed_while_it_adds),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
