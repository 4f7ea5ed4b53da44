/* SPDX-License-Identifier: Apache-2.0 */
#include "reference/trust.h"

#include <fcntl.h>
#include <setjmp.h>
#include <sodium.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/cleanup.h"
#include "make/package.h"
#include "reference/trust_write.h"

#define TEXT(path, text, mode) \
	{ path, { (uint8_t *)(uintptr_t)text, sizeof(text) - 1 }, mode }

static const struct made_file program = TEXT("./usr/bin/tool", "\177ELF a tool", 0755);
static const struct made_file library = TEXT("./usr/lib/libx.so.1", "\177ELF a library", 0644);
static const struct made_file script = TEXT("./usr/bin/run", "#!/bin/sh\nrun", 0755);
static const struct made_file import = TEXT("./usr/lib/python3/x.py", "print()", 0644);
static const struct made_file module = TEXT("./lib/modules/1/x.ko.xz", "\xfd" "7zXZ", 0644);
static const struct made_file other = TEXT("./usr/bin/blob", "something", 0755);
static const struct made_file manual = TEXT("./usr/share/doc/tool", "words", 0644);
static const struct made_file empty = TEXT("./usr/bin/empty", "", 0755);

struct fixture {
	char dir[64];
	char store[96];
	char path[160];		/* of the file that was put last */
	struct trust *trust;
};

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	struct err err = {0};

	strcpy(f->dir, "/tmp/hvsm-trust-XXXXXX");
	assert_non_null(mkdtemp(f->dir));
	snprintf(f->store, sizeof(f->store), "%s/store", f->dir);
	if (trust_open(f->store, true, &f->trust, &err) < 0)
		fail_msg("%s", err.text);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;
	char command[128];

	trust_close(&f->trust);
	snprintf(command, sizeof(command), "rm -rf '%s'", f->dir);
	assert_int_equal(system(command), 0);
	free(f);
	return 0;
}

static const char *put(struct fixture *f, const char *name, const void *data, size_t size)
{
	const struct blob blob = { (uint8_t *)(uintptr_t)data, size };

	make_file(f->dir, name, &blob);
	snprintf(f->path, sizeof(f->path), "%s/%s", f->dir, name);
	return f->path;
}

static const char *put_deb(struct fixture *f, const char *name, const char *version,
			   const struct made_file *files, size_t n)
{
	struct blob deb = make_deb("tool", version, files, n, PACKED_XZ);

	put(f, name, deb.data, deb.size);
	blob_free(&deb);
	return f->path;
}

/* A directory in the fixture's; its path. */
static const char *folder(struct fixture *f, const char *name)
{
	snprintf(f->path, sizeof(f->path), "%s/%s", f->dir, name);
	assert_int_equal(mkdir(f->path, 0700), 0);
	return f->path;
}

/* Add it: how many sources are new, and in @files how many files they have. */
static unsigned add(struct fixture *f, const char *path, uint64_t *files)
{
	struct trust_addition addition = {0};
	struct err err = {0};
	unsigned fresh = 0;

	*files = 0;
	if (trust_add(f->trust, path, &addition, &err) < 0)
		fail_msg("%s", err.text);
	for (size_t i = 0; i < addition.list.n; i++) {
		fresh += !addition.list.v[i].known;
		*files += addition.list.v[i].files;
	}
	vec_free(&addition.list);
	return fresh;
}

static int add_fails(struct fixture *f, const char *path)
{
	struct trust_addition addition = {0};
	struct err err = {0};
	int r = trust_add(f->trust, path, &addition, &err);

	assert_int_equal(addition.list.n, 0);
	assert_true(r >= 0 || *err.text);
	vec_free(&addition.list);
	return r;
}

/* Asked in a store that is opened anew: what is kept counts, not what was answered before. */
static const struct trust_known *find(struct fixture *f, const struct made_file *file)
{
	const struct trust_known *known = NULL;
	uint8_t digest[TRUST_DIGEST_BYTES];
	struct err err = {0};

	trust_close(&f->trust);
	assert_int_equal(trust_open(f->store, false, &f->trust, NULL), 0);
	crypto_hash_sha256(digest, file->blob.data, file->blob.size);
	for (int i = 0; i < 2; i++) {	/* by the database, and by what it said */
		int r = trust_find(f->trust, digest, &known, &err);

		if (r < 0)
			fail_msg("%s", err.text);
		assert_int_equal(r, known != NULL);
	}
	return known;
}

