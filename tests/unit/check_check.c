/* SPDX-License-Identifier: Apache-2.0 */
#include "check/check.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/limits.h"
#include "check/run.h"
#include "make/memory.h"
#include "make/torture.h"

#define PAGES 32u

/* What the check does next, and in which guest. */
static int (*behaviour)(struct check_run *run, struct err *err);
static struct check_result result;
static struct memory memory;
static struct view *view;
static struct ram *ram;

static int behave(struct check_run *run, struct err *err)
{
	return behaviour(run, err);
}

CHECK(made, .id = "made", .group = GROUP_CODE, .title = "A made-up finding",
      .proves = "that checks work", .techniques = TECHNIQUES("T1014"), .fuel_max = PAGES - 2,
      .run = behave);

static int start(void **state)
{
	(void)state;
	for (uint64_t at = 0; at < PAGES; at++)
		memory_page(&memory, at * GUEST_PAGE_SIZE);
	view = memory_view(&memory, 0, &ram);
	memset(&result, 0, sizeof(result));
	return 0;
}

static int end(void **state)
{
	(void)state;
	check_result_clear(&result);
	view_close(&view);
	ram_close(&ram);
	memory_free(&memory);
	return 0;
}

static enum check_state run(int (*what)(struct check_run *run, struct err *err))
{
	behaviour = what;
	check_result_clear(&result);
	check_execute(&check_made, NULL, view, &result);
	return result.state;
}

static void registry_is_sorted_and_complete(void **state)
{
	size_t n;
	const struct check *const *all = checks_all(&n);

	(void)state;
	assert_true(n > 1);
	for (size_t i = 0; i < n; i++) {
		const struct check *check = all[i];

		assert_true(check->id[0] && check->title[0] && check->proves[0] && check->run);
		assert_true(check->techniques && check->techniques[0]);
		assert_in_range(check->fuel_max, 1, VIEW_FUEL_SWEEP);
		assert_ptr_equal(check_by_id(check->id), check);
		if (!i)
			continue;
		assert_true(all[i - 1]->group <= check->group);
		if (all[i - 1]->group == check->group)
			assert_true(strcmp(all[i - 1]->id, check->id) < 0);
	}
	assert_null(check_by_id("none such"));
	assert_null(check_by_id(""));
}

static void no_id_stands_twice(void **state)
{
	size_t n;
	const struct check *const *all = checks_all(&n);

	(void)state;
	for (size_t i = 0; i < n; i++)
		for (size_t j = 0; j < i; j++)
			assert_string_not_equal(all[i]->id, all[j]->id);
}

static void every_value_has_a_name(void **state)
{
	(void)state;
	for (int group = GROUP_CODE; group <= GROUP_AGENT; group++)
		assert_non_null(group_name((enum check_group)group));
	for (int s = CHECK_CLEAN; s <= CHECK_INCONCLUSIVE; s++)
		assert_non_null(check_state_name((enum check_state)s));
	for (int s = SEVERITY_LOW; s <= SEVERITY_CRITICAL; s++)
		assert_non_null(severity_name((enum severity)s));
}

static int cover(struct check_run *r, struct err *err)
{
	(void)err;
	check_covered(r, "entries", 400);
	check_covered(r, "gates", 1);
	check_covered(r, "entries", 50);
	return 0;
}

static void clean_says_what_it_covered(void **state)
{
	(void)state;
	assert_int_equal(run(cover), CHECK_CLEAN);
	assert_int_equal(result.covered.n, 2);
	assert_string_equal(result.covered.v[0].what, "entries");
	assert_int_equal(result.covered.v[0].count, 450);
	assert_string_equal(result.reason, "");
	assert_false(result.final);
}

static int look_at_nothing(struct check_run *r, struct err *err)
{
	(void)err;
	check_covered(r, "entries", 0);
	return 0;
}

static int have_nothing_to_look_at(struct check_run *r, struct err *err)
{
	(void)err;
	check_note(r, "this kernel has no %s", "table");
	return 0;
}

static void nothing_covered_is_not_clean(void **state)
{
	(void)state;
	assert_int_equal(run(look_at_nothing), CHECK_INCONCLUSIVE);
	assert_true(result.reason[0]);
	assert_int_equal(run(have_nothing_to_look_at), CHECK_CLEAN);
	assert_string_equal(result.reason, "this kernel has no table");
}

