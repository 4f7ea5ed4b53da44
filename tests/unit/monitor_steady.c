/* SPDX-License-Identifier: Apache-2.0 */
#include "monitor/steady.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#define S    1000000000ull
#define DAY  (86400 * S)
#define NOW  (20000 * DAY)
#define BOOT (3 * DAY)

static void a_clock_is_believed_after_an_hour(void **state)
{
	struct steady steady = { 0 };

	(void)state;
	assert_int_equal(steady_look(&steady, NOW, BOOT), 0);
	assert_false(steady_is(&steady));
	assert_true(steady_time(&steady, NOW, BOOT) == NOW);
	steady_look(&steady, NOW + STEADY_NS - 1, BOOT + STEADY_NS - 1);
	assert_false(steady_is(&steady));
	steady_look(&steady, NOW + STEADY_NS, BOOT + STEADY_NS);
	assert_true(steady_is(&steady));
	assert_true(steady_time(&steady, NOW + STEADY_NS, BOOT + STEADY_NS) == NOW + STEADY_NS);
}

/* To both sides: it is told once, and time goes on as before for an hour. */
static void a_jump_counts_after_an_hour(void **state)
{
	const int64_t jumps[] = { 400 * (int64_t)DAY, -400 * (int64_t)DAY, 11 * (int64_t)S,
				  -(int64_t)NOW };

	(void)state;
	for (size_t i = 0; i < sizeof(jumps) / sizeof(*jumps); i++) {
		struct steady steady = { 0 };
		uint64_t real = NOW, boot = BOOT, jumped = real + (uint64_t)jumps[i];

		steady_look(&steady, real, boot);
		steady_look(&steady, real + STEADY_NS, boot + STEADY_NS);
		real += 2 * STEADY_NS;
		boot += 2 * STEADY_NS;
		jumped += 2 * STEADY_NS;
		assert_true(steady_look(&steady, jumped, boot) == jumps[i]);
		assert_false(steady_is(&steady));
		assert_true(steady_time(&steady, jumped, boot) == real);
		for (uint64_t s = 1; s < 3600; s++) {
			assert_int_equal(steady_look(&steady, jumped + s * S, boot + s * S), 0);
			assert_false(steady_is(&steady));
			assert_true(steady_time(&steady, jumped + s * S, boot + s * S) ==
				    real + s * S);
		}
		assert_int_equal(steady_look(&steady, jumped + STEADY_NS, boot + STEADY_NS), 0);
		assert_true(steady_is(&steady));
		assert_true(steady_time(&steady, jumped + STEADY_NS, boot + STEADY_NS) ==
			    jumped + STEADY_NS);
	}
}

/* Who sets it back is not believed at once, either, but time goes on as it did. */
static void a_jump_and_back(void **state)
{
	struct steady steady = { 0 };

	(void)state;
	steady_look(&steady, NOW, BOOT);
	steady_look(&steady, NOW + STEADY_NS, BOOT + STEADY_NS);
	assert_true(steady_look(&steady, NOW + STEADY_NS + DAY, BOOT + STEADY_NS) > 0);
	assert_true(steady_look(&steady, NOW + 2 * STEADY_NS - S, BOOT + 2 * STEADY_NS) < 0);
	assert_false(steady_is(&steady));
	assert_true(steady_time(&steady, 5, BOOT + 2 * STEADY_NS) == NOW + 2 * STEADY_NS);
	steady_look(&steady, NOW + 3 * STEADY_NS - S, BOOT + 3 * STEADY_NS);
	assert_true(steady_is(&steady));
}

/* A second now and then is none; but who moves it on bit by bit moves it far. */
static void small_steps_count_together(void **state)
{
	struct steady steady = { 0 };
	unsigned jumps = 0;

	(void)state;
	steady_look(&steady, NOW, BOOT);
	steady_look(&steady, NOW + STEADY_NS + S, BOOT + STEADY_NS);
	assert_true(steady_is(&steady));
	assert_int_equal(steady_look(&steady, NOW + STEADY_NS - S, BOOT + STEADY_NS), 0);
	assert_true(steady_is(&steady));
	for (unsigned s = 1; s <= 100; s++)
		jumps += steady_look(&steady, NOW + STEADY_NS + 2 * s * S,
				     BOOT + STEADY_NS + s * S) != 0;
	assert_int_equal(jumps, 9);
	assert_false(steady_is(&steady));
}

/* One that is kept elsewhere, and is taken over each time that who uses it is started anew. */
static void who_takes_one_over_goes_on(void **state)
{
	struct steady kept = { 0 }, used = { 0 };

	(void)state;
	for (uint64_t s = 0; s <= STEADY_NS / S; s++) {
		steady_look(&kept, NOW + s * S, BOOT + s * S);
		if (s % 60 == 0)
			used = kept;
		assert_int_equal(steady_look(&used, NOW + s * S, BOOT + s * S), 0);
		assert_true(steady_is(&used) == (s == STEADY_NS / S));
	}
	/* While it was away the clock was set: it is not believed for that. */
	steady_look(&kept, NOW + STEADY_NS + DAY, BOOT + STEADY_NS + S);
	used = kept;
	assert_false(steady_is(&used));
	assert_true(steady_time(&used, NOW + STEADY_NS + DAY, BOOT + STEADY_NS + S) ==
		    NOW + STEADY_NS + S);
}

static void a_jump_in_words(void **state)
{
	char text[80];

	(void)state;
	assert_string_equal(steady_jump_text(-7 * (int64_t)S, text, sizeof(text)),
			    "the host's clock was set back by 7 s");
	assert_string_equal(steady_jump_text(INT64_MIN, text, sizeof(text)),
			    "the host's clock was set back by 9223372036 s");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_clock_is_believed_after_an_hour),
		cmocka_unit_test(a_jump_counts_after_an_hour),
		cmocka_unit_test(a_jump_and_back),
		cmocka_unit_test(small_steps_count_together),
		cmocka_unit_test(who_takes_one_over_goes_on),
		cmocka_unit_test(a_jump_in_words),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
