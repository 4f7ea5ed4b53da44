/* SPDX-License-Identifier: Apache-2.0 */
#include "monitor/picture.h"

#include <stdarg.h>
#include <setjmp.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

static const char *const ids[] = { "idt", "hidden-task", "kernel-code" };

static struct picture picture_of_one(void)
{
	const struct link_guest told = {
		.number = 7, .state = GUEST_WATCHED, .key = "u\x1b-1", .name = "web",
		.target = "qemu:1", .hypervisor = "QEMU",
	};
	struct picture picture = { .ids = ids, .ids_n = 3 };

	assert_int_equal(picture_set(&picture, &told), 0);
	return picture;
}

/* Read a report; @taken: and take it. Return: as picture_read(). */
static int read_report(struct picture *picture, const char *text, bool taken, bool *changed)
{
	struct picture_guest *guest = picture_guest(picture, 7);
	struct picture_report report;
	struct err err = { 0 };
	json_t *root = json_loads(text, 0, NULL);
	int r;

	assert_non_null(root);
	r = picture_read(picture, guest, root, &report, &err);
	json_decref(root);
	if (r < 0)
		return r;
	*changed = report.changed;
	if (taken)
		picture_take(guest, &report);
	picture_report_free(&report);
	return 0;
}

#define RAN(id, result) "{\"id\":\"" id "\",\"result\":\"" result "\",\"cpu_us\":5}"
#define FINDING(check, id, severity) \
	"{\"check\":\"" check "\",\"id\":\"" id "\",\"severity\":\"" severity "\"}"
#define REPORT(checks, findings) "{\"checks\":[" checks "],\"findings\":[" findings "]}"

static void what_is_told_twice_is_no_change(void **state)
{
	struct picture picture = picture_of_one();
	bool changed;

	(void)state;
	assert_string_equal(picture_guest(&picture, 7)->key, "u\\x1b-1");
	assert_int_equal(read_report(&picture, REPORT(RAN("idt", "clean"), ""), true, &changed), 0);
	assert_true(changed);
	assert_int_equal(read_report(&picture, REPORT(RAN("idt", "clean"), ""), true, &changed), 0);
	assert_false(changed);
	/* A check that ran for the first time is news. */
	assert_int_equal(read_report(&picture, REPORT(RAN("hidden-task", "clean"), ""), true,
				     &changed), 0);
	assert_true(changed);
	picture_free(&picture);
}

static void other_findings_are_a_change_in_whatever_order(void **state)
{
	const char *ab = REPORT(RAN("idt", "finding"), FINDING("idt", "a", "high") ","
				FINDING("idt", "b", "low"));
	const char *ba = REPORT(RAN("idt", "finding"), FINDING("idt", "b", "low") ","
				FINDING("idt", "a", "high"));
	const char *ac = REPORT(RAN("idt", "finding"), FINDING("idt", "a", "high") ","
				FINDING("idt", "c", "low"));
	const char *graver = REPORT(RAN("idt", "finding"), FINDING("idt", "a", "high") ","
				    FINDING("idt", "c", "critical"));
	struct picture picture = picture_of_one();
	bool changed;

	(void)state;
	assert_int_equal(read_report(&picture, ab, true, &changed), 0);
	assert_true(changed);
	assert_int_equal(read_report(&picture, ba, true, &changed), 0);
	assert_false(changed);
	assert_int_equal(read_report(&picture, ac, true, &changed), 0);
	assert_true(changed);
	assert_int_equal(read_report(&picture, graver, true, &changed), 0);
	assert_true(changed);
	picture_free(&picture);
}

static void what_was_not_stored_stays_a_change(void **state)
{
	struct picture picture = picture_of_one();
	bool changed;

	(void)state;
	for (int i = 0; i < 2; i++) {
		assert_int_equal(read_report(&picture, REPORT(RAN("idt", "finding"),
							      FINDING("idt", "a", "high")), false,
					     &changed), 0);
		assert_true(changed);
	}
	assert_false(picture_swept(&picture, picture_guest(&picture, 7)));
	picture_free(&picture);
}

