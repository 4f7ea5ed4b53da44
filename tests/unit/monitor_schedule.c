/* SPDX-License-Identifier: Apache-2.0 */
#include "monitor/schedule.h"

#include <stdarg.h>
#include <setjmp.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#define MS     1000000ull
#define S      (1000 * MS)
#define CHECKS 40u
#define GUESTS 100u
#define CPUS   2u

/* A host of guests whose checks cost what the test says, in a time of its own. */
struct world {
	struct schedule *schedule;
	struct schedule_plan plan;
	uint64_t now;
	uint64_t chance;
	uint64_t costs[GUESTS][CHECKS];
	uint64_t look_cost[GUESTS];
	uint64_t spent[GUESTS], first[GUESTS];
	uint64_t watched[GUESTS];
	bool watches;	/* looks take all the time that they are given */
	uint64_t looks[GUESTS], last_look[GUESTS], look_gap_max[GUESTS], look_gap_min[GUESTS];
	uint32_t runs[GUESTS][CHECKS];
	uint64_t last[GUESTS][CHECKS], gap_max[GUESTS][CHECKS];
};

/* xorshift64*: the same chance in each run of the test. */
static uint64_t chance(void *ctx)
{
	struct world *world = ctx;

	world->chance ^= world->chance >> 12;
	world->chance ^= world->chance << 25;
	world->chance ^= world->chance >> 27;
	return world->chance * 0x2545f4914f6cdd1dull;
}

static const struct schedule_options usual = {
	.jitter_percent = 50, .host_us_per_s = 500000, .cpus = CPUS,
};

static struct world *world_new(void)
{
	struct world *world = calloc(1, sizeof(*world));

	assert_non_null(world);
	world->plan = (struct schedule_plan){
		.look_ms = 100, .period_ms = { 500, 2000, 15000 }, .us_per_s = 10000,
	};
	world->chance = 42;
	world->now = 5 * S;
	for (size_t g = 0; g < GUESTS; g++) {
		world->look_cost[g] = MS / 5;
		world->look_gap_min[g] = UINT64_MAX;
		/* A sweep of 9 ms: 2 dear ones beyond that. */
		for (size_t c = 0; c < CHECKS; c++)
			world->costs[g][c] = c < 30 ? MS / 20 : c < 38 ? 9 * MS / 10 : 8 * MS;
	}
	assert_int_equal(schedule_create(&usual, CHECKS, NULL, chance, world, &world->schedule), 0);
	return world;
}

static void world_free(struct world *world)
{
	schedule_free(&world->schedule);
	free(world);
}

static void note_look(struct world *world, size_t g)
{
	uint64_t gap = world->now - world->last_look[g];

	if (world->looks[g]++) {
		world->look_gap_max[g] = gap > world->look_gap_max[g] ? gap :
								      world->look_gap_max[g];
		world->look_gap_min[g] = gap < world->look_gap_min[g] ? gap :
								      world->look_gap_min[g];
	}
	world->last_look[g] = world->now;
}

static void note_check(struct world *world, size_t g, uint32_t c)
{
	uint64_t gap = world->now - world->last[g][c];

	if (world->runs[g][c]++ && gap > world->gap_max[g][c])
		world->gap_max[g][c] = gap;
	world->last[g][c] = world->now;
}

/* Run one job to its end. */
static void work(struct world *world, struct schedule_job *job)
{
	struct schedule_cost costs[CHECKS];
	uint64_t g = job->guest;
	uint64_t cpu = job->look ? world->look_cost[g] : MS / 10;

	if (job->look) {
		note_look(world, g);
		cpu += world->watches ? job->watch_ns : 0;
		world->watched[g] += job->watch_ns;
	}
	for (size_t i = 0; i < job->checks_n; i++) {
		note_check(world, g, job->checks[i]);
		/* A busy host: the clock says three times what the CPU took. */
		costs[i] = (struct schedule_cost){ job->checks[i],
						   3 * world->costs[g][job->checks[i]] };
		cpu += world->costs[g][job->checks[i]];
	}
	if (job->first)
		world->first[g] += cpu;
	else
		world->spent[g] += cpu;
	world->now += cpu / CPUS;
	schedule_done(world->schedule, g, world->now, cpu, costs, job->checks_n);
	free(job->checks);
}

