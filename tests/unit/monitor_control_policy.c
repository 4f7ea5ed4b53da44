/* SPDX-License-Identifier: Apache-2.0 */
#include "monitor/control.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/cleanup.h"
#include "base/now.h"
#include "base/limits.h"
#include "monitor/sealed.h"

/* Control with one guest, as far as the policy goes, and the parent's end of its channel. */
struct setting {
	struct control control;
	struct channel parent;
	struct channel_rule rules[LINK_RULES];	/* the parent's: it hears, and does nothing */
	struct picture_guest *guest;
	char directory[32];
};

static const struct link_handlers controls = {
	.config = control_on_config, .audit = control_on_audit,
};
static const struct link_handlers nobody;

static void tell_config(struct setting *s, const char *text)
{
	struct err err = { 0 };

	assert_int_equal(link_send_config(&s->parent, "f", text, strlen(text), &err), 0);
	if (channel_dispatch(&s->control.parent, &s->control, 0, &err) < 0)
		fail_msg("%s", err.text);
}

static void set_up(struct setting *s, const char *text)
{
	const struct link_guest told = {
		.number = 7, .state = GUEST_WATCHED, .key = "k\x1b", .name = "web-1",
	};
	struct err err = { 0 };
	int fds[2];

	*s = (struct setting){ .control = { .audits = AUDIT_LOG_NONE } };
	strcpy(s->directory, "/tmp/hvsm-control-XXXXXX");
	assert_non_null(mkdtemp(s->directory));
	assert_int_equal(channel_pair(fds, &err), 0);
	link_rules(&controls, s->control.rules);
	link_rules(&nobody, s->rules);
	channel_init(&s->parent, fds[0], ROLE_STARTER, ROLE_CONTROL, s->rules, LINK_RULES);
	channel_init(&s->control.parent, fds[1], ROLE_CONTROL, ROLE_STARTER, s->control.rules,
		     LINK_RULES);
	assert_int_equal(audit_log_open(s->directory, &s->control.audits, &err), 0);
	assert_int_equal(picture_set(&s->control.picture, &told), 0);
	s->guest = picture_guest(&s->control.picture, 7);
	tell_config(s, text);
}

static void tear_down(struct setting *s)
{
	char path[64];

	snprintf(path, sizeof(path), "%s/%s", s->directory, AUDIT_LOG_NAME);
	channel_close(&s->parent);
	channel_close(&s->control.parent);
	audit_log_close(&s->control.audits);
	picture_free(&s->control.picture);
	config_free(&s->control.config);
	unlink(path);
	rmdir(s->directory);
}

#define FOUND(id, more)                                                                    \
	"{\"id\":\"00000000000000" id "\",\"check\":\"idt\",\"severity\":\"high\",\"title\":" \
	"\"A gate\",\"object\":{\"kind\":\"gate\",\"name\":\"idt[3]\"}" more "}"
#define REPORT(findings)                                                                  \
	"{\"schema\":\"hvsm.report/1\",\"guest\":{\"name\":\"web-1\"},\"kernel\":{},"      \
	"\"verdict\":\"compromised\",\"checks\":[{\"id\":\"idt\",\"result\":\"finding\","  \
	"\"reason\":null}],\"findings\":[" findings "]}"

/* The report, judged, and what followed; the caller's reference. */
static json_t *report(struct setting *s, const char *text)
{
	json_t *root = json_loads(text, 0, NULL);
	struct judgement judgement;
	struct err err = { 0 };

	assert_non_null(root);
	if (control_judge(&s->control, s->guest, root, &judgement, &err) < 0)
		fail_msg("%s", err.text);
	assert_int_equal(control_react(&s->control, s->guest, &judgement, root, &err), 0);
	judgement_free(&judgement);
	return root;
}

/* "reaction finding|" for each that the parent is asked for. */
static const char *asked(struct setting *s, const char *text)
{
	static char list[4096];
	size_t n = 0;
	struct message message;
	struct link_react react;
	struct err err = { 0 };

	*list = '\0';
	json_decref(report(s, text));
	while (channel_receive(&s->parent, &message, 0, &err) == 0) {
		assert_int_equal(message.rule->type, LINK_REACT);
		assert_int_equal(link_read_react(&message, &react, &err), 0);
		assert_true(react.guest == 7);
		n += (size_t)snprintf(list + n, sizeof(list) - n, "%s %s|", react.reaction,
				      *react.finding ? react.finding + 14 : "verdict");
		message_deinit(&message);
	}
	return list;
}

