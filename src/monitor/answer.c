/* SPDX-License-Identifier: Apache-2.0 */

/* What the command line may ask control. Each request is one object on one line, and so is
 * the answer; "watch" is answered by lines without end. See docs/json.md. */

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/now.h"
#include "base/writer.h"
#include "monitor/control.h"
#include "report/encode.h"
#include "report/ledger.h"
#include "report/verdict.h"

static void json_drop(json_t **json)
{
	json_decref(*json);
}

/* NULL where memory ran out: then the client is dropped. Takes the reference. */
static int send_json(struct client *client, json_t *answer)
{
	cleanup(json_drop) json_t *held = answer;
	cleanup(freep) char *text = held ? json_dumps(held, JSON_COMPACT) : NULL;

	return text ? serve_write(client, text, strlen(text)) : -ENOMEM;
}

static int refuse(struct client *client, const char *code, const char *text)
{
	return send_json(client, json_pack("{s:s, s:s, s:s}", "schema", "hvsm.error/1", "code",
					   code, "text", text));
}

/* What is open in one guest. */
struct open {
	const char *key;
	uint64_t n;
	bool grave;		/* one of severity high or critical */
};

static int count_open(const struct ledger_finding *finding, void *ctx, struct err *err)
{
	struct open *open = ctx;

	(void)err;
	open->n++;
	open->grave |= !strcmp(finding->severity, "high") ||
		       !strcmp(finding->severity, "critical");
	return 0;
}

/* By what is open and how the checks ended when they ran last; NULL: none ran. */
static const char *verdict_of_guest(const struct control *control,
				    const struct picture_guest *guest, const struct open *open)
{
	if (open->n)
		return verdict_name(open->grave ? VERDICT_COMPROMISED : VERDICT_SUSPICIOUS);
	if (!guest->swept_ns)
		return NULL;
	return verdict_name(picture_inconclusive(&control->picture, guest) ||
			    !picture_swept(&control->picture, guest) ? VERDICT_INCONCLUSIVE :
								       VERDICT_CLEAN);
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
			  struct err *err)
{
	const struct ledger_filter filter = { .guest = guest->key, .open = true };
	struct open open = { .key = guest->key };

	if (ledger_each_finding(control->ledger, &filter, count_open, &open, err) < 0)
		return NULL;
	return json_pack("{s:o, s:o, s:o, s:o, s:s, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:f, s:f, "
			 "s:f, s:o, s:o}",
			 "name", encode_text(guest->name),
			 "uuid", encode_text(guest->uuid),
			 "target", encode_text(guest->target),
			 "hypervisor", encode_text(guest->hypervisor),
			 "key", guest->key,
			 "state", json_string(guest_state_name(guest->state)),
			 "reason", encode_text(guest->reason),
			 "verdict", encode_text(verdict_of_guest(control, guest, &open)),
			 "open_findings", encode_count(open.n),
			 "checks", checks_json(control, guest),
			 "last_sweep", guest->swept_ns ? encode_time(guest->swept_ns) : json_null(),
			 "sweeps", encode_count(guest->sweeps),
			 "cpu_share", (double)guest->share_ppm / 1e6,
			 "period_stretch", (double)guest->stretch_ppm / 1e6,
			 "cpu_seconds", (double)guest->cpu_ns / 1e9,
			 "memory_bytes", encode_count(guest->memory_bytes),
			 "scanner_restarts", encode_count(guest->restarts));
}

static json_t *guests_json(const struct control *control, struct err *err)
{
	json_t *array = json_array();

	for (size_t i = 0; i < control->picture.guests.n; i++)
		encode_append(&array, guest_json(control, control->picture.guests.v[i], err));
	return array;
}

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

static int answer_status(struct control *control, struct client *client, const json_t *request,
			 struct err *err)
{
	struct ledger_head head;
	int r = ledger_head(control->ledger, &head, err);

