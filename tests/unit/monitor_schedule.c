/* SPDX-License-Identifier: Apache-2.0 */
#include "monitor/schedule.h"

#include <stdarg.h>
#include <setjmp.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "make/jobs.h"

static void the_first_job_of_a_guest_is_everything(void **state)
{
	struct jobs *world = jobs_new();
	struct schedule_job job = { 0 };

	(void)state;
	assert_int_equal(schedule_next(world->schedule, world->now, &job), 0);
	assert_true(schedule_wake(world->schedule, world->now) == UINT64_MAX);
	jobs_add_guests(world, 1);
	assert_int_equal(schedule_add(world->schedule, 0, &world->plan, world->now), -EEXIST);
	assert_int_equal(schedule_next(world->schedule, world->now, &job), 1);
	assert_true(job.first && !job.look);
	assert_int_equal(job.checks_n, CHECKS);
	free(job.checks);
	/* One job of a guest at a time. */
	assert_int_equal(schedule_next(world->schedule, world->now + 100 * S, &job), 0);
	jobs_free(world);
}

static void everything_runs_within_its_period_and_jitter(void **state)
{
	struct jobs *world = jobs_new();

	(void)state;
	world->plan.us_per_s = 100000;
	jobs_add_guests(world, 1);
	jobs_run_until(world, world->now + 300 * S);
	/* Nothing is stretched; a job may wait for another of its guest: 16 ms at most. */
	assert_in_range(world->look_gap_max[0], 130 * MS, (150 + 20) * MS);
	assert_in_range(world->look_gap_min[0], 30 * MS, 70 * MS);
	assert_in_range(world->looks[0], 2700, 3100);
	for (uint32_t c = 0; c < CHECKS; c++) {
		uint64_t period = c < 30 ? 500 : c < 38 ? 2000 : 15000;

		assert_in_range(world->gap_max[0][c], 1, (period * 3 / 2 + 20) * MS);
		assert_in_range(world->runs[0][c], 300000 / period * 8 / 10,
				300000 / period * 12 / 10 + 1);
	}
	jobs_free(world);
}

/* A dear one that is worth much runs with the cheap ones, and takes none of them away. */
static void what_is_attacked_most_runs_as_often_as_the_cheap(void **state)
{
	static const uint8_t worth[CHECKS] = { [38] = 100 };
	struct jobs *world = jobs_new();

	(void)state;
	schedule_free(&world->schedule);
	assert_int_equal(schedule_create(&jobs_usual, CHECKS, worth, jobs_chance, world, &world->schedule),
			 0);
	world->plan.us_per_s = 100000;
	jobs_add_guests(world, 1);
	jobs_run_until(world, world->now + 300 * S);
	for (uint32_t c = 0; c < CHECKS; c++) {
		uint64_t period = c < 30 || c == 38 ? 500 : c < 38 ? 2000 : 15000;

		assert_in_range(world->gap_max[0][c], 1, (period * 3 / 2 + 20) * MS);
		assert_in_range(world->runs[0][c], 300000 / period * 8 / 10,
				300000 / period * 12 / 10 + 1);
	}
	jobs_free(world);
}

static void the_pauses_are_spread_over_the_whole_jitter(void **state)
{
	struct jobs *world = jobs_new();
	unsigned in[10] = { 0 };

	(void)state;
	world->plan.us_per_s = 1000000;
	memset(world->costs, 0, sizeof(world->costs));
	world->look_cost[0] = 1;
	jobs_add_guests(world, 1);
	jobs_run_until(world, world->now + 2 * S);
	for (unsigned i = 0; i < 2000; i++) {
		uint64_t last = world->last_look[0], n = world->looks[0], gap;

		while (world->looks[0] == n)
			jobs_run_until(world, world->now + MS);
		gap = world->last_look[0] - last;
		assert_in_range(gap, 50 * MS - 1, 151 * MS);
		in[(gap - 50 * MS) / (10 * MS) % 10]++;
	}
	/* Each tenth of the range has its tenth, more or less: there is no usual pause. */
	for (unsigned i = 0; i < 10; i++)
		assert_in_range(in[i], 140, 260);
	jobs_free(world);
}