static void run_until(struct world *world, uint64_t end)
{
	while (world->now < end) {
		struct schedule_job job = { 0 };
		uint64_t wake;
		int r = schedule_next(world->schedule, world->now, &job);

		assert_true(r >= 0);
		if (r > 0) {
			work(world, &job);
			continue;
		}
		wake = schedule_wake(world->schedule, world->now);
		assert_true(wake > world->now);
		world->now = wake < end ? wake : end;
	}
}

static void add_guests(struct world *world, size_t n)
{
	for (size_t g = 0; g < n; g++)
		assert_int_equal(schedule_add(world->schedule, g, &world->plan, world->now), 0);
}

/* CPUs used between two moments, first sweeps apart. */
static double used(const struct world *world, uint64_t before, uint64_t ns)
{
	uint64_t sum = 0;

	for (size_t g = 0; g < GUESTS; g++)
		sum += world->spent[g];
	return (double)(sum - before) / (double)ns;
}

static void the_first_job_of_a_guest_is_everything(void **state)
{
	struct world *world = world_new();
	struct schedule_job job = { 0 };

	(void)state;
	assert_int_equal(schedule_next(world->schedule, world->now, &job), 0);
	assert_true(schedule_wake(world->schedule, world->now) == UINT64_MAX);
	add_guests(world, 1);
	assert_int_equal(schedule_add(world->schedule, 0, &world->plan, world->now), -EEXIST);
	assert_int_equal(schedule_next(world->schedule, world->now, &job), 1);
	assert_true(job.first && !job.look);
	assert_int_equal(job.checks_n, CHECKS);
	free(job.checks);
	/* One job of a guest at a time. */
	assert_int_equal(schedule_next(world->schedule, world->now + 100 * S, &job), 0);
	world_free(world);
}

static void everything_runs_within_its_period_and_jitter(void **state)
{
	struct world *world = world_new();

	(void)state;
	world->plan.us_per_s = 100000;
	add_guests(world, 1);
	run_until(world, world->now + 300 * S);
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
	world_free(world);
}

/* A dear one that is worth much runs with the cheap ones, and takes none of them away. */
static void what_is_attacked_most_runs_as_often_as_the_cheap(void **state)
{
	static const uint8_t worth[CHECKS] = { [38] = 100 };
	struct world *world = world_new();

	(void)state;
	schedule_free(&world->schedule);
	assert_int_equal(schedule_create(&usual, CHECKS, worth, chance, world, &world->schedule),
			 0);
	world->plan.us_per_s = 100000;
	add_guests(world, 1);
	run_until(world, world->now + 300 * S);
	for (uint32_t c = 0; c < CHECKS; c++) {
		uint64_t period = c < 30 || c == 38 ? 500 : c < 38 ? 2000 : 15000;

		assert_in_range(world->gap_max[0][c], 1, (period * 3 / 2 + 20) * MS);
		assert_in_range(world->runs[0][c], 300000 / period * 8 / 10,
				300000 / period * 12 / 10 + 1);
	}
	world_free(world);
}

static void the_pauses_are_spread_over_the_whole_jitter(void **state)
{
	struct world *world = world_new();
	unsigned in[10] = { 0 };

	(void)state;
	world->plan.us_per_s = 1000000;
	memset(world->costs, 0, sizeof(world->costs));
	world->look_cost[0] = 1;
	add_guests(world, 1);
	run_until(world, world->now + 2 * S);
	for (unsigned i = 0; i < 2000; i++) {
		uint64_t last = world->last_look[0], n = world->looks[0], gap;

		while (world->looks[0] == n)
			run_until(world, world->now + MS);
		gap = world->last_look[0] - last;
		assert_in_range(gap, 50 * MS - 1, 151 * MS);
		in[(gap - 50 * MS) / (10 * MS) % 10]++;
	}
	/* Each tenth of the range has its tenth, more or less: there is no usual pause. */
	for (unsigned i = 0; i < 10; i++)
		assert_in_range(in[i], 140, 260);
	world_free(world);
}

