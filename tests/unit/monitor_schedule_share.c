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
	/* Not more than 65 % of the guest's 1 %, and never nothing, whatever the rest takes. */
	assert_in_range(had[0], 600 * S * 60 / 10000, 600 * S * 66 / 10000);
	assert_true(had[1] < had[0] && had[1] > had[2]);
	assert_in_range(had[2], 600 * S * 47 / 10000, 600 * S * 56 / 10000);
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
	assert_in_range(watched_in(world, 300 * S, 0.011), 300 * S * 47 / 10000,
			300 * S * 56 / 10000);
	assert_in_range(world->looks[0] - looks, 300 * 10 / 11, 300 * 10 / 3);
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
	assert_in_range(had[0], 4 * S * 50 / 10000, 4 * S * 60 / 10000);
	assert_in_range(had[1], 4 * S * 60 / 10000, 4 * S * 66 / 10000);
}

/* Whose looks are so dear that they come seldom is watched in between. */
static void glances_come_between_dear_looks(void **state)
{
	struct jobs *world = jobs_new();
	uint64_t looks, glances, before;

	(void)state;
	world->look_cost[0] = 2 * MS;
	watch_first_minute(world);
	looks = world->looks[0];
	glances = world->glances[0];
	(void)watched_in(world, 60 * S, 0.0115);
	assert_in_range(world->looks[0] - looks, 40, 150);
	assert_in_range(world->glances[0] - glances + world->looks[0] - looks, 240, 420);
	/* What a glance tells to have happened is looked for at once. */
	before = world->now;
	for (glances = world->glances[0]; world->glances[0] == glances;)
		jobs_run_until(world, world->now + MS);
	schedule_look(world->schedule, 0, world->now);
	looks = world->looks[0];
	jobs_run_until(world, world->now + 5 * MS);
	assert_int_equal(world->looks[0], looks + 1);
	assert_true(world->now < before + 2 * S);
	/* In one that is paused nothing changes. */
	schedule_pause(world->schedule, 0, true, world->now);
	glances = world->glances[0];
	jobs_run_until(world, world->now + 20 * S);
	assert_int_equal(world->glances[0], glances);
	jobs_free(world);
}

/* Nobody gets more looks, or has less watched, by having each glance tell of events. */
static void who_makes_events_all_the_time_waits_his_turn(void **state)
{
	static const uint64_t costs[] = { MS / 20, MS / 5, 2 * MS };

	(void)state;
	for (size_t i = 0; i < 6; i++) {
		struct jobs *world = jobs_new();
		uint64_t looks;

		world->look_cost[0] = costs[i % 3];
		/* Or by making them dear. */
		world->glance_cost[0] = i < 3 ? MS / 10 : 5 * MS;
		world->flips = i < 3;
		watch_first_minute(world);
		looks = world->looks[0];
		world->look_gap_max[0] = 0;
		assert_true(watched_in(world, 120 * S, 0.0115) > 120 * S * 45 / 10000);
		assert_in_range(world->looks[0] - looks, 120, 120 * 12);
		assert_true(world->look_gap_max[0] < 5 * S / 2);
		jobs_free(world);
	}
}

/* … and where they are not, each look is for events. */
static void no_glances_between_looks_that_are_cheap(void **state)
{
	struct jobs *world = jobs_new();

	(void)state;
	for (size_t c = 0; c < CHECKS; c++)
		world->costs[0][c] /= 64;
	world->look_cost[0] = MS / 20;
	watch_first_minute(world);
	assert_int_equal(world->glances[0], 0);
	jobs_free(world);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(looks_watch_with_what_is_left),
		cmocka_unit_test(looks_that_come_seldom_watch_as_much),
		cmocka_unit_test(looks_watch_with_what_nobody_has_used),
		cmocka_unit_test(glances_come_between_dear_looks),
		cmocka_unit_test(who_makes_events_all_the_time_waits_his_turn),
		cmocka_unit_test(no_glances_between_looks_that_are_cheap),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