static int count(const struct trust_entry *entry, void *ctx, struct err *err)
{
	(void)entry;
	(void)err;
	++*(unsigned *)ctx;
	return 0;
}

static unsigned sources(struct fixture *f)
{
	unsigned n = 0;

	assert_int_equal(trust_each(f->trust, count, &n, NULL), 0);
	return n;
}

static void what_runs_is_trusted(void **state)
{
	static const struct {
		const char *path, *head;
		uint32_t mode;
		int taken;
		enum trust_kind kind;
	} cases[] = {
		{ "/bin/x", "\177ELF", 0755, 1, TRUST_ELF },
		{ "/lib/x.so", "\177ELF", 0644, 1, TRUST_ELF },
		{ "/lib/x.ko", "\177ELF", 0644, 1, TRUST_MODULE },
		{ "/lib/x.ko.zst", "abcd", 0644, 1, TRUST_MODULE },
		{ "/bin/x", "#!/b", 0644, 1, TRUST_SCRIPT },
		{ "/lib/x.pm", "pack", 0644, 1, TRUST_SCRIPT },
		{ "/bin/x", "abcd", 0700, 1, TRUST_EXECUTABLE },
		{ "/bin/x", "abcd", 0010, 1, TRUST_EXECUTABLE },
		{ "/bin/x", "abcd", 06644, 0, TRUST_OTHER },
		{ "/etc/x.conf", "abcd", 0644, 0, TRUST_OTHER },
		{ "/lib/x.kof", "abcd", 0644, 0, TRUST_OTHER },
		{ "/bin/x", "", 0755, 0, TRUST_OTHER },
		{ "/lib/x.py", "", 0644, 0, TRUST_OTHER },
		{ "/lib/x.ko", "", 0644, 0, TRUST_OTHER },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		enum trust_kind kind = TRUST_OTHER;

		assert_int_equal(trust_judge(cases[i].path, cases[i].mode,
					     (const uint8_t *)cases[i].head,
					     strlen(cases[i].head), &kind), cases[i].taken);
		assert_int_equal(kind, cases[i].kind);
	}
}

static void a_package_vouches_for_its_programs(void **state)
{
	const struct made_file files[] = {
		program, library, script, import, module, other, manual, empty,
	};
	struct fixture *f = *state;
	const struct trust_known *known;
	uint64_t n;

	assert_int_equal(trust_is_empty(f->trust, NULL), 1);
	assert_int_equal(add(f, put_deb(f, "a.deb", "1.0-1", files, ARRAY_SIZE(files)), &n), 1);
	assert_int_equal(n, 6);
	assert_int_equal(trust_is_empty(f->trust, NULL), 0);
	known = find(f, &program);
	assert_non_null(known);
	assert_string_equal(known->by, "tool 1.0-1");
	assert_string_equal(known->path, "/usr/bin/tool");
	assert_int_equal(known->mode, 0755);
	assert_int_equal(known->size_bytes, program.blob.size);
	assert_int_equal(known->kind, TRUST_ELF);
	assert_int_equal(find(f, &library)->kind, TRUST_ELF);
	assert_int_equal(find(f, &script)->kind, TRUST_SCRIPT);
	assert_int_equal(find(f, &import)->kind, TRUST_SCRIPT);
	assert_int_equal(find(f, &module)->kind, TRUST_MODULE);
	assert_int_equal(find(f, &other)->kind, TRUST_EXECUTABLE);
	assert_null(find(f, &manual));
	assert_null(find(f, &empty));
}

static void an_rpm_does_so_too(void **state)
{
	const struct made_file files[] = { program, manual };
	struct fixture *f = *state;
	struct blob rpm = make_rpm("tool", "1.0", "1.fc40", files, 2, PACKED_ZSTD);
	uint64_t n;

	put(f, "a.rpm", rpm.data, rpm.size);
	blob_free(&rpm);
	assert_int_equal(add(f, f->path, &n), 1);
	assert_int_equal(n, 1);
	assert_string_equal(find(f, &program)->by, "tool 1.0-1.fc40");
}