static void what_is_not_covered_is_not_swept(void **state)
{
	struct picture picture = picture_of_one();
	const struct picture_guest *guest = picture_guest(&picture, 7);
	bool changed;

	(void)state;
	assert_false(picture_swept(&picture, guest));
	assert_int_equal(read_report(&picture, REPORT(RAN("idt", "not-covered"), ""), true,
				     &changed), 0);
	assert_false(picture_swept(&picture, guest));
	assert_int_equal(read_report(&picture, REPORT(RAN("idt", "inconclusive") ","
						      RAN("kernel-code", "clean"), ""), true,
				     &changed), 0);
	assert_true(picture_swept(&picture, guest));
	picture_free(&picture);
}

static void what_the_policy_says_of_a_finding_is_news(void **state)
{
#define MARKED(id, allowed, as)                                                        \
	"{\"check\":\"idt\",\"id\":\"" id "\",\"severity\":\"high\",\"policy\":{"     \
	"\"severity\":\"" as "\",\"expired\":null,\"allowed\":" allowed "}}"
	static const char *const reports[] = {
		REPORT(RAN("idt", "finding"), MARKED("a", "null", "high") ","
		       MARKED("b", "null", "high")),
		REPORT(RAN("idt", "finding"), MARKED("a", "{}", "high") ","
		       MARKED("b", "null", "high")),
		/* As many are allowed as before, but it is the other one. */
		REPORT(RAN("idt", "finding"), MARKED("a", "null", "high") ","
		       MARKED("b", "{}", "high")),
		REPORT(RAN("idt", "finding"), MARKED("a", "null", "low") ","
		       MARKED("b", "{}", "high")),
		REPORT(RAN("idt", "finding"), MARKED("a", "null", "high") ","
		       MARKED("b", "{}", "low")),
	};
	struct picture picture = picture_of_one();
	bool changed;

	(void)state;
	for (size_t i = 0; i < sizeof(reports) / sizeof(*reports); i++) {
		assert_int_equal(read_report(&picture, reports[i], true, &changed), 0);
		assert_true(changed);
		assert_int_equal(read_report(&picture, reports[i], true, &changed), 0);
		assert_false(changed);
	}
	picture_free(&picture);
}

static void a_key_is_known_as_the_parent_has_it(void **state)
{
	struct picture picture = picture_of_one();
	const struct picture_guest *guest = picture_guest(&picture, 7);

	(void)state;
	assert_true(picture_has_key(guest, "u\x1b-1"));
	assert_false(picture_has_key(guest, "u\\x1b-1"));
	assert_false(picture_has_key(guest, ""));
	picture_free(&picture);
}

static void reports_that_cannot_be_are_refused(void **state)
{
	static const char *const forged[] = {
		"{}",
		"[]",
		REPORT(RAN("no-such-check", "clean"), ""),
		REPORT(RAN("idt", "splendid"), ""),
		REPORT(RAN("idt", "clean") "," RAN("idt", "clean"), ""),
		REPORT(RAN("idt", "clean"), FINDING("kernel-code", "a", "high")),
		REPORT(RAN("idt", "clean"), "{}"),
		REPORT("1,2,3,4", ""),
		REPORT("{\"id\":\"idt\",\"result\":\"clean\",\"cpu_us\":-1}", ""),
	};
	struct picture picture = picture_of_one();
	bool changed;

	(void)state;
	for (size_t i = 0; i < sizeof(forged) / sizeof(*forged); i++)
		assert_int_equal(read_report(&picture, forged[i], true, &changed), -EBADMSG);
	picture_remove(&picture, 7);
	assert_null(picture_guest(&picture, 7));
	picture_free(&picture);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_told_twice_is_no_change),
		cmocka_unit_test(other_findings_are_a_change_in_whatever_order),
		cmocka_unit_test(what_was_not_stored_stays_a_change),
		cmocka_unit_test(what_is_not_covered_is_not_swept),
		cmocka_unit_test(what_the_policy_says_of_a_finding_is_news),
		cmocka_unit_test(a_key_is_known_as_the_parent_has_it),
		cmocka_unit_test(reports_that_cannot_be_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
