/* SPDX-License-Identifier: Apache-2.0 */
#include "report/ledger_parse.h"

#include <sodium.h>
#include <stdbool.h>
#include <string.h>
#include <time.h>

#include "base/cleanup.h"
#include "base/json.h"
#include "base/escape.h"
#include "base/limits.h"

/* "2025-03-01T14:02:11.123456Z" */
#define TIME_TEXT_BYTES 27

static int bad(struct err *err, const char *what)
{
	return err_set(err, -EBADMSG, "no hvsm.report/1: %s", what);
}

/*
 * jansson builds what it reads at once, and by recursion: [[],[],[],… becomes fifty times as large.
 * So look first how much that will be.
 */
static int measure(const char *json, size_t size, struct err *err)
{
	size_t depth = 0, values = 0;
	bool in_string = false;

	if (size > REPORT_BYTES_MAX)
		return err_set(err, -ELOOP, "a report of %zu bytes", size);
	for (size_t i = 0; i < size; i++) {
		if (in_string) {
			if (json[i] == '\\')
				i++;
			else if (json[i] == '"')
				in_string = false;
			continue;
		}
		in_string = json[i] == '"';
		values += strchr("{[,:", json[i]) != NULL && json[i];
		if (json[i] == '{' || json[i] == '[')
			depth++;
		else if ((json[i] == '}' || json[i] == ']') && depth)
			depth--;
		if (depth > REPORT_DEPTH_MAX || values > REPORT_VALUES_MAX)
			return err_set(err, -ELOOP, "a report with %s", depth > REPORT_DEPTH_MAX ?
				       "too many lists in each other" : "too many values");
	}
	return 0;
}

bool parsed_is_printable(const char *text, size_t size)
{
	char in[256], out[ESCAPED_MAX(sizeof(in))];

	for (size_t done = 0, n; done < size; done += n) {
		n = size - done < sizeof(in) ? size - done : sizeof(in);
		/* Not in the middle of a character. */
		while (n < size - done && n > sizeof(in) - 4 && (text[done + n] & 0xc0) == 0x80)
			n--;
		memcpy(in, text + done, n);
		for (size_t i = 0; i < n; i++)
			if (in[i] == '\\')
				in[i] = '/';
		if (escape(in, n, out, sizeof(out)) != n || memcmp(in, out, n))
			return false;
	}
	return true;
}

/*
 * Of compact JSON, where a string has a backslash only before '"', another one, or what stands for
 * a control character.
 */
bool parsed_is_clean(const char *text, size_t size)
{
	for (size_t i = 0; i < size; i++)
		if (text[i] == '\\' && (++i == size || !strchr("\"\\", text[i]) || !text[i]))
			return false;
	return parsed_is_printable(text, size);
}

static const char *string_at(const json_t *object, const char *key)
{
	return json_string_value(json_object_get(object, key));
}

/* A string, or null; not another thing, and not nothing. */
static bool is_text_or_null(const json_t *object, const char *key)
{
	const json_t *value = json_object_get(object, key);

	return json_is_string(value) || json_is_null(value);
}

static bool is_one_of(const char *text, const char *const *words)
{
	for (; text && *words; words++)
		if (!strcmp(text, *words))
			return true;
	return false;
}

static bool is_name(const char *text)
{
	return text && *text && strlen(text) <= PARSED_NAME_MAX;
}

static int read_guest(struct parsed *parsed, struct err *err)
{
	const json_t *guest = json_object_get(parsed->document, "guest");
	const json_t *kernel = json_object_get(parsed->document, "kernel");
	const char *uuid = string_at(guest, "uuid"), *name = string_at(guest, "name");

	parsed->boot = string_at(kernel, "text_base");
	parsed->name = name && *name ? name : string_at(guest, "target");
	parsed->guest = uuid && *uuid ? uuid : parsed->name;
	if (!is_text_or_null(guest, "uuid") || !is_text_or_null(guest, "name"))
		return bad(err, "the guest's UUID and name");
	return is_name(parsed->boot) && is_name(parsed->name) && is_name(parsed->guest) ? 0 :
		bad(err, "the guest's names, or where its kernel lies");
}

