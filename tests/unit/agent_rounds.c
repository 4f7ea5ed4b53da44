/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/rounds.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#define MS 1000000ull
#define S  (1000 * MS)

/* A round that began at @at and took @took of the processor; what it says of the next. */
static uint64_t go(struct rounds *rounds, uint64_t at, uint64_t took)
{
	rounds_begin(rounds, at);
	rounds_took(rounds, took / 2);
	rounds_took(rounds, took - took / 2);
	return rounds_end(rounds, at + took);
}

static void the_first_one_is_due_at_once(void **state)
{
	struct rounds rounds = {0};

	(void)state;
	assert_int_equal(rounds.due_ns, 0);
}

static void one_that_takes_longer_comes_more_rarely(void **state)
{
	struct rounds rounds = {0};

	(void)state;
	assert_int_equal(go(&rounds, 100 * S, 10 * MS), ROUND_NS + 10 * MS);
	assert_int_equal(rounds.due_ns, 100 * S + 10 * MS + ROUND_NS);
	/* From then on it is one part of a hundred. */
	assert_int_equal(go(&rounds, 200 * S, 1 * S), 101 * S);
	assert_int_equal(rounds.due_ns, 301 * S);
	/* … and never more than the host waits for. */
	assert_int_equal(go(&rounds, 1000 * S, 20 * S), AGENT_ROUND_MAX_NS + 20 * S);
	assert_int_equal(go(&rounds, 3000 * S, UINT64_MAX / 1000), AGENT_ROUND_MAX_NS +
			 UINT64_MAX / 1000);
}

static void one_in_a_hurry_has_ten_parts(void **state)
{
	struct rounds rounds = {0};

	(void)state;
	(void)go(&rounds, 100 * S, 10 * MS);
	rounds_hurry(&rounds);
	assert_int_equal(rounds.due_ns, 100 * S + 10 * MS + ROUND_EARLY_NS);
	(void)go(&rounds, 200 * S, 1 * S);
	rounds_hurry(&rounds);
	assert_int_equal(rounds.due_ns, 211 * S);
	/* It never comes later for that. */
	rounds.due_ns = 202 * S;
	rounds_hurry(&rounds);
	assert_int_equal(rounds.due_ns, 202 * S);
}

static void one_that_is_asked_for_in_a_round_follows_it(void **state)
{
	struct rounds rounds = {0};

	(void)state;
	rounds_begin(&rounds, 100 * S);
	rounds_took(&rounds, 1 * S);
	rounds_hurry(&rounds);
	/* What is told of its period is what it has without a hurry. */
	assert_int_equal(rounds_end(&rounds, 102 * S), 102 * S);
	assert_int_equal(rounds.due_ns, 112 * S);
	/* Once. */
	(void)go(&rounds, 120 * S, 1 * S);
	assert_int_equal(rounds.due_ns, 221 * S);
}

static void one_that_never_ends_is_followed_by_another(void **state)
{
	struct rounds rounds = {0};

	(void)state;
	rounds_begin(&rounds, 100 * S);
	assert_int_equal(rounds.due_ns, 100 * S + ROUND_NS);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_first_one_is_due_at_once),
		cmocka_unit_test(one_that_takes_longer_comes_more_rarely),
		cmocka_unit_test(one_in_a_hurry_has_ten_parts),
		cmocka_unit_test(one_that_is_asked_for_in_a_round_follows_it),
		cmocka_unit_test(one_that_never_ends_is_followed_by_another),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
