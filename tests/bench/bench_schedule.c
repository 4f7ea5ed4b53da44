/* SPDX-License-Identifier: Apache-2.0 */

/*
 * bench-schedule REFERENCE TARGET [SECONDS] - what watching a guest costs, and how soon it sees
 *
 * The daemon's schedule with its defaults, in simulated time, but with the real work: what each job
 * takes is measured as CPU time, so that a busy machine changes little. Prints, over SECONDS of the
 * guest's time: CPU time of looks and of each check, how much periods are stretched, and how long
 * after a random moment each check runs next. What a finding takes from there on is not in it.
 */
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/limits.h"
#include "base/now.h"
#include "base/vec.h"
#include "check/sweep.h"
#include "monitor/behaviour.h"
#include "monitor/schedule.h"
#include "monitor/sentinel.h"
#include "monitor/settings.h"
#include "ram/guests.h"
#include "report/encode.h"
#include "report/report.h"
#include "median.h"

#define NS_PER_S 1000000000ull
#define WARM_S	 20u	/* until what checks cost is known, and attaching is paid for */

/* hvsmd.conf(5): the defaults. */
static const struct schedule_options options = {
	.jitter_percent = 50, .host_us_per_s = 1000000, .cpus = 2,
};
static const struct schedule_plan plan = {
	.watch = true,
	.look_ms = 100, .period_ms = { 500, 2000, 15000 }, .us_per_s = 10000,
};

struct tally {
	uint64_t spent_ns;
	VEC(uint64_t) starts, costs;
};

struct bench {
	struct guest guest;
	struct ram *ram;
	struct view *view;
	struct kernel *kernel;
	struct reference *reference;
	struct behaviour *behaviour;
	struct sentinel *sentinel;
	uint64_t rounds;	/* of the sentinel, when it was warm */
	uint32_t alarms;
	struct schedule *schedule;
	struct tally *tallies;	/* of the checks */
	struct tally looks, glances, sweeps;
	uint8_t *worth;
	size_t checks_n;
	uint64_t chance;
};

/* The same each time: xorshift64. */
static uint64_t chance(void *ctx)
{
	struct bench *bench = ctx;

	bench->chance ^= bench->chance << 13;
	bench->chance ^= bench->chance >> 7;
	bench->chance ^= bench->chance << 17;
	return bench->chance;
}

struct wanted {
	const struct schedule_job *job;
	const struct check *const *all;
};

static bool is_wanted(const struct check *check, void *ctx)
{
	const struct wanted *wanted = ctx;

	for (size_t i = 0; i < wanted->job->checks_n; i++)
		if (wanted->all[wanted->job->checks[i]] == check)
			return true;
	return false;
}

static void ignore(const struct event *event, void *ctx)
{
	(void)event;
	(void)ctx;
}

/* As the scanner does it: the report is part of the work. */
static int report(const struct bench *bench, const struct sweep *sweep, struct err *err)
{
	cleanup(freep) char *text = NULL;
	size_t n = 0;
	FILE *to = open_memstream(&text, &n);
	const struct identity identity = {
		.target = "bench", .hypervisor = bench->guest.hypervisor,
	};
	const struct report what = {
		.guest = &identity, .kernel = bench->kernel, .sweep = sweep,
	};
	int r = to ? encode_print(report_json(&what), to, err) : -ENOMEM;

	if (to)
		fclose(to);
	return r;
}

static int sweep(struct bench *bench, const struct schedule_job *job, struct schedule_cost *costs,
		 struct err *err)
{
	cleanup(sweep_free) struct sweep *swept = NULL;
	size_t n;
	struct wanted wanted = { job, checks_all(&n) };
	const struct sweep_options how = {
		.wanted = is_wanted, .ctx = &wanted,
		.sources = { .reference = bench->reference },
	};
	int r;

	view_set_kernel(bench->view, bench->kernel->space);
	view_refresh(bench->view);
	view_refuel(bench->view, VIEW_FUEL_SWEEP);
	r = sweep_run(bench->kernel, bench->view, &how, &swept, err);
	if (r >= 0)
		r = report(bench, swept, err);
	if (r < 0)
		return r;
	for (size_t i = 0; i < swept->results_n; i++) {
		const struct check_result *result = &swept->results[i];

		if (result->state != CHECK_CLEAN && result->state != CHECK_NOT_COVERED)
			return err_set(err, -ESTALE, "%s: %s", result->check->id, result->reason);
		costs[i] = (struct schedule_cost){ job->checks[i], result->cpu_ns };
	}
	if (job->first)
		malloc_trim(0);
	return 0;
}

