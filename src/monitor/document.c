/* SPDX-License-Identifier: Apache-2.0 */
#include "monitor/document.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/now.h"
#include "monitor/control.h"
#include "report/encode.h"
#include "report/listed.h"

/* Findings that one page of the newest looks at: those that do not fit count, too. Some 10 ms. */
#define FINDINGS_LOOKED_AT_MAX 10000u

/* What a visitor returns when it has enough; no errno of the ledger. */
#define ENOUGH (-ECANCELED)

/* --- what is open --- */

/* The guests of the picture, while what is open is counted. */
struct counting {
	const struct control *control;
	struct guest_config *configs;
	struct document_open *open;
};

static void count(struct counting *counting, size_t i, const struct ledger_finding *finding)
{
	const struct picture_guest *guest = counting->control->picture.guests.v[i];
	struct document_open *open = &counting->open[i];
	enum severity severity = SEVERITY_CRITICAL;
	enum verdict verdict;

	/* Nobody would ever see that it is over. */
	if (!guest_config_runs(&counting->configs[i], finding->check))
		return;
	if (policy_is_allowed(&guest->memory, finding->id)) {
		open->allowed++;
		return;
	}
	while (severity > SEVERITY_LOW && strcmp(finding->severity, severity_name(severity)) != 0)
		severity--;
	severity = policy_severity(&counting->configs[i], finding->check, severity);
	verdict = severity >= SEVERITY_HIGH ? VERDICT_COMPROMISED : VERDICT_SUSPICIOUS;
	open->verdict = verdict > open->verdict ? verdict : open->verdict;
	open->n[severity]++;
	open->all++;
}

static int count_open(const struct ledger_finding *finding, void *ctx, struct err *err)
{
	struct counting *counting = ctx;
	const struct picture *picture = &counting->control->picture;

	(void)err;
	for (size_t i = 0; i < picture->guests.n; i++)
		if (!strcmp(picture->guests.v[i]->key, finding->guest))
			count(counting, i, finding);
	return 0;
}

/* One pass over all that is open, however many guests there are. */
static int count_all(struct counting *counting, struct err *err)
{
	const struct ledger_filter filter = { .open = true };
	const struct control *control = counting->control;
	size_t n = control->picture.guests.n, made = 0;
	int r = 0;

	for (; made < n && r >= 0; made += r >= 0)
		r = config_guest(control->config, control->picture.guests.v[made]->name,
				 control->picture.guests.v[made]->uuid, &counting->configs[made]);
	if (r >= 0 && n)
		r = ledger_each_finding(control->ledger, &filter, count_open, counting, err);
	/* Where it cannot be read, what reports said lately counts; @trouble tells why. */
	if (r < 0 && r != -ENOMEM)
		r = 0;
	while (made-- > 0)
		guest_config_free(&counting->configs[made]);
	return r;
}

int document_open(const struct control *control, struct document_open **ret, struct err *err)
{
	size_t n = control->picture.guests.n;
	cleanup(freep) struct document_open *open = calloc(n + 1, sizeof(*open));
	cleanup(freep) struct guest_config *configs = calloc(n + 1, sizeof(*configs));
	struct counting counting = { control, configs, open };
	int r;

	if (!open || !configs)
		return err_set(err, -ENOMEM, "no memory to count what is open");
	r = count_all(&counting, err);
	if (r >= 0)
		*ret = take_ptr(&open);
	return r;
}

bool document_verdict(const struct control *control, const struct picture_guest *guest,
		      const struct document_open *open, enum verdict *ret)
{
	enum verdict said = policy_verdict(&guest->memory);

	if (!guest->swept_ns) {
		*ret = open->verdict;
		return open->all > 0;
	}
	if (said == VERDICT_CLEAN && !picture_swept(&control->picture, guest))
		said = VERDICT_INCONCLUSIVE;
	*ret = said > open->verdict ? said : open->verdict;
	return true;
}

/* --- guests --- */

static json_t *verdict_json(const struct control *control, const struct picture_guest *guest,
			    const struct document_open *open)
{
	enum verdict verdict;

	return document_verdict(control, guest, open, &verdict) ?
		       json_string(verdict_name(verdict)) : json_null();
}

static json_t *checks_json(const struct control *control, const struct picture_guest *guest)
{
	uint64_t n[PICTURE_FINDING + 1] = { 0 };

	for (size_t i = 0; i < control->picture.ids_n; i++)
		n[guest->checks[i].state]++;
	return json_pack("{s:o, s:o, s:o, s:o, s:o}", "clean", encode_count(n[PICTURE_CLEAN]),
			 "finding", encode_count(n[PICTURE_FINDING]),
			 "inconclusive", encode_count(n[PICTURE_INCONCLUSIVE]),
			 "not_covered", encode_count(n[PICTURE_NOT_COVERED]),
			 "not_run", encode_count(n[PICTURE_UNKNOWN]));
}

