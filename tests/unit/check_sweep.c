/* SPDX-License-Identifier: Apache-2.0 */
#include "check/sweep.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/cleanup.h"
#include "base/limits.h"
#include "make/kernel.h"
#include "make/torture.h"
#include "ram/fake.h"

/*
 * What the check does in each of its runs, a letter each; the last one again and again:
 *
 *	.   clean			?   something could not be seen
 *	A B a finding			!   -EFAULT		-   -ENOENT
 *	+   findings A and B		*   all fuel spent, and no word of it
 *	Q   A, and nobody is changing anything
 *	R   the guest is reset		r   … while A was found
 *	D   the guest ends		d   … while A was found
 *	L   it leads to memory that may be plugged in, and A was found
 */
static const char *script;
static unsigned runs;

static struct {
	struct memory m;
	struct kernel_in in;
	struct ram *ram;
	struct view *view;
	struct kernel *kernel;
	struct sweep *sweep;
	const struct ram_ops *image_ops;
	uint64_t jiffies;
} g;

static void find(struct check_run *run, const char *name)
{
	check_finding(run, SEVERITY_HIGH, "thing", gva_of(0), "%s", name);
}

/* Another guest ends every read from here on. */
static int gone(struct ram *ram, size_t range, uint64_t offset, void *buf, size_t len,
		struct err *err)
{
	(void)ram, (void)range, (void)offset, (void)buf, (void)len;
	return err_set(err, -ESRCH, "the guest is gone");
}

static int play(struct check_run *run, struct err *err)
{
	static struct ram_ops ended;
	char what = *script;
	uint64_t value;

	runs++;
	if (script[1])
		script++;
	if (what != '*')
		check_covered(run, "things", 1);
	if (what == 'Q' || what == 'P')
		check_quiet(run);
	if (what == 'L' && view_ram(check_view(run))->room.size_bytes)
		(void)!ram_read(view_ram(check_view(run)), view_ram(check_view(run))->room.start,
				&value, 8, NULL);
	if (what == 'A' || what == 'Q' || what == '+' || what == 'r' || what == 'd' ||
	    what == 'L')
		find(run, "A");
	if (what == 'B' || what == 'P' || what == '+')
		find(run, "B");
	if (what == '?')
		check_inconclusive(run, "not seen");
	if (what == '!' || what == '-')
		return err_set(err, what == '!' ? -EFAULT : -ENOENT, "not there");
	if (what == '*') {
		view_refuel(check_view(run), 0);
		check_covered(run, "things", 1);
	}
	if (what == 'R' || what == 'r')
		memory_u64(&g.m, g.in.image + KERNEL_INIT_TASK, 0x5555);
	if (what == 'D' || what == 'd') {
		ended = *g.ram->ops;
		ended.read = gone;
		g.ram->ops = &ended;
		view_refresh(check_view(run));
		return view_read(check_view(run), check_kernel(run)->text, &value, 8, err);
	}
	return 0;
}

static int stay_clean(struct check_run *run, struct err *err)
{
	(void)err;
	check_covered(run, "things", 1);
	return 0;
}

CHECK(played, .id = "zz-played", .group = GROUP_AGENT, .title = "As the script says",
      .proves = "nothing", .techniques = TECHNIQUES("T1014"), .fuel_max = 1000, .run = play);
CHECK(tame, .id = "aa-tame", .group = GROUP_AGENT, .title = "Always clean",
      .proves = "nothing", .techniques = TECHNIQUES("T1014"), .fuel_max = 1000,
      .run = stay_clean);

static bool ours(const struct check *check, void *ctx)
{
	(void)ctx;
	return check == &check_played || check == &check_tame;
}

static int start(void **state)
{
	(void)state;
	g.in = kernel_in_default();
	kernel_make(&g.m, &g.in);
	g.view = memory_view(&g.m, VIEW_FUEL_ATTACH, &g.ram);
	return kernel_open(g.view, &g.kernel, NULL);
}

static int end(void **state)
{
	(void)state;
	sweep_free(&g.sweep);
	kernel_close(&g.kernel);
	view_close(&g.view);
	ram_close(&g.ram);
	memory_free(&g.m);
	return 0;
}

