/* SPDX-License-Identifier: Apache-2.0 */
#include "check/sweep.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/limits.h"
#include "base/now.h"
#include "check/run.h"
#include "linux/clock.h"
#include "linux/pulse.h"

/*
 * An update in flight is over within microseconds on a running vCPU; under emulation, or when
 * the host took the vCPU away, within milliseconds. Six runs with 2 + 4 + 8 + 16 + 32 ms
 * between them see it through, and a finding that the last three agree on is none.
 */
#define RUNS_MAX	6u
#define RUNS_AGREE	3u
#define PAUSE_US	2000u

/*
 * What nobody was in the middle of updating in any run (check_quiet()) needs no more of them than
 * to be sure of that: one that began and ended between two looks at its locks is met once.
 */
#define RUNS_QUIET	4u

/*
 * What was found is looked at once more when the guest's own clock has gone on for so long since: a
 * busy host may take a vCPU away in the middle of an update for longer than all those runs take,
 * while the others go on. The wait is bounded, as the clock of an idle guest may rest. Where
 * nobody was in the middle of an update in any of those runs (check_quiet()) there is no wait.
 */
#define CONFIRM_GUEST_NS (250ull * 1000 * 1000)
#define CONFIRM_HOST_NS	 (1500ull * 1000 * 1000)
#define CONFIRM_POLL_US	 10000u

/*
 * How long the guest's clock may stand still before what was read is not believed. What wakes an
 * idle CPU up at the latest, where its clock source needs no watchdog (kvm-clock, Xen's), is the
 * one for soft lockups, every four seconds (kernel/watchdog.c: two fifths of watchdog_thresh).
 */
#define PULSE_WAIT_MS	6000u

/* In how many runs in a row, the newest included, was each finding seen? */
static void count_runs(struct check_result *newer, const struct check_result *older)
{
	for (size_t i = 0; i < newer->findings.n; i++) {
		struct finding *finding = newer->findings.v[i];

		finding->runs = 1;
		for (size_t j = 0; j < older->findings.n; j++)
			if (!strcmp(older->findings.v[j]->id, finding->id))
				finding->runs = older->findings.v[j]->runs + 1;
	}
}

/*
 * A run that could not see everything does not take back what earlier ones found: else a guest
 * that spoils the last of six runs has nothing to explain.
 */
static void carry_over(struct check_result *newer, struct check_result *older)
{
	size_t left = 0;

	for (size_t i = 0; newer->incomplete && i < older->findings.n; i++) {
		struct finding *finding = older->findings.v[i], **slot = NULL;

		for (size_t j = 0; j < newer->findings.n && finding; j++)
			if (!strcmp(newer->findings.v[j]->id, finding->id))
				finding = NULL;
		if (finding)
			slot = vec_add(&newer->findings);
		if (slot)
			*slot = finding;
		else
			older->findings.v[left++] = older->findings.v[i];
	}
	if (newer->incomplete)
		older->findings.n = left;
	if (newer->findings.n)
		newer->state = CHECK_FINDING;
}

static void drop_passing(struct check_result *result, uint32_t agree)
{
	size_t kept = 0;

	for (size_t i = 0; i < result->findings.n; i++) {
		if (result->findings.v[i]->runs >= agree)
			result->findings.v[kept++] = result->findings.v[i];
		else
			finding_free(result->findings.v[i]);
	}
	result->findings.n = kept;
}

static void move_result(struct check_result *to, struct check_result *from)
{
	from->duration_ns += to->duration_ns;
	from->cpu_ns += to->cpu_ns;
	check_result_clear(to);
	*to = *from;
	memset(from, 0, sizeof(*from));
}

static struct check_result fresh_result(const struct check_result *result)
{
	return (struct check_result){
		.repeats = result->repeats + 1,
		.quiet_runs = result->quiet_runs,
		.sources = result->sources,
		.shared = result->shared,
	};
}

/* So many runs in a row have to say the same of what is to be reported. */
static uint32_t runs_agree(const struct check_result *result)
{
	return result->repeats + 1 < RUNS_AGREE ? result->repeats + 1 : RUNS_AGREE;
}