/* Of two names of one file, cpio has the bytes with the second. */
static void a_file_with_two_names(void **state)
{
	const struct made_file files[] = {
		{ "./usr/bin/first", {0}, 0755, 7 },
		{ "./usr/bin/second", program.blob, 0755, 7 },
	};
	struct fixture *f = *state;
	struct blob rpm = make_rpm("tool", "1.0", "1.fc40", files, 2, PACKED_XZ);
	uint64_t n;

	put(f, "a.rpm", rpm.data, rpm.size);
	blob_free(&rpm);
	assert_int_equal(add(f, f->path, &n), 1);
	assert_int_equal(n, 1);
	assert_string_equal(find(f, &program)->path, "/usr/bin/second");
}

static void a_file_is_trusted_whatever_it_is(void **state)
{
	struct fixture *f = *state;
	uint64_t n;

	put(f, "words", manual.blob.data, manual.blob.size);
	assert_int_equal(add(f, f->path, &n), 1);
	assert_string_equal(find(f, &manual)->by, f->path);
	assert_int_equal(find(f, &manual)->kind, TRUST_OTHER);
}

static void a_directory_is_one_source_and_its_packages_are_others(void **state)
{
	struct fixture *f = *state;
	char golden[160], path[256];
	uint64_t n;

	strcpy(golden, folder(f, "golden"));
	folder(f, "golden/bin");
	put(f, "golden/bin/tool", program.blob.data, program.blob.size);
	put(f, "golden/words", manual.blob.data, manual.blob.size);
	put_deb(f, "golden/a.deb", "1", &script, 1);
	put(f, "outside", other.blob.data, other.blob.size);
	assert_int_equal(chmod(f->path, 0755), 0);
	snprintf(path, sizeof(path), "%s/link", golden);
	assert_int_equal(symlink(f->path, path), 0);
	snprintf(path, sizeof(path), "%s/fifo", golden);
	assert_int_equal(mkfifo(path, 0755), 0);

	assert_int_equal(add(f, golden, &n), 2);
	assert_int_equal(n, 2);
	assert_string_equal(find(f, &program)->by, golden);
	assert_string_equal(find(f, &program)->path, "/bin/tool");
	assert_string_equal(find(f, &script)->by, "tool 1");
	assert_null(find(f, &manual));
	assert_null(find(f, &other));
	assert_int_equal(add(f, golden, &n), 0);
	put(f, "golden/new", library.blob.data, library.blob.size);
	assert_int_equal(add(f, golden, &n), 1);
	assert_int_equal(sources(f), 3);
}

static void a_known_package_is_left_alone(void **state)
{
	struct fixture *f = *state;
	uint64_t n;

	put_deb(f, "a.deb", "1", &program, 1);
	assert_int_equal(add(f, f->path, &n), 1);
	assert_int_equal(add(f, f->path, &n), 0);
	assert_int_equal(sources(f), 1);
}

/* Cut anywhere, it leaves nothing behind. */
static void a_damaged_package_adds_nothing(void **state)
{
	const struct made_file files[] = { program, library, script };
	struct blob deb = make_deb("tool", "1", files, ARRAY_SIZE(files), PACKED_XZ);
	struct fixture *f = *state;

	for (size_t cut = 8; cut < deb.size - 60; cut += 7) {
		int r = add_fails(f, put(f, "a.deb", deb.data, cut));

		assert_int_equal(r, -EBADMSG);
		assert_int_equal(sources(f), 0);
	}
	blob_free(&deb);
	assert_int_equal(trust_is_empty(f->trust, NULL), 1);
}

static void what_cannot_be_added(void **state)
{
	struct fixture *f = *state;
	char none[128];

	snprintf(none, sizeof(none), "%s/none", f->dir);
	assert_int_equal(add_fails(f, none), -ENOENT);
	assert_int_equal(add_fails(f, put(f, "void", "", 0)), -ENOENT);
	assert_int_equal(add_fails(f, folder(f, "nothing")), -ENOENT);
	assert_int_equal(add_fails(f, "/dev/null"), -EBADMSG);
	assert_int_equal(sources(f), 0);
}

