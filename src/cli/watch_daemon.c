/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/watch_daemon.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/columns.h"
#include "base/escape.h"
#include "base/now.h"
#include "cli/ask.h"
#include "cli/output.h"
#include "monitor/event.h"
#include "report/encode.h"
#include "report/text.h"

#define NS_PER_MS 1000000ull

/* How long to wait at once: a signal between two waits is seen by then. */
#define WAIT_MS 500

static const char *text_of(const json_t *object, const char *key)
{
	const char *text = json_string_value(json_object_get(object, key));

	return text ? text : "?";
}

/* "14:00:01.726", of "2026-11-22T14:00:01.726000Z" or more digits. */
static void write_time(const char *time, char text[13])
{
	snprintf(text, 13, "%.12s", strlen(time) > 23 ? time + 11 : "?");
}

/* A line for a person: when, which guest, what. Not even the daemon steers the terminal. */
static int print_line(const struct watch_daemon *watch, const char *time, const char *guest,
		      const char *what, const char *text)
{
	const char *bold = output_colour() ? TEXT_BOLD : "", *plain = *bold ? TEXT_PLAIN : "";
	cleanup(freep) char *line = NULL;
	cleanup(freep) char *safe = NULL;
	cleanup(freep) char *rest = NULL;
	char at[13];
	size_t fit, head;

	write_time(time, at);
	if (asprintf(&line, "%s %s ", at, guest) < 0)
		line = NULL;
	safe = line ? escape_once(line) : NULL;
	rest = escape_once(text);
	if (!safe || !rest)
		return -ENOMEM;
	head = columns_of(safe) + (strlen(what) < 13 ? 13 : strlen(what)) + 1;
	fit = watch->columns > head ? columns_fit(rest, watch->columns - head) : strlen(rest);
	printf("%s%s%-13s%s %.*s\n", safe, bold, what, plain, (int)fit, rest);
	return 0;
}

static const char *guest_of(const json_t *event)
{
	const json_t *guest = json_object_get(event, "guest");
	const char *name = json_string_value(json_object_get(guest, "name"));

	return name ? name : text_of(guest, "target");
}

/* 1: printed; 0: it is not wanted. */
static int print_event(const struct watch_daemon *watch, json_t *json)
{
	struct event event = { .object = json_object_get(json, "object") };
	cleanup(freep) char *text = NULL;
	int r;

	/* What a newer daemon tells of, and this program does not know, is left out. */
	if (event_by_name(text_of(json, "event"), &event.kind) < 0 ||
	    !(watch->kinds & EVENT_BIT(event.kind)))
		return 0;
	if (watch->json) {
		r = encode_print(json_incref(json), stdout, NULL);
		return r < 0 ? r : 1;
	}
	text = event_text(&event);
	r = text ? print_line(watch, text_of(json, "before"), guest_of(json),
			      event_name(event.kind), text) : -ENOMEM;
	return r < 0 ? r : 1;
}

static int print_finding(const struct watch_daemon *watch, json_t *json)
{
	cleanup(freep) char *text = NULL;
	bool allowed = json_is_true(json_object_get(json, "allowed"));
	int r;

	if (!watch->findings)
		return 0;
	if (watch->json) {
		r = encode_print(json_incref(json), stdout, NULL);
		return r < 0 ? r : 1;
	}
	if (asprintf(&text, "%s: %s%s, %s: %s", text_of(json, "change"), text_of(json, "severity"),
		     allowed ? ", allowed" : "", text_of(json, "check"),
		     text_of(json, "title")) < 0) {
		text = NULL;
		return -ENOMEM;
	}
	r = print_line(watch, text_of(json, "time"), text_of(json, "name"), "finding", text);
	return r < 0 ? r : 1;
}

static int print(struct watch_daemon *watch, json_t *json, struct err *err)
{
	const char *schema = text_of(json, "schema");
	int r = 0;

	if (!strcmp(schema, "hvsm.event/1"))
		r = print_event(watch, json);
	else if (!strcmp(schema, "hvsm.finding/1"))
		r = print_finding(watch, json);
	if (r < 0)
		return err_set(err, r, "no memory for an event");
	watch->left -= (uint64_t)r;
	if (r)
		fflush(stdout);
	return 0;
}

static int wait_ms(const struct watch_daemon *watch)
{
	uint64_t now = now_ns(CLOCK_MONOTONIC);
	uint64_t left = watch->end_ns > now ? (watch->end_ns - now) / NS_PER_MS + 1 : 0;

	return watch->end_ns && left < WAIT_MS ? (int)left : WAIT_MS;
}

static bool ended(const struct watch_daemon *watch)
{
	return *watch->stop || !watch->left || ferror(stdout) ||
	       (watch->end_ns && now_ns(CLOCK_MONOTONIC) >= watch->end_ns);
}

int watch_daemon(struct watch_daemon *watch, struct err *err)
{
	cleanup(asking_end) struct asking asking = ASKING_NONE;
	int r = ask_begin("{\"request\":\"watch\"}", "hvsm.watching/1", &asking, err);

	while (r >= 0 && !ended(watch)) {
		json_t *json = NULL;

		r = ask_next(&asking, wait_ms(watch), &json, err);
		if (r == -ETIMEDOUT || r == -EINTR)
			r = 0;
		else if (r >= 0)
			r = print(watch, json, err);
		json_decref(json);
	}
	return r;
}
