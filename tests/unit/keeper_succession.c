/* SPDX-License-Identifier: Apache-2.0 */
#include "keeper/succession.h"

#include <stdarg.h>
#include <setjmp.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#define S 1000000000ull

static struct succession succession;
static struct memory before;
static struct follow next;
static struct keeper_agent agent;
static struct look look;

/* An agent of which 10 records were seen, and one that is new, which says that it follows it. */
static int setup(void **state)
{
	(void)state;
	succession = (struct succession){0};
	before = (struct memory){
		.there = true, .build_id = "aa", .pid = 100, .start_ns = 5 * S, .began_ns = 6 * S,
		.seen_ns = 60 * S, .mark = { .offset = 1000, .sequence = 10, .chain = { 1 } },
	};
	next = (struct follow){
		.mark = { .offset = 200, .sequence = 2 }, .started_ns = 90 * S, .joined = true,
		.ancestors_n = 1, .measures = true,
		.ancestors = { { .started_ns = 6 * S, .ended_ns = 80 * S, .log_records = 12,
				 .log_bytes = 1200, .pid = 100 } },
	};
	agent = (struct keeper_agent){ .pid = 200, .build_id = "aa" };
	look = (struct look){ .agent = &agent };
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	vec_free(&agent.problems);
	return 0;
}

/* What is told of it, and its weight; NULL: nothing. */
static const struct keeper_problem *tell(bool is_well, uint64_t now_ns)
{
	vec_free(&agent.problems);
	memset(agent.unseen, 0, sizeof(agent.unseen));
	succession_tell(&succession, &look, is_well, now_ns);
	assert_true(agent.problems.n <= 1);
	return agent.problems.n ? &agent.problems.v[0] : NULL;
}

static void one_that_was_told_to_end_is_followed_for_a_day(void **state)
{
	const struct keeper_problem *problem;

	(void)state;
	succession_begin(&succession, &before, 89 * S);
	assert_false(succession_is_replaced(&succession));
	assert_null(tell(true, 91 * S));	/* its log was not read yet … */
	assert_non_null(strstr(agent.unseen[KEEPER_PRESENCE], "does not say yet"));
	succession_settle(&succession, &next, false);
	assert_false(succession_is_replaced(&succession));
	problem = tell(true, 91 * S);
	assert_non_null(problem);
	assert_int_equal(problem->weight, KEEPER_LOW);
	assert_string_equal(problem->object, "restart");
	assert_non_null(strstr(problem->found, "with 2 records that"));
	assert_non_null(strstr(problem->found, "9000 ms later"));
	assert_non_null(tell(true, (89 + 86399) * S));
	assert_null(tell(true, (89 + 86401) * S));
	assert_string_equal(agent.unseen[KEEPER_PRESENCE], "");
}

static void one_that_was_seen_to_end_needs_no_witness(void **state)
{
	(void)state;
	before.mark.ended = true;
	next.ancestors_n = 0;
	succession_begin(&succession, &before, 61 * S);
	succession_settle(&succession, &next, true);
	assert_false(succession_is_replaced(&succession));
	assert_int_equal(tell(true, 62 * S)->weight, KEEPER_LOW);
	assert_non_null(strstr(tell(true, 62 * S)->found, "with 0 records that"));
	assert_non_null(strstr(tell(true, 62 * S)->found, " 1000 ms later"));
}

static void one_that_nobody_speaks_of_was_replaced(void **state)
{
	(void)state;
	next.ancestors[0].pid = 101;
	succession_begin(&succession, &before, 89 * S);
	next.measures = false;
	succession_settle(&succession, &next, false);	/* more may come */
	assert_false(succession_is_replaced(&succession));
	succession_settle(&succession, &next, true);
	assert_true(succession_is_replaced(&succession));
	assert_int_equal(tell(false, 91 * S)->weight, KEEPER_HIGH);
	assert_int_equal(tell(true, 91 * S)->weight, KEEPER_MEDIUM);
	assert_string_equal(tell(true, 91 * S)->object, "another agent");
	assert_non_null(strstr(tell(true, 91 * S)->found, "between 60000 and 89000 ms"));
	assert_non_null(tell(true, (89 + 2 * 86400) * S));	/* for the rest of the boot */

	/* What is decided stays so, whatever an agent says that comes later. */
	next.ancestors[0].pid = 100;
	succession_settle(&succession, &next, true);
	assert_true(succession_is_replaced(&succession));
	before.pid = 200;
	before.mark.ended = true;
	succession_begin(&succession, &before, 95 * S);
	assert_true(succession_is_replaced(&succession));
	assert_int_equal(succession.before.pid, 100);
}