/* What only runs said that did not agree is neither clean nor found. */
static void settle(struct check_result *result, uint32_t agree)
{
	drop_passing(result, agree);
	if (result->state != CHECK_FINDING || result->findings.n)
		return;
	result->state = CHECK_INCONCLUSIVE;
	if (!result->incomplete)
		strcpy(result->reason, "the guest changed what was looked at in every run");
}

/* What the rounds of one sweep go by: see run_checks(). */
struct rounds {
	const struct kernel *kernel;
	struct view *view;
	uint32_t runs, pause_us;
	uint64_t clock_ns[RUNS_MAX];	/* of the guest, before the round; 0: not known */
	uint64_t began_ns[RUNS_MAX];	/* of the host */
};

/* All that it found was seen by the last runs, and all its runs were quiet. */
static bool is_sure(const struct check_result *result)
{
	bool sure = result->findings.n && result->quiet_runs >= RUNS_QUIET &&
		    result->quiet_runs == result->repeats + 1;

	for (size_t i = 0; i < result->findings.n; i++)
		sure = sure && result->findings.v[i]->runs >= RUNS_AGREE;
	return sure;
}

static bool is_open(const struct check_result *result, const struct rounds *rounds)
{
	return result->state != CHECK_CLEAN && result->state != CHECK_NOT_COVERED &&
	       !result->final && result->repeats + 1 < rounds->runs &&
	       !(result->spent && result->repeats) && !is_sure(result);
}

static void run_again(const struct rounds *rounds, struct check_result *result)
{
	struct check_result again = fresh_result(result);

	check_execute(result->check, rounds->kernel, rounds->view, &again);
	count_runs(&again, result);
	carry_over(&again, result);
	move_result(result, &again);
}

static void begin_round(struct rounds *rounds, uint32_t round)
{
	if (round >= RUNS_MAX)
		return;
	rounds->began_ns[round] = now_ns(CLOCK_MONOTONIC);
	if (!ram_is_live(view_ram(rounds->view)) ||
	    clock_boot_now(rounds->kernel, rounds->view, &rounds->clock_ns[round], NULL) < 0)
		rounds->clock_ns[round] = 0;
}

/*
 * Run all checks, and those that are not clean again, until they are, or until what they say has
 * persisted. What came and went on the way were updates in flight; a check that ends with nothing
 * else was never clean and never sure: it is inconclusive. All wait for the same pauses.
 */
static void run_checks(struct rounds *rounds, struct sweep *sweep)
{
	struct check_result none = {0};
	bool open = false;

	begin_round(rounds, 0);
	for (size_t i = 0; i < sweep->results_n; i++) {
		struct check_result *result = &sweep->results[i];

		check_execute(result->check, rounds->kernel, rounds->view, result);
		count_runs(result, &none);
		open |= is_open(result, rounds);
	}
	for (uint32_t round = 1; open; round++) {
		usleep(rounds->pause_us << (round - 1));
		view_refuel(rounds->view, VIEW_FUEL_SWEEP);
		view_refresh(rounds->view);
		begin_round(rounds, round);
		open = false;
		for (size_t i = 0; i < sweep->results_n; i++) {
			struct check_result *result = &sweep->results[i];

			if (is_open(result, rounds))
				run_again(rounds, result);
			open |= is_open(result, rounds);
		}
	}
	for (size_t i = 0; i < sweep->results_n; i++)
		settle(&sweep->results[i], runs_agree(&sweep->results[i]));
}

static bool is_to_be_confirmed(const struct check_result *result)
{
	return result->findings.n && !result->final && !result->spent &&
	       result->quiet_runs < result->repeats + 1;
}

/* The round that saw the youngest of its findings for the first time: all runs since saw it. */
static uint32_t found_in(const struct check_result *result)
{
	uint32_t runs = result->repeats + 1, round = 0;

	for (size_t i = 0; i < result->findings.n; i++) {
		uint32_t seen = result->findings.v[i]->runs;

		if (seen <= runs && runs - seen > round)
			round = runs - seen;
	}
	return round;
}

