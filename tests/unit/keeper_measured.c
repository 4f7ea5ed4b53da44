/* SPDX-License-Identifier: Apache-2.0 */
#include "keeper/measured.h"

#include <stdarg.h>
#include <setjmp.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include <sodium.h>

#include "base/limits.h"
#include "make/agent_log.h"
#include "make/torture.h"

static struct made_log made;
static struct measured measured;
static struct err err;

static uint8_t code[4 * AGENT_PAGE_BYTES + 100];

static const struct agent_file a_file = {
	.device = 0x800001, .inode = 77, .mtime_ns = 1000, .ctime_ns = 2000,
	.reason = AGENT_MAPPED,
};

static const struct measured_key a_key = {
	.device = 0x800001, .inode = 77, .size_bytes = sizeof(code), .mtime_ns = 1000,
	.ctime_ns = 2000,
};

static int setup(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(code); i++)
		code[i] = (uint8_t)(i * 7 + i / 4096);
	made = (struct made_log){ 0 };
	made_log_start(&made);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	measured_free(&measured);
	made_log_free(&made);
	return 0;
}

static void add(const struct agent_file *file, const char *path)
{
	made_log_file(&made, file, path, code, sizeof(code),
		      (struct agent_segment[]){ { 0, 1 }, { 3, 2 } }, 2);
}

/* Everything of the log into the table. */
static int take(void)
{
	struct records records = records_of(made.data, made.size_bytes,
					    &(struct log_mark){ 0 });
	struct record record;
	int r = 1;

	while (r > 0) {
		r = records_next(&records, &record, &err);
		if (r > 0 && measured_add(&measured, &record, &err) < 0)
			return -1;
	}
	return r;
}

static void each_page_has_its_digest(void **state)
{
	uint8_t page[AGENT_PAGE_BYTES] = { 0 }, digest[AGENT_DIGEST_BYTES];
	const struct measured_file *file;

	(void)state;
	add(&a_file, "/usr/lib/libx.so");
	assert_int_equal(take(), 0);
	memset(made.data, 0xee, made.size_bytes);	/* it has copies */
	file = measured_find(&measured, &a_key);
	assert_non_null(file);
	assert_string_equal(file->path, "/usr/lib/libx.so");
	assert_string_equal(measured_reason_name(file->reason), "mapped");
	crypto_hash_sha256(digest, code, sizeof(code));
	assert_memory_equal(file->sha256, digest, sizeof(digest));
	crypto_hash_sha256(digest, code + 3 * AGENT_PAGE_BYTES, AGENT_PAGE_BYTES);
	assert_memory_equal(measured_digest(file, 3), digest, sizeof(digest));
	memcpy(page, code + 4 * AGENT_PAGE_BYTES, 100);
	crypto_hash_sha256(digest, page, sizeof(page));
	assert_memory_equal(measured_digest(file, 4), digest, sizeof(digest));
	assert_non_null(measured_digest(file, 0));
	assert_null(measured_digest(file, 1));
	assert_null(measured_digest(file, 2));
	assert_null(measured_digest(file, 5));
	assert_null(measured_digest(file, UINT64_MAX));
}

static void another_file_is_not_found(void **state)
{
	struct measured_key key;

	(void)state;
	add(&a_file, "/x");
	assert_int_equal(take(), 0);
	key = a_key;
	key.inode++;
	assert_null(measured_find(&measured, &key));
	assert_null(measured_inode(&measured, key.inode));
	key = a_key;
	key.size_bytes++;
	assert_null(measured_find(&measured, &key));
	key = a_key;
	key.mtime_ns++;
	assert_null(measured_find(&measured, &key));
	assert_non_null(measured_inode(&measured, key.inode));
	key = a_key;
	key.device = 1;		/* overlayfs, btrfs: no choice, so it does not count */
	assert_non_null(measured_find(&measured, &key));
}

