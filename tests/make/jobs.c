/* SPDX-License-Identifier: Apache-2.0 */
#include "make/jobs.h"

#include <stdarg.h>
#include <setjmp.h>
#include <stdlib.h>
#include <cmocka.h>

/* xorshift64* */
uint64_t jobs_chance(void *ctx)
{
	struct jobs *world = ctx;

	world->chance ^= world->chance >> 12;
	world->chance ^= world->chance << 25;
	world->chance ^= world->chance >> 27;
	return world->chance * 0x2545f4914f6cdd1dull;
}

const struct schedule_options jobs_usual = {
	.jitter_percent = 50, .host_us_per_s = 500000, .cpus = CPUS,
};

struct jobs *jobs_new(void)
{
	struct jobs *world = calloc(1, sizeof(*world));

	assert_non_null(world);
	world->plan = (struct schedule_plan){
		.look_ms = 100, .period_ms = { 500, 2000, 15000 }, .us_per_s = 10000,
	};
	world->chance = 42;
	world->now = 5 * S;
	for (size_t g = 0; g < GUESTS; g++) {
		world->look_cost[g] = MS / 5;
		world->glance_cost[g] = MS / 10;
		world->look_gap_min[g] = UINT64_MAX;
		/* A sweep of 9 ms: 2 dear ones beyond that. */
		for (size_t c = 0; c < CHECKS; c++)
			world->costs[g][c] = c < 30 ? MS / 20 : c < 38 ? 9 * MS / 10 : 8 * MS;
	}
	assert_int_equal(schedule_create(&jobs_usual, CHECKS, NULL, jobs_chance, world, &world->schedule), 0);
	return world;
}

void jobs_free(struct jobs *world)
{
	schedule_free(&world->schedule);
	free(world);
}

static void note_look(struct jobs *world, size_t g)
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

static void note_check(struct jobs *world, size_t g, uint32_t c)
{
	uint64_t gap = world->now - world->last[g][c];

	if (world->runs[g][c]++ && gap > world->gap_max[g][c])
		world->gap_max[g][c] = gap;
	world->last[g][c] = world->now;
}

void jobs_work(struct jobs *world, struct schedule_job *job)
{
	struct schedule_cost costs[CHECKS];
	uint64_t g = job->guest;
	uint64_t cpu = !job->look ? MS / 10 :
		       job->events ? world->look_cost[g] : world->glance_cost[g];

	if (job->look) {
		if (job->events)
			note_look(world, g);
		world->glances[g] += !job->events;
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
	if (world->flips && job->look)
		schedule_look(world->schedule, g, world->now);
	free(job->checks);
}

void jobs_run_until(struct jobs *world, uint64_t end)
{
	while (world->now < end) {
		struct schedule_job job = { 0 };
		uint64_t wake;
		int r = schedule_next(world->schedule, world->now, &job);

		assert_true(r >= 0);
		if (r > 0) {
			jobs_work(world, &job);
			continue;
		}
		wake = schedule_wake(world->schedule, world->now);
		assert_true(wake > world->now);
		world->now = wake < end ? wake : end;
	}
}

void jobs_add_guests(struct jobs *world, size_t n)
{
	for (size_t g = 0; g < n; g++)
		assert_int_equal(schedule_add(world->schedule, g, &world->plan, world->now), 0);
}

double jobs_used(const struct jobs *world, uint64_t before, uint64_t ns)
{
	uint64_t sum = 0;

	for (size_t g = 0; g < GUESTS; g++)
		sum += world->spent[g];
	return (double)(sum - before) / (double)ns;
}
