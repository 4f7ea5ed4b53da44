/* SPDX-License-Identifier: Apache-2.0 */
#include "report/encode.h"

#include <inttypes.h>
#include <stdbool.h>
#include <time.h>

#include "base/cleanup.h"
#include "base/json.h"
#include "base/escape.h"

json_t *encode_text(const char *text)
{
	cleanup(freep) char *escaped = NULL;

	if (!text)
		return json_null();
	escaped = escape_dup(text);
	return escaped ? json_string(escaped) : NULL;
}

json_t *encode_text_or_null(const char *text)
{
	return encode_text(text && *text ? text : NULL);
}

json_t *encode_address(gva at)
{
	return json_sprintf("0x%016" PRIx64, at.v);
}

json_t *encode_address_or_null(gva at)
{
	return at.v ? encode_address(at) : json_null();
}

json_t *encode_hex(uint64_t value)
{
	return json_sprintf("0x%" PRIx64, value);
}

json_t *encode_count(uint64_t count)
{
	return json_integer(count > INT64_MAX ? INT64_MAX : (json_int_t)count);
}

/* "2026-03-01T12:00:00"; false where the year is past all reason. */
static bool print_seconds(uint64_t ns, char *buf, size_t size)
{
	time_t seconds = (time_t)(ns / 1000000000);
	struct tm tm;

	return gmtime_r(&seconds, &tm) && strftime(buf, size, "%FT%T", &tm);
}

json_t *encode_time(uint64_t ns)
{
	char text[32];

	if (!print_seconds(ns, text, sizeof(text)))
		return json_null();
	return json_sprintf("%s.%06uZ", text, (unsigned)(ns % 1000000000 / 1000));
}

json_t *encode_time_ns(uint64_t ns)
{
	char text[32];

	if (!print_seconds(ns, text, sizeof(text)))
		return json_null();
	return json_sprintf("%s.%09uZ", text, (unsigned)(ns % 1000000000));
}

void encode_append(json_t **array, json_t *item)
{
	if (json_array_append_new(*array, item) < 0) {
		json_decref(*array);
		*array = NULL;
	}
}

void encode_set(json_t **object, const char *key, json_t *value)
{
	if (json_object_set_new(*object, key, value) < 0) {
		json_decref(*object);
		*object = NULL;
	}
}

int encode_print(json_t *document, FILE *to, struct err *err)
{
	cleanup(freep) char *text = NULL;

	text = json_dump_text(document, 0);
	json_decref(document);
	if (!text)
		return err_set(err, -ENOMEM, "no memory for the JSON document");
	fprintf(to, "%s\n", text);
	return 0;
}
