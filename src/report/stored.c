/* SPDX-License-Identifier: Apache-2.0 */
#include "report/stored.h"

#include <inttypes.h>
#include <stdarg.h>
#include <string.h>

#include "base/cleanup.h"
#include "report/human.h"
#include "report/text.h"

/* As text_report() has them. */
#define FINDING_INDENT 10
#define VALUE_INDENT   22
#define CHECK_INDENT   14
#define COVERED_INDENT (CHECK_INDENT + 18)

/* A member as text; "" where it is none. */
static const char *at(const json_t *object, const char *key)
{
	const char *text = json_string_value(json_object_get(object, key));

	return text ? text : "";
}

static void put(FILE *to, size_t first, size_t indent, const char *fmt, ...) printf_like(4, 5);

static void put(FILE *to, size_t first, size_t indent, const char *fmt, ...)
{
	cleanup(freep) char *text = NULL;
	va_list args;

	va_start(args, fmt);
	if (vasprintf(&text, fmt, args) < 0)
		text = NULL;
	va_end(args);
	text_put(to, first, indent, text ? text : "(no memory)");
}

static void put_labelled(FILE *to, size_t margin, size_t indent, const char *label,
			 const char *text)
{
	fprintf(to, "%*s%-*s", (int)margin, "", (int)(indent - margin), label);
	text_put(to, indent, indent, text);
}

static void put_head(const struct ledger_record *record, const json_t *report, FILE *to)
{
	const json_t *guest = json_object_get(report, "guest");
	const json_t *kernel = json_object_get(report, "kernel");
	char stored[HUMAN_MAX];

	put(to, 0, FINDING_INDENT, "%s  %s", at(report, "verdict"), record->name);
	put(to, 0, 2, "%s, %s, Linux %s", at(guest, "target"), at(guest, "hypervisor"),
	    at(kernel, "release"));
	put(to, 0, 2, "report %" PRIu64 ", stored %s", record->seq,
	    human_time(record->time_ns, stored, sizeof(stored)));
	if (record->kind == LEDGER_SAME)
		put(to, 0, 2, "the same as report %" PRIu64 ", of which the times, counts and "
		    "processes below are", record->refers);
}

static void put_evidence(const json_t *fact, FILE *to)
{
	const char *address = at(fact, "address"), *symbol = at(fact, "symbol");

	fprintf(to, "%*s- ", FINDING_INDENT, "");
	put(to, FINDING_INDENT + 2, FINDING_INDENT + 2, "%s%s%s%s%s%s", at(fact, "what"),
	    *address ? " at " : "", address, *symbol ? " (" : "", symbol, *symbol ? ")" : "");
	if (*at(fact, "expected"))
		put_labelled(to, FINDING_INDENT + 2, VALUE_INDENT, "expected",
			     at(fact, "expected"));
	if (*at(fact, "found"))
		put_labelled(to, FINDING_INDENT + 2, VALUE_INDENT, "found", at(fact, "found"));
}

/* What the policy says of it: a rule that allows it, or did once; how bad it counts. */
static void put_policy(const json_t *finding, FILE *to)
{
	const json_t *policy = json_object_get(finding, "policy");
	const json_t *allowed = json_object_get(policy, "allowed");
	const json_t *expired = json_object_get(policy, "expired");
	const char *severity = at(policy, "severity");
	cleanup(freep) char *text = NULL;
	int r = 0;

	if (json_is_object(allowed))
		r = asprintf(&text, "allowed, expires %s: %s", at(allowed, "expires"),
			     at(allowed, "reason"));
	else if (json_is_object(expired))
		r = asprintf(&text, "was allowed, expired %s: %s", at(expired, "expires"),
			     at(expired, "reason"));
	else if (*severity && strcmp(severity, at(finding, "severity")) != 0)
		r = asprintf(&text, "counts as %s", severity);
	if (r)
		put_labelled(to, FINDING_INDENT, FINDING_INDENT + 9, "policy",
			     r > 0 ? text : "(no memory)");
}

static void put_finding(const json_t *finding, FILE *to)
{
	const json_t *object = json_object_get(finding, "object"), *item;
	size_t i;

	fprintf(to, "\n%-*s", FINDING_INDENT, at(finding, "severity"));
	text_put(to, FINDING_INDENT, FINDING_INDENT, at(finding, "title"));
	put(to, (size_t)fprintf(to, "%*sobject   ", FINDING_INDENT, ""), FINDING_INDENT + 9,
	    "%s %s", at(object, "kind"), at(object, "name"));
	if (*at(finding, "owner"))
		put_labelled(to, FINDING_INDENT, FINDING_INDENT + 9, "owner", at(finding, "owner"));
	put_policy(finding, to);
	json_array_foreach(json_object_get(finding, "evidence"), i, item)
		put_evidence(item, to);
	fprintf(to, "%*sfinding  %s", FINDING_INDENT, "", at(finding, "id"));
	json_array_foreach(json_object_get(finding, "techniques"), i, item)
		fprintf(to, "%s%s", i ? " " : ", ATT&CK ",
			json_is_string(item) ? json_string_value(item) : "");
	putc('\n', to);
}