/* One sweep; the second check plays @what. */
static const struct check_result *sweep(const char *what)
{
	const struct sweep_options options = { .wanted = ours, .pause_us = 1 };

	sweep_free(&g.sweep);
	script = what;
	runs = 0;
	assert_int_equal(sweep_run(g.kernel, g.view, &options, &g.sweep, NULL), 0);
	assert_int_equal(g.sweep->results_n, 2);
	assert_ptr_equal(g.sweep->results[0].check, &check_tame);
	assert_ptr_equal(g.sweep->results[1].check, &check_played);
	for (size_t i = 0; i < 2; i++) {
		const struct check_result *result = &g.sweep->results[i];

		assert_int_equal(result->state == CHECK_FINDING, result->findings.n > 0);
		if (result->state == CHECK_INCONCLUSIVE)
			assert_true(result->reason[0]);
	}
	return &g.sweep->results[1];
}

static void assert_finding(const char *what, const char *name)
{
	const struct check_result *result = sweep(what);

	assert_int_equal(result->state, CHECK_FINDING);
	assert_int_equal(result->findings.n, 1);
	assert_string_equal(result->findings.v[0]->object_name, name);
}

static void clean_is_clean_at_once(void **state)
{
	(void)state;
	assert_int_equal(sweep(".")->state, CHECK_CLEAN);
	assert_true(g.sweep->steady);
	assert_int_equal(runs, 1);
	assert_int_equal(g.sweep->repeats, 0);
	assert_true(g.sweep->pages_read > 0 && g.sweep->bytes_read > 0 && g.sweep->started_ns);
}

/* Of a guest that has memory, it may be, of which nobody knows where it is on the host. */
static void what_unseen_memory_may_explain_is_no_finding(void **state)
{
	const struct check_result *result;

	(void)state;
	assert_finding("L", "A");
	g.ram->room = (struct ram_range){ gpa_of(1ull << 40), 1ull << 30 };
	/* All that was plugged in is known: it leads nowhere. */
	assert_finding("L", "A");
	assert_true(g.ram->in_room);
	g.ram->unsure = true;
	result = sweep("L");
	assert_int_equal(result->state, CHECK_INCONCLUSIVE);
	assert_int_equal(result->findings.n, 0);
	assert_non_null(strstr(result->reason, "plugged in"));
	/* … and what was found without it stays; what only one run found does not. */
	assert_finding("A", "A");
	assert_int_equal(sweep("AL")->state, CHECK_INCONCLUSIVE);
	g.ram->room.size_bytes = 0;
	g.ram->unsure = false;
}

static void finding_that_persists_is_reported(void **state)
{
	(void)state;
	assert_finding("A", "A");
	assert_int_equal(runs, 6);
	assert_int_equal(g.sweep->results[1].findings.v[0]->runs, 6);
	assert_int_equal(g.sweep->repeats, 5);
	assert_finding("BBBAAA", "A");
	assert_finding("???AAA", "A");
	assert_int_equal(sweep("+")->findings.n, 2);
}

static void finding_that_vanishes_is_none(void **state)
{
	(void)state;
	assert_int_equal(sweep("A.")->state, CHECK_CLEAN);
	assert_int_equal(runs, 2);
	assert_int_equal(sweep("AAAAA.")->state, CHECK_CLEAN);
	assert_int_equal(sweep("?.")->state, CHECK_CLEAN);
	assert_int_equal(sweep("!.")->state, CHECK_CLEAN);
}

/* Each run found something, and none of it stayed: neither clean nor a finding. */
static void findings_that_change_are_inconclusive(void **state)
{
	(void)state;
	assert_int_equal(sweep("ABABAB")->state, CHECK_INCONCLUSIVE);
	assert_non_null(strstr(g.sweep->results[1].reason, "changed"));
	assert_int_equal(sweep("AAAABB")->state, CHECK_INCONCLUSIVE);
}

/* Who spoils a run does not take back what the others found. */
static void run_that_saw_less_takes_nothing_back(void **state)
{
	(void)state;
	assert_finding("AAAAA?", "A");
	assert_finding("AAA???", "A");
	assert_finding("A?A!A?", "A");
	assert_finding("AAAAA!", "A");
	/* But what was seen once or twice is as little as before. */
	assert_int_equal(sweep("A?????")->state, CHECK_INCONCLUSIVE);
	assert_int_equal(sweep("A?A???")->state, CHECK_INCONCLUSIVE);
	assert_string_equal(g.sweep->results[1].reason, "not seen");
	assert_int_equal(sweep("AA?B??")->state, CHECK_INCONCLUSIVE);
}

