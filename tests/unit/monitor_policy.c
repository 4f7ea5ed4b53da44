/* SPDX-License-Identifier: Apache-2.0 */
#include "monitor/policy.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/cleanup.h"
#include "base/limits.h"

#define NOW 1780315200	/* 2026-06-01T12:00:00Z */

/* A configuration, one guest of it, and what was reported of that. */
struct setting {
	struct config *config;
	struct guest_config guest;
	struct policy_memory memory;
	json_t *report;
	struct policy_outcome outcome;
};

static void set_up(struct setting *s, const char *text)
{
	struct err err = {0};

	*s = (struct setting){0};
	if (config_parse("f", text, strlen(text), &s->config, &err) < 0)
		fail_msg("%s", err.text);
	assert_int_equal(config_guest(s->config, "web-1", NULL, &s->guest), 0);
}

static void forget_report(struct setting *s)
{
	policy_outcome_free(&s->outcome);
	s->outcome = (struct policy_outcome){0};
	json_decref(s->report);
	s->report = NULL;
}

static void tear_down(struct setting *s)
{
	forget_report(s);
	policy_memory_free(&s->memory);
	guest_config_free(&s->guest);
	config_free(&s->config);
}

#define RAN(id, result, reason) \
	"{\"id\": \"" id "\", \"result\": \"" result "\", \"reason\": " reason "}"
#define FOUND(id, check, severity, kind, name)                                     \
	"{\"id\": \"" id "\", \"check\": \"" check "\", \"severity\": \"" severity \
	"\", \"object\": {\"kind\": \"" kind "\", \"name\": \"" name "\"}}"
#define REPORT(verdict, checks, findings)                                            \
	"{\"schema\": \"hvsm.report/1\", \"verdict\": \"" verdict "\", \"checks\": [" \
	checks "], \"findings\": [" findings "]}"

#define A "00000000000000aa"
#define B "00000000000000bb"
#define HOOK	    FOUND(A, "syscall-table", "critical", "syscall", "sys_call_table[62]")
#define HOOK_2	    FOUND(B, "syscall-table", "high", "syscall", "sys_call_table[63]")
#define TABLE_FOUND RAN("syscall-table", "finding", "null")
#define TABLE_CLEAN RAN("syscall-table", "clean", "null")
#define IDT_CLEAN   RAN("idt", "clean", "null")

static int apply(struct setting *s, const char *text, struct err *err)
{
	forget_report(s);
	s->report = json_loads(text, 0, NULL);
	assert_non_null(s->report);
	return policy_apply(&s->guest, s->report, NOW, &s->outcome, err);
}

static void report(struct setting *s, const char *text)
{
	struct err err = {0};

	if (apply(s, text, &err) < 0)
		fail_msg("%s", err.text);
}

/* "reaction:finding ", one after the other. */
static const char *decisions(struct setting *s, const char *text)
{
	static char list[512];
	struct policy_decisions d = {0};
	size_t n = 0;

	*list = '\0';
	report(s, text);
	assert_int_equal(policy_decide(&s->memory, s->config, &s->guest, &s->outcome, &d), 0);
	for (size_t i = 0; i < d.list.n; i++) {
		assert_int_equal(!*d.list.v[i].finding, !d.list.v[i].json);
		n += (size_t)snprintf(list + n, sizeof(list) - n, "%s:%s ", d.list.v[i].reaction->name,
				      *d.list.v[i].finding ? d.list.v[i].finding + 14 : "verdict");
	}
	vec_free(&d.list);
	return list;
}

#define ALLOW(object, kind, expires)                                                      \
	"allow { check = syscall-table\n object = '" object "'\n kind = '" kind "'\n"     \
	"reason = 'why'\n expires = '" expires "' }\n"

