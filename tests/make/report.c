/* SPDX-License-Identifier: Apache-2.0 */
#include "make/report.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void add_findings(json_t *findings, const char *check, char *numbers)
{
	for (char *rest = NULL, *n = strtok_r(numbers, ",", &rest); n;
	     n = strtok_r(NULL, ",", &rest)) {
		char id[17];

		snprintf(id, sizeof(id), "%016lx", strtoul(n, NULL, 10));
		json_array_append_new(findings, json_pack(
			"{s:s, s:s, s:s, s:s, s:[s], s:{s:s, s:s, s:n}, s:[{s:s, s:n, s:n, s:s, s:s}],"
			" s:n, s:s}",
			"id", id, "check", check, "severity", "high",
			"title", "Something \\x1b[2J leads \"elsewhere\"", "techniques", "T1014",
			"object", "kind", "table", "name", n, "address",
			"evidence", "what", "entry", "address", "symbol", "expected", "this",
			"found", "that", "owner", "first_seen", "2025-03-01T14:02:11.123456Z"));
	}
}

static void add_check(json_t *checks, json_t *findings, char *text, uint64_t sweep)
{
	char *result = strchr(text, '='), *numbers = result ? strchr(result, ':') : NULL, *seen;
	json_t *reason;

	if (!result)
		abort();
	*result++ = '\0';
	if (numbers)
		*numbers++ = '\0';
	seen = strchr(result, '?');
	if (seen)
		*seen = '\0';
	reason = seen || result[0] == 'i' || result[0] == 'n' ? json_string("it was not there") :
		 json_null();
	json_array_append_new(checks, json_pack(
		"{s:s, s:s, s:o, s:{s:I}, s:I, s:i}", "id", text, "result", result,
		"reason", reason, "covered", "entries", (json_int_t)sweep,
		"duration_us", (json_int_t)sweep, "repeats", 0));
	if (numbers)
		add_findings(findings, text, numbers);
}

char *make_report(const char *name, uint64_t sweep, const char *text)
{
	json_t *checks = json_array(), *findings = json_array(), *report;
	char *copy = strdup(text), *rest = NULL, started[32], *made;

	for (char *one = strtok_r(copy, " ", &rest); one; one = strtok_r(NULL, " ", &rest))
		add_check(checks, findings, one, sweep);
	free(copy);
	snprintf(started, sizeof(started), "2025-03-01T14:02:11.%06uZ", (unsigned)sweep);
	report = json_pack(
		"{s:s, s:{s:s, s:n, s:s, s:s}, s:{s:s, s:s, s:s, s:n, s:s, s:i, s:s}, s:n, s:n,"
		" s:{s:s, s:I, s:I, s:I, s:i}, s:s, s:s, s:o, s:o, s:n}",
		"schema", "hvsm.report/1",
		"guest", "name", name, "uuid", "target", "qemu:4711", "hypervisor", "QEMU 7.2",
		"kernel", "os", "linux", "release", "6.1.0-32-amd64", "banner", "Linux version",
		"build_id", "text_base", "0xffffffff81000000", "paging_levels", 4,
		"symbols", "kallsyms: relative", "reference", "agent",
		"sweep", "started", started, "duration_us", (json_int_t)(1000 + sweep),
		"pages_read", (json_int_t)sweep, "bytes_read", (json_int_t)(4096 * sweep),
		"repeats", 0, "verdict", json_array_size(findings) ? "compromised" : "clean",
		"assurance", "reference", "checks", checks, "findings", findings, "processes");
	made = json_dumps(report, 0);
	json_decref(report);
	return made;
}