static void a_guest_keeps_its_budget_by_longer_periods(void **state)
{
	struct world *world = world_new();
	struct schedule_stats stats;
	uint64_t before;

	(void)state;
	/* Ten times what one percent of a CPU could pay. */
	for (size_t c = 0; c < CHECKS; c++)
		world->costs[0][c] *= 10;
	add_guests(world, 1);
	run_until(world, world->now + 60 * S);
	before = world->spent[0];
	run_until(world, world->now + 600 * S);
	assert_true(used(world, before, 600 * S) <= 0.0105);
	assert_true(used(world, before, 600 * S) >= 0.008);
	assert_int_equal(schedule_stats(world->schedule, 0, world->now, &stats), 0);
	assert_true(stats.stretch > 1.5);
	assert_true(stats.share > 0.002 && stats.share < 0.03);
	for (uint32_t c = 0; c < CHECKS; c++)
		assert_true(world->runs[0][c] >= 4);
	world_free(world);
}

static void a_hundred_guests_keep_the_budget_of_two_cpus(void **state)
{
	struct world *world = world_new();
	uint64_t before = 0, least = UINT64_MAX, most = 0;

	(void)state;
	add_guests(world, GUESTS);
	run_until(world, world->now + 60 * S);
	for (size_t g = 0; g < GUESTS; g++)
		before += world->spent[g];
	run_until(world, world->now + 240 * S);
	/* Half a CPU for all of them is less than 100 times one percent. */
	assert_true(used(world, before, 240 * S) <= 0.52);
	assert_true(used(world, before, 240 * S) >= 0.42);
	for (size_t g = 0; g < GUESTS; g++) {
		least = world->looks[g] < least ? world->looks[g] : least;
		most = world->looks[g] > most ? world->looks[g] : most;
		for (uint32_t c = 0; c < CHECKS; c++)
			assert_true(world->runs[g][c] >= 2);
	}
	assert_true(most < least + least / 5);
	world_free(world);
}

static void a_dear_guest_slows_none_but_itself(void **state)
{
	struct world *world = world_new();
	uint64_t alone, before = 0;

	(void)state;
	/* Alone, cheap guests need less than they may have. */
	for (size_t g = 0; g < GUESTS; g++)
		for (size_t c = 0; c < CHECKS; c++)
			world->costs[g][c] /= 10;
	add_guests(world, 20);
	run_until(world, world->now + 120 * S);
	alone = world->looks[5];
	world_free(world);

	world = world_new();
	for (size_t g = 0; g < GUESTS; g++)
		for (size_t c = 0; c < CHECKS; c++)
			world->costs[g][c] = g == 0 ? 50 * MS : world->costs[g][c] / 10;
	add_guests(world, 20);
	run_until(world, world->now + 120 * S);
	for (size_t g = 1; g < 20; g++)
		assert_in_range(world->looks[g], alone * 9 / 10, alone * 11 / 10);
	/* Itself it does not starve either. */
	before = world->spent[0];
	run_until(world, world->now + 1000 * S);
	assert_true((double)(world->spent[0] - before) / (1000.0 * S) < 0.011);
	for (uint32_t c = 0; c < CHECKS; c++)
		assert_true(world->runs[0][c] >= 2);
	world_free(world);
}