static void an_allowed_finding_stays_and_is_marked(void **state)
{
	struct setting s;
	const json_t *finding, *policy;

	(void)state;
	set_up(&s, "guest '*' {\n" ALLOW("sys_call_table[62]", "*", "2026-06-01") "}");
	report(&s, REPORT("compromised", TABLE_FOUND "," IDT_CLEAN, HOOK));
	assert_int_equal(s.outcome.verdict, VERDICT_CLEAN);
	assert_int_equal(s.outcome.findings.n, 1);
	assert_ptr_equal(s.outcome.findings.v[0].allowed, &s.config->guests.v[0].allow.v[0]);

	/* What the check said is as it was. */
	finding = json_array_get(json_object_get(s.report, "findings"), 0);
	assert_string_equal(json_string_value(json_object_get(finding, "severity")), "critical");
	assert_string_equal(json_string_value(json_object_get(s.report, "verdict")), "compromised");
	policy = json_object_get(finding, "policy");
	assert_string_equal(json_string_value(json_object_get(json_object_get(policy, "allowed"),
							      "reason")), "why");
	assert_true(json_is_null(json_object_get(policy, "expired")));
	policy = json_object_get(s.report, "policy");
	assert_string_equal(json_string_value(json_object_get(policy, "verdict")), "clean");
	assert_string_equal(json_string_value(json_object_get(policy, "mode")), "observe");
	tear_down(&s);
}

static void one_allowed_finding_does_not_hide_another(void **state)
{
	struct setting s;

	(void)state;
	set_up(&s, "guest '*' {\n" ALLOW("sys_call_table[62]", "*", "never") "}");
	report(&s, REPORT("compromised", TABLE_FOUND, HOOK "," HOOK_2));
	assert_int_equal(s.outcome.verdict, VERDICT_COMPROMISED);
	assert_non_null(s.outcome.findings.v[0].allowed);
	assert_null(s.outcome.findings.v[1].allowed);
	tear_down(&s);
}

static void a_rule_is_for_its_check_kind_object_and_guest(void **state)
{
	static const char *const others[] = {
		"guest '*' {\n" ALLOW("sys_call_table[6]", "*", "never") "}",
		"guest '*' {\n" ALLOW("*", "idt-gate", "never") "}",
		"guest 'db-*' {\n" ALLOW("*", "*", "never") "}",
		"guest '*' {\nallow { check = idt\nobject = '*'\nreason = r\nexpires = never }\n}",
	};
	struct setting s;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(others); i++) {
		set_up(&s, others[i]);
		report(&s, REPORT("compromised", TABLE_FOUND, HOOK));
		assert_null(s.outcome.findings.v[0].allowed);
		assert_int_equal(s.outcome.verdict, VERDICT_COMPROMISED);
		tear_down(&s);
	}
}

/* Hooks of one module, wherever they are. */
static void a_rule_may_name_the_owner(void **state)
{
	static const char hook[] = "{\"id\": \"" A "\", \"check\": \"syscall-table\", \"severity\": "
		"\"high\", \"object\": {\"kind\": \"k\", \"name\": \"n\"}, \"owner\": %s}";
	static const struct { const char *owner; bool allowed; } owners[] = {
		{ "\"module vendor_a\"", true }, { "\"module evil\"", false }, { "null", false },
	};
	struct setting s;

	(void)state;
	set_up(&s, "guest '*' { allow { check = syscall-table\nobject = '*'\n"
		   "owner = 'module vendor_*'\nreason = r\nexpires = never } }");
	for (size_t i = 0; i < ARRAY_SIZE(owners); i++) {
		char found[512], text[1024];

		snprintf(found, sizeof(found), hook, owners[i].owner);
		snprintf(text, sizeof(text), REPORT("compromised", TABLE_FOUND, "%s"), found);
		report(&s, text);
		assert_int_equal(s.outcome.findings.v[0].allowed != NULL, owners[i].allowed);
	}
	tear_down(&s);
}