static int look(struct bench *bench, const struct schedule_job *job, uint64_t now, struct err *err)
{
	uint32_t checks[SENTINEL_CHECKS_MAX], changed;
	size_t n;
	int r = 0;

	view_set_kernel(bench->view, bench->kernel->space);
	if (job->events)
		r = behaviour_look(bench->behaviour, bench->kernel, bench->view, ignore, NULL, err);
	if (r < 0)
		return r;
	changed = sentinel_look(bench->sentinel, bench->kernel, bench->view, job->watch_ns);
	n = sentinel_checks(changed, checks);
	bench->alarms += n > 0;
	schedule_call(bench->schedule, 1, checks, n, now);
	if (now < WARM_S * NS_PER_S)
		bench->rounds = sentinel_stats(bench->sentinel).rounds;
	return 0;
}

static void count(struct tally *tally, uint64_t at, uint64_t spent_ns)
{
	uint64_t *start = vec_add(&tally->starts), *cost = vec_add(&tally->costs);

	if (!start || !cost)
		exit(2);
	*start = at;
	*cost = spent_ns;
	tally->spent_ns += spent_ns;
}

static void tally_job(struct bench *bench, const struct schedule_job *job,
		      const struct schedule_cost *costs, uint64_t at, uint64_t spent)
{
	uint64_t sum = 0;

	if (at < WARM_S * NS_PER_S)
		return;
	count(!job->look ? &bench->sweeps : job->events ? &bench->looks : &bench->glances, at, spent);
	for (size_t i = 0; i < job->checks_n; i++)
		sum += costs[i].duration_ns;
	for (size_t i = 0; i < job->checks_n && sum; i++)
		count(&bench->tallies[job->checks[i]], at,
		      (uint64_t)((double)spent * (double)costs[i].duration_ns / (double)sum));
}

/* Return: when it ended, in simulated time; 0: it failed. */
static uint64_t work(struct bench *bench, const struct schedule_job *job, uint64_t now,
		     struct err *err)
{
	cleanup(freep) struct schedule_cost *costs = calloc(bench->checks_n + 1, sizeof(*costs));
	uint64_t began = now_ns(CLOCK_PROCESS_CPUTIME_ID), spent;
	int r = !costs ? -ENOMEM : job->look ? look(bench, job, now, err) : sweep(bench, job, costs, err);

	if (r < 0)
		return 0;
	spent = now_ns(CLOCK_PROCESS_CPUTIME_ID) - began;
	tally_job(bench, job, costs, now, spent);
	schedule_done(bench->schedule, 1, now + spent, spent, costs, job->checks_n);
	return now + spent;
}

static int simulate(struct bench *bench, uint64_t seconds, struct err *err)
{
	uint64_t now = 0;
	int r = schedule_add(bench->schedule, 1, &plan, now);

	while (r >= 0 && now < (WARM_S + seconds) * NS_PER_S) {
		struct schedule_job job;

		r = schedule_next(bench->schedule, now, &job);
		if (r == 0)
			now = schedule_wake(bench->schedule, now);
		if (r <= 0)
			continue;
		now = work(bench, &job, now, err);
		free(job.checks);
		if (!now)
			return err->code ? err->code : -ENOMEM;
	}
	return r < 0 ? r : 0;
}

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

/* From a random moment to the next start: the median and the worst of a hundred, in seconds. */
static void waits(const struct tally *tally, double *median_s, double *p99_s)
{
	enum { MOMENTS = 10000 };
	static double all[MOMENTS];
	uint64_t from = tally->starts.v[0], to = tally->starts.v[tally->starts.n - 1];
	size_t next = 0;

	for (size_t i = 0; i < MOMENTS; i++) {
		uint64_t at = from + (uint64_t)((double)(to - from) * (double)i / MOMENTS);

		while (tally->starts.v[next] < at)
			next++;
		all[i] = (double)(tally->starts.v[next] - at) / (double)NS_PER_S;
	}
	qsort(all, MOMENTS, sizeof(*all), by_value);
	*median_s = all[MOMENTS / 2];
	*p99_s = all[MOMENTS * 99 / 100];
}