/* Guests that reset themselves 2 s after they were attached to, each time; CPUs that it takes. */
static double reset_in_a_loop(struct world *world, size_t n, uint64_t attach, uint64_t time,
			      uint64_t *attaches)
{
	uint64_t end = world->now + time, reset[GUESTS] = { 0 }, sum = 0;

	*attaches = 0;
	add_guests(world, n);
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
		struct world *world = world_new();
		uint64_t time = 3600 * S, attaches;
		double took = reset_in_a_loop(world, cases[i].guests, cases[i].attach, time,
					      &attaches);

		assert_true(took < cases[i].most);
		/* And nobody is given up. */
		assert_true(attaches > cases[i].guests * 8);
		world_free(world);
	}
}

static void a_reset_now_and_then_is_followed_at_once(void **state)
{
	struct world *world = world_new();
	uint64_t looks;

	(void)state;
	add_guests(world, 1);
	for (unsigned i = 0; i < 5; i++) {
		run_until(world, world->now + 90 * S);
		schedule_hold(world->schedule, 0, true, world->now);
		assert_true(schedule_attach_at(world->schedule, 0, world->now) == world->now);
		schedule_attached(world->schedule, 0, world->now, S / 2);
		schedule_all(world->schedule, 0, world->now);
		schedule_hold(world->schedule, 0, false, world->now);
		/* It is paid for by and by, not by being blind. */
		looks = world->looks[0];
		run_until(world, world->now + 10 * S);
		assert_true(world->looks[0] - looks > 15);
	}
	world_free(world);
}

static void news_of_code_is_followed_by_a_sweep_at_once(void **state)
{
	struct world *world = world_new();
	struct schedule_job job = { 0 };
	uint64_t spent, began;

	(void)state;
	add_guests(world, 1);
	run_until(world, world->now + 60 * S);
	/* Though the guest has just had more than its share. */
	schedule_alarm(world->schedule, 0, world->now);
	assert_int_equal(schedule_next(world->schedule, world->now, &job), 1);
	assert_false(job.look);
	assert_int_equal(job.checks_n, 38);	/* none of those that take long */
	work(world, &job);
	/* Who makes such news all the time cannot have more than that for long. */
	spent = world->spent[0];
	began = world->now;
	while (world->now < began + 600 * S) {
		schedule_alarm(world->schedule, 0, world->now);
		run_until(world, world->now + S / 10);
	}
	assert_true(used(world, spent, 600 * S) < 0.011);
	world_free(world);
}

/* The job that starts now: how many checks it has, and whether @check is one. */
static size_t next_has(struct world *world, uint32_t check, bool *has)
{
	struct schedule_job job = { 0 };
	size_t n;

	assert_int_equal(schedule_next(world->schedule, world->now, &job), 1);
	assert_false(job.look);
	*has = false;
	for (size_t i = 0; i < job.checks_n; i++)
		*has |= job.checks[i] == check;
	n = job.checks_n;
	work(world, &job);
	return n;
}

/* A guest in debt has checks wait, and not looks, which tell which of them cannot. */
static void who_owes_something_is_still_looked_at(void **state)
{
	struct world *world = world_new();
	uint64_t late = 0, last;

	(void)state;
	world->plan.watch = true;
	world->watches = true;
	world->costs[0][39] = 15 * MS;
	add_guests(world, 1);
	run_until(world, world->now + 60 * S);
	for (uint64_t end = world->now + 300 * S; world->now < end;) {
		last = world->last_look[0];
		run_until(world, world->now + 10 * MS);
		late += last == world->last_look[0] && world->now - last > 500 * MS;
	}
	/* In units of 10 ms: without it that is a sixteenth of the time. */
	assert_true(late < 300);
	world_free(world);
}