static void tell_audit(struct setting *s, enum audit_outcome outcome, bool told)
{
	const struct link_audit audit = {
		.time_ns = 1, .told = told, .outcome = outcome, .guest = "k\x1b",
		.reaction = "call", .kind = "run", .finding = "00000000000000aa", .text = "t",
	};
	struct err err = { 0 };

	assert_int_equal(link_send_audit(&s->parent, &audit, &err), 0);
	if (channel_dispatch(&s->control.parent, &s->control, 0, &err) < 0)
		fail_msg("%s", err.text);
}

#define CALL "reaction call { kind = run\n program = /bin/x }\n"

static void a_finding_is_marked_and_asked_for_once(void **state)
{
	struct setting s;
	json_t *root;

	(void)state;
	set_up(&s, CALL "guest 'web-*' { reactions = { call } }");
	root = report(&s, REPORT(FOUND("aa", "")));
	assert_string_equal(json_string_value(json_object_get(json_object_get(root, "policy"),
							      "verdict")), "compromised");
	json_decref(root);
	tear_down(&s);
	set_up(&s, CALL "guest 'web-*' { reactions = { call } }");
	assert_string_equal(asked(&s, REPORT(FOUND("aa", ""))), "call aa|");
	assert_string_equal(asked(&s, REPORT(FOUND("aa", "") "," FOUND("bb", ""))), "call bb|");
	assert_string_equal(asked(&s, REPORT(FOUND("aa", ""))), "");
	tear_down(&s);
}

static void what_is_allowed_is_not_asked_for(void **state)
{
	struct setting s;
	json_t *root;

	(void)state;
	set_up(&s, CALL "guest 'web-*' { reactions = { call }\n allow { check = idt\n"
		   "object = 'idt[3]'\n reason = 'ours'\n expires = never } }");
	assert_string_equal(asked(&s, REPORT(FOUND("aa", ""))), "");
	root = report(&s, REPORT(FOUND("aa", "")));
	assert_string_equal(json_string_value(json_object_get(json_object_get(root, "policy"),
							      "verdict")), "clean");
	json_decref(root);
	assert_true(policy_is_allowed(&s.guest->memory, "00000000000000aa"));
	assert_int_equal(policy_verdict(&s.guest->memory), VERDICT_CLEAN);
	/* From now on the rule is not there. */
	tell_config(&s, CALL "guest 'web-*' { reactions = { call } }");
	assert_string_equal(asked(&s, REPORT(FOUND("aa", ""))), "call aa|");
	assert_int_equal(policy_verdict(&s.guest->memory), VERDICT_COMPROMISED);
	tear_down(&s);
}

/* Who sets the clock forward for a moment makes no rule expire, and so nobody's guest stop. */
static void a_clock_that_jumps_makes_no_rule_expire(void **state)
{
	struct setting s;

	(void)state;
	set_up(&s, CALL "guest 'web-*' { reactions = { call }\n allow { check = idt\n"
		   "object = 'idt[3]'\n reason = 'ours'\n expires = 2020-12-31 } }");
	s.control.steady = (struct steady){
		.begun = true, .known = true,
		.base_ns = 1577836800000000000ll - (int64_t)now_ns(CLOCK_BOOTTIME),
	};
	assert_string_equal(asked(&s, REPORT(FOUND("aa", ""))), "");
	s.control.steady.stands = true;
	assert_string_equal(asked(&s, REPORT(FOUND("aa", ""))), "call aa|");
	tear_down(&s);
}

static void what_was_not_done_is_asked_for_again(void **state)
{
	struct setting s;
	char path[64];
	json_t *line;

	(void)state;
	set_up(&s, CALL "guest 'web-*' { reactions = { call } }");
	assert_string_equal(asked(&s, REPORT(FOUND("aa", ""))), "call aa|");
	tell_audit(&s, AUDIT_STARTED, true);
	assert_string_equal(asked(&s, REPORT(FOUND("aa", ""))), "");
	tell_audit(&s, AUDIT_FAILED, true);
	assert_string_equal(asked(&s, REPORT(FOUND("aa", ""))), "call aa|");
	/* One that is told of no more is undone as well, and is in no file. */
	ftruncate(s.control.audits.fd, 0);
	tell_audit(&s, AUDIT_RATE_LIMITED, false);
	assert_int_equal(lseek(s.control.audits.fd, 0, SEEK_END), 0);
	assert_string_equal(asked(&s, REPORT(FOUND("aa", ""))), "call aa|");
	tell_audit(&s, AUDIT_DONE, true);
	assert_string_equal(asked(&s, REPORT(FOUND("aa", ""))), "");
	snprintf(path, sizeof(path), "%s/%s", s.directory, AUDIT_LOG_NAME);
	line = json_load_file(path, 0, NULL);
	assert_string_equal(json_string_value(json_object_get(line, "outcome")), "done");
	assert_string_equal(json_string_value(json_object_get(line, "guest")), "k\\x1b");
	json_decref(line);
	tear_down(&s);
}