static void of_several_the_likest_is_found(void **state)
{
	struct agent_file other_device = a_file, other_ctime = a_file;
	struct measured_key key = a_key;

	(void)state;
	other_device.device = 9;
	other_ctime.ctime_ns = 3000;
	add(&a_file, "/a");
	add(&other_device, "/device");
	add(&other_ctime, "/ctime");
	assert_int_equal(take(), 0);
	assert_string_equal(measured_find(&measured, &key)->path, "/a");
	key.ctime_ns = 3000;
	assert_string_equal(measured_find(&measured, &key)->path, "/ctime");
	key.ctime_ns = 4000;	/* chmod(2) since: the newest of that device */
	assert_string_equal(measured_find(&measured, &key)->path, "/ctime");
	key = a_key;
	key.device = 9;
	assert_string_equal(measured_find(&measured, &key)->path, "/device");
	key.device = 10;
	assert_string_equal(measured_find(&measured, &key)->path, "/device");
	assert_string_equal(measured_same(&measured, &key)->path, "/ctime");
	assert_string_equal(measured_same(&measured, &key)->older_same->path, "/device");
}

static void older_generations_of_a_file_stay(void **state)
{
	struct agent_file newer = a_file;
	const struct measured_file *file;

	(void)state;
	newer.mtime_ns = 5000;
	add(&a_file, "/old");
	add(&newer, "/new");
	assert_int_equal(take(), 0);
	assert_string_equal(measured_find(&measured, &a_key)->path, "/old");
	file = measured_inode(&measured, 77);
	assert_string_equal(file->path, "/new");
	assert_string_equal(file->older_inode->path, "/old");
	assert_null(file->older_inode->older_inode);
	assert_null(file->older_same);
}

/* A guest that measures one file over and over makes no search long. */
static void the_search_has_an_end(void **state)
{
	(void)state;
	add(&a_file, "/first");
	for (unsigned i = 0; i < MEASURED_SAME_MAX; i++)
		made_log_file(&made, &(struct agent_file){ .device = 5, .inode = 77,
			      .mtime_ns = 1000, .reason = AGENT_EXEC }, "/same", code,
			      sizeof(code), (struct agent_segment[1]){ 0 }, 0);
	assert_int_equal(take(), 0);
	assert_string_equal(measured_find(&measured, &a_key)->path, "/same");
}

static void what_could_not_be_measured_is_told(void **state)
{
	(void)state;
	made_log_unreadable(&made, 5, "/secret", 13);
	made_log_add(&made, AGENT_RECORD_LOST);
	made_log_add(&made, AGENT_RECORD_FULL);
	assert_int_equal(take(), 0);
	assert_int_equal(measured.failures.n, 1);
	assert_string_equal(measured.failures.v[0].path, "/secret");
	assert_int_equal(measured.failures.v[0].error, 13);
	assert_int_equal(measured.lost, 7);
	assert_true(measured.full);
	assert_false(measured.stopped);
	assert_false(measured.partial);
}

/* An agent was started again: what the one before said of its log is not said of this one. */
static void another_log_does_not_undo_files(void **state)
{
	(void)state;
	add(&a_file, "/a");
	made_log_unreadable(&made, 5, "/secret", 13);
	made_log_add(&made, AGENT_RECORD_LOST);
	made_log_add(&made, AGENT_RECORD_STOP);
	assert_int_equal(take(), 0);
	assert_int_equal(measured.lost, 7);
	assert_true(measured.stopped);
	assert_int_not_equal(measured.lost_first_ns, 0);
	assert_int_equal(measured.lost_last_ns, measured.lost_first_ns);
	measured_restart(&measured);
	assert_int_equal(measured.lost, 0);
	assert_int_equal(measured.lost_first_ns, 0);
	assert_false(measured.stopped);
	assert_false(measured.full);
	assert_int_equal(measured.files.n, 1);
	assert_int_equal(measured.failures.n, 1);
}

static void no_memory_is_an_error_and_no_crash(void **state)
{
	uint64_t n;
	int r = -1;

	(void)state;
	add(&a_file, "/a");
	made_log_unreadable(&made, 5, "/secret", 13);
	for (n = 1; r < 0 && n < 100; n++) {
		torture_allocation(n);
		r = take();
		if (r < 0)
			measured_free(&measured);
	}
	torture_allocation(0);
	assert_int_equal(r, 0);
	assert_in_range(n, 6, 99);
	assert_int_equal(measured.files.n, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
		TEST(each_page_has_its_digest),
		TEST(another_file_is_not_found),
		TEST(of_several_the_likest_is_found),
		TEST(older_generations_of_a_file_stay),
		TEST(the_search_has_an_end),
		TEST(what_could_not_be_measured_is_told),
		TEST(another_log_does_not_undo_files),
		TEST(no_memory_is_an_error_and_no_crash),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