static int find(struct check_run *r, struct err *err)
{
	struct finding *f = check_finding(r, SEVERITY_HIGH, "thing", gva_of(0x1000), "t[%d]", 1);

	(void)err;
	finding_title(f, "A %s thing", "very bad");
	finding_owner(f, "module %s", "evil");
	finding_evidence(f, "a fact", gva_of(5), "sym+0x1", "good", "bad");
	finding_evidence(f, "less of a fact", gva_of(0), NULL, NULL, NULL);
	check_finding(r, SEVERITY_LOW, "thing", gva_of(0), "t[2]");
	check_finding(r, SEVERITY_LOW, "other", gva_of(0), "t[1]");
	assert_ptr_equal(check_finding(r, SEVERITY_LOW, "thing", gva_of(9), "t[1]"), f);
	return 0;
}

static void findings_hold_what_was_said(void **state)
{
	const struct finding *f;

	(void)state;
	assert_int_equal(run(find), CHECK_FINDING);
	assert_int_equal(result.findings.n, 3);
	f = result.findings.v[0];
	assert_string_equal(f->check, "made");
	assert_string_equal(f->title, "A very bad thing");
	assert_string_equal(f->object_kind, "thing");
	assert_string_equal(f->object_name, "t[1]");
	assert_string_equal(f->owner, "module evil");
	assert_string_equal(f->techniques[0], "T1014");
	assert_int_equal(f->object_at.v, 0x1000);
	assert_int_equal(f->evidence.n, 2);
	assert_string_equal(f->evidence.v[0].found, "bad");
	assert_null(f->evidence.v[1].symbol);
	assert_string_equal(result.findings.v[1]->title, "A made-up finding");
	assert_true(f->first_seen_ns && !f->incomplete);
}

static void ids_are_of_the_object_and_of_nothing_else(void **state)
{
	char ids[3][17];

	(void)state;
	run(find);
	for (size_t i = 0; i < 3; i++) {
		memcpy(ids[i], result.findings.v[i]->id, sizeof(ids[i]));
		assert_int_equal(strlen(ids[i]), 16);
		for (size_t j = 0; j < i; j++)
			assert_string_not_equal(ids[i], ids[j]);
	}
	run(find);
	for (size_t i = 0; i < 3; i++)
		assert_string_equal(ids[i], result.findings.v[i]->id);
	/* Nor do they change from one version of hvsm to the next: reports are compared. */
	assert_string_equal(ids[0], "1060387542572a8c");
}

static int find_too_much(struct check_run *r, struct err *err)
{
	struct finding *last = NULL, *one_more;

	for (unsigned i = 0; i <= FINDINGS_MAX; i++)
		last = check_finding(r, SEVERITY_LOW, "thing", gva_of(0), "%u", i);
	one_more = check_finding(r, SEVERITY_LOW, "thing", gva_of(0), "one more");
	/* Both go nowhere, and can be written to all the same. */
	finding_title(last, "dropped");
	finding_evidence(last, "dropped", gva_of(0), NULL, NULL, NULL);
	finding_title(one_more, "dropped");
	finding_owner(one_more, "dropped");
	(void)err;
	return 0;
}

static void findings_have_a_limit_that_is_told(void **state)
{
	(void)state;
	assert_int_equal(run(find_too_much), CHECK_FINDING);
	assert_int_equal(result.findings.n, FINDINGS_MAX);
	assert_non_null(strstr(result.reason, "more findings"));
	assert_true(result.incomplete);
}

static int doubt(struct check_run *r, struct err *err)
{
	(void)err;
	check_covered(r, "entries", 400);
	check_inconclusive(r, "%s", "");
	check_inconclusive(r, "second reason");
	return 0;
}

static void part_that_was_not_seen_is_not_clean(void **state)
{
	(void)state;
	assert_int_equal(run(doubt), CHECK_INCONCLUSIVE);
	assert_string_equal(result.reason, "no reason was given");
	assert_false(result.final);
}

static int code;

static int fail_with_code(struct check_run *r, struct err *err)
{
	check_covered(r, "entries", 400);
	return err_set(err, code, "it broke");
}

static int fail_without_text(struct check_run *r, struct err *err)
{
	(void)err;
	check_covered(r, "entries", 400);
	return code;
}