static void a_guest_keeps_its_budget_by_longer_periods(void **state)
{
	struct jobs *world = jobs_new();
	struct schedule_stats stats;
	uint64_t before;

	(void)state;
	/* Ten times what one percent of a CPU could pay. */
	for (size_t c = 0; c < CHECKS; c++)
		world->costs[0][c] *= 10;
	jobs_add_guests(world, 1);
	jobs_run_until(world, world->now + 60 * S);
	before = world->spent[0];
	jobs_run_until(world, world->now + 600 * S);
	assert_true(jobs_used(world, before, 600 * S) <= 0.0105);
	assert_true(jobs_used(world, before, 600 * S) >= 0.008);
	assert_int_equal(schedule_stats(world->schedule, 0, world->now, &stats), 0);
	assert_true(stats.stretch > 1.5);
	assert_true(stats.share > 0.002 && stats.share < 0.03);
	for (uint32_t c = 0; c < CHECKS; c++)
		assert_true(world->runs[0][c] >= 4);
	jobs_free(world);
}

static void a_hundred_guests_keep_the_budget_of_two_cpus(void **state)
{
	struct jobs *world = jobs_new();
	uint64_t before = 0, least = UINT64_MAX, most = 0;

	(void)state;
	jobs_add_guests(world, GUESTS);
	jobs_run_until(world, world->now + 60 * S);
	for (size_t g = 0; g < GUESTS; g++)
		before += world->spent[g];
	jobs_run_until(world, world->now + 240 * S);
	/* Half a CPU for all of them is less than 100 times one percent. */
	assert_true(jobs_used(world, before, 240 * S) <= 0.52);
	assert_true(jobs_used(world, before, 240 * S) >= 0.42);
	for (size_t g = 0; g < GUESTS; g++) {
		least = world->looks[g] < least ? world->looks[g] : least;
		most = world->looks[g] > most ? world->looks[g] : most;
		for (uint32_t c = 0; c < CHECKS; c++)
			assert_true(world->runs[g][c] >= 2);
	}
	assert_true(most < least + least / 5);
	jobs_free(world);
}

static void a_dear_guest_slows_none_but_itself(void **state)
{
	struct jobs *world = jobs_new();
	uint64_t alone, before = 0;

	(void)state;
	/* Alone, cheap guests need less than they may have. */
	for (size_t g = 0; g < GUESTS; g++)
		for (size_t c = 0; c < CHECKS; c++)
			world->costs[g][c] /= 10;
	jobs_add_guests(world, 20);
	jobs_run_until(world, world->now + 120 * S);
	alone = world->looks[5];
	jobs_free(world);

	world = jobs_new();
	for (size_t g = 0; g < GUESTS; g++)
		for (size_t c = 0; c < CHECKS; c++)
			world->costs[g][c] = g == 0 ? 50 * MS : world->costs[g][c] / 10;
	jobs_add_guests(world, 20);
	jobs_run_until(world, world->now + 120 * S);
	for (size_t g = 1; g < 20; g++)
		assert_in_range(world->looks[g], alone * 9 / 10, alone * 11 / 10);
	/* Itself it does not starve either. */
	before = world->spent[0];
	jobs_run_until(world, world->now + 1000 * S);
	assert_true((double)(world->spent[0] - before) / (1000.0 * S) < 0.011);
	for (uint32_t c = 0; c < CHECKS; c++)
		assert_true(world->runs[0][c] >= 2);
	jobs_free(world);
}

/* Guests that reset themselves 2 s after they were attached to, each time; CPUs that it takes. */
static double reset_in_a_loop(struct jobs *world, size_t n, uint64_t attach, uint64_t time,
			      uint64_t *attaches)
{
	uint64_t end = world->now + time, reset[GUESTS] = { 0 }, sum = 0;

	*attaches = 0;
	jobs_add_guests(world, n);
	for (; world->now < end; world->now += 100 * MS) {
		for (size_t g = 0; g < n; g++) {
			if (world->now < reset[g])
				continue;
			schedule_hold(world->schedule, g, true, world->now);
			if (schedule_attach_at(world->schedule, g, world->now) > world->now)
				continue;
			schedule_attached(world->schedule, g, world->now, attach);
			schedule_all(world->schedule, g, world->now);
			schedule_hold(world->schedule, g, false, world->now);
			reset[g] = world->now + 2 * S;
			sum += attach;
			++*attaches;
		}
	}
	return (double)sum / (double)time;
}

