/* SPDX-License-Identifier: Apache-2.0 */
#include "reference/baseline.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "base/cleanup.h"
#include "base/limits.h"
#include "reference/database.h"

#define GUEST "6f2e4a52-7d4e-4c7e-9a55-0d8f6f3a1b2c"

static const struct kernel boot = {
	.text = { 0xffffffff81000000 },
	.build_id = "0123456789012345678901234567890123456789",
	.boot = { .canary = 7, .first_task = { 0xffff888000001000 }, .first_task_ns = 12 },
};

static int setup(void **state)
{
	char *dir = strdup("/tmp/hvsm-baseline-XXXXXX");

	assert_non_null(mkdtemp(dir));
	*state = dir;
	return 0;
}

static int teardown(void **state)
{
	char command[128];

	snprintf(command, sizeof(command), "rm -rf '%s'", (char *)*state);
	assert_int_equal(system(command), 0);
	free(*state);
	return 0;
}

static struct baseline *opened(void *dir, const char *guest, const struct kernel *kernel)
{
	struct baseline *baseline = NULL;
	struct err err = {0};

	if (baseline_open(dir, guest, kernel, &baseline, &err) < 0)
		fail_msg("%s", err.text);
	return baseline;
}

static int compare(struct baseline *baseline, const char *item, const char *text)
{
	return baseline_compare(baseline, item, text, strlen(text), NULL, NULL);
}

/* Record one item, and forget all about it. */
static void record(void *dir, const char *guest, const struct kernel *kernel, const char *item,
		   const char *text)
{
	cleanup(baseline_close) struct baseline *baseline = opened(dir, guest, kernel);

	assert_int_equal(compare(baseline, item, text), BASELINE_NEW);
	assert_int_equal(baseline_commit(baseline, NULL), 0);
}

static void what_was_committed_is_compared(void **state)
{
	cleanup(baseline_close) struct baseline *baseline = NULL;
	cleanup(blob_free) struct blob was = {0};

	record(*state, GUEST, &boot, "ro_after_init", "as it was");
	baseline = opened(*state, GUEST, &boot);
	assert_int_equal(compare(baseline, "ro_after_init", "as it was"), BASELINE_SAME);
	assert_int_equal(compare(baseline, "ro_after_init", "as it is."), BASELINE_DIFFERS);
	assert_int_equal(baseline_compare(baseline, "ro_after_init", "longer than it was", 18, &was,
					  NULL), BASELINE_DIFFERS);
	assert_int_equal(was.size, 9);
	assert_memory_equal(was.data, "as it was", 9);
	assert_int_equal(compare(baseline, "another", "as it was"), BASELINE_NEW);
}

/* Until it is committed it is nobody's record: not the next run's, and not this one's. */
static void what_was_not_committed_is_forgotten(void **state)
{
	cleanup(baseline_close) struct baseline *baseline = opened(*state, GUEST, &boot);

	assert_int_equal(compare(baseline, "a", "x"), BASELINE_NEW);
	assert_int_equal(compare(baseline, "a", "y"), BASELINE_NEW);
	baseline_close(&baseline);
	baseline = opened(*state, GUEST, &boot);
	assert_int_equal(compare(baseline, "a", "z"), BASELINE_NEW);
	assert_int_equal(baseline_commit(baseline, NULL), 0);
	assert_int_equal(compare(baseline, "a", "z"), BASELINE_SAME);
	assert_int_equal(compare(baseline, "a", "x"), BASELINE_DIFFERS);
}

static void what_was_dropped_is_not_committed(void **state)
{
	cleanup(baseline_close) struct baseline *baseline = opened(*state, GUEST, &boot);

	assert_int_equal(compare(baseline, "good", "x"), BASELINE_NEW);
	assert_int_equal(compare(baseline, "bad", "x"), BASELINE_NEW);
	baseline_drop(baseline, "bad");
	baseline_drop(baseline, "never given");
	assert_int_equal(baseline_commit(baseline, NULL), 0);
	assert_int_equal(compare(baseline, "good", "x"), BASELINE_SAME);
	assert_int_equal(compare(baseline, "bad", "y"), BASELINE_NEW);
}

