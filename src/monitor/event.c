/* SPDX-License-Identifier: Apache-2.0 */
#include "monitor/event.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "report/encode.h"

/* The longest name of a member in a template. */
#define KEY_BYTES 32u

/*
 * A kind's name, and how its object reads. {key} is a member; what stands between [ and ] is
 * left out where a member in it is null, missing, false, or an empty array; true prints as
 * nothing. {changes} is what differs between the members "before" and "after".
 */
static const struct {
	const char *name, *text;
} kinds[EVENT_KINDS] = {
	[EVENT_WATCH] = { "watch",
				"Linux {release}[, {processes} processes][, {modules} modules]" },
	[EVENT_PROCESS_START] = { "process-start",
				  "{pid} {comm}, uid {uid}, parent {ppid}[, {exe}]" },
	[EVENT_PROCESS_EXIT] = { "process-exit",
				"{pid} {comm}[, status {status}][, signal {signal}]" },
	[EVENT_EXEC] = { "exec", "{pid} {comm}, uid {uid}[, {exe}][: {args}]" },
	[EVENT_CREDENTIALS] = { "credentials",
				"{pid} {comm}[{exec}, with a new program]: {changes}" },
	[EVENT_NAMESPACES] = { "namespaces", "{pid} {comm}: {changes}" },
	[EVENT_PROCESSES_MISSED] = { "processes-missed",
				     "{count} began and ended between two looks" },
	[EVENT_MODULE_LOAD] = { "module-load",
				"{name}, {size_bytes} bytes at {at}[, taint {taint}]" },
	[EVENT_MODULE_UNLOAD] = { "module-unload",
				  "{name}[{brief}, which came and went between two looks]" },
	[EVENT_LISTEN] = { "listen", "{kind} {local}[, {pid}][ {comm}]" },
	[EVENT_ACCEPT] = { "accept", "{kind} {local} from {remote}[, {pid}][ {comm}]" },
	[EVENT_CONNECT] = { "connect", "{kind} {local} to {remote}[, {pid}][ {comm}]" },
	[EVENT_SOCKET_CLOSE] = { "socket-close", "{kind} {local}[ - {remote}][, {pid}][ {comm}]" },
	[EVENT_MOUNT] = { "mount", "{source} on {point}, {type} ({flags}), namespace {ns}" },
	[EVENT_UMOUNT] = { "umount", "{source} on {point}, {type}, namespace {ns}" },
	[EVENT_BPF_LOAD] = { "bpf-load", "program {id}[ {name}], {type}, uid {uid}, tag {tag}" },
	[EVENT_BPF_UNLOAD] = { "bpf-unload", "program {id}[ {name}], {type}" },
	[EVENT_LOG] = { "log", "{level}: {text}" },
	[EVENT_LOG_MISSED] = { "log-missed",
				"{count} records were overwritten before they were read" },
	[EVENT_REGISTER_WRITE] = { "register-write",
				   "vCPU {vcpu} {register}: {before} > {after}, {count} times" },
	[EVENT_REBOOT] = { "reboot", "Linux {release}[ (before: {before})]" },
	[EVENT_PAUSED] = { "paused", "the guest's clock has stood still for {seconds} s" },
	[EVENT_RESUMED] = { "resumed", "the guest's clock moves again" },
	[EVENT_LOOK_INCOMPLETE] = { "look-incomplete", "{view}, {looks} looks in a row: {reason}" },
	[EVENT_EVENTS_DROPPED] = { "events-dropped", "{count} more in one look than are told" },
	[EVENT_GONE] = { "gone", "the guest has ended" },
};

void event_free(struct event *event)
{
	json_decref(event->object);
	event->object = NULL;
}

const char *event_name(enum event_kind kind)
{
	return kinds[kind].name;
}

int event_by_name(const char *name, enum event_kind *ret)
{
	for (unsigned i = 0; i < EVENT_KINDS; i++) {
		if (!strcmp(kinds[i].name, name)) {
			*ret = (enum event_kind)i;
			return 0;
		}
	}
	return -ENOENT;
}

json_t *event_json(const struct event *event, json_t *guest)
{
	return json_pack("{s:s, s:o, s:s, s:o, s:o, s:O}",
			 "schema", "hvsm.event/1",
			 "guest", guest,
			 "event", event_name(event->kind),
			 "after", encode_time_ns(event->after_ns),
			 "before", encode_time_ns(event->before_ns),
			 "object", event->object);
}

/* One value. Return: was there anything to print? */
static bool print_value(FILE *to, const json_t *value)
{
	size_t n = json_array_size(value);

	if (json_is_string(value))
		fputs(json_string_value(value), to);
	else if (json_is_integer(value))
		fprintf(to, "%" JSON_INTEGER_FORMAT, json_integer_value(value));
	for (size_t i = 0; i < n; i++) {
		fputs(i ? " " : "", to);
		print_value(to, json_array_get(value, i));
	}
	return n || json_is_string(value) || json_is_integer(value) || json_is_true(value);
}

static void print_changes(FILE *to, const json_t *object)
{
	json_t *before = json_object_get(object, "before"), *value;
	const json_t *after = json_object_get(object, "after");
	const char *key, *gap = "";

	json_object_foreach(before, key, value) {
		const json_t *other = json_object_get(after, key);

		if (json_equal(value, other))
			continue;
		fprintf(to, "%s%s ", gap, key);
		print_value(to, value);
		fputs(" > ", to);
		print_value(to, other);
		gap = ", ";
	}
}

/* "{key}" at @at. Return: was there anything to print? */
static bool print_member(FILE *to, const json_t *object, const char *at, size_t n)
{
	char key[KEY_BYTES];

	snprintf(key, sizeof(key), "%.*s", (int)n, at);
	if (!strcmp(key, "changes")) {
		print_changes(to, object);
		return true;
	}
	return print_value(to, json_object_get(object, key));
}

/* A piece of a template without brackets; Return: was all of it there? */
static bool print_piece(FILE *to, const json_t *object, const char *at, const char *end)
{
	bool all = true;

	while (at < end) {
		size_t n = strcspn(at, "{}");

		if (*at == '{') {
			n = strcspn(++at, "}");
			if (!print_member(to, object, at, n)) {
				all = false;
				fputs("?", to);
			}
			at += n + 1;
			continue;
		}
		if (n > (size_t)(end - at))
			n = (size_t)(end - at);
		fprintf(to, "%.*s", (int)n, at);
		at += n;
	}
	return all;
}

/* A piece in brackets: all of it, or nothing. Return: false: no memory. */
static bool print_optional(FILE *to, const json_t *object, const char *at, const char *end)
{
	cleanup(freep) char *text = NULL;
	size_t size = 0;
	FILE *piece = open_memstream(&text, &size);
	bool all;

	if (!piece)
		return false;
	all = print_piece(piece, object, at, end);
	if (fclose(piece) != 0)
		return false;
	if (all)
		fputs(text, to);
	return true;
}

char *event_text(const struct event *event)
{
	const char *at = kinds[event->kind].text;
	cleanup(freep) char *text = NULL;
	size_t size = 0;
	FILE *to = open_memstream(&text, &size);
	bool ok = to != NULL;

	while (ok && *at) {
		const char *end = at + strcspn(at, "[");

		print_piece(to, event->object, at, end);
		if (!*end)
			break;
		at = end + 1;
		end = at + strcspn(at, "]");
		ok = print_optional(to, event->object, at, end);
		at = end + 1;
	}
	if (!to || fclose(to) != 0 || !ok)
		return NULL;
	return take_ptr(&text);
}