/* Whose guest makes news again and again: what that costs is paid for, and it is looked at meanwhile. */
static void who_pays_for_alarms_is_not_blind_meanwhile(void **state)
{
	static const uint32_t one = 3;
	struct world *world = world_new();
	uint64_t late = 0, all = 0, spent, began;

	(void)state;
	world->plan.watch = true;
	world->watches = true;
	world->look_cost[0] = MS / 2;
	add_guests(world, 1);
	run_until(world, world->now + 60 * S);
	spent = world->spent[0];
	began = world->now;
	for (unsigned i = 0; i < 20; i++) {
		/* What it looks at again until it is sure takes longer than it does otherwise. */
		for (size_t c = 0; c < 38; c++)
			world->costs[0][c] *= 4;
		schedule_call(world->schedule, 0, &one, 1, world->now);
		schedule_alarm(world->schedule, 0, world->now);
		run_until(world, world->now + S);
		for (size_t c = 0; c < 38; c++)
			world->costs[0][c] /= 4;
		for (uint64_t end = world->now + 10 * S; world->now < end; all++) {
			run_until(world, world->now + 10 * MS);
			late += world->now - world->last_look[0] > 800 * MS;
		}
	}
	assert_true(late < all / 100);
	assert_true(used(world, spent, world->now - began) < 0.012);
	world_free(world);
}

static void what_is_called_runs_at_once_and_alone(void **state)
{
	static const uint32_t two[] = { 3, 39 };
	struct world *world = world_new();
	uint64_t due, before;
	bool has;

	(void)state;
	world->plan.watch = true;
	add_guests(world, 1);
	run_until(world, world->now + 60 * S);
	before = world->runs[0][39];
	schedule_call(world->schedule, 0, two, 2, world->now);
	/* Who is called twice runs once. */
	schedule_call(world->schedule, 0, two, 1, world->now);
	assert_int_equal(next_has(world, 39, &has), 2);
	assert_true(has);
	/* For what is dear that was its turn. */
	due = world->now + 7 * S;
	run_until(world, due);
	assert_int_equal(world->runs[0][39], before + 1);
	/* Nobody who was not wanted, or is not there. */
	schedule_call(world->schedule, 0, (const uint32_t[]){ CHECKS }, 1, world->now);
	schedule_call(world->schedule, 7, two, 2, world->now);
	run_until(world, world->now + S);
	assert_int_equal(world->runs[0][39], before + 1);
	world_free(world);
}

static void who_calls_all_the_time_has_no_more_than_his_share(void **state)
{
	static const uint32_t dear = 39;
	struct world *world = world_new();
	uint32_t runs[CHECKS];
	uint64_t spent, began;

	(void)state;
	world->plan.watch = true;
	world->watches = true;
	add_guests(world, 1);
	run_until(world, world->now + 60 * S);
	spent = world->spent[0];
	began = world->now;
	memcpy(runs, world->runs[0], sizeof(runs));
	while (world->now < began + 600 * S) {
		schedule_call(world->schedule, 0, &dear, 1, world->now);
		run_until(world, world->now + S / 10);
	}
	assert_true(used(world, spent, 600 * S) < 0.011);
	/* And what he did not call still has its turn. */
	assert_true(world->runs[0][39] - runs[39] > 60);
	for (uint32_t c = 0; c < 30; c++)
		assert_true(world->runs[0][c] - runs[c] > 120);
	assert_true(world->runs[0][38] - runs[38] > 10);
	world_free(world);
}

static void what_is_watched_is_run_seldom_and_at_every_alarm(void **state)
{
	struct world *world = world_new();
	uint32_t before;
	bool has;

	(void)state;
	world->plan.watch = true;
	schedule_set_watched(world->schedule, 5);	/* as cheap as they are */
	add_guests(world, 1);
	run_until(world, world->now + 60 * S);
	before = world->runs[0][5];
	run_until(world, world->now + 120 * S);
	assert_in_range(world->runs[0][5] - before, 4, 20);
	schedule_alarm(world->schedule, 0, world->now);
	assert_int_equal(next_has(world, 5, &has), 38);
	assert_true(has);
	world_free(world);

	/* Nobody watches where there are no looks, or where they do not. */
	for (unsigned int i = 0; i < 2; i++) {
		world = world_new();
		world->plan.watch = i == 0;
		world->plan.look_ms = i == 0 ? 0 : world->plan.look_ms;
		schedule_set_watched(world->schedule, 5);
		add_guests(world, 1);
		run_until(world, world->now + 60 * S);
		before = world->runs[0][5];
		run_until(world, world->now + 120 * S);
		assert_true(world->runs[0][5] - before > 100);
		assert_int_equal(world->watched[0], 0);
		world_free(world);
	}
}