/* Return: what one run takes, in ms: the median, as a busy machine makes some of them dear. */
static double show(const char *name, struct tally *tally, uint64_t seconds)
{
	double median_s = 0, p99_s = 0;
	double each = tally->costs.n ? (double)median(tally->costs.v, tally->costs.n) / 1e6 : 0;

	if (tally->starts.n > 1)
		waits(tally, &median_s, &p99_s);
	printf("%-24s %6zu %10.3f %10.4f %9.2f %8.2f\n", name, tally->starts.n, each,
	       (double)tally->spent_ns / 1e6 / (double)seconds, median_s, p99_s);
	return each;
}

static void show_all(struct bench *bench, uint64_t seconds)
{
	const struct check *const *all;
	struct schedule_stats stats;
	double once = 0;
	size_t n;

	all = checks_all(&n);
	if (schedule_stats(bench->schedule, 1, (WARM_S + seconds) * NS_PER_S, &stats) < 0)
		return;
	printf("%-24s %6s %10s %10s %9s %8s\n", "", "runs", "ms each", "ms per s", "median s",
	       "p99 s");
	show("looks", &bench->looks, seconds);
	if (bench->glances.starts.n)
		show("that only watch", &bench->glances, seconds);
	show("sweeps", &bench->sweeps, seconds);
	for (size_t i = 0; i < n; i++)
		once += show(all[i]->id, &bench->tallies[i], seconds);
	printf("each check once: %.2f ms; %.3f %% of a core, periods %.2f times as configured\n",
	       once,
	       (double)(bench->looks.spent_ns + bench->glances.spent_ns + bench->sweeps.spent_ns) / 1e7 / (double)seconds,
	       stats.stretch);
	printf("the sentinel reads all code in %.2f s; %u alarms\n", (double)seconds /
	       (double)(sentinel_stats(bench->sentinel).rounds - bench->rounds), bench->alarms);
}

static int open_all(struct bench *bench, const char *path, const char *target, struct err *err)
{
	const struct reference_options from = { .paths = &path, .paths_n = 1 };
	int r = guests_resolve(target, &bench->guest, &bench->ram, err);

	if (r >= 0)
		r = view_open(bench->ram, VIEW_FUEL_ATTACH, &bench->view);
	if (r >= 0)
		r = kernel_open(bench->view, &bench->kernel, err);
	if (r >= 0)
		r = reference_open(&from, bench->kernel, &bench->reference, err);
	if (r >= 0)
		r = behaviour_open(EVENTS_ALL, &bench->behaviour);
	if (r >= 0)
		r = sentinel_open(&bench->sentinel);
	if (r >= 0)
		r = schedule_create(&options, bench->checks_n, bench->worth, chance, bench,
				    &bench->schedule);
	if (r >= 0)
		settings_watched(bench->schedule);
	return r;
}

static void tally_free(struct tally *tally)
{
	vec_free(&tally->starts);
	vec_free(&tally->costs);
}

static void close_all(struct bench *bench)
{
	schedule_free(&bench->schedule);
	behaviour_close(&bench->behaviour);
	sentinel_close(&bench->sentinel);
	reference_close(&bench->reference);
	kernel_close(&bench->kernel);
	view_close(&bench->view);
	ram_close(&bench->ram);
	for (size_t i = 0; i < bench->checks_n; i++)
		tally_free(&bench->tallies[i]);
	tally_free(&bench->looks);
	tally_free(&bench->glances);
	tally_free(&bench->sweeps);
	free(bench->tallies);
	free(bench->worth);
}

int main(int argc, char **argv)
{
	struct bench bench = { .chance = 0x9e3779b97f4a7c15 };
	uint64_t seconds = argc > 3 ? strtoull(argv[3], NULL, 10) : 120;
	struct err err = { 0 };
	int r;

	if (argc < 3 || !seconds) {
		fputs("usage: bench-schedule REFERENCE TARGET [SECONDS]\n", stderr);
		return 2;
	}
	checks_all(&bench.checks_n);
	bench.tallies = calloc(bench.checks_n + 1, sizeof(*bench.tallies));
	bench.worth = calloc(bench.checks_n + 1, 1);
	if (bench.worth)
		settings_worth(bench.worth);
	r = bench.tallies && bench.worth ? open_all(&bench, argv[1], argv[2], &err) : -ENOMEM;
	if (r >= 0)
		r = simulate(&bench, seconds, &err);
	if (r >= 0)
		show_all(&bench, seconds);
	else
		fprintf(stderr, "bench-schedule: %s\n", err.code ? err.text : strerror(-r));
	close_all(&bench);
	return r < 0;
}
