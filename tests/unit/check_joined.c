/* SPDX-License-Identifier: Apache-2.0 */
#include "check/joined.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

static void one_entry_for_each_process(void **state)
{
	struct process_table table = {0};
	struct process_seen *a = process_table_get(&table, 1, 10, "init");
	struct process_seen *b = process_table_get(&table, 7, 20, "sh");

	(void)state;
	assert_non_null(a);
	assert_ptr_not_equal(a, b);
	assert_ptr_equal(process_table_get(&table, 1, 10, "init"), a);
	assert_ptr_equal(process_table_find(&table, 7, 20), b);
	assert_null(process_table_find(&table, 7, 21));
	assert_null(process_table_find(&table, 8, 20));
	assert_string_equal(b->comm, "sh");
	process_table_free(&table);
}

static void a_reused_pid_is_another_process(void **state)
{
	struct process_table to = {0}, from = {0};

	(void)state;
	process_table_get(&to, 7, 20, "sh")->has_digest = true;
	process_table_get(&from, 7, 99, "evil")->marks = PROCESS_MODIFIED_MEMORY;
	assert_int_equal(process_table_join(&to, &from), 0);
	assert_int_equal(to.all.n, 1);
	assert_int_equal(process_result(to.all.v[0]), PROCESS_IS_KNOWN);
	process_table_free(&from);
	process_table_free(&to);
}

static void what_all_know_is_joined(void **state)
{
	struct process_table to = {0}, from = {0};
	struct process_seen *listed = process_table_get(&to, 7, 20, "sh");
	struct process_seen *looked = process_table_get(&from, 7, 20, "sh");

	(void)state;
	listed->listed = true;
	looked->executable = 30;
	looked->resident = 20;
	looked->verified = 19;
	looked->marks = PROCESS_MODIFIED_MEMORY;
	looked->package = strdup("dash 0.5.12");
	assert_int_equal(process_table_join(&to, &from), 0);
	process_table_free(&from);
	assert_int_equal(listed->executable, 30);
	assert_int_equal(listed->resident, 20);
	assert_int_equal(listed->verified, 19);
	assert_string_equal(listed->package, "dash 0.5.12");
	assert_int_equal(process_result(listed), PROCESS_IS_MODIFIED_MEMORY);
	process_table_free(&to);
}

/* Also who is in no list; but not who came and went under another's PID. */
static void who_is_hidden_is_there(void **state)
{
	struct process_table to = {0}, from = {0};

	(void)state;
	process_table_get(&to, 7, 20, "sh");
	process_table_get(&from, 8, 30, "evil")->marks = PROCESS_HIDDEN_INSIDE;
	process_table_get(&from, 7, 99, "gone")->marks = PROCESS_HIDDEN_INSIDE;
	process_table_get(&from, 9, 40, "other")->marks = PROCESS_UNMEASURED;
	assert_int_equal(process_table_join(&to, &from), 0);
	assert_int_equal(to.all.n, 2);
	assert_int_equal(process_result(process_table_find(&to, 8, 30)),
			 PROCESS_IS_HIDDEN_INSIDE);
	assert_int_equal(process_table_find(&to, 7, 20)->marks, 0);
	process_table_free(&from);
	process_table_free(&to);
}

static void the_gravest_counts(void **state)
{
	struct process_seen process = { .has_digest = true };
	static const struct {
		unsigned mark;
		enum process_result result;
	} rising[] = {
		{ 0, PROCESS_IS_KNOWN },
		{ PROCESS_MODIFIED_DISK, PROCESS_IS_MODIFIED_DISK },
		{ PROCESS_UNMEASURED, PROCESS_IS_UNMEASURED },
		{ PROCESS_UNKNOWN, PROCESS_IS_UNKNOWN },
		{ PROCESS_MODIFIED_MEMORY, PROCESS_IS_MODIFIED_MEMORY },
		{ PROCESS_HIDDEN_INSIDE, PROCESS_IS_HIDDEN_INSIDE },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rising) / sizeof(rising[0]); i++) {
		process.marks |= rising[i].mark;
		assert_int_equal(process_result(&process), rising[i].result);
	}
}

static void without_a_digest_it_is_unmeasured(void **state)
{
	const struct process_seen process = {0};

	(void)state;
	assert_int_equal(process_result(&process), PROCESS_IS_UNMEASURED);
}

static void every_result_has_a_name_of_its_own(void **state)
{
	(void)state;
	for (int i = 0; i < PROCESS_RESULTS; i++)
		for (int j = 0; j < i; j++)
			assert_string_not_equal(process_result_name((enum process_result)i),
						process_result_name((enum process_result)j));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_entry_for_each_process),
		cmocka_unit_test(a_reused_pid_is_another_process),
		cmocka_unit_test(what_all_know_is_joined),
		cmocka_unit_test(who_is_hidden_is_there),
		cmocka_unit_test(the_gravest_counts),
		cmocka_unit_test(without_a_digest_it_is_unmeasured),
		cmocka_unit_test(every_result_has_a_name_of_its_own),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