static int read_time(const char *text, uint64_t *ret)
{
	struct tm tm = {0};
	unsigned us = 0;
	const char *end;
	time_t seconds;

	if (!text || strlen(text) != TIME_TEXT_BYTES || text[TIME_TEXT_BYTES - 1] != 'Z')
		return -EBADMSG;
	end = strptime(text, "%Y-%m-%dT%H:%M:%S", &tm);
	if (!end || *end != '.' || end + 8 != text + TIME_TEXT_BYTES || tm.tm_year < 70 ||
	    tm.tm_year > 300)
		return -EBADMSG;
	for (end++; *end != 'Z'; end++) {
		if (*end < '0' || *end > '9')
			return -EBADMSG;
		us = us * 10 + (unsigned)(*end - '0');
	}
	seconds = timegm(&tm);
	*ret = (uint64_t)seconds * 1000000000 + us * 1000ull;
	return 0;
}

static int read_sweep(struct parsed *parsed, struct err *err)
{
	static const char *const verdicts[] = {
		"clean", "suspicious", "compromised", "inconclusive", NULL,
	};
	static const char *const assurances[] = { "reference", "baseline", "none", NULL };
	const json_t *sweep = json_object_get(parsed->document, "sweep");
	json_int_t duration = json_integer_value(json_object_get(sweep, "duration_us"));

	parsed->verdict = string_at(parsed->document, "verdict");
	parsed->assurance = string_at(parsed->document, "assurance");
	if (!is_one_of(parsed->verdict, verdicts) || !is_one_of(parsed->assurance, assurances))
		return bad(err, "its verdict or assurance");
	if (read_time(string_at(sweep, "started"), &parsed->started_ns) < 0 || duration < 0)
		return bad(err, "when it was made");
	parsed->duration_us = (uint64_t)duration;
	return 0;
}

static int read_checks(struct parsed *parsed, struct err *err)
{
	static const char *const results[] = {
		"clean", "finding", "inconclusive", "not-covered", NULL,
	};
	json_t *check;
	size_t i;

	parsed->checks = json_object_get(parsed->document, "checks");
	if (!json_is_array(parsed->checks))
		return bad(err, "its checks");
	if (json_array_size(parsed->checks) > REPORT_CHECKS_MAX)
		return err_set(err, -ELOOP, "a report of too many checks");
	json_array_foreach(parsed->checks, i, check)
		if (!is_name(string_at(check, "id")) || !is_text_or_null(check, "reason") ||
		    !is_one_of(string_at(check, "result"), results))
			return bad(err, "one of its checks");
	return 0;
}

static bool is_id(const char *text)
{
	return text && strlen(text) == 16 && strspn(text, "0123456789abcdef") == 16;
}

static int read_findings(struct parsed *parsed, struct err *err)
{
	static const char *const severities[] = { "low", "medium", "high", "critical", NULL };
	json_t *finding;
	size_t i;

	parsed->findings = json_object_get(parsed->document, "findings");
	if (!json_is_array(parsed->findings))
		return bad(err, "its findings");
	if (json_array_size(parsed->findings) > REPORT_FINDINGS_MAX)
		return err_set(err, -ELOOP, "a report of too many findings");
	json_array_foreach(parsed->findings, i, finding)
		if (!is_id(string_at(finding, "id")) || !is_name(string_at(finding, "check")) ||
		    !is_one_of(string_at(finding, "severity"), severities) ||
		    !string_at(finding, "title"))
			return bad(err, "one of its findings");
	return 0;
}

bool parsed_is_conclusive(const json_t *check)
{
	const char *result = string_at(check, "result");

	return !strcmp(result, "clean") ||
	       (!strcmp(result, "finding") && !string_at(check, "reason"));
}