	(void)request;
	if (r < 0)
		return refuse(client, "EIO", err->text);
	return send_json(client, json_pack(
		"{s:s, s:s, s:o, s:o, s:f, s:{s:o, s:o, s:o, s:o}, s:o, s:o, s:o}",
		"schema", "hvsm.status/1",
		"version", HVSM_VERSION,
		"started", encode_time(control->started_ns),
		"now", encode_time(now_ns(CLOCK_REALTIME)),
		"cpu_budget", control->host_us_per_s / 1e6,
		"reports", "received", encode_count(control->received),
		"stored", encode_count(control->stored),
		"records", encode_count(head.seq),
		"trouble", encode_text_or_null(control->trouble),
		"guests", guests_json(control, err),
		"incidents_total", encode_count(control->incidents_n),
		"incidents", incidents_json(control)));
}

static int add_finding(const struct ledger_finding *finding, void *ctx, struct err *err)
{
	json_t **array = ctx;

	(void)err;
	encode_append(array, json_pack("{s:s, s:s, s:s, s:s, s:s, s:o, s:o, s:o}",
				       "guest", finding->guest, "id", finding->id,
				       "check", finding->check, "severity", finding->severity,
				       "title", finding->title,
				       "first_seen", encode_time(finding->first_seen_ns),
				       "last_seen", encode_time(finding->last_seen_ns),
				       "sweeps", encode_count(finding->sweeps)));
	return 0;
}

static int answer_findings(struct control *control, struct client *client, const json_t *request,
			   struct err *err)
{
	const struct ledger_filter filter = {
		.guest = json_string_value(json_object_get(request, "guest")), .open = true,
	};
	json_t *items = json_array();
	int r = ledger_each_finding(control->ledger, &filter, add_finding, &items, err);

	if (r < 0) {
		json_decref(items);
		return refuse(client, "EIO", err->text);
	}
	return send_json(client, json_pack("{s:s, s:o}", "schema", "hvsm.findings/1", "items",
					   items));
}

static int answer_watch(struct control *control, struct client *client, const json_t *request,
			struct err *err)
{
	(void)control;
	(void)request;
	(void)err;
	client->watches = true;
	return send_json(client, json_pack("{s:s}", "schema", "hvsm.watching/1"));
}

/* Its name, UUID, target or key. */
static bool is_called(const struct picture_guest *guest, const char *name)
{
	return (guest->name && !strcmp(guest->name, name)) ||
	       (guest->uuid && !strcasecmp(guest->uuid, name)) ||
	       (guest->target && !strcmp(guest->target, name)) || !strcmp(guest->key, name);
}

static int answer_scan(struct control *control, struct client *client, const json_t *request,
		       struct err *err)
{
	const char *name = json_string_value(json_object_get(request, "guest"));
	uint64_t number = 0;
	unsigned n = 0;
	int r;

	if (!client->may_act)
		return refuse(client, "EACCES", "only root may ask for that");
	for (size_t i = 0; name && i < control->picture.guests.n; i++) {
		if (!is_called(control->picture.guests.v[i], name))
			continue;
		number = control->picture.guests.v[i]->number;
		n++;
	}
	if (name && n != 1)
		return refuse(client, n ? "ENOTUNIQ" : "ENOENT", n ?
			      "several guests are called that" : "no guest is called that");
	r = link_send_number(&control->parent, LINK_SCAN, number, NULL, err);
	return r < 0 ? r : send_json(client, json_pack("{s:s}", "schema", "hvsm.scanning/1"));
}

int control_answer(struct client *client, const char *line, void *ctx, struct err *err)
{
	static const struct {
		const char *name;
		int (*answer)(struct control *control, struct client *client,
			      const json_t *request, struct err *err);
	} requests[] = {
		{ "status", answer_status },
		{ "findings", answer_findings },
		{ "watch", answer_watch },
		{ "scan", answer_scan },
	};
	cleanup(json_drop) json_t *request = json_loads(line, JSON_REJECT_DUPLICATES, NULL);
	const char *name = json_string_value(json_object_get(request, "request"));

	for (size_t i = 0; name && i < ARRAY_SIZE(requests); i++)
		if (!strcmp(requests[i].name, name))
			return requests[i].answer(ctx, client, request, err);
	return refuse(client, "EINVAL", "no such request");
}