static void looks_watch_with_what_is_left(void **state)
{
	static const uint64_t parts[] = { 1, 8, 256 };
	uint64_t had[3], watched;

	(void)state;
	for (size_t i = 0; i < 3; i++) {
		struct world *world = world_new();
		uint64_t spent;

		/* An idle guest, the usual one, and one that is dear. */
		for (size_t c = 0; c < CHECKS; c++)
			world->costs[0][c] = world->costs[0][c] * parts[i] / 64;
		world->plan.watch = true;
		world->watches = true;
		add_guests(world, 1);
		run_until(world, world->now + 60 * S);
		spent = world->spent[0];
		watched = world->watched[0];
		run_until(world, world->now + 600 * S);
		assert_true(used(world, spent, 600 * S) < 0.011);
		had[i] = world->watched[0] - watched;
		world_free(world);
	}
	/* Not more than half of the guest's 1 %, and never nothing, whatever the rest takes. */
	assert_in_range(had[0], 600 * S * 45 / 10000, 600 * S * 51 / 10000);
	assert_true(had[1] < had[0] && had[1] > had[2]);
	assert_in_range(had[2], 600 * S * 33 / 10000, 600 * S * 41 / 10000);
}

/* Where looks are far apart, each has all the time that has passed. */
static void looks_that_come_seldom_watch_as_much(void **state)
{
	struct world *world = world_new();
	uint64_t watched, looks;

	(void)state;
	/* Its looks alone would take half of it, and it owes something all the time. */
	for (size_t c = 0; c < CHECKS; c++)
		world->costs[0][c] *= 2;
	world->look_cost[0] = MS / 2;
	world->plan.watch = true;
	world->watches = true;
	add_guests(world, 1);
	run_until(world, world->now + 60 * S);
	watched = world->watched[0];
	looks = world->looks[0];
	schedule_attached(world->schedule, 0, world->now, 900 * MS);
	run_until(world, world->now + 300 * S);
	assert_in_range(world->looks[0] - looks, 300 * 10 / 7, 300 * 10 / 3);
	assert_in_range(world->watched[0] - watched, 300 * S * 36 / 10000, 300 * S * 41 / 10000);
	world_free(world);
}

static void what_a_check_costs_is_not_what_it_took_first(void **state)
{
	struct world *world = world_new();
	struct schedule_stats stats;

	(void)state;
	/* It makes what later sweeps use. */
	for (size_t c = 30; c < CHECKS; c++)
		world->costs[0][c] *= 20;
	add_guests(world, 1);
	run_until(world, world->now + MS);
	for (size_t c = 30; c < CHECKS; c++)
		world->costs[0][c] /= 20;
	run_until(world, world->now + 30 * S);
	assert_int_equal(schedule_stats(world->schedule, 0, world->now, &stats), 0);
	assert_true(stats.stretch < 1.2);
	world_free(world);
}

static void with_defaults_all_has_run_again_within_thirty_seconds(void **state)
{
	struct world *world = world_new();

	(void)state;
	add_guests(world, 40);
	run_until(world, world->now + 20 * S);
	for (size_t g = 0; g < 40; g++)
		for (uint32_t c = 0; c < CHECKS; c++)
			world->runs[g][c] = 0;
	run_until(world, world->now + 30 * S);
	for (size_t g = 0; g < 40; g++)
		for (uint32_t c = 0; c < CHECKS; c++)
			assert_true(world->runs[g][c] >= 1);
	world_free(world);
}

