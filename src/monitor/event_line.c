/* SPDX-License-Identifier: Apache-2.0 */
#include "monitor/event_line.h"

#include <jansson.h>
#include <string.h>

static bool read_line(struct event_line *line)
{
	json_t *root = json_loadb(line->text, line->n, JSON_REJECT_DUPLICATES, NULL);
	const char *schema = json_string_value(json_object_get(root, "schema"));
	const char *event = json_string_value(json_object_get(root, "event"));
	bool ok = schema && event && !strcmp(schema, "hvsm.event/1");

	line->paused = ok && !strcmp(event, "paused");
	line->resumed = ok && !strcmp(event, "resumed");
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