/* As who gives something new in every sweep, for a day. */
static void fill(const char *dir)
{
	char path[128];
	sqlite3 *sqlite = NULL;

	snprintf(path, sizeof(path), "%s/store.db", dir);
	assert_int_equal(sqlite3_open(path, &sqlite), SQLITE_OK);
	assert_int_equal(sqlite3_exec(sqlite, "INSERT INTO record WITH RECURSIVE n(i) AS"
				      " (SELECT 2 UNION ALL SELECT i + 1 FROM n WHERE i < 65536)"
				      " SELECT (SELECT id FROM boot), 'item ' || i, 1, x'00', x'00'"
				      " FROM n", NULL, NULL, NULL), SQLITE_OK);
	sqlite3_close(sqlite);
}

static void record_does_not_grow_without_end(void **state)
{
	cleanup(baseline_close) struct baseline *baseline = NULL;

	record(*state, GUEST, &boot, "first", "x");
	fill(*state);
	baseline = opened(*state, GUEST, &boot);
	assert_int_equal(compare(baseline, "one too many", "x"), BASELINE_NEW);
	assert_int_equal(baseline_commit(baseline, NULL), -ELOOP);
	assert_int_equal(compare(baseline, "one too many", "y"), BASELINE_NEW);
	assert_int_equal(compare(baseline, "first", "x"), BASELINE_SAME);
	/* Another boot has room of its own. */
	record(*state, "another guest", &boot, "first", "x");
}

static void records_are_of_one_boot_of_one_guest(void **state)
{
	struct kernel others[] = { boot, boot, boot, boot };

	others[0].boot.canary = 8;
	others[1].boot.first_task.v += 64;
	others[2].boot.first_task_ns++;
	others[3].text.v += 0x200000;
	record(*state, GUEST, &boot, "a", "x");
	record(*state, "another guest", &boot, "a", "y");
	for (size_t i = 0; i < ARRAY_SIZE(others); i++) {
		cleanup(baseline_close) struct baseline *baseline = opened(*state, GUEST, &others[i]);

		assert_int_equal(compare(baseline, "a", "y"), BASELINE_NEW);
	}
}

static uint64_t rows(const char *dir, const char *sql)
{
	cleanup(database_close) struct database *database = NULL;
	cleanup(statement_end) sqlite3_stmt *row = NULL;

	assert_int_equal(database_open(dir, false, &database, NULL), 0);
	assert_int_equal(database_prepare(database, &row, NULL, sql, ""), 0);
	assert_int_equal(database_step(database, row, NULL), 1);
	return statement_number(row, 0);
}

static void old_boots_are_pruned(void **state)
{
	struct kernel kernel = boot;

	record(*state, "another guest", &boot, "a", "x");
	for (unsigned i = 0; i < 20; i++) {
		kernel.boot.canary = 100 + i;
		record(*state, GUEST, &kernel, "a", "x");
	}
	assert_int_equal(rows(*state, "SELECT count(*) FROM boot"), 5);
	assert_int_equal(rows(*state, "SELECT count(*) FROM record"), 5);
	{
		cleanup(baseline_close) struct baseline *baseline = opened(*state, GUEST, &kernel);

		assert_int_equal(compare(baseline, "a", "x"), BASELINE_SAME);
	}
}

/* Two that saw the boot first, at the same time: one record, and both hold to it. */
static void first_record_counts(void **state)
{
	cleanup(baseline_close) struct baseline *one = opened(*state, GUEST, &boot);
	cleanup(baseline_close) struct baseline *two = opened(*state, GUEST, &boot);

	assert_int_equal(compare(one, "a", "x"), BASELINE_NEW);
	assert_int_equal(compare(two, "a", "y"), BASELINE_NEW);
	assert_int_equal(baseline_commit(one, NULL), 0);
	assert_int_equal(baseline_commit(two, NULL), 0);
	assert_int_equal(compare(two, "a", "y"), BASELINE_DIFFERS);
	assert_int_equal(compare(two, "a", "x"), BASELINE_SAME);
}

