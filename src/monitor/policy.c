/* SPDX-License-Identifier: Apache-2.0 */
#include "monitor/policy.h"

#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/glob.h"
#include "base/hash.h"
#include "base/limits.h"
#include "base/map.h"

static int bad(struct err *err, const char *what)
{
	return err_set(err, -EBADMSG, "a report with a bad %s", what);
}

static const char *text_in(const json_t *object, const char *key)
{
	return json_string_value(json_object_get(object, key));
}

static bool severity_by_name(const char *name, enum severity *ret)
{
	for (enum severity s = SEVERITY_LOW; s <= SEVERITY_CRITICAL; s++)
		if (name && !strcmp(severity_name(s), name)) {
			*ret = s;
			return true;
		}
	return false;
}

static bool verdict_by_name(const char *name, enum verdict *ret)
{
	for (enum verdict v = VERDICT_CLEAN; v <= VERDICT_COMPROMISED; v++)
		if (name && !strcmp(verdict_name(v), name)) {
			*ret = v;
			return true;
		}
	return false;
}

/* Of a finding that is not allowed. */
static enum verdict verdict_of_severity(enum severity severity)
{
	return severity >= SEVERITY_HIGH ? VERDICT_COMPROMISED : VERDICT_SUSPICIOUS;
}

static bool is_id(const char *text)
{
	return text && strspn(text, "0123456789abcdef") == FINDING_ID_TEXT - 1 &&
	       !text[FINDING_ID_TEXT - 1];
}

/* The last section that says something of a check counts. */
enum severity policy_severity(const struct guest_config *guest, const char *check,
			      enum severity severity)
{
	for (size_t i = 0; i < guest->sections.n; i++)
		for (enum severity s = SEVERITY_LOW; s <= SEVERITY_CRITICAL; s++)
			if (texts_have(&guest->sections.v[i]->severity[s], check))
				severity = s;
	return severity;
}

/* The rule that allows a finding, and else one that did. */
static void look_up(const struct guest_config *guest, const char *kind, const char *name,
		    const char *owner, int64_t now_s, struct policy_finding *finding)
{
	for (size_t i = 0; i < guest->sections.n; i++) {
		const struct config_guest *section = guest->sections.v[i];

		for (size_t n = 0; n < section->allow.n; n++) {
			const struct config_allow *rule = &section->allow.v[n];

			if (strcmp(rule->check, finding->check) != 0 ||
			    !glob_match(rule->kind, kind) || !glob_match(rule->object, name) ||
			    !glob_match(rule->owner, owner))
				continue;
			if (now_s < rule->expires_s) {
				finding->allowed = rule;
				finding->expired = NULL;
				return;
			}
			finding->expired = rule;
		}
	}
}

static json_t *rule_json(const struct config_allow *rule)
{
	return rule ? json_pack("{s:s, s:s, s:i}", "reason", rule->reason, "expires",
				rule->expires_text, "line", (int)rule->line) : json_null();
}

static int judge_finding(const struct guest_config *guest, json_t *json, int64_t now_s,
			 struct policy_outcome *outcome, struct err *err)
{
	const json_t *object = json_object_get(json, "object");
	const char *id = text_in(json, "id"), *kind = text_in(object, "kind");
	const char *name = text_in(object, "name"), *owner = text_in(json, "owner");
	struct policy_finding *finding = vec_add(&outcome->findings);

	if (!finding)
		return err_set(err, -ENOMEM, "no memory for a report's findings");
	finding->json = json;
	finding->check = text_in(json, "check");
	if (!is_id(id) || !finding->check || !kind || !name ||
	    !severity_by_name(text_in(json, "severity"), &finding->severity))
		return bad(err, "finding");
	memcpy(finding->id, id, sizeof(finding->id));
	finding->severity = policy_severity(guest, finding->check, finding->severity);
	look_up(guest, kind, name, owner ? owner : "", now_s, finding);
	/* Where memory runs out inside, the whole is NULL, and set_new() says so. */
	if (json_object_set_new(json, "policy",
				json_pack("{s:s, s:o, s:o}", "severity",
					  severity_name(finding->severity), "allowed",
					  rule_json(finding->allowed), "expired",
					  rule_json(finding->expired))) < 0)
		return err_set(err, -ENOMEM, "no memory for a report's findings");
	return 0;
}