static void many_findings_are_asked_for_some_at_a_time(void **state)
{
	struct setting s;
	char text[65536] = "", one[512];
	size_t n = 0, before;
	const char *list;

	(void)state;
	set_up(&s, CALL "reaction other { kind = log }\n"
		   "guest 'web-*' { reactions = { call, other } }");
	for (unsigned i = 0; i < REACTIONS_ASKED_MAX + 1; i++) {
		snprintf(one, sizeof(one), FOUND("%02x", ""), i);
		n += (size_t)snprintf(text + n, sizeof(text) - n, "%s%s", i ? "," : "", one);
	}
	memmove(text + strlen(REPORT("")) - 2, text, n + 1);
	memcpy(text, REPORT(""), strlen(REPORT("")) - 2);
	strcat(text, "]}");
	list = asked(&s, text);
	for (n = 0; *list; list++)
		n += *list == '|';
	assert_int_equal(n, 2 * REACTIONS_ASKED_MAX);
	before = s.guest->memory.done.n;
	assert_string_equal(asked(&s, text), "call 20|other 20|");
	assert_int_equal(s.guest->memory.done.n, before + 2);
	tear_down(&s);
}

static void a_finding_that_is_too_long_goes_without_evidence(void **state)
{
	cleanup(sealed_unmap) struct sealed text = { 0 };
	cleanup(freep) char *big = malloc(REACTION_MESSAGE_MAX + 1024);
	struct message message;
	struct setting s;
	struct err err = { 0 };
	json_t *root, *sent, *finding;

	(void)state;
	set_up(&s, CALL "guest 'web-*' { reactions = { call } }");
	root = json_loads(REPORT(FOUND("aa", "")), 0, NULL);
	memset(big, 'x', REACTION_MESSAGE_MAX);
	big[REACTION_MESSAGE_MAX] = '\0';
	finding = json_array_get(json_object_get(root, "findings"), 0);
	json_object_set_new(finding, "evidence", json_pack("[s]", big));
	free(big);
	big = json_dumps(root, 0);
	json_decref(root);
	root = report(&s, big);
	/* The report keeps it. */
	finding = json_array_get(json_object_get(root, "findings"), 0);
	assert_int_equal(json_array_size(json_object_get(finding, "evidence")), 1);
	json_decref(root);
	assert_int_equal(channel_receive(&s.parent, &message, 0, &err), 0);
	assert_int_equal(sealed_map(message.fds[0], REACTION_MESSAGE_MAX, &text, &err), 0);
	sent = json_loadb((const char *)text.data, text.size, 0, NULL);
	finding = json_object_get(sent, "finding");
	assert_string_equal(json_string_value(json_object_get(finding, "title")), "A gate");
	assert_int_equal(json_array_size(json_object_get(finding, "evidence")), 0);
	assert_string_equal(json_string_value(json_object_get(sent, "schema")), "hvsm.reaction/1");
	json_decref(sent);
	message_deinit(&message);
	tear_down(&s);
}

static void without_a_configuration_there_is_no_report(void **state)
{
	struct setting s;
	struct judgement judgement;
	struct err err = { 0 };
	json_t *root = json_loads(REPORT(FOUND("aa", "")), 0, NULL);

	(void)state;
	set_up(&s, "");
	config_free(&s.control.config);
	assert_int_equal(control_judge(&s.control, s.guest, root, &judgement, &err), -EPROTO);
	json_decref(root);
	tear_down(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_finding_is_marked_and_asked_for_once),
		cmocka_unit_test(what_is_allowed_is_not_asked_for),
		cmocka_unit_test(a_clock_that_jumps_makes_no_rule_expire),
		cmocka_unit_test(what_was_not_done_is_asked_for_again),
		cmocka_unit_test(many_findings_are_asked_for_some_at_a_time),
		cmocka_unit_test(a_finding_that_is_too_long_goes_without_evidence),
		cmocka_unit_test(without_a_configuration_there_is_no_report),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