/* The worst first. */
static void put_findings(const json_t *findings, FILE *to)
{
	static const char *const severities[] = { "critical", "high", "medium", "low" };
	const json_t *finding;
	size_t i;

	for (size_t s = 0; s < ARRAY_SIZE(severities); s++)
		json_array_foreach(findings, i, finding)
			if (!strcmp(at(finding, "severity"), severities[s]))
				put_finding(finding, to);
}

/* "450 entries, 2 tables"; to be freed, NULL: no memory. What was not there is left out. */
static char *covered_text(const json_t *check)
{
	const char *separator = "", *what;
	json_t *covered = json_object_get(check, "covered"), *count;
	char *text = NULL;
	size_t size;
	FILE *to = open_memstream(&text, &size);

	if (!to)
		return NULL;
	json_object_foreach(covered, what, count) {
		if (json_integer_value(count) <= 0)
			continue;
		fprintf(to, "%s%lld %s", separator, (long long)json_integer_value(count), what);
		separator = ", ";
	}
	if (!*separator)
		fputs("nothing", to);
	if (fclose(to)) {
		free(text);
		return NULL;
	}
	return text;
}

static void put_check(const json_t *check, FILE *to)
{
	bool skipped = !strcmp(at(check, "result"), "not-covered");
	cleanup(freep) char *covered = covered_text(check);
	size_t start = CHECK_INDENT + strlen(at(check, "id")) + 1;

	if (start < COVERED_INDENT)
		start = COVERED_INDENT;
	fprintf(to, "%-*s%-*s", CHECK_INDENT, skipped ? "not covered" : at(check, "result"),
		(int)start - CHECK_INDENT, at(check, "id"));
	text_put(to, start, COVERED_INDENT, skipped ? at(check, "reason") :
		 covered ? covered : "(no memory)");
	if (*at(check, "reason") && !skipped)
		put_labelled(to, 0, COVERED_INDENT, "", at(check, "reason"));
}

static void put_sweep(const struct ledger_record *record, const json_t *report, FILE *to)
{
	const json_t *reference = json_object_get(report, "reference");
	const json_t *agent = json_object_get(report, "agent");
	char started[HUMAN_MAX], duration[HUMAN_MAX];

	fprintf(to, "\nswept %s in %s\nassurance: %s\n",
		human_time(record->started_ns, started, sizeof(started)),
		human_duration(record->duration_us * 1000, duration, sizeof(duration)),
		record->assurance);
	if (reference && !json_is_null(reference))
		put(to, 0, 2, "reference: %s %s (%s)", *at(reference, "package") ?
		    at(reference, "package") : at(reference, "path"), at(reference, "version"),
		    at(reference, "source"));
	else
		put(to, 0, 2, "reference: none");
	put(to, 0, 2, "agent: %s", *at(agent, "state") ? at(agent, "state") : "not covered");
}

/* "processes: 54 known, 1 unknown" */
static void put_processes(const json_t *processes, FILE *to)
{
	static const char *const results[] = {
		"known", "unknown", "modified-in-memory", "modified-on-disk", "unmeasured",
		"hidden-inside",
	};
	const char *separator = "processes: ";
	const json_t *process;
	size_t i, n;

	for (size_t k = 0; k < ARRAY_SIZE(results); k++) {
		n = 0;
		json_array_foreach(processes, i, process)
			n += !strcmp(at(process, "result"), results[k]);
		if (!n)
			continue;
		fprintf(to, "%s%zu %s", separator, n, results[k]);
		separator = ", ";
	}
	if (json_array_size(processes))
		putc('\n', to);
}

void stored_text(const struct ledger_record *record, const json_t *report, FILE *to)
{
	const json_t *check;
	size_t i;

	put_head(record, report, to);
	put_findings(json_object_get(report, "findings"), to);
	putc('\n', to);
	json_array_foreach(json_object_get(report, "checks"), i, check)
		put_check(check, to);
	put_sweep(record, report, to);
	put_processes(json_object_get(report, "processes"), to);
}
