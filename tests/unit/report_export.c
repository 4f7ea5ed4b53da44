/* SPDX-License-Identifier: Apache-2.0 */
#include "report/export.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/cleanup.h"
#include "make/report.h"

#define SECOND 1000000000ull

static struct ledger_finding finding(void)
{
	return (struct ledger_finding){
		.guest = "web]\"1\\x1b", .name = "web]1", .boot = "b1", .id = "0000000000000001", .check = "idt",
		.severity = "high", .title = "Gate of \"int3\" ] leads elsewhere",
		.first_seen_ns = 1740837731 * SECOND + 123456000,
		.last_seen_ns = 1740837800 * SECOND, .sweeps = 3,
		.opened_in = 1, .last_in = 3,
	};
}

/* The finding of a report, as a scanner would have made it; the report is to be released. */
static json_t *details(json_t **report)
{
	cleanup(freep) char *text = make_report("web1", 1, "idt=finding:1");

	*report = json_loads(text, 0, NULL);
	assert_non_null(*report);
	return json_array_get(json_object_get(*report, "findings"), 0);
}

static json_int_t number(const json_t *event, const char *key)
{
	const json_t *value = json_object_get(event, key);

	assert_true(json_is_integer(value));
	return json_integer_value(value);
}

/* https://schema.ocsf.io/1.1.0/classes/detection_finding: what it calls required. */
static void assert_required(const json_t *event)
{
	const json_t *metadata = json_object_get(event, "metadata");
	const json_t *product = json_object_get(metadata, "product");
	const json_t *info = json_object_get(event, "finding_info");

	assert_int_equal(number(event, "class_uid"), 2004);
	assert_int_equal(number(event, "category_uid"), 2);
	assert_in_range(number(event, "activity_id"), 1, 3);
	assert_int_equal(number(event, "type_uid"), 200400 + number(event, "activity_id"));
	assert_in_range(number(event, "severity_id"), 0, 6);
	assert_true(number(event, "time") > 1740000000000);	/* milliseconds */
	assert_string_equal(json_string_value(json_object_get(metadata, "version")), "1.1.0");
	assert_true(json_is_string(json_object_get(product, "vendor_name")));
	assert_true(json_is_string(json_object_get(product, "name")));
	assert_true(json_is_string(json_object_get(info, "title")));
	assert_true(json_is_string(json_object_get(info, "uid")));
}

static void ocsf_has_what_is_required(void **state)
{
	struct ledger_finding one = finding();
	json_t *report, *event, *attack, *evidence;
	const json_t *with = details(&report);

	(void)state;
	for (int i = 0; i < 4; i++) {
		static const struct {
			bool closed, early;
			int activity, status;
			uint64_t seconds;
		} cases[] = {
			{ false, false, 1, 1, 1740837731 }, { false, true, 2, 2, 1740837800 },
			{ true, false, 3, 4, 1740837900 }, { true, true, 3, 4, 1740837900 },
		};

		one.closed_ns = cases[i].closed ? 1740837900 * SECOND : 0;
		event = export_ocsf(&one, i % 2 ? NULL : with,
				    cases[i].early ? one.last_seen_ns : 0);
		assert_required(event);
		assert_int_equal(number(event, "activity_id"), cases[i].activity);
		assert_int_equal(number(event, "status_id"), cases[i].status);
		assert_int_equal(number(event, "time") / 1000, cases[i].seconds);
		assert_int_equal(number(event, "severity_id"), 4);
		assert_int_equal(number(event, "count"), 3);
		json_decref(event);
	}
	event = export_ocsf(&one, with, 0);
	attack = json_array_get(json_object_get(json_object_get(event, "finding_info"), "attacks"), 0);
	assert_string_equal(json_string_value(json_object_get(json_object_get(attack, "technique"),
							      "uid")), "T1014");
	evidence = json_array_get(json_object_get(event, "evidences"), 0);
	assert_string_equal(json_string_value(json_object_get(json_object_get(evidence, "data"),
							      "found")), "that");
	json_decref(event);
	json_decref(report);
}

static char *syslog_of(const struct ledger_finding *one, const json_t *with, const char *host)
{
	char *text = NULL;
	size_t size;
	FILE *to = open_memstream(&text, &size);

	export_syslog(one, with, host, to);
	fclose(to);
	return text;
}

static void syslog_is_escaped(void **state)
{
	struct ledger_finding one = finding();
	cleanup(freep) char *open = NULL, *closed = NULL;
	json_t *report;
	const json_t *with = details(&report);

	(void)state;
	open = syslog_of(&one, with, "host1");
	assert_string_equal(open, "<107>1 2025-03-01T14:02:11.123456Z host1 hvsm - finding-open "
			    "[hvsm@32473 guest=\"web\\]\\\"1\\\\x1b\" name=\"web\\]1\" boot=\"b1\" "
			    "id=\"0000000000000001\" check=\"idt\" severity=\"high\" object=\"1\" "
			    "sweeps=\"3\"] Gate of \"int3\" ] leads elsewhere\n");
	one.closed_ns = one.last_seen_ns;
	closed = syslog_of(&one, NULL, "no host");
	assert_int_equal(strncmp(closed, "<110>1 2025-03-01T14:03:20.000000Z - hvsm - "
				 "finding-closed [hvsm@32473 guest=", 76), 0);
	json_decref(report);
}

static unsigned allocations_left;

static void *failing_malloc(size_t size)
{
	return allocations_left-- ? malloc(size) : NULL;
}

static void ocsf_survives_lack_of_memory(void **state)
{
	struct ledger_finding one = finding();
	json_t *report, *event = NULL;
	const json_t *with = details(&report);
	unsigned n;

	(void)state;
	json_set_alloc_funcs(failing_malloc, free);
	for (n = 0; !event; n++) {
		allocations_left = n;
		event = export_ocsf(&one, with, 0);
	}
	json_decref(event);
	json_set_alloc_funcs(malloc, free);
	json_decref(report);
	assert_true(n > 50);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ocsf_has_what_is_required),
		cmocka_unit_test(syslog_is_escaped),
		cmocka_unit_test(ocsf_survives_lack_of_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
