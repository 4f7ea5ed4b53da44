/* SPDX-License-Identifier: Apache-2.0 */
#include "monitor/http_request.h"

#include <jansson.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/cleanup.h"

static struct http_request parsed;

static unsigned parse(const char *method, const char *target)
{
	struct err err = { 0 };
	unsigned status = http_request_parse(method, target, &parsed, &err);

	assert_int_equal(status == 200, err.code == 0);
	return status;
}

static void every_path_is_in_the_openapi_document_and_no_other(void **state)
{
	cleanup(freep) char *path = NULL;
	json_t *document, *paths;

	(void)state;
	assert_true(asprintf(&path, "%s/docs/openapi.json", getenv("HVSM_TOP")) > 0);
	document = json_load_file(path, JSON_REJECT_DUPLICATES, NULL);
	paths = json_object_get(document, "paths");
	assert_int_equal(json_object_size(paths), HTTP_ROUTES);
	for (enum http_route route = 0; route < HTTP_ROUTES; route++) {
		const json_t *at = json_object_get(paths, http_route_path(route));

		/* What else there is would be something that acts. */
		assert_non_null(json_object_get(at, "get"));
		assert_int_equal(json_object_size(at), 1);
	}
	json_decref(document);
}

static void paths_lead_to_their_routes(void **state)
{
	static const struct {
		const char *target;
		enum http_route route;
	} cases[] = {
		{ "/healthz", HTTP_HEALTH }, { "/metrics", HTTP_METRICS },
		{ "/openapi.json", HTTP_OPENAPI }, { "/v1/status", HTTP_STATUS },
		{ "/v1/guests", HTTP_GUESTS }, { "/v1/guests/a", HTTP_GUEST },
		{ "/v1/findings", HTTP_FINDINGS }, { "/v1/findings?", HTTP_FINDINGS },
		{ "/v1/reports", HTTP_REPORTS }, { "/v1/reports/1", HTTP_REPORT },
		{ "/v1/incidents", HTTP_INCIDENTS },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		assert_int_equal(parse("GET", cases[i].target), 200);
		assert_int_equal(parsed.route, cases[i].route);
		assert_int_equal(parse("HEAD", cases[i].target), 200);
		assert_int_equal(parse("POST", cases[i].target), 405);
		assert_int_equal(parse("get", cases[i].target), 405);
	}
}

static void other_paths_are_not_there(void **state)
{
	static const char *const targets[] = {
		"", "/", "*", "v1/status", "/v1", "/v1/", "/v1/status/", "/v1//status", "/V1/status",
		"/v1/guests/", "/v1/guests/a/b", "/v1/reports/", "/v1/reports/1/", "/v1/statusx",
		"/v1/./status", "/x/../v1/status", "/%761/status", "http://h/v1/status",
		"/metrics/", "//metrics", "/openapi", "/v1/scan", "/v1/status#x",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(targets); i++) {
		assert_int_equal(parse("GET", targets[i]), 404);
		assert_int_equal(parsed.route, HTTP_ROUTES);
		/* It is not there for others, either. */
		assert_int_equal(parse("DELETE", targets[i]), 404);
	}
}

static void names_are_decoded_once(void **state)
{
	(void)state;
	assert_int_equal(parse("GET", "/v1/guests/web%201%2f%25%41"), 200);
	assert_string_equal(parsed.name, "web 1/%A");
	assert_int_equal(parse("GET", "/v1/findings?guest=a%26b%3dc%c3%a4+"), 200);
	assert_string_equal(parsed.name, "a&b=c\xc3\xa4+");
	assert_int_equal(parse("GET", "/v1/guests/%2541"), 200);
	assert_string_equal(parsed.name, "%41");
}

static void names_that_nothing_has_are_refused(void **state)
{
	static const char *const targets[] = {
		"/v1/guests/%", "/v1/guests/%4", "/v1/guests/%g1", "/v1/guests/a%00b",
		"/v1/guests/%0a", "/v1/guests/%7f", "/v1/guests/a\tb", "/v1/findings?guest=%1b",
		"/v1/findings?guest=", "/v1/findings?guest=%0",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(targets); i++)
		assert_int_equal(parse("GET", targets[i]), 400);
}