static void who_is_held_gets_no_jobs_and_goes_on_after(void **state)
{
	struct world *world = world_new();
	uint64_t looks;

	(void)state;
	add_guests(world, 2);
	run_until(world, world->now + 10 * S);
	schedule_hold(world->schedule, 0, true, world->now);
	looks = world->looks[0];
	run_until(world, world->now + 10 * S);
	assert_int_equal(world->looks[0], looks);
	schedule_hold(world->schedule, 0, false, world->now);
	run_until(world, world->now + 10 * S);
	/* What is due by then comes first. */
	assert_true(world->looks[0] > looks + 40);
	/* Who is gone is asked for nothing, and what it still did is nobody's. */
	schedule_remove(world->schedule, 0);
	schedule_done(world->schedule, 0, world->now, S, NULL, 0);
	looks = world->looks[0];
	run_until(world, world->now + 10 * S);
	assert_int_equal(world->looks[0], looks);
	world_free(world);
}

static void a_paused_guest_is_only_looked_at(void **state)
{
	struct world *world = world_new();
	uint32_t runs[CHECKS];
	uint64_t looks;

	(void)state;
	add_guests(world, 1);
	run_until(world, world->now + 20 * S);
	schedule_pause(world->schedule, 0, true, world->now);
	memcpy(runs, world->runs[0], sizeof(runs));
	looks = world->looks[0];
	run_until(world, world->now + 20 * S);
	assert_memory_equal(runs, world->runs[0], sizeof(runs));
	assert_true(world->looks[0] > looks + 100);
	schedule_pause(world->schedule, 0, false, world->now);
	run_until(world, world->now + 20 * S);
	for (uint32_t c = 0; c < CHECKS; c++)
		assert_true(world->runs[0][c] > runs[c]);
	world_free(world);
}

static void a_scanner_that_died_at_work_gets_new_work(void **state)
{
	struct world *world = world_new();
	struct schedule_job job = { 0 };

	(void)state;
	add_guests(world, 1);
	assert_int_equal(schedule_next(world->schedule, world->now, &job), 1);
	free(job.checks);
	schedule_hold(world->schedule, 0, true, world->now);
	assert_int_equal(schedule_next(world->schedule, world->now + S, &job), 0);
	schedule_hold(world->schedule, 0, false, world->now + 2 * S);
	schedule_all(world->schedule, 0, world->now + 2 * S);
	world->now += 2 * S;
	run_until(world, world->now + 20 * S);
	for (uint32_t c = 0; c < CHECKS; c++)
		assert_true(world->runs[0][c] >= 1);
	world_free(world);
}

static void checks_that_are_not_wanted_never_run(void **state)
{
	struct world *world = world_new();
	bool wanted[CHECKS] = { [3] = true, [39] = true };

	(void)state;
	world->plan.wanted = wanted;
	assert_int_equal(schedule_add(world->schedule, 7, &world->plan, world->now), 0);
	run_until(world, world->now + 60 * S);
	for (uint32_t c = 0; c < CHECKS; c++)
		assert_int_equal(world->runs[7][c] > 0, wanted[c]);
	world_free(world);
}

static void options_that_make_no_sense_are_refused(void **state)
{
	struct schedule_options options = usual;
	struct schedule *schedule = NULL;
	struct world *world = world_new();

	(void)state;
	options.jitter_percent = 91;
	assert_int_equal(schedule_create(&options, 1, NULL, chance, NULL, &schedule), -EINVAL);
	options = usual;
	options.host_us_per_s = 0;
	assert_int_equal(schedule_create(&options, 1, NULL, chance, NULL, &schedule), -EINVAL);
	assert_null(schedule);
	world->plan.period_ms[SCHEDULE_DEAR] = 0;
	assert_int_equal(schedule_add(world->schedule, 1, &world->plan, world->now), -EINVAL);
	world_free(world);
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
		cmocka_unit_test(looks_watch_with_what_is_left),
		cmocka_unit_test(looks_that_come_seldom_watch_as_much),
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
