/* SPDX-License-Identifier: Apache-2.0 */
#include "monitor/heard.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/cleanup.h"

static const struct identity guest = { .name = "web1", .target = "qemu:1", .hypervisor = "QEMU" };

#define GUEST "\"guest\":{\"name\":\"web1\",\"uuid\":null,\"target\":\"qemu:1\",\"hypervisor\":\"QEMU\"}"
#define REST                                                                    \
	",\"kernel\":{},\"reference\":null,\"agent\":null,\"sweep\":{},\"verdict\":" \
	"\"clean\",\"assurance\":\"none\",\"checks\":[],\"findings\":[],\"processes\":[]}\n"
#define REPORT "{\"schema\":\"hvsm.report/1\"," GUEST REST

static struct sealed sealed_of(const char *text)
{
	return (struct sealed){ (const uint8_t *)text, strlen(text) };
}

static bool text_is_heard(const char *text, bool colour)
{
	struct sealed sealed = sealed_of(text);

	return heard_text(&sealed, colour);
}

static void lines_of_a_report_are_heard(void **state)
{
	(void)state;
	assert_true(text_is_heard("", false));
	assert_true(text_is_heard("clean  web1\n\n  caf\u00e9 \\x1b\n", false));
	assert_true(text_is_heard("\033[1;31mcompromised\033[0m  web1\n", true));
}

static void what_steers_a_terminal_is_not(void **state)
{
	static const char *const evil[] = {
		"\033[2J", "\033]0;title\a", "a\rb\n", "a\tb", "\x7f", ("\xc2\x9b" "2J"), "\xff",
		"\xe2\x80\xae", "\033", "\033[", "\033[1;31", "\033[31m", "ok\n\033[1A",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(evil); i++) {
		assert_false(text_is_heard(evil[i], true));
		assert_false(text_is_heard(evil[i], false));
	}
	/* Colours only where they were asked for. */
	assert_false(text_is_heard("\033[1;31mcompromised\033[0m\n", false));
	assert_false(heard_text(&(struct sealed){ (const uint8_t *)"a\0b", 3 }, true));
}

static int hear(const char *text, enum verdict verdict)
{
	struct sealed sealed = sealed_of(text);
	json_t *report = NULL;
	int r = heard_report(&sealed, &guest, verdict, &report, NULL);

	assert_true(r < 0 ? !report : json_is_object(report));
	json_decref(report);
	return r;
}

static void report_about_this_guest_is_heard(void **state)
{
	(void)state;
	assert_int_equal(hear(REPORT, VERDICT_CLEAN), 0);
}

static void any_other_report_is_not(void **state)
{
	static const char *const evil[] = {
		"", "\n", "{}\n", "[]\n", "null\n", "{\n", (REPORT REPORT),
		("{\"schema\":\"hvsm.report/2\"," GUEST REST),
		("{\"schema\":\"hvsm.report/1\",\"guest\":null" REST),
		("{\"schema\":\"hvsm.report/1\",\"guest\":{\"name\":\"db1\",\"uuid\":null,"
		 "\"target\":\"qemu:1\",\"hypervisor\":\"QEMU\"}" REST),
		("{\"schema\":\"hvsm.report/1\"," GUEST ",\"more\":1" REST),
		("{\"schema\":\"hvsm.report/1\"," GUEST ",\"verdict\":\"clean\"" REST),
		("{\"schema\":\"hvsm.report/1\"," GUEST ",\"verdict\":\"clean\"}\n"),
		("{\"schema\":\"hvsm.report/1\",\033[2J" GUEST REST),
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(evil); i++)
		assert_int_equal(hear(evil[i], VERDICT_CLEAN), -EPROTO);
	/* It says one thing in the message, and another in the report. */
	assert_int_equal(hear(REPORT, VERDICT_COMPROMISED), -EPROTO);
}

/* Strings are printed by whoever reads them, so what they are made of counts. */
static void report_whose_strings_steer_a_terminal_is_not(void **state)
{
	(void)state;
	assert_int_equal(hear("{\"schema\":\"hvsm.report/1\"," GUEST ",\"kernel\":{\"banner\":"
			      "\"\\u001b[2J\"},\"reference\":null,\"agent\":null,\"sweep\":{},"
			      "\"verdict\":\"clean\",\"assurance\":\"none\",\"checks\":[],"
			      "\"findings\":[],\"processes\":[]}\n", VERDICT_CLEAN), -EPROTO);
}

/* A list with @n lists in it, in a report. */
static int hear_lists(size_t n, const char *list, const char *end)
{
	static const char head[] = "{\"schema\":\"hvsm.report/1\"," GUEST ",\"more\":[";
	size_t size = sizeof(head) + n * strlen(list) + strlen(end) + sizeof(REST) + 2;
	char *text = malloc(size), *at;
	int r;

	assert_non_null(text);
	at = stpcpy(text, head);
	while (n--)
		at = stpcpy(at, list);
	stpcpy(stpcpy(at, end), "]" REST);
	r = hear(text, VERDICT_CLEAN);
	free(text);
	return r;
}

static size_t most, used;

static void *counted(size_t size)
{
	used += size;
	most = used > most ? used : most;
	return malloc(size);
}

/* What it costs to read is no multiple of what was sent. */
static void report_that_becomes_huge_is_not_read(void **state)
{
	(void)state;
	most = used = 0;
	json_set_alloc_funcs(counted, free);
	assert_int_equal(hear_lists(3u << 20, "[],", "[]"), -EPROTO);
	assert_int_equal(hear_lists(1000, "[", "x"), -EPROTO);
	json_set_alloc_funcs(malloc, free);
	assert_true(most < 1u << 20);
}

static unsigned left;

static void *scarce(size_t size)
{
	return left && left-- ? malloc(size) : NULL;
}

/* Who runs out of memory has not been lied to: a scanner would be ended for nothing. */
static void lack_of_memory_is_no_lie(void **state)
{
	unsigned n = 0;
	int r = -ENOMEM;

	(void)state;
	while (r == -ENOMEM && n < 1000) {
		left = n++;
		json_set_alloc_funcs(scarce, free);
		r = hear(REPORT, VERDICT_CLEAN);
		json_set_alloc_funcs(malloc, free);
	}
	assert_int_equal(r, 0);
	assert_true(n > 10);
}

static void build_ids_are_hex(void **state)
{
	(void)state;
	assert_true(heard_build_id(""));
	assert_true(heard_build_id("0123456789abcdef0123456789abcdef01234567"));
	assert_false(heard_build_id("0123456789abcdef0123456789abcdef012345678"));
	assert_false(heard_build_id("../../etc"));
	assert_false(heard_build_id("ABCDEF"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lines_of_a_report_are_heard),
		cmocka_unit_test(what_steers_a_terminal_is_not),
		cmocka_unit_test(report_about_this_guest_is_heard),
		cmocka_unit_test(any_other_report_is_not),
		cmocka_unit_test(report_whose_strings_steer_a_terminal_is_not),
		cmocka_unit_test(report_that_becomes_huge_is_not_read),
		cmocka_unit_test(lack_of_memory_is_no_lie),
		cmocka_unit_test(build_ids_are_hex),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