static void an_expired_rule_is_told_and_does_not_apply(void **state)
{
	struct setting s;
	const json_t *policy;

	(void)state;
	set_up(&s, "guest '*' {\n" ALLOW("*", "*", "2026-05-31") "}");
	report(&s, REPORT("compromised", TABLE_FOUND, HOOK));
	assert_int_equal(s.outcome.verdict, VERDICT_COMPROMISED);
	assert_null(s.outcome.findings.v[0].allowed);
	assert_ptr_equal(s.outcome.findings.v[0].expired, &s.config->guests.v[0].allow.v[0]);
	policy = json_object_get(json_array_get(json_object_get(s.report, "findings"), 0), "policy");
	assert_true(json_is_null(json_object_get(policy, "allowed")));
	assert_string_equal(json_string_value(json_object_get(json_object_get(policy, "expired"),
							      "expires")), "2026-05-31");
	tear_down(&s);

	/* At that very second it does not hold any more; one before it did. */
	set_up(&s, "guest '*' {\n" ALLOW("*", "*", "2026-06-01T12:00:00Z") "}");
	report(&s, REPORT("compromised", TABLE_FOUND, HOOK));
	assert_non_null(s.outcome.findings.v[0].expired);
	tear_down(&s);
	set_up(&s, "guest '*' {\n" ALLOW("*", "*", "2026-06-01T12:00:01Z") "}");
	report(&s, REPORT("compromised", TABLE_FOUND, HOOK));
	assert_non_null(s.outcome.findings.v[0].allowed);
	tear_down(&s);

	/* Another one that holds is what counts, whichever stands first. */
	set_up(&s, "guest '*' {\n" ALLOW("*", "*", "2020-01-01") ALLOW("*62]", "*", "never")
	       ALLOW("*", "*", "2021-01-01") "}");
	report(&s, REPORT("compromised", TABLE_FOUND, HOOK));
	assert_ptr_equal(s.outcome.findings.v[0].allowed, &s.config->guests.v[0].allow.v[1]);
	assert_null(s.outcome.findings.v[0].expired);
	tear_down(&s);
}

/* What was not seen is not allowed by anybody. */
static void allowed_is_not_clean_where_not_all_was_seen(void **state)
{
	struct setting s;

	(void)state;
	set_up(&s, "guest '*' {\n" ALLOW("*", "*", "never") "}");
	report(&s, REPORT("compromised", RAN("syscall-table", "finding", "\"a page was absent\""),
			  HOOK));
	assert_int_equal(s.outcome.verdict, VERDICT_INCONCLUSIVE);
	report(&s, REPORT("compromised", RAN("syscall-table", "inconclusive", "\"x\""), HOOK));
	assert_int_equal(s.outcome.verdict, VERDICT_INCONCLUSIVE);
	report(&s, REPORT("compromised", TABLE_FOUND "," RAN("idt", "inconclusive", "\"x\""),
			  HOOK));
	assert_int_equal(s.outcome.verdict, VERDICT_INCONCLUSIVE);
	report(&s, REPORT("inconclusive", RAN("idt", "not-covered", "\"x\""), ""));
	assert_int_equal(s.outcome.verdict, VERDICT_INCONCLUSIVE);
	tear_down(&s);
}

static void severities_are_as_configured(void **state)
{
	struct setting s;

	(void)state;
	set_up(&s, "guest '*' { severity_low = { syscall-table } }");
	report(&s, REPORT("compromised", TABLE_FOUND, HOOK));
	assert_int_equal(s.outcome.findings.v[0].severity, SEVERITY_LOW);
	assert_int_equal(s.outcome.verdict, VERDICT_SUSPICIOUS);
	tear_down(&s);

	set_up(&s, "guest '*' { severity_low = { syscall-table } }\n"
		   "guest 'web-*' { severity_high = { syscall-table } }");
	report(&s, REPORT("compromised", TABLE_FOUND, HOOK));
	assert_int_equal(s.outcome.findings.v[0].severity, SEVERITY_HIGH);
	assert_int_equal(s.outcome.verdict, VERDICT_COMPROMISED);
	tear_down(&s);
}