static void parameters_are_taken_by_who_has_them(void **state)
{
	(void)state;
	assert_int_equal(parse("GET", "/v1/findings?severity=high&state=all&after=7&limit=1000"),
			 200);
	assert_string_equal(parsed.query.severity, "high");
	assert_int_equal(parsed.query.state, DOCUMENT_ALL);
	assert_true(parsed.query.after == 7 && parsed.query.limit == 1000);
	assert_int_equal(parse("GET", "/v1/reports?after=999999999999999999"), 200);
	assert_true(parsed.query.after == 999999999999999999 && parsed.query.limit == HTTP_LIMIT);
	assert_int_equal(parse("GET", "/v1/reports/18"), 200);
	assert_true(parsed.number == 18);
}

static void pages_go_in_one_direction(void **state)
{
	(void)state;
	assert_int_equal(parse("GET", "/v1/reports?order=newest&before=17"), 200);
	assert_true(parsed.query.newest && parsed.query.before.seq == 17);
	assert_int_equal(parse("GET", "/v1/findings?before=17-0123456789abcdef&order=newest"), 200);
	assert_true(parsed.query.newest && parsed.query.before.seq == 17);
	assert_string_equal(parsed.query.before.id, "0123456789abcdef");
	assert_int_equal(parse("GET", "/v1/reports?order=oldest&after=17"), 200);
	assert_true(!parsed.query.newest && parsed.query.after == 17);
	assert_int_equal(parse("GET", "/v1/reports"), 200);
	assert_true(!parsed.query.newest && !parsed.query.before.seq);
}

static void parameters_that_mean_nothing_are_refused(void **state)
{
	static const char *const targets[] = {
		"/v1/status?x=1", "/metrics?guest=a", "/v1/reports?severity=high",
		"/v1/reports?state=open", "/v1/findings?limit", "/v1/findings?=", "/v1/findings?&",
		"/v1/findings?limit=0", "/v1/findings?limit=1001", "/v1/findings?limit=-1",
		"/v1/findings?limit=1x", "/v1/findings?limit=", "/v1/findings?limit=1&limit=1",
		"/v1/findings?after=1000000000000000000", "/v1/findings?severity=HIGH",
		"/v1/findings?severity=", "/v1/findings?state=shut", "/v1/findings?Limit=1",
		"/v1/findings?limit=1&&after=1", "/v1/reports/0x1", "/v1/reports/-1",
		"/v1/reports/1000000000000000000", "/v1/reports/a",
		"/v1/reports?before=17", "/v1/reports?order=oldest&before=17",
		"/v1/reports?order=newest&after=17", "/v1/reports?order=down",
		"/v1/reports?order=newest&before=17-0123456789abcdef", "/v1/reports?order=",
		"/v1/findings?order=newest&before=0", "/v1/findings?order=newest&before=",
		"/v1/findings?order=newest&before=1&before=2", "/v1/status?order=newest",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(targets); i++)
		if (parse("GET", targets[i]) != 400)
			fail_msg("%s is not refused", targets[i]);
}

static void what_is_too_long_is_refused(void **state)
{
	char target[HTTP_TARGET_MAX + 2] = "/v1/guests/";

	(void)state;
	memset(target + 11, 'a', sizeof(target) - 12);
	assert_int_equal(parse("GET", target), 414);
	target[HTTP_TARGET_MAX] = '\0';
	assert_int_equal(parse("GET", target), 400);
	target[11 + HTTP_TEXT_MAX - 1] = '\0';
	assert_int_equal(parse("GET", target), 200);
	assert_int_equal(strlen(parsed.name), HTTP_TEXT_MAX - 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_path_is_in_the_openapi_document_and_no_other),
		cmocka_unit_test(paths_lead_to_their_routes),
		cmocka_unit_test(other_paths_are_not_there),
		cmocka_unit_test(names_are_decoded_once),
		cmocka_unit_test(names_that_nothing_has_are_refused),
		cmocka_unit_test(parameters_are_taken_by_who_has_them),
		cmocka_unit_test(pages_go_in_one_direction),
		cmocka_unit_test(parameters_that_mean_nothing_are_refused),
		cmocka_unit_test(what_is_too_long_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