static void who_resets_itself_in_a_loop_cannot_take_a_cpu(void **state)
{
	static const struct {
		size_t guests;
		uint64_t attach;
		double most;	/* of a CPU */
	} cases[] = {
		{ 1, S, 0.04 },			/* waits 30 s each time */
		{ 1, S / 10, 0.012 },		/* has its 1 %, and what may be owed */
		{ 10, S, 0.35 },
		{ GUESTS, S, 0.6 },	/* the host has half a CPU, and what may be owed */
		{ GUESTS, S / 5, 0.6 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct jobs *world = jobs_new();
		uint64_t time = 3600 * S, attaches;
		double took = reset_in_a_loop(world, cases[i].guests, cases[i].attach, time,
					      &attaches);

		assert_true(took < cases[i].most);
		/* And nobody is given up. */
		assert_true(attaches > cases[i].guests * 8);
		jobs_free(world);
	}
}

static void a_reset_now_and_then_is_followed_at_once(void **state)
{
	struct jobs *world = jobs_new();
	uint64_t looks;

	(void)state;
	jobs_add_guests(world, 1);
	for (unsigned i = 0; i < 5; i++) {
		jobs_run_until(world, world->now + 90 * S);
		schedule_hold(world->schedule, 0, true, world->now);
		assert_true(schedule_attach_at(world->schedule, 0, world->now) == world->now);
		schedule_attached(world->schedule, 0, world->now, S / 2);
		schedule_all(world->schedule, 0, world->now);
		schedule_hold(world->schedule, 0, false, world->now);
		/* It is paid for by and by, not by being blind. */
		looks = world->looks[0];
		jobs_run_until(world, world->now + 10 * S);
		assert_true(world->looks[0] - looks > 15);
	}
	jobs_free(world);
}

static void news_of_code_is_followed_by_a_sweep_at_once(void **state)
{
	struct jobs *world = jobs_new();
	struct schedule_job job = { 0 };
	uint64_t spent, began;

	(void)state;
	jobs_add_guests(world, 1);
	jobs_run_until(world, world->now + 60 * S);
	/* Though the guest has just had more than its share. */
	schedule_alarm(world->schedule, 0, world->now);
	assert_int_equal(schedule_next(world->schedule, world->now, &job), 1);
	assert_false(job.look);
	assert_int_equal(job.checks_n, 38);	/* none of those that take long */
	jobs_work(world, &job);
	/* Who makes such news all the time cannot have more than that for long. */
	spent = world->spent[0];
	began = world->now;
	while (world->now < began + 600 * S) {
		schedule_alarm(world->schedule, 0, world->now);
		jobs_run_until(world, world->now + S / 10);
	}
	assert_true(jobs_used(world, spent, 600 * S) < 0.011);
	jobs_free(world);
}

/* The job that starts now: how many checks it has, and whether @check is one. */
static size_t next_has(struct jobs *world, uint32_t check, bool *has)
{
	struct schedule_job job = { 0 };
	size_t n;

	assert_int_equal(schedule_next(world->schedule, world->now, &job), 1);
	assert_false(job.look);
	*has = false;
	for (size_t i = 0; i < job.checks_n; i++)
		*has |= job.checks[i] == check;
	n = job.checks_n;
	jobs_work(world, &job);
	return n;
}

/* A guest in debt has checks wait, and not looks, which tell which of them cannot. */
static void who_owes_something_is_still_looked_at(void **state)
{
	struct jobs *world = jobs_new();
	uint64_t late = 0, last;

	(void)state;
	world->plan.watch = true;
	world->watches = true;
	world->costs[0][39] = 15 * MS;
	jobs_add_guests(world, 1);
	jobs_run_until(world, world->now + 60 * S);
	for (uint64_t end = world->now + 300 * S; world->now < end;) {
		last = world->last_look[0];
		jobs_run_until(world, world->now + 10 * MS);
		late += last == world->last_look[0] && world->now - last > 500 * MS;
	}
	/* In units of 10 ms: without it that is a sixteenth of the time. */
	assert_true(late < 300);
	jobs_free(world);
}

/* Whose guest makes news again and again: what that costs is paid for, and it is looked at meanwhile. */
static void who_pays_for_alarms_is_not_blind_meanwhile(void **state)
{
	static const uint32_t one = 3;
	struct jobs *world = jobs_new();
	uint64_t late = 0, all = 0, spent, began;

	(void)state;
	world->plan.watch = true;
	world->watches = true;
	world->look_cost[0] = MS / 2;
	jobs_add_guests(world, 1);
	jobs_run_until(world, world->now + 60 * S);
	spent = world->spent[0];
	began = world->now;
	for (unsigned i = 0; i < 20; i++) {
		/* What it looks at again until it is sure takes longer than it does otherwise. */
		for (size_t c = 0; c < 38; c++)
			world->costs[0][c] *= 4;
		schedule_call(world->schedule, 0, &one, 1, world->now);
		schedule_alarm(world->schedule, 0, world->now);
		jobs_run_until(world, world->now + S);
		for (size_t c = 0; c < 38; c++)
			world->costs[0][c] /= 4;
		for (uint64_t end = world->now + 10 * S; world->now < end; all++) {
			jobs_run_until(world, world->now + 10 * MS);
			late += world->now - world->last_look[0] > 800 * MS;
		}
	}
	assert_true(late < all / 100);
	assert_true(jobs_used(world, spent, world->now - began) < 0.012);
	jobs_free(world);
}

static void what_is_called_runs_at_once_and_alone(void **state)
{
	static const uint32_t two[] = { 3, 39 };
	struct jobs *world = jobs_new();
	uint64_t due, before;
	bool has;

	(void)state;
	world->plan.watch = true;
	jobs_add_guests(world, 1);
	jobs_run_until(world, world->now + 60 * S);
	before = world->runs[0][39];
	schedule_call(world->schedule, 0, two, 2, world->now);
	/* Who is called twice runs once. */
	schedule_call(world->schedule, 0, two, 1, world->now);
	assert_int_equal(next_has(world, 39, &has), 2);
	assert_true(has);
	/* For what is dear that was its turn. */
	due = world->now + 7 * S;
	jobs_run_until(world, due);
	assert_int_equal(world->runs[0][39], before + 1);
	/* Nobody who was not wanted, or is not there. */
	schedule_call(world->schedule, 0, (const uint32_t[]){ CHECKS }, 1, world->now);
	schedule_call(world->schedule, 7, two, 2, world->now);
	jobs_run_until(world, world->now + S);
	assert_int_equal(world->runs[0][39], before + 1);
	jobs_free(world);
}

static void who_calls_all_the_time_has_no_more_than_his_share(void **state)
{
	static const uint32_t dear = 39;
	struct jobs *world = jobs_new();
	uint32_t runs[CHECKS];
	uint64_t spent, began;

	(void)state;
	world->plan.watch = true;
	world->watches = true;
	jobs_add_guests(world, 1);
	jobs_run_until(world, world->now + 60 * S);
	spent = world->spent[0];
	began = world->now;
	memcpy(runs, world->runs[0], sizeof(runs));
	while (world->now < began + 600 * S) {
		schedule_call(world->schedule, 0, &dear, 1, world->now);
		jobs_run_until(world, world->now + S / 10);
	}
	assert_true(jobs_used(world, spent, 600 * S) < 0.011);
	/* And what he did not call still has its turn. */
	assert_true(world->runs[0][39] - runs[39] > 60);
	for (uint32_t c = 0; c < 30; c++)
		assert_true(world->runs[0][c] - runs[c] > 120);
	assert_true(world->runs[0][38] - runs[38] > 6);
	jobs_free(world);
}

static void what_is_watched_is_run_seldom_and_at_every_alarm(void **state)
{
	struct jobs *world = jobs_new();
	uint32_t before;
	bool has;

	(void)state;
	world->plan.watch = true;
	schedule_set_watched(world->schedule, 5);	/* as cheap as they are */
	jobs_add_guests(world, 1);
	jobs_run_until(world, world->now + 60 * S);
	before = world->runs[0][5];
	jobs_run_until(world, world->now + 120 * S);
	assert_in_range(world->runs[0][5] - before, 4, 20);
	schedule_alarm(world->schedule, 0, world->now);
	assert_int_equal(next_has(world, 5, &has), 38);
	assert_true(has);
	jobs_free(world);

	/* Nobody watches where there are no looks, or where they do not. */
	for (unsigned int i = 0; i < 2; i++) {
		world = jobs_new();
		world->plan.watch = i == 0;
		world->plan.look_ms = i == 0 ? 0 : world->plan.look_ms;
		schedule_set_watched(world->schedule, 5);
		jobs_add_guests(world, 1);
		jobs_run_until(world, world->now + 60 * S);
		before = world->runs[0][5];
		jobs_run_until(world, world->now + 120 * S);
		assert_true(world->runs[0][5] - before > 100);
		assert_int_equal(world->watched[0], 0);
		jobs_free(world);
	}
}

static void what_a_check_costs_is_not_what_it_took_first(void **state)
{
	struct jobs *world = jobs_new();
	struct schedule_stats stats;

	(void)state;
	/* It makes what later sweeps use. */
	for (size_t c = 30; c < CHECKS; c++)
		world->costs[0][c] *= 20;
	jobs_add_guests(world, 1);
	jobs_run_until(world, world->now + MS);
	for (size_t c = 30; c < CHECKS; c++)
		world->costs[0][c] /= 20;
	jobs_run_until(world, world->now + 30 * S);
	assert_int_equal(schedule_stats(world->schedule, 0, world->now, &stats), 0);
	assert_true(stats.stretch < 1.2);
	jobs_free(world);
}

static void with_defaults_all_has_run_again_within_thirty_seconds(void **state)
{
	struct jobs *world = jobs_new();

	(void)state;
	jobs_add_guests(world, 40);
	jobs_run_until(world, world->now + 20 * S);
	for (size_t g = 0; g < 40; g++)
		for (uint32_t c = 0; c < CHECKS; c++)
			world->runs[g][c] = 0;
	jobs_run_until(world, world->now + 30 * S);
	for (size_t g = 0; g < 40; g++)
		for (uint32_t c = 0; c < CHECKS; c++)
			assert_true(world->runs[g][c] >= 1);
	jobs_free(world);
}

static void who_is_held_gets_no_jobs_and_goes_on_after(void **state)
{
	struct jobs *world = jobs_new();
	uint64_t looks;

	(void)state;
	jobs_add_guests(world, 2);
	jobs_run_until(world, world->now + 10 * S);
	schedule_hold(world->schedule, 0, true, world->now);
	looks = world->looks[0];
	jobs_run_until(world, world->now + 10 * S);
	assert_int_equal(world->looks[0], looks);
	schedule_hold(world->schedule, 0, false, world->now);
	jobs_run_until(world, world->now + 10 * S);
	/* What is due by then comes first. */
	assert_true(world->looks[0] > looks + 40);
	/* Who is gone is asked for nothing, and what it still did is nobody's. */
	schedule_remove(world->schedule, 0);
	schedule_done(world->schedule, 0, world->now, S, NULL, 0);
	looks = world->looks[0];
	jobs_run_until(world, world->now + 10 * S);
	assert_int_equal(world->looks[0], looks);
	jobs_free(world);
}

static void a_paused_guest_is_only_looked_at(void **state)
{
	struct jobs *world = jobs_new();
	uint32_t runs[CHECKS];
	uint64_t looks;

	(void)state;
	jobs_add_guests(world, 1);
	jobs_run_until(world, world->now + 20 * S);
	schedule_pause(world->schedule, 0, true, world->now);
	memcpy(runs, world->runs[0], sizeof(runs));
	looks = world->looks[0];
	jobs_run_until(world, world->now + 20 * S);
	assert_memory_equal(runs, world->runs[0], sizeof(runs));
	assert_true(world->looks[0] > looks + 100);
	schedule_pause(world->schedule, 0, false, world->now);
	jobs_run_until(world, world->now + 20 * S);
	for (uint32_t c = 0; c < CHECKS; c++)
		assert_true(world->runs[0][c] > runs[c]);
	jobs_free(world);
}

static void a_scanner_that_died_at_work_gets_new_work(void **state)
{
	struct jobs *world = jobs_new();
	struct schedule_job job = { 0 };

	(void)state;
	jobs_add_guests(world, 1);
	assert_int_equal(schedule_next(world->schedule, world->now, &job), 1);
	free(job.checks);
	schedule_hold(world->schedule, 0, true, world->now);
	assert_int_equal(schedule_next(world->schedule, world->now + S, &job), 0);
	schedule_hold(world->schedule, 0, false, world->now + 2 * S);
	schedule_all(world->schedule, 0, world->now + 2 * S);
	world->now += 2 * S;
	jobs_run_until(world, world->now + 20 * S);
	for (uint32_t c = 0; c < CHECKS; c++)
		assert_true(world->runs[0][c] >= 1);
	jobs_free(world);
}

static void checks_that_are_not_wanted_never_run(void **state)
{
	struct jobs *world = jobs_new();
	bool wanted[CHECKS] = { [3] = true, [39] = true };

	(void)state;
	world->plan.wanted = wanted;
	assert_int_equal(schedule_add(world->schedule, 7, &world->plan, world->now), 0);
	jobs_run_until(world, world->now + 60 * S);
	for (uint32_t c = 0; c < CHECKS; c++)
		assert_int_equal(world->runs[7][c] > 0, wanted[c]);
	jobs_free(world);
}

static void options_that_make_no_sense_are_refused(void **state)
{
	struct schedule_options options = jobs_usual;
	struct schedule *schedule = NULL;
	struct jobs *world = jobs_new();

	(void)state;
	options.jitter_percent = 91;
	assert_int_equal(schedule_create(&options, 1, NULL, jobs_chance, NULL, &schedule), -EINVAL);
	options = jobs_usual;
	options.host_us_per_s = 0;
	assert_int_equal(schedule_create(&options, 1, NULL, jobs_chance, NULL, &schedule), -EINVAL);
	assert_null(schedule);
	world->plan.period_ms[SCHEDULE_DEAR] = 0;
	assert_int_equal(schedule_add(world->schedule, 1, &world->plan, world->now), -EINVAL);
	jobs_free(world);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_first_job_of_a_guest_is_everything),
		cmocka_unit_test(everything_runs_within_its_period_and_jitter),
		cmocka_unit_test(what_is_attacked_most_runs_as_often_as_the_cheap),
		cmocka_unit_test(the_pauses_are_spread_over_the_whole_jitter),
		cmocka_unit_test(a_guest_keeps_its_budget_by_longer_periods),
		cmocka_unit_test(a_hundred_guests_keep_the_budget_of_two_cpus),
		cmocka_unit_test(a_dear_guest_slows_none_but_itself),
		cmocka_unit_test(who_resets_itself_in_a_loop_cannot_take_a_cpu),
		cmocka_unit_test(a_reset_now_and_then_is_followed_at_once),
		cmocka_unit_test(news_of_code_is_followed_by_a_sweep_at_once),
		cmocka_unit_test(who_owes_something_is_still_looked_at),
		cmocka_unit_test(who_pays_for_alarms_is_not_blind_meanwhile),
		cmocka_unit_test(what_is_called_runs_at_once_and_alone),
		cmocka_unit_test(who_calls_all_the_time_has_no_more_than_his_share),
		cmocka_unit_test(what_is_watched_is_run_seldom_and_at_every_alarm),
		cmocka_unit_test(what_a_check_costs_is_not_what_it_took_first),
		cmocka_unit_test(with_defaults_all_has_run_again_within_thirty_seconds),
		cmocka_unit_test(who_is_held_gets_no_jobs_and_goes_on_after),
		cmocka_unit_test(a_paused_guest_is_only_looked_at),
		cmocka_unit_test(a_scanner_that_died_at_work_gets_new_work),
		cmocka_unit_test(checks_that_are_not_wanted_never_run),
		cmocka_unit_test(options_that_make_no_sense_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