/* A digest is forgotten with the last source that has it. */
static void removing(void **state)
{
	const struct made_file both[] = { program, script };
	struct reference_source source;
	struct fixture *f = *state;
	struct trust_known known;
	uint64_t n;

	add(f, put_deb(f, "old.deb", "1", &program, 1), &n);
	add(f, put_deb(f, "new.deb", "2", both, 2), &n);
	known = *find(f, &program);
	assert_string_equal(known.by, "tool 2");
	assert_int_equal(trust_remove(f->trust, "xyz!", &source, NULL), -EINVAL);
	assert_int_equal(trust_remove(f->trust, "0123456789", &source, NULL), -ENOENT);
	for (int left = 2; left; left--) {
		struct blob deb = make_deb("tool", left == 2 ? "2" : "1", both,
					   left == 2 ? 2 : 1, PACKED_XZ);
		uint8_t digest[TRUST_DIGEST_BYTES];
		char id[65];

		crypto_hash_sha256(digest, deb.data, deb.size);
		sodium_bin2hex(id, sizeof(id), digest, sizeof(digest));
		blob_free(&deb);
		id[12] = '\0';
		assert_int_equal(trust_remove(f->trust, id, &source, NULL), 0);
		assert_int_equal(find(f, &program) != NULL, left == 2);
		assert_null(find(f, &script));
	}
	assert_int_equal(trust_is_empty(f->trust, NULL), 1);
}

/* All of them add the same packages: each is there once, whole, and nobody fails. */
static void several_processes_at_once(void **state)
{
	const struct made_file files[] = { program, library, script, other };
	struct fixture *f = *state;
	char paths[4][160], version[8];
	uint64_t n;
	int status;

	for (int i = 0; i < 4; i++) {
		snprintf(version, sizeof(version), "%d", i);
		put_deb(f, version, version, files, ARRAY_SIZE(files));
		strcpy(paths[i], f->path);
	}
	trust_close(&f->trust);		/* no connection goes through a fork */
	for (int child = 0; child < 4; child++) {
		pid_t pid = fork();

		assert_true(pid >= 0);
		if (pid)
			continue;
		for (int i = 0; i < 4; i++) {
			struct trust_addition addition = {0};

			if (trust_open(f->store, true, &f->trust, NULL) < 0 ||
			    trust_add(f->trust, paths[(child + i) % 4], &addition, NULL) < 0)
				_exit(1);
			vec_free(&addition.list);
			trust_close(&f->trust);
		}
		_exit(0);
	}
	for (int child = 0; child < 4; child++) {
		assert_true(wait(&status) > 0);
		assert_int_equal(status, 0);
	}
	assert_int_equal(trust_open(f->store, true, &f->trust, NULL), 0);
	assert_int_equal(sources(f), 4);
	for (int i = 0; i < 4; i++)
		assert_int_equal(add(f, paths[i], &n), 0);
}

static void a_damaged_store_is_told(void **state)
{
	struct fixture *f = *state;
	struct err err = {0};
	uint64_t n;

	add(f, put_deb(f, "a.deb", "1", &program, 1), &n);
	trust_close(&f->trust);
	put(f, "store/trust.db", "no database, no database, no database", 37);
	assert_int_equal(trust_open(f->store, false, &f->trust, &err), -EBADMSG);
	assert_non_null(strstr(err.text, "trust store is damaged"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_runs_is_trusted),
		cmocka_unit_test_setup_teardown(a_package_vouches_for_its_programs, setup, teardown),
		cmocka_unit_test_setup_teardown(an_rpm_does_so_too, setup, teardown),
		cmocka_unit_test_setup_teardown(a_file_with_two_names, setup, teardown),
		cmocka_unit_test_setup_teardown(a_file_is_trusted_whatever_it_is, setup, teardown),
		cmocka_unit_test_setup_teardown(
			a_directory_is_one_source_and_its_packages_are_others, setup, teardown),
		cmocka_unit_test_setup_teardown(a_known_package_is_left_alone, setup, teardown),
		cmocka_unit_test_setup_teardown(a_damaged_package_adds_nothing, setup, teardown),
		cmocka_unit_test_setup_teardown(what_cannot_be_added, setup, teardown),
		cmocka_unit_test_setup_teardown(removing, setup, teardown),
		cmocka_unit_test_setup_teardown(several_processes_at_once, setup, teardown),
		cmocka_unit_test_setup_teardown(a_damaged_store_is_told, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
