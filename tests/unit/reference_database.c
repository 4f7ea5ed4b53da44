/* SPDX-License-Identifier: Apache-2.0 */
#include "reference/database.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/cleanup.h"

#define FIRST_STEP "CREATE TABLE guest(name TEXT NOT NULL, memory INTEGER NOT NULL)"

/* A database that three versions of a program wrote, one after the other. */
static const char *const steps[] = {
	FIRST_STEP,
	("ALTER TABLE guest ADD COLUMN unit TEXT NOT NULL DEFAULT 'KiB';"
	 "UPDATE guest SET memory = memory * 1024"),
	"CREATE TABLE host(name TEXT NOT NULL); INSERT INTO host SELECT name FROM guest LIMIT 1",
};

static const char *const broken_steps[] = {
	FIRST_STEP, "UPDATE guest SET memory = 7; UPDATE nothing SET x = 1",
};

static const struct database_kind first = {
	.file = "x.db", .what = "the test", .steps = steps, .version = 1, .journal = true,
};
static const struct database_kind third = {
	.file = "x.db", .what = "the test", .steps = steps, .version = 3, .journal = true,
};
static const struct database_kind broken = {
	.file = "x.db", .what = "the test", .steps = broken_steps, .version = 2, .journal = true,
};

static int setup(void **state)
{
	char *dir = strdup("/tmp/hvsm-database-XXXXXX");

	assert_non_null(mkdtemp(dir));
	*state = dir;
	return 0;
}

static int teardown(void **state)
{
	char command[128];

	snprintf(command, sizeof(command), "rm -rf '%s'", (char *)*state);
	free(*state);
	return system(command);
}

static void run(const char *dir, const struct database_kind *kind, const char *sql)
{
	cleanup(database_close) struct database *database = NULL;
	struct err err = {0};

	if (database_open_kind(dir, true, kind, &database, &err) < 0 ||
	    database_run(database, sql, &err) < 0)
		fail_msg("%s", err.text);
}

/* The number that a statement gives, read by somebody who changes nothing. */
static uint64_t number(const char *dir, const struct database_kind *kind, const char *sql)
{
	cleanup(database_close) struct database *database = NULL;
	cleanup(statement_end) sqlite3_stmt *statement = NULL;

	assert_int_equal(database_open_kind(dir, false, kind, &database, NULL), 0);
	assert_int_equal(database_prepare(database, &statement, NULL, sql, ""), 0);
	assert_int_equal(database_step(database, statement, NULL), 1);
	return statement_number(statement, 0);
}

static void what_an_older_version_wrote_is_brought_up_to_date(void **state)
{
	cleanup(database_close) struct database *database = NULL;
	struct err err = {0};

	run(*state, &first, "INSERT INTO guest VALUES('web1', 2)");
	assert_int_equal(number(*state, &first, "PRAGMA user_version"), 1);
	/* Who only reads cannot, and does not. */
	assert_int_equal(database_open_kind(*state, false, &third, &database, &err), -ENOTSUP);
	assert_non_null(strstr(err.text, "older version"));
	run(*state, &third, "INSERT INTO guest VALUES('db1', 4096, 'B')");
	assert_int_equal(number(*state, &third, "PRAGMA user_version"), 3);
	assert_int_equal(number(*state, &third, "SELECT memory FROM guest WHERE unit = 'KiB'"), 2048);
	assert_int_equal(number(*state, &third, "SELECT count(*) FROM host WHERE name = 'web1'"), 1);
	/* No step is done twice. */
	run(*state, &third, "INSERT INTO guest VALUES('db2', 1, 'B')");
	assert_int_equal(number(*state, &third, "SELECT memory FROM guest WHERE unit = 'KiB'"), 2048);
}

static void a_new_one_takes_all_steps(void **state)
{
	run(*state, &third, "INSERT INTO guest VALUES('web1', 1, 'B')");
	assert_int_equal(number(*state, &third, "PRAGMA user_version"), 3);
}

static void a_step_that_fails_changes_nothing(void **state)
{
	cleanup(database_close) struct database *database = NULL;

	run(*state, &first, "INSERT INTO guest VALUES('web1', 2)");
	assert_true(database_open_kind(*state, true, &broken, &database, NULL) < 0);
	assert_int_equal(number(*state, &first, "PRAGMA user_version"), 1);
	assert_int_equal(number(*state, &first, "SELECT memory FROM guest"), 2);
}

static void what_a_newer_version_wrote_is_left_alone(void **state)
{
	cleanup(database_close) struct database *database = NULL;
	struct err err = {0};

	run(*state, &third, "INSERT INTO guest VALUES('web1', 2, 'B')");
	assert_int_equal(database_open_kind(*state, true, &first, &database, &err), -ENOTSUP);
	assert_non_null(strstr(err.text, "newer version"));
	assert_int_equal(database_open_kind(*state, false, &first, &database, NULL), -ENOTSUP);
	assert_int_equal(number(*state, &third, "PRAGMA user_version"), 3);
}

/* A name that means something in a URI is a name all the same. */
static void any_name_of_a_directory(void **state)
{
	static const char *const names[] = { "a?mode=memory", "b#c", "d%41", "e f", "\xc3\xa9" };
	char path[128];

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		snprintf(path, sizeof(path), "%s//%s", (char *)*state, names[i]);
		run(path, &third, "INSERT INTO guest VALUES('web1', 2, 'B')");
		assert_int_equal(number(path, &third, "SELECT count(*) FROM guest"), 1);
		strcat(path, "/x.db");
		assert_int_equal(access(path, F_OK), 0);
	}
	assert_int_equal(chdir(*state), 0);
	assert_int_equal(number("e f", &third, "SELECT count(*) FROM guest"), 1);
	assert_int_equal(chdir("/"), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(what_an_older_version_wrote_is_brought_up_to_date,
						setup, teardown),
		cmocka_unit_test_setup_teardown(a_new_one_takes_all_steps, setup, teardown),
		cmocka_unit_test_setup_teardown(a_step_that_fails_changes_nothing, setup, teardown),
		cmocka_unit_test_setup_teardown(what_a_newer_version_wrote_is_left_alone, setup,
						teardown),
		cmocka_unit_test_setup_teardown(any_name_of_a_directory, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