static json_t *guest_json(const struct control *control, const struct picture_guest *guest,
			  const struct document_open *open)
{
	return json_pack("{s:o, s:o, s:o, s:o, s:s, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:f, "
			 "s:f, s:f, s:o, s:o, s:o}",
			 "name", encode_text(guest->name),
			 "uuid", encode_text(guest->uuid),
			 "target", encode_text(guest->target),
			 "hypervisor", encode_text(guest->hypervisor),
			 "key", guest->key,
			 "state", json_string(guest_state_name(guest->state)),
			 "reason", encode_text(guest->reason),
			 "verdict", verdict_json(control, guest, open),
			 "open_findings", encode_count(open->all),
			 "allowed_findings", encode_count(open->allowed),
			 "checks", checks_json(control, guest),
			 "last_sweep", guest->swept_ns ? encode_time(guest->swept_ns) : json_null(),
			 "sweeps", encode_count(guest->sweeps),
			 "cpu_share", (double)guest->share_ppm / 1e6,
			 "period_stretch", (double)guest->stretch_ppm / 1e6,
			 "cpu_seconds", (double)guest->cpu_ns / 1e9,
			 "memory_bytes", encode_count(guest->memory_bytes),
			 "scanner_restarts", encode_count(guest->restarts),
			 "reboots", encode_count(guest->reboots));
}

static json_t *guests_json(const struct control *control, struct err *err)
{
	cleanup(freep) struct document_open *open = NULL;
	json_t *array;

	if (document_open(control, &open, err) < 0)
		return NULL;
	array = json_array();
	for (size_t i = 0; i < control->picture.guests.n; i++)
		encode_append(&array, guest_json(control, control->picture.guests.v[i], &open[i]));
	return array;
}

json_t *document_guests(const struct control *control, struct err *err)
{
	return json_pack("{s:s, s:o}", "schema", "hvsm.guests/1", "items",
			 guests_json(control, err));
}

/* How each check ended when it ran last. */
static json_t *results_json(const struct control *control, const struct picture_guest *guest)
{
	json_t *array = json_array();

	for (size_t i = 0; i < control->picture.ids_n; i++)
		encode_append(&array, json_pack("{s:s, s:s}", "id", control->picture.ids[i],
						"result",
						picture_state_name(guest->checks[i].state)));
	return array;
}

json_t *document_guest(const struct control *control, size_t n, struct err *err)
{
	const struct picture_guest *guest = control->picture.guests.v[n];
	cleanup(freep) struct document_open *open = NULL;
	json_t *json;

	if (document_open(control, &open, err) < 0)
		return NULL;
	json = guest_json(control, guest, &open[n]);
	encode_set(&json, "schema", json_string("hvsm.guest/1"));
	encode_set(&json, "results", results_json(control, guest));
	return json;
}

/* Its name, UUID, target or key. */
static bool is_called(const struct picture_guest *guest, const char *name)
{
	return (guest->name && !strcmp(guest->name, name)) ||
	       (guest->uuid && !strcasecmp(guest->uuid, name)) ||
	       (guest->target && !strcmp(guest->target, name)) || !strcmp(guest->key, name);
}

size_t document_find(const struct control *control, const char *name, size_t *ret)
{
	size_t found = 0;

	for (size_t i = 0; i < control->picture.guests.n; i++) {
		if (!is_called(control->picture.guests.v[i], name))
			continue;
		*ret = i;
		found++;
	}
	return found;
}

/* --- the daemon --- */

static json_t *incidents_json(const struct control *control)
{
	uint64_t n = control->incidents_n;
	uint64_t first = n > CONTROL_INCIDENTS_MAX ? n - CONTROL_INCIDENTS_MAX : 0;
	json_t *array = json_array();

	for (uint64_t i = first; i < n; i++) {
		const struct control_incident *at = &control->incidents[i % CONTROL_INCIDENTS_MAX];

		encode_append(&array, json_pack("{s:o, s:o, s:o}", "time", encode_time(at->time_ns),
						"guest", encode_text(at->guest),
						"text", encode_text(at->text)));
	}
	return array;
}

json_t *document_incidents(const struct control *control)
{
	return json_pack("{s:s, s:o, s:o}", "schema", "hvsm.incidents/1", "total",
			 encode_count(control->incidents_n), "items", incidents_json(control));
}

json_t *document_status(const struct control *control, struct err *err)
{
	struct ledger_head head = { 0 };
	struct err why = { 0 };

	/* It is asked for all the more where there is none. */
	if (ledger_head(control->ledger, &head, &why) == -ENOMEM)
		return NULL;
	return json_pack(
		"{s:s, s:s, s:o, s:o, s:f, s:{s:o, s:o, s:o, s:o}, s:o, s:o, s:o}",
		"schema", "hvsm.status/1",
		"version", HVSM_VERSION,
		"started", encode_time(control->started_ns),
		"now", encode_time(now_ns(CLOCK_REALTIME)),
		"cpu_budget", control->host_us_per_s / 1e6,
		"reports", "received", encode_count(control->received),
		"stored", encode_count(control->stored),
		"records", encode_count(head.seq),
		"trouble", encode_text_or_null(*control->trouble ? control->trouble : why.text),
		"guests", guests_json(control, err),
		"incidents_total", encode_count(control->incidents_n),
		"incidents", incidents_json(control));
}

/* --- what the ledger has --- */