static void changed_record_is_noticed(void **state)
{
	cleanup(baseline_close) struct baseline *baseline = NULL;
	cleanup(database_close) struct database *database = NULL;
	static const char *const changes[] = {
		"UPDATE record SET data = x'00'", "UPDATE record SET sha256 = x'00'",
		"UPDATE record SET size = 1", "UPDATE record SET size = 1 << 40",
	};

	for (size_t i = 0; i < ARRAY_SIZE(changes); i++) {
		char guest[16];

		snprintf(guest, sizeof(guest), "guest %zu", i);
		record(*state, guest, &boot, "a", "what was recorded");
		assert_int_equal(database_open(*state, false, &database, NULL), 0);
		assert_int_equal(database_run(database, changes[i], NULL), 0);
		database_close(&database);
		baseline = opened(*state, guest, &boot);
		assert_int_equal(compare(baseline, "a", "something else"), -EBADMSG);
		baseline_close(&baseline);
	}
}

static void the_newest_note_counts(void **state)
{
	cleanup(baseline_close) struct baseline *baseline = opened(*state, GUEST, &boot);
	cleanup(blob_free) struct blob blob = {0};
	struct kernel other = boot;

	assert_int_equal(baseline_noted(baseline, "agent", &blob, NULL), -ENOENT);
	assert_int_equal(baseline_note(baseline, "agent", "first", 5, NULL), 0);
	assert_int_equal(baseline_note(baseline, "agent", "second", 6, NULL), 0);
	baseline_close(&baseline);
	baseline = opened(*state, GUEST, &boot);
	assert_int_equal(baseline_noted(baseline, "agent", &blob, NULL), 0);
	assert_int_equal(blob.size, 6);
	assert_memory_equal(blob.data, "second", 6);
	blob_free(&blob);
	baseline_close(&baseline);
	other.boot.canary++;
	baseline = opened(*state, GUEST, &other);
	assert_int_equal(baseline_noted(baseline, "agent", &blob, NULL), -ENOENT);
}

static void items_have_a_limit(void **state)
{
	cleanup(baseline_close) struct baseline *baseline = opened(*state, GUEST, &boot);
	cleanup(freep) uint8_t *large = calloc(1, BASELINE_ITEM_MAX + 1);

	assert_non_null(large);
	assert_int_equal(baseline_compare(baseline, "a", large, BASELINE_ITEM_MAX, NULL, NULL),
			 BASELINE_NEW);
	assert_int_equal(baseline_compare(baseline, "b", large, BASELINE_ITEM_MAX + 1, NULL, NULL),
			 -ELOOP);
	assert_int_equal(baseline_compare(baseline, "c", large, 0, NULL, NULL), BASELINE_NEW);
	assert_int_equal(baseline_commit(baseline, NULL), 0);
	assert_int_equal(baseline_compare(baseline, "c", large, 0, NULL, NULL), BASELINE_SAME);
	large[5000] = 1;
	assert_int_equal(baseline_compare(baseline, "a", large, BASELINE_ITEM_MAX, NULL, NULL),
			 BASELINE_DIFFERS);
}

static void nowhere_to_keep_it(void **state)
{
	struct baseline *baseline = NULL;

	(void)state;
	assert_true(baseline_open("/nonexistent/store", GUEST, &boot, &baseline, NULL) < 0);
	assert_true(baseline_open("/dev/null", GUEST, &boot, &baseline, NULL) < 0);
	assert_null(baseline);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(what_was_committed_is_compared),
		TEST(what_was_not_committed_is_forgotten),
		TEST(what_was_dropped_is_not_committed),
		TEST(record_does_not_grow_without_end),
		TEST(records_are_of_one_boot_of_one_guest),
		TEST(old_boots_are_pruned),
		TEST(first_record_counts),
		TEST(changed_record_is_noticed),
		TEST(the_newest_note_counts),
		TEST(items_have_a_limit),
		TEST(nowhere_to_keep_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
