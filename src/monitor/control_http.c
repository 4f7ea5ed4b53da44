/* SPDX-License-Identifier: Apache-2.0 */

/* What control answers over HTTP: docs/http.md, docs/openapi.json. */

#include <stdlib.h>
#include <string.h>

#include "base/blob.h"
#include "base/cleanup.h"
#include "base/json.h"
#include "monitor/control.h"
#include "monitor/document.h"
#include "monitor/openapi.h"
#include "monitor/sealed.h"
#include "report/ledger.h"

#define JSON "application/json"

/* @json: NULL: @why says why, or memory ran out. */
static void answer_json(struct http_answer *ret, json_t *json, const struct err *why)
{
	if (!json) {
		http_refuse(ret, 500, why && why->code ? why->text : "no memory for an answer");
		return;
	}
	*ret = (struct http_answer){ .status = 200, .type = JSON };
	ret->body = json_dump_text(json, 0);
	ret->n = ret->body ? strlen(ret->body) : 0;
	json_decref(json);
}

static void answer_text(struct http_answer *ret, const char *type, const char *text, size_t n)
{
	*ret = (struct http_answer){ .status = 200, .type = type, .body = malloc(n + 1), .n = n };
	if (ret->body)
		memcpy(ret->body, text, n);
}

/* Who need not say who he is learns whether reports are stored, and not why not. */
static void answer_health(const struct control *control, struct http_answer *ret)
{
	static const char ok[] = "{\"schema\":\"hvsm.health/1\",\"status\":\"ok\"}";

	if (*control->trouble || !control->config)
		http_refuse(ret, 503, "reports cannot be stored");
	else
		answer_text(ret, JSON, ok, sizeof(ok) - 1);
}

static void answer_metrics(const struct control *control, struct http_answer *ret)
{
	char *text = NULL;
	size_t n = 0;
	FILE *to = open_memstream(&text, &n);
	struct err why = { 0 };
	int r = to ? control_metrics(control, to, &why) : -ENOMEM;

	if (to && fclose(to) != 0)
		r = -ENOMEM;
	if (r < 0) {
		free(text);
		http_refuse(ret, 500, why.code ? why.text : "no memory for metrics");
		return;
	}
	*ret = (struct http_answer){ 200, METRICS_TYPE, text, n };
}

/* As it was stored; what the ledger has is compared with its digest. */
static void answer_report(const struct control *control, uint64_t seq, struct http_answer *ret)
{
	cleanup(blob_free) struct blob blob = { 0 };
	struct err why = { 0 };
	int r = ledger_report(control->ledger, seq, &blob, &why);

	if (r < 0)
		http_refuse(ret, r == -ENOENT ? 404 : 500, why.text);
	else
		answer_text(ret, JSON, (const char *)blob.data, blob.size);
}

static void answer_guest(const struct control *control, const char *name, struct http_answer *ret)
{
	struct err why = { 0 };
	size_t i, found = document_find(control, name, &i);

	if (found == 1)
		answer_json(ret, document_guest(control, i, &why), &why);
	else
		http_refuse(ret, found ? 409 : 404, found ? "several guests are called that" :
			    "no guest is called that");
}

/* What a guest that went was called is known by what it left only. */
static void answer_list(const struct control *control, const struct http_request *request,
			struct http_answer *ret)
{
	struct document_query query = request->query;
	struct err why = { 0 };
	size_t i;

	if (*request->name) {
		query.guest = request->name;
		query.key = document_find(control, request->name, &i) == 1 ?
				    control->picture.guests.v[i]->key : NULL;
	}
	answer_json(ret, request->route == HTTP_REPORTS ?
		    document_reports(control, &query, &why) :
		    document_findings(control, &query, &why), &why);
}

void control_answer_http(const struct http_request *request, struct http_answer *ret, void *ctx)
{
	const struct control *control = ctx;
	struct err why = { 0 };

	switch (request->route) {
	case HTTP_HEALTH:
		answer_health(control, ret);
		return;
	case HTTP_METRICS:
		answer_metrics(control, ret);
		return;
	case HTTP_OPENAPI:
		answer_text(ret, JSON, openapi_text, openapi_bytes);
		return;
	case HTTP_STATUS:
		answer_json(ret, document_status(control, &why), &why);
		return;
	case HTTP_GUESTS:
		answer_json(ret, document_guests(control, &why), &why);
		return;
	case HTTP_GUEST:
		answer_guest(control, request->name, ret);
		return;
	case HTTP_FINDINGS:
	case HTTP_REPORTS:
		answer_list(control, request, ret);
		return;
	case HTTP_REPORT:
		answer_report(control, request->number, ret);
		return;
	case HTTP_INCIDENTS:
		answer_json(ret, document_incidents(control), NULL);
		return;
	default:
		http_refuse(ret, 404, "no such path");
	}
}

/* --- where it is served: as the parent says --- */

/* Both lie in @tls, one after the other, each with its NUL. */
static int read_tls(const struct sealed *tls, struct http_options *options, struct err *err)
{
	struct bytes b = bytes_of(tls->data, tls->size);
	const uint8_t *end = memchr(b.at, 0, b.left);

	options->cert = (const char *)b.at;
	if (!end || b.at[b.left - 1] != 0 || end == b.at + b.left - 1)
		return err_set(err, -EPROTO, "certificate and key that cannot be read");
	options->key = (const char *)end + 1;
	return 0;
}

/* What is served now goes on until the new one works. */
static int serve(struct control *control, struct message *message, const struct link_http *told,
		 struct err *err)
{
	struct http_options options = {
		.fd = -1, .token = told->token, .answer = control_answer_http, .ctx = control,
		.counts = control->counts.http,
	};
	cleanup(sealed_unmap) struct sealed tls = { 0 };
	struct http *http = NULL;
	int r = 0;

	if (told->tls >= 0) {
		r = sealed_map(told->tls, LINK_TLS_MAX, &tls, err);
		if (r >= 0 && !tls.size)
			r = err_set(err, -EPROTO, "no certificate and key");
		if (r >= 0)
			r = read_tls(&tls, &options, err);
	}
	if (r >= 0 && told->socket >= 0) {
		options.fd = take_fd(&message->fds[0]);
		r = http_start(&control->loop, &options, &http, err);
	}
	if (r < 0)
		return r;
	http_stop(&control->http);
	control->http = http;
	return 0;
}

int control_on_http(struct channel *channel, struct message *message, void *ctx, struct err *err)
{
	struct control *control = ctx;
	struct link_http told;
	struct err why = { 0 };
	int r = link_read_http(message, &told, err);

	if (r < 0)
		return r;
	/* Control is not to end because of it. */
	r = serve(control, message, &told, &why);
	return link_send_serving(channel, told.serial, r < 0 ? why.code ? why.text : strerror(-r)
							     : NULL, err);
}
