/* SPDX-License-Identifier: Apache-2.0 */
#include "monitor/audit_log.h"

#include <fcntl.h>
#include <jansson.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/cleanup.h"

static char directory[] = "/tmp/hvsm-audit-XXXXXX";

static const char *path_of(const char *name)
{
	static char path[128];

	snprintf(path, sizeof(path), "%s/%s", directory, name);
	return path;
}

static int make(void **state)
{
	(void)state;
	strcpy(directory, "/tmp/hvsm-audit-XXXXXX");
	return mkdtemp(directory) ? 0 : -1;
}

static int drop(void **state)
{
	(void)state;
	unlink(path_of(AUDIT_LOG_NAME));
	unlink(path_of(AUDIT_LOG_NAME ".1"));
	return rmdir(directory);
}

static const struct link_audit one = {
	.time_ns = 1780315200000000000, .duration_ns = 5000, .told = true, .outcome = AUDIT_DONE,
	.guest = "we\x1b" "b", .reaction = "page", .kind = "run", .finding = "00000000000000aa",
	.text = "",
};

/* How many lines a file has that are JSON, and how many that are not. */
static void count(const char *name, size_t *good, size_t *bad)
{
	cleanup(file_close) FILE *file = fopen(path_of(name), "r");
	char line[1024];

	*good = *bad = 0;
	while (file && fgets(line, sizeof(line), file)) {
		json_t *json = json_loads(line, 0, NULL);

		*(json ? good : bad) += 1;
		json_decref(json);
	}
}

static void a_line_says_it_all(void **state)
{
	struct audit_log log;
	struct err err = { 0 };
	json_t *json;

	(void)state;
	assert_int_equal(audit_log_open(directory, &log, &err), 0);
	assert_int_equal(audit_log_add(&log, &one, &err), 0);
	audit_log_close(&log);
	json = json_load_file(path_of(AUDIT_LOG_NAME), 0, NULL);
	assert_string_equal(json_string_value(json_object_get(json, "schema")), "hvsm.audit/1");
	assert_string_equal(json_string_value(json_object_get(json, "time")),
			    "2026-06-01T12:00:00.000000Z");
	assert_string_equal(json_string_value(json_object_get(json, "guest")), "we\\x1bb");
	assert_string_equal(json_string_value(json_object_get(json, "outcome")), "done");
	assert_string_equal(json_string_value(json_object_get(json, "finding")), one.finding);
	assert_int_equal(json_integer_value(json_object_get(json, "duration_us")), 5);
	assert_true(json_is_null(json_object_get(json, "text")));
	json_decref(json);
}

static void a_line_that_was_cut_harms_no_other(void **state)
{
	struct audit_log log;
	struct err err = { 0 };
	size_t good, bad;
	FILE *file;

	(void)state;
	assert_int_equal(audit_log_open(directory, &log, &err), 0);
	assert_int_equal(audit_log_add(&log, &one, &err), 0);
	audit_log_close(&log);
	file = fopen(path_of(AUDIT_LOG_NAME), "a");
	fputs("{\"schema\":\"hvsm.au", file);
	fclose(file);
	assert_int_equal(audit_log_open(directory, &log, &err), 0);
	assert_int_equal(audit_log_add(&log, &one, &err), 0);
	audit_log_close(&log);
	count(AUDIT_LOG_NAME, &good, &bad);
	assert_int_equal(good, 2);
	assert_int_equal(bad, 1);
}

static void the_file_does_not_grow_for_ever(void **state)
{
	struct audit_log log;
	struct err err = { 0 };
	size_t good, bad, old;

	(void)state;
	assert_int_equal(audit_log_open(directory, &log, &err), 0);
	log.size_max = 1000;
	for (int i = 0; i < 20; i++)
		assert_int_equal(audit_log_add(&log, &one, &err), 0);
	assert_true(log.size <= 1000);
	count(AUDIT_LOG_NAME, &good, &bad);
	count(AUDIT_LOG_NAME ".1", &old, &bad);
	assert_true(good > 0 && good < 20 && old > 1 && bad == 0);
	/* It goes on where it was. */
	audit_log_close(&log);
	assert_int_equal(audit_log_open(directory, &log, &err), 0);
	assert_int_equal(audit_log_add(&log, &one, &err), 0);
	audit_log_close(&log);
	count(AUDIT_LOG_NAME, &old, &bad);
	assert_int_equal(old, good + 1);
}

static void a_full_disk_is_told_and_nothing_is_half(void **state)
{
	struct audit_log log;
	struct err err = { 0 };

	(void)state;
	assert_int_equal(symlink("/dev/full", path_of(AUDIT_LOG_NAME)), 0);
	/* A link is not followed. */
	assert_int_equal(audit_log_open(directory, &log, &err), -ELOOP);
	unlink(path_of(AUDIT_LOG_NAME));
	assert_int_equal(audit_log_open(directory, &log, &err), 0);
	close(log.fd);
	log.fd = open("/dev/full", O_WRONLY | O_CLOEXEC);
	assert_int_equal(audit_log_add(&log, &one, &err), -ENOSPC);
	assert_int_equal(log.size, 0);
	audit_log_close(&log);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_line_says_it_all, make, drop),
		cmocka_unit_test_setup_teardown(a_line_that_was_cut_harms_no_other, make, drop),
		cmocka_unit_test_setup_teardown(the_file_does_not_grow_for_ever, make, drop),
		cmocka_unit_test_setup_teardown(a_full_disk_is_told_and_nothing_is_half, make, drop),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