/* What is left of a check's result when its allowed findings are left out. */
static int judge_check(const json_t *json, struct policy_outcome *outcome, struct err *err)
{
	const char *id = text_in(json, "id"), *result = text_in(json, "result");
	const json_t *reason = json_object_get(json, "reason");
	struct policy_check *check;
	bool found = false;

	if (!id || !result || !reason || !(json_is_null(reason) || json_is_string(reason)))
		return bad(err, "check");
	check = vec_add(&outcome->checks);
	if (!check)
		return err_set(err, -ENOMEM, "no memory for a report's checks");
	check->id = id;
	check->verdict = VERDICT_CLEAN;
	if (!strcmp(result, "inconclusive"))
		check->verdict = VERDICT_INCONCLUSIVE;
	else if (!strcmp(result, "finding") && json_is_string(reason))
		check->verdict = VERDICT_INCONCLUSIVE;	/* it did not see everything */
	else if (!strcmp(result, "not-covered"))
		check->silent = true;
	else if (strcmp(result, "finding") != 0 && strcmp(result, "clean") != 0)
		return bad(err, "result of a check");
	for (size_t i = 0; i < outcome->findings.n; i++) {
		const struct policy_finding *finding = &outcome->findings.v[i];

		if (strcmp(finding->check, id) != 0)
			continue;
		found = true;
		if (!finding->allowed && verdict_of_severity(finding->severity) > check->verdict)
			check->verdict = verdict_of_severity(finding->severity);
	}
	if (!strcmp(result, "finding") && !found)
		return bad(err, "check: it has findings, and there are none");
	return 0;
}

static bool has_check(const struct policy_outcome *outcome, const char *id)
{
	for (size_t i = 0; i < outcome->checks.n; i++)
		if (!strcmp(outcome->checks.v[i].id, id))
			return true;
	return false;
}

static int judge(const struct guest_config *guest, json_t *report, int64_t now_s,
		 struct policy_outcome *outcome, struct err *err)
{
	json_t *findings = json_object_get(report, "findings");
	json_t *checks = json_object_get(report, "checks");
	const char *schema = text_in(report, "schema");
	enum verdict said;
	int r = 0;

	if (!schema || strcmp(schema, "hvsm.report/1") != 0)
		return bad(err, "schema");
	if (!json_is_array(findings) || !json_is_array(checks) ||
	    !verdict_by_name(text_in(report, "verdict"), &said))
		return bad(err, "form");
	if (json_array_size(findings) > REPORT_FINDINGS_MAX ||
	    json_array_size(checks) > REPORT_CHECKS_MAX)
		return err_set(err, -ELOOP, "a report of over %u findings, or %u checks",
			       REPORT_FINDINGS_MAX, REPORT_CHECKS_MAX);
	for (size_t i = 0; i < json_array_size(findings) && r == 0; i++)
		r = judge_finding(guest, json_array_get(findings, i), now_s, outcome, err);
	for (size_t i = 0; i < json_array_size(checks) && r == 0; i++)
		r = judge_check(json_array_get(checks, i), outcome, err);
	if (r < 0)
		return r;
	/* What is found in a part of a guest that nobody looked at is nonsense. */
	for (size_t i = 0; i < outcome->findings.n; i++)
		if (!has_check(outcome, outcome->findings.v[i].check))
			return bad(err, "finding: its check did not run");
	outcome->verdict = said == VERDICT_INCONCLUSIVE ? said : VERDICT_CLEAN;
	for (size_t i = 0; i < outcome->checks.n; i++)
		if (outcome->checks.v[i].verdict > outcome->verdict)
			outcome->verdict = outcome->checks.v[i].verdict;
	if (said >= VERDICT_SUSPICIOUS && !outcome->findings.n)
		return bad(err, "verdict: there are no findings");
	return 0;
}

int policy_apply(const struct guest_config *guest, json_t *report, int64_t now_s,
		 struct policy_outcome *ret, struct err *err)
{
	struct policy_outcome outcome = {0};
	const char *mode = guest->mode == MODE_ENFORCE ? "enforce" : "observe";
	int r = judge(guest, report, now_s, &outcome, err);

	if (r == 0 && json_object_set_new(report, "policy",
					  json_pack("{s:s, s:s}", "verdict",
						    verdict_name(outcome.verdict), "mode",
						    mode)) < 0)
		r = err_set(err, -ENOMEM, "no memory for a report");
	if (r < 0) {
		policy_outcome_free(&outcome);
		return r;
	}
	*ret = outcome;
	return 0;
}

void policy_outcome_free(struct policy_outcome *outcome)
{
	vec_free(&outcome->findings);
	vec_free(&outcome->checks);
}

void policy_memory_free(struct policy_memory *memory)
{
	vec_free(&memory->checks);
	vec_free(&memory->done);
	vec_free(&memory->allowed);
}

enum verdict policy_verdict(const struct policy_memory *memory)
{
	enum verdict verdict = memory->checks.n ? VERDICT_CLEAN : VERDICT_INCONCLUSIVE;

	for (size_t i = 0; i < memory->checks.n; i++)
		if (memory->checks.v[i].verdict > verdict)
			verdict = memory->checks.v[i].verdict;
	return verdict;
}