static void what_cannot_be_true_is_no_word(void **state)
{
	static const struct {
		uint64_t records, bytes, ended_ns;
		uint8_t head;
		bool full, good;
	} all[] = {
		{ 11, 1100, 80 * S, 9, false, true },
		{ 11, 1100, 60 * S, 9, false, true },
		{ 11, 1100, 90 * S, 9, false, true },
		{ 9, 900, 80 * S, 9, false, false },	/* shorter than what was seen */
		{ 9, 1100, 80 * S, 9, false, false },
		{ 11, 900, 80 * S, 9, false, false },
		{ 11, 1000, 80 * S, 9, false, false },
		{ 10, 1100, 80 * S, 1, false, false },
		{ 10, 1000, 80 * S, 1, false, false },	/* without the record that says so */
		{ 10, 1000, 80 * S, 1, true, true },	/* … for which there was no room */
		{ 10, 1000, 80 * S, 9, true, false },	/* another log */
		{ 11, 1100, 80 * S, 9, true, false },	/* nothing follows there */
		{ 11, 1100, 59 * S, 9, false, false },	/* it ended before it was seen last */
		{ 11, 1100, 91 * S, 9, false, false },	/* … or after the next one began */
	};

	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		setup(state);
		before.mark.full = all[i].full;
		next.ancestors[0].log_records = all[i].records;
		next.ancestors[0].log_bytes = all[i].bytes;
		next.ancestors[0].ended_ns = all[i].ended_ns;
		next.ancestors[0].log_head[0] = all[i].head;
		succession_begin(&succession, &before, 89 * S);
		succession_settle(&succession, &next, true);
		assert_int_equal(succession.told, all[i].good);
		assert_int_equal(succession_is_replaced(&succession),
				 !all[i].good && !all[i].full);
	}
}

static void a_log_that_was_full_leaves_a_doubt(void **state)
{
	(void)state;
	before.mark.full = true;
	next.ancestors_n = 0;
	succession_begin(&succession, &before, 89 * S);
	succession_settle(&succession, &next, true);
	assert_false(succession_is_replaced(&succession));
	assert_null(tell(true, 91 * S));
	assert_non_null(strstr(agent.unseen[KEEPER_PRESENCE], "was full"));
}

/* Restarted twice before the host looks: the last one speaks of both. */
static void an_agent_in_between_is_passed_over(void **state)
{
	(void)state;
	next.ancestors[1] = next.ancestors[0];
	next.ancestors[0] = (struct agent_ended){ .started_ns = 85 * S, .ended_ns = 88 * S,
						  .log_records = 3, .log_bytes = 300, .pid = 150 };
	next.ancestors_n = 2;
	succession_begin(&succession, &before, 84 * S);
	before.pid = 150;	/* seen for a moment, and its log was not read */
	before.began_ns = 0;
	succession_begin(&succession, &before, 89 * S);
	succession_settle(&succession, &next, false);
	assert_true(succession.told);
	assert_int_equal(succession.before.pid, 100);
	assert_int_equal(tell(true, 91 * S)->weight, KEEPER_LOW);
}

static void who_said_nothing_of_himself_is_nobody(void **state)
{
	(void)state;
	before.began_ns = 0;
	next.ancestors[0].started_ns = 0;
	assert_false(succession_is_of(&before, &next.ancestors[0]));
	assert_null(tell(true, 91 * S));	/* nothing has happened at all */
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(one_that_was_told_to_end_is_followed_for_a_day),
		TEST(one_that_was_seen_to_end_needs_no_witness),
		TEST(one_that_nobody_speaks_of_was_replaced),
		TEST(what_cannot_be_true_is_no_word),
		TEST(a_log_that_was_full_leaves_a_doubt),
		TEST(an_agent_in_between_is_passed_over),
		TEST(who_said_nothing_of_himself_is_nobody),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
