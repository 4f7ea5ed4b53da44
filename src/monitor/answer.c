/* SPDX-License-Identifier: Apache-2.0 */

/* What the command line may ask control. Each request is one object on one line, and so is
 * the answer; "watch" is answered by lines without end. See docs/json.md. */

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/json.h"
#include "monitor/control.h"
#include "monitor/document.h"

static void json_drop(json_t **json)
{
	json_decref(*json);
}

/* NULL where memory ran out: then the client is dropped. Takes the reference. */
static int send_json(struct client *client, json_t *answer)
{
	static const char too_long[] = "{\"schema\":\"hvsm.error/1\",\"code\":\"EFBIG\",\"text\":"
				       "\"the answer is too long: ask for one guest\"}";
	cleanup(json_drop) json_t *held = answer;
	cleanup(freep) char *text = json_dump_text(held, 0);
	int r = text ? serve_write(client, text, strlen(text)) : -ENOMEM;

	/* Who reads what was said before is told why there is no more. */
	return r == -ENOSPC ? serve_write(client, too_long, sizeof(too_long) - 1) : r;
}

static int refuse(struct client *client, const char *code, const char *text)
{
	return send_json(client, json_pack("{s:s, s:s, s:s}", "schema", "hvsm.error/1", "code",
					   code, "text", text));
}

/* @answer: NULL: @err says why, or memory ran out. */
static int send_or_refuse(struct client *client, json_t *answer, const struct err *err)
{
	return answer || !err->code ? send_json(client, answer) : refuse(client, "EIO", err->text);
}

static int answer_status(struct control *control, struct client *client, const json_t *request,
			 struct err *err)
{
	(void)request;
	return send_or_refuse(client, document_status(control, err), err);
}

static int answer_findings(struct control *control, struct client *client, const json_t *request,
			   struct err *err)
{
	const char *name = json_string_value(json_object_get(request, "guest"));
	size_t n;

	if (name && document_find(control, name, &n) == 1)
		name = control->picture.guests.v[n]->key;
	return send_or_refuse(client, document_open_findings(control, name, err), err);
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

static int answer_scan(struct control *control, struct client *client, const json_t *request,
		       struct err *err)
{
	const char *name = json_string_value(json_object_get(request, "guest"));
	size_t found, n = 0;
	int r;

	if (!client->may_act)
		return refuse(client, "EACCES", "only root may ask for that");
	found = name ? document_find(control, name, &n) : 0;
	if (name && found != 1)
		return refuse(client, found ? "ENOTUNIQ" : "ENOENT", found ?
			      "several guests are called that" : "no guest is called that");
	r = link_send_number(&control->parent, LINK_SCAN,
			     name ? control->picture.guests.v[n]->number : 0, NULL, err);
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