struct list {
	const struct control *control;
	const struct document_query *query;
	json_t *items;
	uint64_t looked_at;	/* of the newest: all; else those that fit */
	struct cursor last;	/* what was looked at last: where the next page begins */
	bool more;		/* there is one */
};

/* Of a guest that is not there any more nothing is known. */
static bool is_allowed(const struct control *control, const struct ledger_finding *finding)
{
	for (size_t i = 0; i < control->picture.guests.n; i++)
		if (!strcmp(control->picture.guests.v[i]->key, finding->guest))
			return policy_is_allowed(&control->picture.guests.v[i]->memory,
						 finding->id);
	return false;
}

static bool fits(const struct document_query *query, const struct ledger_finding *finding)
{
	return (!query->severity || !strcmp(query->severity, finding->severity)) &&
	       (query->state != DOCUMENT_CLOSED || finding->closed_ns);
}

static int put_finding(struct list *list, const struct ledger_finding *finding)
{
	encode_append(&list->items, listed_finding(finding, is_allowed(list->control, finding)));
	return list->items ? 0 : -ENOMEM;
}

static int add_newest(const struct ledger_finding *finding, void *ctx, struct err *err)
{
	struct list *list = ctx;

	(void)err;
	if (json_array_size(list->items) == list->query->limit ||
	    list->looked_at == FINDINGS_LOOKED_AT_MAX) {
		list->more = true;
		return ENOUGH;
	}
	list->looked_at++;
	list->last.seq = finding->opened_in;
	snprintf(list->last.id, sizeof(list->last.id), "%s", finding->id);
	return fits(list->query, finding) ? put_finding(list, finding) : 0;
}

static int add_finding(const struct ledger_finding *finding, void *ctx, struct err *err)
{
	struct list *list = ctx;

	(void)err;
	if (!fits(list->query, finding) || list->looked_at++ < list->query->after)
		return 0;
	if (json_array_size(list->items) == list->query->limit) {
		list->last.seq = list->looked_at - 1;
		list->more = true;
		return ENOUGH;
	}
	return put_finding(list, finding);
}

static int add_record(const struct ledger_record *record, void *ctx, struct err *err)
{
	struct list *list = ctx;

	(void)err;
	if (json_array_size(list->items) == list->query->limit) {
		list->more = true;
		return ENOUGH;
	}
	list->last.seq = record->seq;
	encode_append(&list->items, listed_record(record));
	return list->items ? 0 : -ENOMEM;
}

/* @r: of the visit. */
static json_t *page(const char *schema, struct list *list, int r)
{
	if (r < 0 && r != ENOUGH) {
		json_decref(list->items);
		return NULL;
	}
	return json_pack("{s:s, s:o, s:o}", "schema", schema, "items", list->items, "next",
			 listed_next(list->more ? &list->last : NULL));
}

static struct ledger_filter filter_of(const struct document_query *query)
{
	return (struct ledger_filter){
		.guest = query->guest, .key = query->key, .newest = query->newest,
		.before_seq = query->before.seq, .before_id = query->before.id,
	};
}

json_t *document_findings(const struct control *control, const struct document_query *query,
			  struct err *err)
{
	struct list list = { .control = control, .query = query, .items = json_array() };
	struct ledger_filter filter = filter_of(query);

	filter.open = query->state == DOCUMENT_OPEN;
	return page("hvsm.findings/1", &list,
		    ledger_each_finding(control->ledger, &filter,
					query->newest ? add_newest : add_finding, &list, err));
}

json_t *document_reports(const struct control *control, const struct document_query *query,
			 struct err *err)
{
	struct list list = { .control = control, .query = query, .items = json_array() };
	struct ledger_filter filter = filter_of(query);

	filter.after_seq = query->after;
	return page("hvsm.reports/1", &list,
		    ledger_each(control->ledger, &filter, add_record, &list, err));
}

/* What the socket of the command line says of one. */
static int add_open(const struct ledger_finding *finding, void *ctx, struct err *err)
{
	struct list *list = ctx;

	(void)err;
	if (fits(list->query, finding))
		encode_append(&list->items, json_pack(
			"{s:s, s:s, s:s, s:s, s:s, s:s, s:b, s:o, s:o, s:o}",
			"guest", finding->guest, "name", finding->name,
			"id", finding->id, "check", finding->check, "severity", finding->severity,
			"title", finding->title, "allowed", is_allowed(list->control, finding),
			"first_seen", encode_time(finding->first_seen_ns),
			"last_seen", encode_time(finding->last_seen_ns),
			"sweeps", encode_count(finding->sweeps)));
	return 0;
}

json_t *document_open_findings(const struct control *control, const char *guest, struct err *err)
{
	const struct document_query query = { .state = DOCUMENT_OPEN };
	const struct ledger_filter filter = { .key = guest, .open = true };
	struct list list = { .control = control, .query = &query, .items = json_array() };

	if (ledger_each_finding(control->ledger, &filter, add_open, &list, err) < 0) {
		json_decref(list.items);
		return NULL;
	}
	return json_pack("{s:s, s:o}", "schema", "hvsm.open-findings/1", "items", list.items);
}
