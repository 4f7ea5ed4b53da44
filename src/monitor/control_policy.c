/* SPDX-License-Identifier: Apache-2.0 */

/* What control makes of reports by the policy, and what it asks the parent to do. */

#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/limits.h"
#include "base/now.h"
#include "monitor/control.h"
#include "monitor/journal.h"
#include "monitor/sealed.h"
#include "monitor/settings.h"

#define NS_PER_S 1000000000ull

void control_forget_off(const struct control *control, struct picture_guest *guest)
{
	struct guest_config config;

	/* Without memory it is done with the next report. */
	if (config_guest(control->config, guest->name, guest->uuid, &config) < 0)
		return;
	for (size_t i = 0; i < control->picture.ids_n; i++) {
		if (guest->checks[i].state == PICTURE_UNKNOWN ||
		    guest_config_runs(&config, control->picture.ids[i]))
			continue;
		guest->checks[i] = (struct picture_check){ 0 };
		policy_forget(&guest->memory, control->picture.ids[i]);
	}
	guest_config_free(&config);
}

int control_on_config(struct channel *channel, struct message *message, void *ctx,
		      struct err *err)
{
	struct control *control = ctx;
	const char *path = bytes_text(&message->body);
	cleanup(sealed_unmap) struct sealed text = { 0 };
	struct config *config = NULL;
	int r;

	(void)channel;
	if (!bytes_at_end(&message->body) || !path)
		return err_set(err, -EPROTO, "a configuration that cannot be read");
	r = sealed_map(message->fds[0], CONFIG_BYTES_MAX, &text, err);
	/* An empty file has no mapping. */
	if (r >= 0)
		r = config_parse(path, text.size ? (const char *)text.data : "", text.size, &config,
				 err);
	if (r < 0)
		return r;
	config_free(&control->config);
	control->config = config;
	control->host_us_per_s = settings_host_us_per_s(config);
	control->expire_next = 0;
	for (size_t i = 0; i < control->picture.guests.n; i++)
		control_forget_off(control, control->picture.guests.v[i]);
	return 0;
}

int control_judge(const struct control *control, const struct picture_guest *guest,
		  json_t *report, struct judgement *ret, struct err *err)
{
	cleanup(judgement_free) struct judgement judgement = { 0 };
	uint64_t now;
	int r;

	if (!control->config)
		return err_set(err, -EPROTO, "a report, and no configuration");
	r = config_guest(control->config, guest->name, guest->uuid, &judgement.config);
	if (r < 0)
		return err_set(err, r, "no memory for its policy");
	/* A clock that jumps must not make rules expire, for guests may be switched off by it. */
	now = steady_time(&control->steady, now_ns(CLOCK_REALTIME), now_ns(CLOCK_BOOTTIME));
	r = policy_apply(&judgement.config, report, (int64_t)(now / NS_PER_S), &judgement.outcome,
			 err);
	if (r < 0)
		return r;
	*ret = judgement;
	judgement = (struct judgement){ 0 };
	return 0;
}

void judgement_free(struct judgement *judgement)
{
	policy_outcome_free(&judgement->outcome);
	guest_config_free(&judgement->config);
}

/* Why, for the journal: "high, syscall-table: …". Texts of a report are escaped already. */
static void say_why(const struct policy_decision *decision, enum verdict verdict, char *text,
		    size_t size)
{
	const json_t *finding = decision->json;
	const char *check = json_string_value(json_object_get(finding, "check"));
	const char *title = json_string_value(json_object_get(finding, "title"));
	const char *severity = json_string_value(
		json_object_get(json_object_get(finding, "policy"), "severity"));

	if (finding)
		snprintf(text, size, "%s, %.60s: %.120s", severity ? severity : "?",
			 check ? check : "?", title ? title : "?");
	else
		snprintf(text, size, "the verdict is %s", verdict_name(verdict));
}

/* What is too long without it goes without evidence; NULL: too long even then, or no memory. */
static char *message_of(const struct policy_decision *decision, const json_t *report,
			enum config_mode mode, enum verdict verdict)
{
	char *text = reaction_message(decision, report, mode, verdict);
	struct policy_decision shorter = *decision;
	json_t *finding;

	if (!text || strlen(text) <= REACTION_MESSAGE_MAX)
		return text;
	free(text);
	finding = decision->json ? json_copy((json_t *)(uintptr_t)decision->json) : NULL;
	if (!finding)
		return NULL;
	json_object_set_new(finding, "evidence", json_array());
	shorter.json = finding;
	text = reaction_message(&shorter, report, mode, verdict);
	json_decref(finding);
	if (text && strlen(text) > REACTION_MESSAGE_MAX) {
		free(text);
		text = NULL;
	}
	return text;
}

/* 1: asked; 0: not now; or an errno of the channel. */
static int ask(struct control *control, struct picture_guest *guest,
	       const struct judgement *judgement, const struct policy_decision *decision,
	       const json_t *report, struct err *err)
{
	enum verdict verdict = policy_verdict(&guest->memory);
	cleanup(freep) char *message = message_of(decision, report, judgement->config.mode,
						  verdict);
	char about[256];
	const struct link_react react = {
		.guest = guest->number, .reaction = decision->reaction->name,
		.finding = decision->finding, .about = about,
	};
	int r;

	if (!message)
		return 0;
	say_why(decision, verdict, about, sizeof(about));
	r = link_send_react(&control->parent, &react, message, err);
	return r < 0 ? r : 1;
}

int control_react(struct control *control, struct picture_guest *guest,
		  const struct judgement *judgement, const json_t *report, struct err *err)
{
	struct policy_decisions decisions = { 0 };
	int r = policy_decide(&guest->memory, control->config, &judgement->config,
			      &judgement->outcome, &decisions);

	if (r < 0) {
		journal(LOG_WARNING, "%s: no memory to decide what to do about its findings",
			guest->key);
		return 0;
	}
	for (size_t i = 0; i < decisions.list.n; i++) {
		const struct policy_decision *decision = &decisions.list.v[i];
		int done = 0;

		if (r >= 0)
			done = ask(control, guest, judgement, decision, report, err);
		if (done <= 0)
			policy_undone(&guest->memory, decision->reaction->name, decision->finding);
		r = done < 0 ? done : r;
	}
	vec_free(&decisions.list);
	return r;
}

static void count(struct control_counts *counts, const struct link_audit *audit)
{
	size_t kind = 0;

	while (kind < CONTROL_KINDS - 1 &&
	       strcmp(audit->kind, reaction_kind_name((enum reaction_kind)kind)) != 0)
		kind++;
	counts->reactions[kind][audit->outcome]++;
}

int control_on_audit(struct channel *channel, struct message *message, void *ctx,
		     struct err *err)
{
	struct control *control = ctx;
	struct link_audit audit;
	struct err why = { 0 };
	int r = link_read_audit(message, &audit, err);

	(void)channel;
	if (r < 0)
		return r;
	count(&control->counts, &audit);
	for (size_t i = 0; i < control->picture.guests.n; i++) {
		struct picture_guest *guest = control->picture.guests.v[i];

		if (audit_is_undone(audit.outcome) && picture_has_key(guest, audit.guest))
			policy_undone(&guest->memory, audit.reaction, audit.finding);
	}
	if (audit.told && audit_log_add(&control->audits, &audit, &why) < 0) {
		journal(LOG_ERR, "a reaction is not recorded: %s", why.text);
		control_incident(control, 0, why.text);
	}
	return 0;
}