static int find_and_fail(struct check_run *r, struct err *err)
{
	check_finding(r, SEVERITY_LOW, "thing", gva_of(0), "t");
	return err_set(err, code, "it broke");
}

static void error_is_never_clean(void **state)
{
	static const int codes[] = { -EFAULT, -EBADMSG, -ELOOP, -ESTALE, -ENOENT, -ENOTSUP, -ESRCH,
				     -EACCES, -EINVAL, -ENOMEM, -1 };

	(void)state;
	for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++) {
		code = codes[i];
		assert_int_equal(run(fail_with_code), CHECK_INCONCLUSIVE);
		assert_string_equal(result.reason, "made: it broke");
		assert_int_equal(result.final, code == -ENOENT || code == -ENOTSUP ||
				 code == -ESRCH || code == -ENOMEM);
		assert_int_equal(run(fail_without_text), CHECK_INCONCLUSIVE);
		assert_true(result.reason[0]);
		assert_int_equal(run(find_and_fail), CHECK_FINDING);
		assert_string_equal(result.reason, "made: it broke");
		assert_false(result.final);
	}
}

/* A check that takes a failed read for an empty table. */
static int do_not_care(struct check_run *r, struct err *err)
{
	uint8_t byte;

	for (uint64_t at = 0; at < PAGES; at++)
		(void)!view_read_phys(check_view(r), gpa_of(at * GUEST_PAGE_SIZE), &byte, 1, err);
	check_covered(r, "pages", PAGES);
	return 0;
}

static void spent_fuel_is_never_clean(void **state)
{
	(void)state;
	assert_int_equal(run(do_not_care), CHECK_INCONCLUSIVE);
	assert_non_null(strstr(result.reason, "limit of pages"));
	assert_true(result.spent);
	assert_int_equal(run(cover), CHECK_CLEAN);
	assert_false(result.spent);
}

static int write_much(struct check_run *r, struct err *err)
{
	static char text[5000];

	(void)err;
	memset(text, 'x', sizeof(text) - 1);
	check_finding(r, SEVERITY_LOW, text, gva_of(0), "%s", text);
	check_note(r, "%s", text);
	check_inconclusive(r, "%s", text);
	return 0;
}

static void long_texts_are_cut(void **state)
{
	(void)state;
	assert_int_equal(run(write_much), CHECK_FINDING);
	assert_int_equal(strlen(result.reason), sizeof(result.reason) - 1);
	assert_int_equal(strlen(result.findings.v[0]->object_name), 511);
}

static int find_one(struct check_run *r, struct err *err)
{
	struct finding *f = check_finding(r, SEVERITY_HIGH, "thing", gva_of(0x1000), "t");

	(void)err;
	finding_title(f, "A %s thing", "very bad");
	finding_owner(f, "module %s", "evil");
	finding_evidence(f, "a fact", gva_of(5), "sym+0x1", "good", "bad");
	check_covered(r, "entries", 1);
	return 0;
}

static void memory_runs_out_at_every_allocation(void **state)
{
	uint64_t n = 0, count;

	(void)state;
	do {
		check_result_clear(&result);
		behaviour = find_one;
		torture_allocation(++n);
		check_execute(&check_made, NULL, view, &result);
		count = torture_allocations();
		torture_allocation(0);
		/* The finding, whole or marked; or no finding, and the reason. */
		if (result.state == CHECK_FINDING)
			assert_int_equal(n <= count && !result.incomplete,
					 result.findings.v[0]->incomplete);
		else
			assert_true(result.state == CHECK_INCONCLUSIVE && result.reason[0]);
	} while (n <= count);
	assert_int_equal(result.state, CHECK_FINDING);
	assert_false(result.incomplete);
}

#define T(name) cmocka_unit_test_setup_teardown(name, start, end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(registry_is_sorted_and_complete),
		T(no_id_stands_twice),
		T(every_value_has_a_name),
		T(clean_says_what_it_covered),
		T(nothing_covered_is_not_clean),
		T(findings_hold_what_was_said),
		T(ids_are_of_the_object_and_of_nothing_else),
		T(findings_have_a_limit_that_is_told),
		T(part_that_was_not_seen_is_not_clean),
		T(error_is_never_clean),
		T(spent_fuel_is_never_clean),
		T(long_texts_are_cut),
		T(memory_runs_out_at_every_allocation),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