static void what_is_no_report_is_refused(void **state)
{
	static const char *const bad[] = {
		"[]", "{}", "{\"schema\": \"hvsm.report/2\"}",
		"{\"schema\": \"hvsm.report/1\", \"verdict\": \"clean\", \"findings\": []}",
		REPORT("fine", IDT_CLEAN, ""),
		REPORT("clean", RAN("idt", "good", "null"), ""),
		REPORT("clean", RAN("idt", "clean", "7"), ""),
		REPORT("clean", "7", ""),
		REPORT("compromised", TABLE_FOUND, "null"),
		REPORT("compromised", TABLE_FOUND,
		       FOUND("00", "syscall-table", "high", "syscall", "x")),
		REPORT("compromised", TABLE_FOUND,
		       FOUND("00000000000000aa0", "syscall-table", "high", "syscall", "x")),
		REPORT("compromised", TABLE_FOUND, FOUND(A, "syscall-table", "worst", "k", "x")),
		/* Which contradict themselves: */
		REPORT("compromised", IDT_CLEAN, ""),
		REPORT("compromised", TABLE_FOUND, ""),
		REPORT("compromised", IDT_CLEAN, HOOK),
	};
	struct setting s;

	(void)state;
	set_up(&s, "");
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		struct err err = {0};

		if (apply(&s, bad[i], &err) != -EBADMSG)
			fail_msg("taken: %s", bad[i]);
		assert_int_equal(err.code, -EBADMSG);
		assert_int_equal(s.outcome.findings.n, 0);
	}
	tear_down(&s);
}

#define REACTIONS                                                                \
	"reaction all { kind = log\non_severity = low }\n"                       \
	"reaction grave { kind = log\non_severity = critical }\n"                \
	"reaction gates { kind = log\non_severity = low\non_checks = { idt } }\n" \
	"reaction stop { kind = pause\non_severity = high }\n"                   \
	"reaction bad { kind = log\non_verdict = compromised }\n"                \
	"reaction blind { kind = log\non_verdict = inconclusive }\n"

static void reactions_are_those_of_the_guest_in_its_order(void **state)
{
	struct setting s;

	(void)state;
	set_up(&s, REACTIONS "guest '*' { reactions = { bad, grave, gates, all } }");
	assert_string_equal(decisions(&s, REPORT("compromised", TABLE_FOUND, HOOK "," HOOK_2)),
			    "bad:verdict grave:aa all:aa all:bb ");
	tear_down(&s);
	set_up(&s, REACTIONS);
	assert_string_equal(decisions(&s, REPORT("compromised", TABLE_FOUND, HOOK)), "");
	tear_down(&s);
}

static void what_stays_open_is_reacted_to_once(void **state)
{
	struct setting s;

	(void)state;
	set_up(&s, REACTIONS "guest '*' { reactions = { all } }");
	assert_string_equal(decisions(&s, REPORT("compromised", TABLE_FOUND, HOOK)), "all:aa ");
	assert_string_equal(decisions(&s, REPORT("compromised", TABLE_FOUND, HOOK)), "");
	assert_string_equal(decisions(&s, REPORT("compromised", TABLE_FOUND, HOOK "," HOOK_2)),
			    "all:bb ");
	/* Its check did not run, or could not tell: it is still open. */
	assert_string_equal(decisions(&s, REPORT("clean", IDT_CLEAN, "")), "");
	assert_string_equal(decisions(&s, REPORT("inconclusive",
						 RAN("syscall-table", "inconclusive", "\"x\""),
						 "")), "");
	assert_string_equal(decisions(&s, REPORT("clean", RAN("syscall-table", "not-covered",
							      "\"x\""), "")), "");
	assert_string_equal(decisions(&s, REPORT("compromised", TABLE_FOUND, HOOK)), "");
	/* B was closed by that, A is now. */
	assert_string_equal(decisions(&s, REPORT("clean", TABLE_CLEAN, "")), "");
	assert_string_equal(decisions(&s, REPORT("compromised", TABLE_FOUND, HOOK "," HOOK_2)),
			    "all:aa all:bb ");
	tear_down(&s);
}

static void what_failed_is_tried_again(void **state)
{
	struct setting s;

	(void)state;
	set_up(&s, REACTIONS "guest '*' { reactions = { all, bad } }");
	assert_string_equal(decisions(&s, REPORT("compromised", TABLE_FOUND, HOOK)),
			    "all:aa bad:verdict ");
	policy_undone(&s.memory, "all", A);
	assert_string_equal(decisions(&s, REPORT("compromised", TABLE_FOUND, HOOK)), "all:aa ");
	policy_undone(&s.memory, "bad", "");
	assert_string_equal(decisions(&s, REPORT("compromised", TABLE_FOUND, HOOK)),
			    "bad:verdict ");
	tear_down(&s);
}