/* Never 0; the texts are a scanner's, the secret is ours. */
static uint64_t hash_text(const char *text)
{
	return hash_bytes(text, strlen(text), hash_secret()) | 1;
}

static int by_finding(const void *a, const void *b)
{
	const struct policy_allowed *one = a, *other = b;

	return one->finding < other->finding ? -1 : one->finding > other->finding;
}

bool policy_is_allowed(const struct policy_memory *memory, const char *finding)
{
	const struct policy_allowed key = { .finding = hash_text(finding) };

	return memory->allowed.n &&
	       bsearch(&key, memory->allowed.v, memory->allowed.n, sizeof(key), by_finding);
}

static int learn(struct policy_memory *memory, const struct policy_outcome *outcome)
{
	for (size_t i = 0; i < outcome->checks.n; i++) {
		uint64_t check = hash_text(outcome->checks.v[i].id);
		struct policy_known_check *known = NULL;

		for (size_t n = 0; n < memory->checks.n && !known; n++)
			if (memory->checks.v[n].check == check)
				known = &memory->checks.v[n];
		/* What it found before is as it was. */
		if (known && outcome->checks.v[i].silent)
			continue;
		if (!known)
			known = vec_add(&memory->checks);
		if (!known)
			return -ENOMEM;
		known->check = check;
		known->verdict = outcome->checks.v[i].verdict;
	}
	return 0;
}

void policy_forget(struct policy_memory *memory, const char *check)
{
	uint64_t which = hash_text(check);
	size_t kept = 0;

	for (size_t i = 0; i < memory->checks.n; i++)
		if (memory->checks.v[i].check != which)
			memory->checks.v[kept++] = memory->checks.v[i];
	memory->checks.n = kept;
}

/* One number for a reaction to a finding; never 0. */
static uint64_t done_key(const struct policy_done *done)
{
	return hash_bytes(done, offsetof(struct policy_done, check), hash_secret()) | 1;
}

/* What a report says, by hashes: looked up once for all that was done. */
struct told {
	struct map ran;		/* checks that can say that a finding is over */
	struct map open;	/* findings, but those that are allowed */
	struct map allowed;	/* findings */
};

static int tell(const struct policy_outcome *outcome, struct told *told)
{
	int r = 0;

	for (size_t i = 0; i < outcome->checks.n && r >= 0; i++)
		if (outcome->checks.v[i].verdict != VERDICT_INCONCLUSIVE &&
		    !outcome->checks.v[i].silent)
			r = map_put(&told->ran, hash_text(outcome->checks.v[i].id), 0);
	for (size_t i = 0; i < outcome->findings.n && r >= 0; i++)
		r = map_put(outcome->findings.v[i].allowed ? &told->allowed : &told->open,
			    hash_text(outcome->findings.v[i].id), 0);
	return r < 0 ? r : 0;
}

static void told_free(struct told *told)
{
	map_free(&told->ran);
	map_free(&told->open);
	map_free(&told->allowed);
}

/* Is what was reacted to over? An inconclusive check does not tell. */
static bool is_over(const struct policy_done *done, const struct told *told, enum verdict verdict)
{
	if (!done->finding)
		return verdict < (enum verdict)done->check;
	return map_get(&told->ran, done->check, NULL) && !map_get(&told->open, done->finding, NULL);
}

static bool concerns(const struct config_reaction *reaction, const struct policy_finding *finding)
{
	return reaction->on_verdict == VERDICT_CLEAN && !finding->allowed &&
	       finding->severity >= reaction->on_severity &&
	       (reaction->on_checks.n == 0 || texts_have(&reaction->on_checks, finding->check));
}

struct deciding {
	struct policy_memory *memory;
	struct policy_decisions *decisions;
	const struct config_reaction *reaction;
	struct map keys;	/* of all that is done */
	uint32_t n;		/* decisions of this reaction */
	uint64_t first;		/* the finding of the first of them */
};

/* @finding: NULL: because of the verdict */
static int decide(struct deciding *d, const struct policy_finding *finding, enum verdict verdict)
{
	struct policy_done new = {
		.reaction = hash_text(d->reaction->name),
		.finding = finding ? hash_text(finding->id) : 0,
		.check = finding ? hash_text(finding->check) : (uint64_t)verdict,
	}, *done;
	struct policy_decision *decision;
	int r = map_put(&d->keys, done_key(&new), 0);

	if (r != 0)
		return r < 0 ? r : 0;
	if (d->n == REACTIONS_ASKED_MAX)
		return 0;
	done = vec_add(&d->memory->done);
	if (!done)
		return -ENOMEM;
	if (!d->n)
		d->first = new.finding;
	new.by = reaction_touches_guest(d->reaction->kind) ? d->first : new.finding;
	*done = new;
	if (d->n && reaction_touches_guest(d->reaction->kind))
		return 0;
	decision = vec_add(&d->decisions->list);
	if (!decision)
		return -ENOMEM;
	d->n++;
	decision->reaction = d->reaction;
	decision->json = finding ? finding->json : NULL;
	if (finding)
		memcpy(decision->finding, finding->id, sizeof(decision->finding));
	return 0;
}

