/* SPDX-License-Identifier: Apache-2.0 */
#include "monitor/schedule.h"

#include <stdarg.h>
#include <setjmp.h>
#include <stdlib.h>
#include <cmocka.h>

#include "make/jobs.h"

/* With a guest whose looks take all the time that they are given, as they have come to be. */
static void watch_first_minute(struct jobs *world)
{
	world->plan.watch = true;
	world->watches = true;
	jobs_add_guests(world, 1);
	jobs_run_until(world, world->now + 60 * S);
}

/* How long looks watched in the next @ns, in which it kept to @most of a CPU. */
static uint64_t watched_in(struct jobs *world, uint64_t ns, double most)
{
	uint64_t spent = world->spent[0], watched = world->watched[0];

	jobs_run_until(world, world->now + ns);
	assert_true(jobs_used(world, spent, ns) < most);
	return world->watched[0] - watched;
}

static void looks_watch_with_what_is_left(void **state)
{
	static const uint64_t parts[] = { 1, 8, 256 };
	uint64_t had[3];

	(void)state;
	for (size_t i = 0; i < 3; i++) {
		struct jobs *world = jobs_new();

		/* An idle guest, the usual one, and one that is dear. */
		for (size_t c = 0; c < CHECKS; c++)
			world->costs[0][c] = world->costs[0][c] * parts[i] / 64;
		watch_first_minute(world);
		had[i] = watched_in(world, 600 * S, 0.011);
		jobs_free(world);
	}
	/* Not more than half of the guest's 1 %, and never nothing, whatever the rest takes. */
	assert_in_range(had[0], 600 * S * 45 / 10000, 600 * S * 51 / 10000);
	assert_true(had[1] < had[0] && had[1] > had[2]);
	assert_in_range(had[2], 600 * S * 33 / 10000, 600 * S * 41 / 10000);
}

/* Where looks are far apart, each has all the time that has passed. */
static void looks_that_come_seldom_watch_as_much(void **state)
{
	struct jobs *world = jobs_new();
	uint64_t looks;

	(void)state;
	/* Its looks alone would take half of it, and it owes something all the time. */
	for (size_t c = 0; c < CHECKS; c++)
		world->costs[0][c] *= 2;
	world->look_cost[0] = MS / 2;
	watch_first_minute(world);
	looks = world->looks[0];
	schedule_attached(world->schedule, 0, world->now, 900 * MS);
	assert_in_range(watched_in(world, 300 * S, 0.011), 300 * S * 36 / 10000,
			300 * S * 41 / 10000);
	assert_in_range(world->looks[0] - looks, 300 * 10 / 7, 300 * 10 / 3);
	jobs_free(world);
}

/* What others were thought to need, and did not. */
static void looks_watch_with_what_nobody_has_used(void **state)
{
	uint64_t had[2];

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		struct jobs *world = jobs_new();

		watch_first_minute(world);
		/* A mean forgets slowly: for some time they are thought to be as dear. */
		for (size_t c = 0; i == 1 && c < CHECKS; c++)
			world->costs[0][c] /= 8;
		had[i] = watched_in(world, 4 * S, 0.014);
		jobs_free(world);
	}
	assert_in_range(had[0], 4 * S * 36 / 10000, 4 * S * 44 / 10000);
	assert_in_range(had[1], 4 * S * 44 / 10000, 4 * S * 51 / 10000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(looks_watch_with_what_is_left),
		cmocka_unit_test(looks_that_come_seldom_watch_as_much),
		cmocka_unit_test(looks_watch_with_what_nobody_has_used),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