static void a_guest_is_paused_once_whatever_was_found(void **state)
{
	struct setting s;

	(void)state;
	set_up(&s, REACTIONS "guest '*' { reactions = { stop } }");
	assert_string_equal(decisions(&s, REPORT("compromised", TABLE_FOUND, HOOK "," HOOK_2)),
			    "stop:aa ");
	assert_string_equal(decisions(&s, REPORT("compromised", TABLE_FOUND, HOOK "," HOOK_2)), "");
	tear_down(&s);
}

static void allowed_findings_are_not_reacted_to(void **state)
{
	struct setting s;

	(void)state;
	set_up(&s, REACTIONS "guest '*' { reactions = { all, stop, bad }\n"
	       ALLOW("*", "*", "never") "}");
	assert_string_equal(decisions(&s, REPORT("compromised", TABLE_FOUND, HOOK)), "");
	assert_int_equal(policy_verdict(&s.memory), VERDICT_CLEAN);
	tear_down(&s);
}

/* What it was paused for first is gone, and it was never paused: what is left is enough. */
static void what_failed_for_one_finding_is_tried_for_another(void **state)
{
	struct setting s;

	(void)state;
	set_up(&s, REACTIONS "guest '*' { reactions = { stop } }");
	assert_string_equal(decisions(&s, REPORT("compromised", TABLE_FOUND, HOOK "," HOOK_2)),
			    "stop:aa ");
	policy_undone(&s.memory, "stop", A);
	assert_string_equal(decisions(&s, REPORT("compromised", TABLE_FOUND, HOOK_2)), "stop:bb ");
	assert_string_equal(decisions(&s, REPORT("compromised", TABLE_FOUND, HOOK_2)), "");
	tear_down(&s);
}

/* Whoever has a check see nothing any more does not look better for that. */
static void what_is_not_covered_is_as_it_was(void **state)
{
	struct setting s;

	(void)state;
	set_up(&s, REACTIONS "guest '*' { reactions = { bad } }");
	assert_string_equal(decisions(&s, REPORT("compromised", TABLE_FOUND, HOOK)),
			    "bad:verdict ");
	assert_string_equal(decisions(&s, REPORT("clean", RAN("syscall-table", "not-covered",
							      "\"x\""), "")), "");
	assert_int_equal(policy_verdict(&s.memory), VERDICT_COMPROMISED);
	assert_string_equal(decisions(&s, REPORT("compromised", TABLE_FOUND, HOOK)), "");
	tear_down(&s);
}

/* Each report is of some checks; the guest's verdict is of all. */
static void a_verdict_is_put_together_from_reports(void **state)
{
	struct setting s;

	(void)state;
	set_up(&s, REACTIONS "guest '*' { reactions = { bad, blind } }");
	assert_int_equal(policy_verdict(&s.memory), VERDICT_INCONCLUSIVE);
	assert_string_equal(decisions(&s, REPORT("clean", IDT_CLEAN, "")), "");
	assert_int_equal(policy_verdict(&s.memory), VERDICT_CLEAN);
	assert_string_equal(decisions(&s, REPORT("inconclusive",
						 RAN("vdso", "inconclusive", "\"x\""), "")),
			    "blind:verdict ");
	assert_string_equal(decisions(&s, REPORT("compromised", TABLE_FOUND, HOOK)),
			    "bad:verdict ");
	assert_string_equal(decisions(&s, REPORT("clean", IDT_CLEAN, "")), "");
	assert_int_equal(policy_verdict(&s.memory), VERDICT_COMPROMISED);
	/* Better, but not good; then good; then bad again. */
	assert_string_equal(decisions(&s, REPORT("clean", TABLE_CLEAN, "")), "");
	assert_int_equal(policy_verdict(&s.memory), VERDICT_INCONCLUSIVE);
	assert_string_equal(decisions(&s, REPORT("compromised", TABLE_FOUND, HOOK)),
			    "bad:verdict ");
	assert_string_equal(decisions(&s, REPORT("clean", TABLE_CLEAN ","
						 RAN("vdso", "clean", "null"), "")), "");
	assert_string_equal(decisions(&s, REPORT("compromised", TABLE_FOUND, HOOK)),
			    "bad:verdict blind:verdict ");
	tear_down(&s);
}