static void let_guest_go_on(const struct rounds *rounds, uint32_t since)
{
	uint64_t since_ns = rounds->clock_ns[since], guest_ns = since_ns;
	uint64_t until_ns = rounds->began_ns[since] + CONFIRM_HOST_NS;
	int r = since_ns ? 0 : -EFAULT;

	while (r >= 0 && guest_ns - since_ns < CONFIRM_GUEST_NS &&
	       now_ns(CLOCK_MONOTONIC) < until_ns) {
		usleep(CONFIRM_POLL_US);
		view_refuel(rounds->view, VIEW_FUEL_SWEEP);
		view_refresh(rounds->view);
		r = clock_boot_now(rounds->kernel, rounds->view, &guest_ns, NULL);
	}
	if (r < 0)
		usleep(CONFIRM_GUEST_NS / 1000);
}

/* Only what is still there counts; one wait serves all checks. */
static void confirm(const struct rounds *rounds, struct sweep *sweep)
{
	uint32_t since = 0;
	bool any = false;

	for (size_t i = 0; i < sweep->results_n; i++) {
		const struct check_result *result = &sweep->results[i];
		uint32_t round = found_in(result);

		if (!is_to_be_confirmed(result))
			continue;
		any = true;
		since = round > since ? round : since;
	}
	if (!any)
		return;
	let_guest_go_on(rounds, since < RUNS_MAX ? since : RUNS_MAX - 1);
	view_refresh(rounds->view);
	for (size_t i = 0; i < sweep->results_n; i++) {
		struct check_result *result = &sweep->results[i];
		uint32_t agree = runs_agree(result);

		if (!is_to_be_confirmed(result))
			continue;
		run_again(rounds, result);
		settle(result, agree + !result->incomplete);
	}
}

/* Nothing that came out can be clean any more; what was found stays. */
static void doubt(struct sweep *sweep, const char *why)
{
	for (size_t i = 0; i < sweep->results_n; i++) {
		struct check_result *result = &sweep->results[i];

		if (result->state != CHECK_CLEAN)
			continue;
		result->state = CHECK_INCONCLUSIVE;
		snprintf(result->reason, sizeof(result->reason), "%s", why);
	}
}

/*
 * What was read was not one running kernel: the remains of one, half written over, look like
 * anything, so that what was found in them says nothing either.
 */
static void discard(struct sweep *sweep, const char *why)
{
	for (size_t i = 0; i < sweep->results_n; i++) {
		const struct check *check = sweep->results[i].check;

		check_result_clear(&sweep->results[i]);
		sweep->results[i].check = check;
	}
	doubt(sweep, why);
}

/* The guest before the sweep: is it the one we know, is it up, where do its clocks stand? */
static int guest_before(const struct kernel *kernel, struct view *view, struct pulse *pulse,
			struct err *err)
{
	int r;

	view_set_kernel(view, kernel->space);
	view_refuel(view, VIEW_FUEL_SWEEP);
	view_refresh(view);
	r = kernel_check(kernel, view, err);
	if (r >= 0)
		r = pulse_booting(kernel, view, err);
	if (r > 0)
		return err_set(err, -ESTALE, "the guest's kernel is still booting");
	return r < 0 ? r : pulse_read(kernel, view, pulse, err);
}

/*
 * … and after it: did it run meanwhile, and is it the same? An image does not run, and need
 * not.
 */
static int guest_after(const struct kernel *kernel, struct view *view, const struct pulse *pulse,
		       bool found, struct err *err)
{
	struct pulse now;
	int r = 0;

	view_refuel(view, VIEW_FUEL_SWEEP);
	view_refresh(view);
	if (ram_is_live(view_ram(view)))
		r = pulse_wait(kernel, view, pulse, PULSE_WAIT_MS, err);
	/*
	 * It may have run for a while, and ended by kexec before the checks did: what they found
	 * is believed where it runs on behind them.
	 */
	if (r >= 0 && found && ram_is_live(view_ram(view))) {
		r = pulse_read(kernel, view, &now, err);
		if (r >= 0)
			r = pulse_wait(kernel, view, &now, PULSE_WAIT_MS, err);
	}
	return r < 0 ? r : kernel_check(kernel, view, err);
}

