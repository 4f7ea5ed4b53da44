/* SPDX-License-Identifier: Apache-2.0 */
#include "reference/reference.h"

#include <setjmp.h>
#include <sqlite3.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/cleanup.h"
#include "make/package.h"
#include "make/torture.h"
#include "make/torture_store.h"
#include "reference/baseline.h"
#include "reference/store.h"
#include "reference/trust.h"

#define RELEASE "6.1.0-99-amd64"
#define VERSION "6.1.9-1"

/*
 * Memory runs out at every single allocation of ours and of SQLite's, one after the other: each
 * time the end is an error or the right result, nothing is lost (under AddressSanitizer), and
 * the store is whole.
 */
static char dir[64], package[96], store_path[96];

static int use_our_memory(void **state)
{
	struct blob deb = make_kernel_deb(0x11, RELEASE, VERSION);

	(void)state;
	if (torture_directory("torture", dir, sizeof(dir)) < 0 || torture_sqlite() < 0)
		return -1;
	make_file(dir, "a.deb", &deb);
	blob_free(&deb);
	snprintf(package, sizeof(package), "%s/a.deb", dir);
	snprintf(store_path, sizeof(store_path), "%s/store", dir);
	return 0;
}

static void remove_store(void)
{
	char blobs[128];

	snprintf(blobs, sizeof(blobs), "%s/blobs", store_path);
	torture_remove_files(blobs);
	rmdir(blobs);
	torture_remove_files(store_path);
	rmdir(store_path);
	assert_int_not_equal(access(store_path, F_OK), 0);
}

static int remove_all(void **state)
{
	char command[128];

	(void)state;
	snprintf(command, sizeof(command), "rm -rf '%s'", dir);
	return system(command);
}

static struct kernel guest(void)
{
	struct kernel kernel = { .release = RELEASE, .text = { 0xffffffff81000000 } };

	make_build_id(0x11, kernel.build_id);
	return kernel;
}

static int add(void)
{
	cleanup(store_close) struct store *store = NULL;
	struct store_addition addition = {0};
	int r = store_open(store_path, true, &store, NULL);

	if (r >= 0)
		r = store_add(store, package, NULL, &addition, NULL);
	vec_free(&addition.list);
	return r;
}

static int look_up(const struct reference_options *options)
{
	cleanup(reference_close) struct reference *reference = NULL;
	cleanup(blob_free) struct blob module = {0};
	const struct kernel kernel = guest();
	int r = reference_open(options, &kernel, &reference, NULL);

	if (r >= 0)
		r = reference_module(reference, "ext4", NULL, &module, NULL);
	return r;
}

static int from_package(void)
{
	const char *const paths[] = { package };

	return look_up(&(struct reference_options){ .paths = paths, .paths_n = 1 });
}

static int from_store(void)
{
	return look_up(&(struct reference_options){ .store = store_path });
}

static int from_kernel_file(void)
{
	cleanup(reference_close) struct reference *reference = NULL;
	const struct reference_options options = {
		.kernel_file = package, .kernel_name = "x", .store = store_path,
	};
	const struct kernel kernel = guest();

	return reference_open(&options, &kernel, &reference, NULL);
}

static int record(void)
{
	cleanup(baseline_close) struct baseline *baseline = NULL;
	cleanup(blob_free) struct blob was = {0};
	const struct kernel kernel = guest();
	int r = baseline_open(store_path, "guest", &kernel, &baseline, NULL);

	if (r >= 0)
		r = baseline_compare(baseline, "new", "text", 4, &was, NULL);
	if (r >= 0)
		r = baseline_compare(baseline, "recorded", "different", 9, &was, NULL);
	return r < 0 ? r : baseline_commit(baseline, NULL);
}

static int record_one(void)
{
	cleanup(baseline_close) struct baseline *baseline = NULL;
	const struct kernel kernel = guest();
	int r = baseline_open(store_path, "guest", &kernel, &baseline, NULL);

	if (r >= 0)
		r = baseline_compare(baseline, "recorded", "text", 4, NULL, NULL);
	return r < 0 ? r : baseline_commit(baseline, NULL);
}

static int trusting(void)
{
	cleanup(trust_close) struct trust *trust = NULL;
	static const uint8_t digest[TRUST_DIGEST_BYTES];
	struct trust_addition addition = {0};
	int r = trust_open(store_path, true, &trust, NULL);

	if (r >= 0)
		r = trust_add(trust, package, &addition, NULL);
	if (r >= 0)
		r = trust_find(trust, digest, NULL, NULL);
	vec_free(&addition.list);
	return r;
}

/* Let @work fail at every allocation in turn, each time after @before. */
static void torture(int (*work)(void), int (*before)(void))
{
	uint64_t n, count = 0;
	int r = 0;

	for (n = 1; count >= n - 1; n++) {
		remove_store();
		if (before)
			assert_true(before() >= 0);
		torture_allocation(n);
		r = work();
		count = torture_allocations();
		torture_allocation(0);
		/* SQLite does without some, and what is to be remembered may be forgotten. */
		if (r < 0)
			assert_int_equal(r, -ENOMEM);
		sqlite3_shutdown();
		if (r < 0)
			assert_true(work() >= 0);
	}
	assert_true(r >= 0);
	assert_in_range(n, 10, 100000);
}

#define TORTURE(name, work, before)             \
	static void name(void **state)          \
	{                                       \
		(void)state;                    \
		torture(work, before);          \
	}

TORTURE(adding_to_the_store, add, NULL)
TORTURE(reading_a_package, from_package, NULL)
TORTURE(reading_the_store, from_store, add)
TORTURE(remembering_a_kernel_file, from_kernel_file, NULL)
TORTURE(recording_a_baseline, record, record_one)
TORTURE(trusting_a_package, trusting, NULL)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(adding_to_the_store),
		cmocka_unit_test(reading_a_package),
		cmocka_unit_test(reading_the_store),
		cmocka_unit_test(remembering_a_kernel_file),
		cmocka_unit_test(recording_a_baseline),
		cmocka_unit_test(trusting_a_package),
	};

	return cmocka_run_group_tests(tests, use_our_memory, remove_all);
}