static void what_is_not_there_is_not_asked_again(void **state)
{
	(void)state;
	assert_int_equal(sweep("-")->state, CHECK_INCONCLUSIVE);
	assert_int_equal(runs, 1);
	assert_int_equal(sweep("!")->state, CHECK_INCONCLUSIVE);
	assert_int_equal(runs, 6);
}

static void spent_fuel_is_repeated_once(void **state)
{
	(void)state;
	assert_int_equal(sweep("*")->state, CHECK_INCONCLUSIVE);
	assert_int_equal(runs, 2);
	assert_int_equal(sweep("*.")->state, CHECK_CLEAN);
}

static void fewer_runs_on_demand(void **state)
{
	const struct sweep_options options = { .wanted = ours, .runs_max = 1, .pause_us = 1 };

	(void)state;
	script = "A";
	runs = 0;
	assert_int_equal(sweep_run(g.kernel, g.view, &options, &g.sweep, NULL), 0);
	assert_int_equal(runs, 1);
	assert_int_equal(g.sweep->results[1].state, CHECK_FINDING);
}

static void all_checks_where_none_are_chosen(void **state)
{
	size_t n;
	const struct check *const *all = checks_all(&n);

	(void)state;
	script = ".";
	assert_int_equal(sweep_run(g.kernel, g.view, NULL, &g.sweep, NULL), 0);
	assert_int_equal(g.sweep->results_n, n);
	for (size_t i = 0; i < n; i++) {
		assert_ptr_equal(g.sweep->results[i].check, all[i]);
		/* This guest has next to nothing of what real checks look at: they say so. */
		if (!ours(all[i], NULL))
			assert_true(g.sweep->results[i].reason[0]);
	}
}

/* The remains of a kernel, half written over, look like anything. */
static void reset_on_the_way_leaves_nothing_to_believe(void **state)
{
	(void)state;
	sweep("R");
	assert_false(g.sweep->steady);
	for (size_t i = 0; i < 2; i++) {
		assert_int_equal(g.sweep->results[i].state, CHECK_INCONCLUSIVE);
		assert_non_null(strstr(g.sweep->results[i].reason, "rebooted"));
	}
	/* … and before it there was nothing to look at. */
	assert_int_equal(sweep(".")->state, CHECK_INCONCLUSIVE);
	assert_int_equal(runs, 0);
	memory_u64(&g.m, g.in.image + KERNEL_INIT_TASK, g.in.canary);
	assert_int_equal(sweep(".")->state, CHECK_CLEAN);
	assert_int_equal(sweep("r")->state, CHECK_INCONCLUSIVE);
}

static void guest_that_ends_is_not_clean(void **state)
{
	(void)state;
	assert_int_equal(sweep("D")->state, CHECK_INCONCLUSIVE);
	assert_false(g.sweep->steady);
	assert_int_equal(runs, 1);
	assert_int_equal(g.sweep->results[0].state, CHECK_INCONCLUSIVE);
}

/* What was found before stays found. */
static void guest_that_ends_leaves_its_findings(void **state)
{
	(void)state;
	assert_finding("AAAAAd", "A");
	assert_int_equal(g.sweep->results[0].state, CHECK_INCONCLUSIVE);
}

static void kernel_that_boots_is_not_looked_at(void **state)
{
	(void)state;
	memory_u64(&g.m, g.in.image + KERNEL_STATE, 0);
	memory_u64(&g.m, g.in.image + KERNEL_JIFFIES, 0xfffff000);
	assert_int_equal(sweep("A")->state, CHECK_INCONCLUSIVE);
	assert_false(g.sweep->steady);
	assert_int_equal(runs, 0);
	assert_non_null(strstr(g.sweep->results[1].reason, "boot"));
}

static int alive(struct ram *ram, struct err *err)
{
	(void)ram, (void)err;
	return 0;
}

/* Of a running guest the clock runs; of an image it does not. */
static void clock_that_stands_still_is_not_believed(void **state)
{
	static struct ram_ops ops;

	(void)state;
	ops = *g.ram->ops;
	ops.alive = alive;
	g.ram->ops = &ops;
	assert_int_equal(sweep("A")->state, CHECK_INCONCLUSIVE);
	assert_false(g.sweep->steady);
	assert_non_null(strstr(g.sweep->results[1].reason, "stands still"));
	assert_int_equal(g.sweep->results[0].state, CHECK_INCONCLUSIVE);
}