static int decide_all(struct deciding *d, const struct config *config,
		      const struct guest_config *guest, const struct policy_outcome *outcome)
{
	enum verdict verdict = policy_verdict(d->memory);
	int r = 0;

	for (size_t i = 0; i < d->memory->done.n && r >= 0; i++)
		r = map_put(&d->keys, done_key(&d->memory->done.v[i]), 0);
	for (size_t i = 0; i < guest->reactions->n && r >= 0; i++) {
		d->reaction = config_reaction(config, guest->reactions->v[i]);
		d->n = 0;
		if (!d->reaction)
			continue;
		for (size_t n = 0; n < outcome->findings.n && r >= 0; n++)
			if (concerns(d->reaction, &outcome->findings.v[n]))
				r = decide(d, &outcome->findings.v[n], verdict);
		if (r >= 0 && d->reaction->on_verdict != VERDICT_CLEAN &&
		    verdict >= d->reaction->on_verdict)
			r = decide(d, NULL, d->reaction->on_verdict);
	}
	return r < 0 ? r : 0;
}

/* Those of this report, and those that it does not tell of. Without memory: as it was. */
static int learn_allowed(struct policy_memory *memory, const struct policy_outcome *outcome,
			 const struct told *told)
{
	cleanup(policy_memory_free) struct policy_memory new = {0};
	struct policy_allowed *room;

	for (size_t i = 0; i < memory->allowed.n && i < POLICY_KEPT_MAX; i++) {
		const struct policy_allowed *old = &memory->allowed.v[i];

		if (map_get(&told->ran, old->check, NULL) ||
		    map_get(&told->open, old->finding, NULL) ||
		    map_get(&told->allowed, old->finding, NULL))
			continue;
		room = vec_add(&new.allowed);
		if (!room)
			return -ENOMEM;
		*room = *old;
	}
	for (size_t i = 0; i < outcome->findings.n; i++) {
		const struct policy_finding *finding = &outcome->findings.v[i];

		if (!finding->allowed)
			continue;
		room = vec_add(&new.allowed);
		if (!room)
			return -ENOMEM;
		*room = (struct policy_allowed){ .finding = hash_text(finding->id),
						 .check = hash_text(finding->check) };
	}
	if (new.allowed.n)
		qsort(new.allowed.v, new.allowed.n, sizeof(*new.allowed.v), by_finding);
	vec_free(&memory->allowed);
	memory->allowed = new.allowed;
	new = (struct policy_memory){0};
	return 0;
}

static int forget_what_is_over(struct policy_memory *memory, const struct policy_outcome *outcome)
{
	enum verdict verdict = policy_verdict(memory);
	struct told told = {0};
	bool crowded = memory->done.n > POLICY_KEPT_MAX;
	size_t kept = 0;
	int r = tell(outcome, &told);

	if (r == 0)
		r = learn_allowed(memory, outcome, &told);

	for (size_t i = 0; i < memory->done.n && r == 0; i++)
		if (!is_over(&memory->done.v[i], &told, verdict) &&
		    (!crowded || !memory->done.v[i].finding ||
		     map_get(&told.open, memory->done.v[i].finding, NULL)))
			memory->done.v[kept++] = memory->done.v[i];
	if (r == 0)
		memory->done.n = kept;
	told_free(&told);
	return r;
}

int policy_decide(struct policy_memory *memory, const struct config *config,
		  const struct guest_config *guest, const struct policy_outcome *outcome,
		  struct policy_decisions *ret)
{
	struct policy_decisions decisions = {0};
	struct deciding d = { .memory = memory, .decisions = &decisions };
	size_t before;
	int r = learn(memory, outcome);

	if (r == 0)
		r = forget_what_is_over(memory, outcome);
	if (r < 0)
		return r;
	before = memory->done.n;
	r = decide_all(&d, config, guest, outcome);
	map_free(&d.keys);
	if (r < 0) {
		memory->done.n = before;
		vec_free(&decisions.list);
		return r;
	}
	*ret = decisions;
	return 0;
}

void policy_undone(struct policy_memory *memory, const char *reaction, const char *finding)
{
	uint64_t which = hash_text(reaction), what = *finding ? hash_text(finding) : 0;
	size_t kept = 0;

	for (size_t i = 0; i < memory->done.n; i++) {
		const struct policy_done *done = &memory->done.v[i];

		if (done->reaction != which || (done->finding != what && done->by != what))
			memory->done.v[kept++] = *done;
	}
	memory->done.n = kept;
}
