/* SPDX-License-Identifier: Apache-2.0 */
#include "monitor/event.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

static void every_kind_has_a_name_of_its_own(void **state)
{
	enum event_kind kind;

	(void)state;
	for (unsigned i = 0; i < EVENT_KINDS; i++) {
		assert_int_equal(event_by_name(event_name((enum event_kind)i), &kind), 0);
		assert_int_equal(kind, i);
	}
	assert_int_equal(event_by_name("exe", &kind), -ENOENT);
}

static void assert_text(enum event_kind kind, json_t *object, const char *expected)
{
	struct event event = { .kind = kind, .object = object };
	char *text = event_text(&event);

	assert_string_equal(text, expected);
	free(text);
	event_free(&event);
}

static void text_leaves_out_what_is_not_there(void **state)
{
	(void)state;
	assert_text(EVENT_EXEC, json_pack("{s:i, s:s, s:i, s:s, s:[s, s]}", "pid", 7, "comm", "ls",
					  "uid", 0, "exe", "/bin/ls", "args", "ls", "-l"),
		    "7 ls, uid 0, /bin/ls: ls -l");
	assert_text(EVENT_EXEC, json_pack("{s:i, s:s, s:i, s:n, s:[]}", "pid", 7, "comm", "ls",
					  "uid", 0, "exe", "args"), "7 ls, uid 0");
	assert_text(EVENT_PROCESS_EXIT, json_pack("{s:i, s:s, s:n, s:i}", "pid", 7, "comm", "ls",
						  "status", "signal", 9), "7 ls, signal 9");
	assert_text(EVENT_EXEC, json_pack("{s:s}", "comm", "ls"), "? ls, uid ?");
}

static void text_tells_changes_only(void **state)
{
	(void)state;
	assert_text(EVENT_CREDENTIALS,
		    json_pack("{s:i, s:s, s:b, s:{s:i, s:i, s:s}, s:{s:i, s:i, s:s}}", "pid", 7,
			      "comm", "x", "exec", 0,
			      "before", "uid", 1000, "gid", 5, "cap_effective", "0x0",
			      "after", "uid", 0, "gid", 5, "cap_effective", "0x1"),
		    "7 x: uid 1000 > 0, cap_effective 0x0 > 0x1");
}

static void true_prints_its_words(void **state)
{
	(void)state;
	assert_text(EVENT_MODULE_UNLOAD, json_pack("{s:s, s:b}", "name", "x", "brief", 1),
		    "x, which came and went between two looks");
	assert_text(EVENT_MODULE_UNLOAD, json_pack("{s:s, s:b}", "name", "x", "brief", 0), "x");
}

static void a_document_has_its_window(void **state)
{
	struct event event = { EVENT_GONE, 1, 1700000000123456789ull, json_object() };
	json_t *document = event_json(&event, json_pack("{s:s}", "target", "qemu:1"));

	(void)state;
	assert_string_equal(json_string_value(json_object_get(document, "schema")),
			    "hvsm.event/1");
	assert_string_equal(json_string_value(json_object_get(document, "event")), "gone");
	assert_string_equal(json_string_value(json_object_get(document, "after")),
			    "1970-01-01T00:00:00.000000001Z");
	assert_string_equal(json_string_value(json_object_get(document, "before")),
			    "2023-11-14T22:13:20.123456789Z");
	json_decref(document);
	event_free(&event);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_kind_has_a_name_of_its_own),
		cmocka_unit_test(text_leaves_out_what_is_not_there),
		cmocka_unit_test(text_tells_changes_only),
		cmocka_unit_test(true_prints_its_words),
		cmocka_unit_test(a_document_has_its_window),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