/* Each look at the guest is a tick later. */
static int read_later(struct ram *ram, size_t range, uint64_t offset, void *buf, size_t len,
		      struct err *err)
{
	g.jiffies++;
	memory_u64(&g.m, g.in.image + KERNEL_JIFFIES, g.jiffies);
	return g.image_ops->read(ram, range, offset, buf, len, err);
}

/* A vCPU that the host took away may leave an update half done for longer than six runs. */
static void finding_in_a_running_guest_is_looked_at_later(void **state)
{
	static struct ram_ops ops;

	(void)state;
	g.image_ops = g.ram->ops;
	g.jiffies = 1ull << 33;
	ops = *g.ram->ops;
	ops.alive = alive;
	ops.read = read_later;
	g.ram->ops = &ops;

	assert_finding("A", "A");
	assert_int_equal(runs, 7);
	assert_int_equal(sweep("AAAAAA.")->state, CHECK_CLEAN);
	assert_int_equal(sweep("AAAAAAB")->state, CHECK_INCONCLUSIVE);
	assert_finding("++++++A", "A");
	assert_finding("AAAAAA?", "A");
	assert_int_equal(sweep(".")->state, CHECK_CLEAN);
	assert_int_equal(runs, 1);
}

/* … but not of what nobody was changing in any of these runs. */
static void finding_of_what_is_not_updated_is_not_looked_at_later(void **state)
{
	static struct ram_ops ops;

	(void)state;
	g.image_ops = g.ram->ops;
	g.jiffies = 1ull << 33;
	ops = *g.ram->ops;
	ops.alive = alive;
	ops.read = read_later;
	g.ram->ops = &ops;

	assert_finding("Q", "A");
	assert_int_equal(runs, 4);
	assert_finding("AQ", "A");
	assert_int_equal(runs, 7);
	assert_finding("QQQA", "A");
	assert_int_equal(runs, 7);
	assert_int_equal(sweep("QQQAQQ.")->state, CHECK_CLEAN);
	assert_int_equal(sweep("QQQ.")->state, CHECK_CLEAN);
	assert_finding("QQQ?QQ", "A");
	assert_int_equal(runs, 7);
	/* Three that agree, and quiet all the way. */
	assert_finding("PPQ", "A");
	assert_int_equal(runs, 5);
}

static void memory_runs_out_at_every_allocation(void **state)
{
	const struct sweep_options options = { .wanted = ours, .pause_us = 1 };
	uint64_t n = 0, count;
	int r;

	(void)state;
	do {
		struct err err = {0};

		sweep_free(&g.sweep);
		script = "A";
		torture_allocation(++n);
		r = sweep_run(g.kernel, g.view, &options, &g.sweep, &err);
		count = torture_allocations();
		torture_allocation(0);
		if (r < 0) {
			assert_int_equal(r, -ENOMEM);
			assert_int_equal(err.code, -ENOMEM);
			assert_null(g.sweep);
		} else {
			assert_int_not_equal(g.sweep->results[1].state, CHECK_CLEAN);
		}
	} while (n <= count);
	assert_int_equal(r, 0);
	assert_int_equal(g.sweep->results[1].state, CHECK_FINDING);
}

#define T(name) cmocka_unit_test_setup_teardown(name, start, end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(clean_is_clean_at_once),
		T(finding_that_persists_is_reported),
		T(what_unseen_memory_may_explain_is_no_finding),
		T(finding_that_vanishes_is_none),
		T(findings_that_change_are_inconclusive),
		T(run_that_saw_less_takes_nothing_back),
		T(what_is_not_there_is_not_asked_again),
		T(spent_fuel_is_repeated_once),
		T(fewer_runs_on_demand),
		T(all_checks_where_none_are_chosen),
		T(reset_on_the_way_leaves_nothing_to_believe),
		T(guest_that_ends_is_not_clean),
		T(guest_that_ends_leaves_its_findings),
		T(kernel_that_boots_is_not_looked_at),
		T(clock_that_stands_still_is_not_believed),
		T(finding_in_a_running_guest_is_looked_at_later),
		T(finding_of_what_is_not_updated_is_not_looked_at_later),
		T(memory_runs_out_at_every_allocation),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
