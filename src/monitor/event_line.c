/* SPDX-License-Identifier: Apache-2.0 */
#include "monitor/event_line.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "report/ledger_parse.h"

/* NULL: it is none, or there is no memory for it. */
static json_t *load(const struct event_line *line)
{
	json_t *root = NULL;

	return json_load_text(line->text, line->n, JSON_REJECT_DUPLICATES, &root, NULL) < 0 ?
		       NULL : root;
}

static bool read_line(struct event_line *line)
{
	json_t *root = load(line);
	const char *schema = json_string_value(json_object_get(root, "schema"));
	const char *event = json_string_value(json_object_get(root, "event"));
	bool ok = schema && event && !strcmp(schema, "hvsm.event/1");

	line->paused = ok && !strcmp(event, "paused");
	line->resumed = ok && !strcmp(event, "resumed");
	line->alarms = ok && (!strncmp(event, "module-", 7) || !strcmp(event, "bpf-load"));
	json_decref(root);
	return ok;
}

bool event_line_next(struct bytes *rest, struct event_line *ret)
{
	while (rest->left) {
		const uint8_t *end = memchr(rest->at, '\n', rest->left);
		size_t n = end ? (size_t)(end - rest->at) : rest->left;
		struct event_line line = { .text = (const char *)rest->at, .n = n };

		bytes_take(rest, end ? n + 1 : n);
		if (n && n <= EVENT_LINE_MAX && read_line(&line)) {
			*ret = line;
			return true;
		}
	}
	return false;
}

char *event_line_of(const struct event_line *line, const struct identity *identity)
{
	json_t *root = load(line);
	char *text = NULL;

	if (root && json_object_set_new(root, "guest", identity_json(identity)) == 0)
		text = json_dump_text(root, 0);
	json_decref(root);
	/* Its strings are printed: "\u001b" is none of ours. */
	if (text && !parsed_is_clean(text, strlen(text))) {
		free(text);
		return NULL;
	}
	return text;
}