/* The checks without what changes from sweep to sweep. */
static json_t *lasting_checks(const struct parsed *parsed)
{
	json_t *array = json_array(), *check;
	size_t i;

	json_array_foreach(parsed->checks, i, check) {
		json_t *lasting = json_pack("{s:O, s:O, s:O}", "id", json_object_get(check, "id"),
					    "result", json_object_get(check, "result"),
					    "reason", json_object_get(check, "reason"));

		if (json_array_append_new(array, lasting) < 0) {
			json_decref(array);
			return NULL;
		}
	}
	return array;
}

static json_t *lasting_findings(const struct parsed *parsed)
{
	json_t *array = json_array(), *finding;
	size_t i;

	json_array_foreach(parsed->findings, i, finding) {
		json_t *lasting = json_copy(finding);

		if (lasting)
			json_object_del(lasting, "first_seen");
		if (json_array_append_new(array, lasting) < 0) {
			json_decref(array);
			return NULL;
		}
	}
	return array;
}

/* jansson gives NULL for "no such member", and takes NULL for "no memory". */
static json_t *member(const json_t *object, const char *key)
{
	json_t *value = json_object_get(object, key);

	return value ? json_incref(value) : json_null();
}

static int digest_of(json_t *document, size_t flags, struct blob *text, uint8_t digest[32],
		     struct err *err)
{
	char *dump = json_dump_text(document, flags);

	if (!dump)
		return err_set(err, -ENOMEM, "no memory for a report");
	*text = (struct blob){ (uint8_t *)dump, strlen(dump) };
	crypto_hash_sha256(digest, text->data, text->size);
	return 0;
}

static int fingerprint(struct parsed *parsed, struct err *err)
{
	const json_t *document = parsed->document, *agent = json_object_get(document, "agent");
	cleanup(blob_free) struct blob text = {0};
	json_t *lasting = json_pack(
		"{s:o, s:o, s:o, s:o, s:o, s:s, s:s, s:o, s:o}",
		"guest", member(document, "guest"), "kernel", member(document, "kernel"),
		"reference", member(document, "reference"),
		"agent", member(agent, "state"), "build", member(agent, "build_id"),
		"verdict", parsed->verdict, "assurance", parsed->assurance,
		"checks", lasting_checks(parsed), "findings", lasting_findings(parsed));
	int r = digest_of(lasting, JSON_SORT_KEYS, &text, parsed->print, err);

	json_decref(lasting);
	return r;
}

int parsed_load(const char *json, size_t size, json_t **ret, struct err *err)
{
	json_t *document;
	int r = measure(json, size, err);

	if (r < 0)
		return r;
	r = json_load_text(json, size, JSON_REJECT_DUPLICATES, &document, NULL);
	if (r < 0)
		return r == -ENOMEM ? err_set(err, r, "no memory for a report") :
				      bad(err, "no JSON");
	*ret = document;
	return 0;
}

int parsed_read(const void *json, size_t size, struct parsed *ret, struct err *err)
{
	cleanup(parsed_free) struct parsed parsed = {0};
	int r = parsed_load(json, size, &parsed.document, err);

	const char *schema = string_at(parsed.document, "schema");

	if (r >= 0 && (!schema || strcmp(schema, "hvsm.report/1") != 0))
		r = bad(err, "another schema");
	if (r >= 0)
		r = read_guest(&parsed, err);
	if (r >= 0)
		r = read_sweep(&parsed, err);
	if (r >= 0)
		r = read_checks(&parsed, err);
	if (r >= 0)
		r = read_findings(&parsed, err);
	if (r >= 0)
		r = digest_of(parsed.document, 0, &parsed.text, parsed.digest, err);
	if (r >= 0 && !parsed_is_clean((const char *)parsed.text.data, parsed.text.size))
		r = bad(err, "text that is not escaped");
	if (r >= 0)
		r = fingerprint(&parsed, err);
	if (r < 0)
		return r;
	*ret = parsed;
	parsed = (struct parsed){0};
	return 0;
}

void parsed_free(struct parsed *parsed)
{
	json_decref(parsed->document);
	blob_free(&parsed->text);
	*parsed = (struct parsed){0};
}
