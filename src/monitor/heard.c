/* SPDX-License-Identifier: Apache-2.0 */
#include "monitor/heard.h"

#include <string.h>

#include "base/cleanup.h"
#include "base/escape.h"
#include "report/ledger_parse.h"
#include "report/text.h"

/* The length of the colour sequence that begins here; 0: none does. */
static size_t colour_at(const char *text, size_t n)
{
	static const char *const colours[] = {
		TEXT_RED, TEXT_YELLOW, TEXT_GREEN, TEXT_BLUE, TEXT_BOLD, TEXT_PLAIN,
	};

	for (size_t i = 0; i < ARRAY_SIZE(colours); i++)
		if (n >= strlen(colours[i]) && !memcmp(text, colours[i], strlen(colours[i])))
			return strlen(colours[i]);
	return 0;
}

bool heard_text(const struct sealed *text, bool colour)
{
	const char *at = (const char *)text->data;
	size_t left = text->size;

	while (left) {
		size_t n = 0;

		/* Up to what only we may write. */
		while (n < left && at[n] != '\n' && at[n] != '\033')
			n++;
		if (!escape_needless(at, n))
			return false;
		at += n;
		left -= n;
		if (!left)
			break;
		n = *at == '\n' ? 1 : colour ? colour_at(at, left) : 0;
		if (!n)
			return false;
		at += n;
		left -= n;
	}
	return true;
}

static bool has_string(const json_t *object, const char *key, const char *value)
{
	const char *is = json_string_value(json_object_get(object, key));

	return is && !strcmp(is, value);
}

static bool has_type(const json_t *object, const char *key, json_type type)
{
	const json_t *value = json_object_get(object, key);

	return value && json_typeof(value) == type;
}

/* What others will look for in it. */
static bool has_its_parts(const json_t *report)
{
	return has_type(report, "kernel", JSON_OBJECT) && has_type(report, "sweep", JSON_OBJECT) &&
	       has_type(report, "assurance", JSON_STRING) &&
	       has_type(report, "checks", JSON_ARRAY) &&
	       has_type(report, "findings", JSON_ARRAY) && json_object_size(report) == 11;
}

int heard_report(const struct sealed *text, const struct identity *identity,
		 enum verdict verdict, json_t **ret, struct err *err)
{
	json_t *report = NULL, *guest;
	bool sound;
	int r;

	/* One line; what is in its strings, "\u001b" read, is printed again and again. */
	if (!text->size || text->data[text->size - 1] != '\n' ||
	    !parsed_is_clean((const char *)text->data, text->size - 1))
		return err_set(err, -EPROTO, "a report that is not text");
	r = parsed_load((const char *)text->data, text->size, &report, NULL);
	guest = identity_json(identity);
	/* Who has no memory has not been lied to. */
	if (r == -ENOMEM || !guest) {
		json_decref(guest);
		json_decref(report);
		return err_set(err, -ENOMEM, "no memory for a report");
	}
	sound = report && json_equal(json_object_get(report, "guest"), guest) &&
		has_string(report, "schema", "hvsm.report/1") &&
		has_string(report, "verdict", verdict_name(verdict)) && has_its_parts(report);
	json_decref(guest);
	if (!sound) {
		json_decref(report);
		return err_set(err, -EPROTO, "a report that is none of this guest");
	}
	*ret = report;
	return 0;
}

bool heard_build_id(const char *text)
{
	return strlen(text) <= 40 && strspn(text, "0123456789abcdef") == strlen(text);
}