/* What came out is worth what the guest was worth while it was looked at. */
static void judge(struct sweep *sweep, int code, const struct err *err)
{
	const char *why = err->text[0] ? err->text : "the guest could not be read";

	if (code == -ESRCH)
		doubt(sweep, why);
	else if (code < 0)
		discard(sweep, why);
}

static uint32_t sum_repeats(const struct sweep *sweep)
{
	uint32_t sum = 0;

	for (size_t i = 0; i < sweep->results_n; i++)
		sum += sweep->results[i].repeats;
	return sum;
}

static bool has_findings(const struct sweep *sweep)
{
	for (size_t i = 0; i < sweep->results_n; i++)
		if (sweep->results[i].findings.n)
			return true;
	return false;
}

/* Who is listed is the listing check's to say; what is known of them comes from all. */
static int join_processes(struct sweep *sweep)
{
	struct process_table *table = &sweep->processes;

	for (size_t i = 0; i < sweep->results_n && !sweep->joined; i++) {
		struct process_table *from = &sweep->results[i].processes;

		sweep->joined = from->all.n && from->all.v[0]->listed;
		if (!sweep->joined)
			continue;
		*table = *from;
		*from = (struct process_table){0};
	}
	for (size_t i = 0; i < sweep->results_n && sweep->joined; i++)
		if (process_table_join(table, &sweep->results[i].processes) < 0)
			return -ENOMEM;
	return 0;
}

int sweep_run(const struct kernel *kernel, struct view *view, const struct sweep_options *options,
	      struct sweep **ret, struct err *err)
{
	static const struct sweep_options defaults;
	cleanup(sweep_free) struct sweep *sweep = calloc(1, sizeof(*sweep));
	struct view_stats before = view_stats(view), after;
	const struct check *const *checks;
	uint64_t started = now_ns(CLOCK_MONOTONIC);
	struct check_shared shared = {0};
	struct rounds rounds = { .kernel = kernel, .view = view };
	struct pulse pulse;
	struct err why = {0};
	size_t n;
	int r;

	if (!sweep)
		return err_set(err, -ENOMEM, "no memory for a sweep");
	if (!options)
		options = &defaults;
	rounds.runs = options->runs_max ? options->runs_max : RUNS_MAX;
	rounds.pause_us = options->pause_us ? options->pause_us : PAUSE_US;
	checks = checks_all(&n);
	sweep->results = calloc(n ? n : 1, sizeof(*sweep->results));
	if (!sweep->results)
		return err_set(err, -ENOMEM, "no memory for a sweep");
	sweep->started_ns = now_ns(CLOCK_REALTIME);

	r = guest_before(kernel, view, &pulse, &why);
	for (size_t i = 0; i < n; i++)
		if (!options->wanted || options->wanted(checks[i], options->ctx))
			sweep->results[sweep->results_n++] = (struct check_result){
				.check = checks[i],
				.sources = &options->sources,
				.shared = &shared,
			};
	if (r >= 0)
		run_checks(&rounds, sweep);
	if (r >= 0 && !options->runs_max && ram_is_live(view_ram(view)))
		confirm(&rounds, sweep);
	check_shared_end(&shared);

	/* Not counted: an idle guest's clock may take its time. */
	sweep->duration_ns = now_ns(CLOCK_MONOTONIC) - started;
	if (r >= 0)
		r = guest_after(kernel, view, &pulse, has_findings(sweep), &why);
	judge(sweep, r, &why);
	sweep->steady = r >= 0;
	if (join_processes(sweep) < 0)
		return err_set(err, -ENOMEM, "no memory for the processes");

	ram_rest(view_ram(view));
	after = view_stats(view);
	sweep->pages_read = after.pages - before.pages;
	sweep->bytes_read = after.bytes - before.bytes;
	sweep->repeats = sum_repeats(sweep);
	*ret = take_ptr(&sweep);
	return 0;
}

void sweep_free(struct sweep **sweep)
{
	if (!*sweep)
		return;
	for (size_t i = 0; i < (*sweep)->results_n; i++)
		check_result_clear(&(*sweep)->results[i]);
	free((*sweep)->results);
	process_table_free(&(*sweep)->processes);
	free(*sweep);
	*sweep = NULL;
}