static void what_is_allowed_is_known_until_a_report_says_otherwise(void **state)
{
	struct setting s;

	(void)state;
	set_up(&s, REACTIONS "guest '*' { reactions = { bad }\n"
		   ALLOW("sys_call_table[62]", "*", "never") "}");
	assert_false(policy_is_allowed(&s.memory, A));
	assert_string_equal(decisions(&s, REPORT("compromised", TABLE_FOUND, HOOK "," HOOK_2)),
			    "bad:verdict ");
	assert_true(policy_is_allowed(&s.memory, A));
	assert_false(policy_is_allowed(&s.memory, B));
	/* A report of other checks, and one that could not see it, say nothing of it. */
	decisions(&s, REPORT("clean", IDT_CLEAN, ""));
	decisions(&s, REPORT("inconclusive", RAN("syscall-table", "inconclusive", "\"x\""), ""));
	assert_true(policy_is_allowed(&s.memory, A));
	decisions(&s, REPORT("clean", TABLE_CLEAN, ""));
	assert_false(policy_is_allowed(&s.memory, A));
	/* Found where no rule is for it, by the same memory: a reload took the rule away. */
	decisions(&s, REPORT("compromised", TABLE_FOUND, HOOK));
	assert_true(policy_is_allowed(&s.memory, A));
	s.guest.sections.n = 0;
	decisions(&s, REPORT("compromised", TABLE_FOUND, HOOK));
	assert_false(policy_is_allowed(&s.memory, A));
	tear_down(&s);
}

static void what_is_kept_of_a_guest_has_a_limit(void **state)
{
	struct setting s;

	(void)state;
	set_up(&s, REACTIONS "guest '*' { reactions = { bad } }");
	for (uint64_t i = 0; i <= POLICY_KEPT_MAX; i++) {
		struct policy_done *done = vec_add(&s.memory.done);
		struct policy_allowed *allowed = vec_add(&s.memory.allowed);

		assert_true(done && allowed);
		*done = (struct policy_done){ .reaction = 3, .finding = 2 * i + 1, .check = 5 };
		*allowed = (struct policy_allowed){ .finding = 2 * i + 1, .check = 5 };
	}
	/* No report is of that check. */
	decisions(&s, REPORT("clean", IDT_CLEAN, ""));
	assert_int_equal(s.memory.done.n, 0);
	assert_int_equal(s.memory.allowed.n, POLICY_KEPT_MAX);
	tear_down(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_allowed_finding_stays_and_is_marked),
		cmocka_unit_test(one_allowed_finding_does_not_hide_another),
		cmocka_unit_test(a_rule_is_for_its_check_kind_object_and_guest),
		cmocka_unit_test(a_rule_may_name_the_owner),
		cmocka_unit_test(an_expired_rule_is_told_and_does_not_apply),
		cmocka_unit_test(allowed_is_not_clean_where_not_all_was_seen),
		cmocka_unit_test(severities_are_as_configured),
		cmocka_unit_test(what_is_no_report_is_refused),
		cmocka_unit_test(reactions_are_those_of_the_guest_in_its_order),
		cmocka_unit_test(what_stays_open_is_reacted_to_once),
		cmocka_unit_test(what_failed_is_tried_again),
		cmocka_unit_test(a_guest_is_paused_once_whatever_was_found),
		cmocka_unit_test(what_failed_for_one_finding_is_tried_for_another),
		cmocka_unit_test(what_is_not_covered_is_as_it_was),
		cmocka_unit_test(allowed_findings_are_not_reacted_to),
		cmocka_unit_test(a_verdict_is_put_together_from_reports),
		cmocka_unit_test(what_is_allowed_is_known_until_a_report_says_otherwise),
		cmocka_unit_test(what_is_kept_of_a_guest_has_a_limit),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
