/* SPDX-License-Identifier: Apache-2.0 */
#include "check/code_page.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

static uint8_t one_digest[AGENT_DIGEST_BYTES] = { 1 };
static uint8_t other_digest[AGENT_DIGEST_BYTES] = { 2 };
static const struct agent_segment first_page = { 0, 1 };
static struct measured_file older, newer;
static struct code_file file;

/* Two measurements of one inode, size and mtime; the newer one is what the file is. */
static int start(void **state)
{
	(void)state;
	older = (struct measured_file){
		.device = 1, .ctime_ns = 100, .segments = 1, .pages = 1, .segment = &first_page,
		.digests = other_digest,
	};
	newer = older;
	newer.ctime_ns = 200;
	newer.digests = one_digest;
	newer.older_same = &older;
	file = (struct code_file){
		.info = { .device = 1, .ctime_ns = 200 }, .measured = &newer,
	};
	return 0;
}

static bool is_measured(const uint8_t *digest)
{
	bool known = false;
	bool measured = code_page_is_measured(&file, 0, digest, &known);

	assert_true(known);
	return measured;
}

static void only_what_the_file_is_counts(void **state)
{
	(void)state;
	assert_true(is_measured(one_digest));
	assert_false(is_measured(other_digest));
	older.ctime_ns = 200;	/* measured twice: nobody can say which */
	assert_true(is_measured(other_digest));
}

static void after_a_chmod_both_may_be(void **state)
{
	(void)state;
	file.info.ctime_ns = 300;
	assert_true(is_measured(one_digest));
	assert_true(is_measured(other_digest));
}

static void a_file_of_another_device_is_another(void **state)
{
	(void)state;
	file.info.ctime_ns = 300;
	older.device = 2;
	assert_true(is_measured(one_digest));
	assert_false(is_measured(other_digest));
}

static void what_was_not_measured_is_not_known(void **state)
{
	bool known = true;

	(void)state;
	assert_false(code_page_is_measured(&file, 1, one_digest, &known));
	assert_false(known);
	file.measured = NULL;
	assert_false(code_page_is_measured(&file, 0, one_digest, &known));
	assert_false(known);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(only_what_the_file_is_counts, start),
		cmocka_unit_test_setup(after_a_chmod_both_may_be, start),
		cmocka_unit_test_setup(a_file_of_another_device_is_another, start),
		cmocka_unit_test_setup(what_was_not_measured_is_not_known, start),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
