/* SPDX-License-Identifier: Apache-2.0 */
#include "report/text.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/columns.h"
#include "base/escape.h"
#include "report/human.h"
#include "report/processes.h"
#include "report/verdict.h"

/* Where the text of a finding begins, its facts, and their values. */
#define FINDING_INDENT 10
#define OBJECT_INDENT  (FINDING_INDENT + 9)
#define FACT_INDENT    (FINDING_INDENT + 2)
#define VALUE_INDENT   (FACT_INDENT + 10)

/* Where the id of a check begins, and what it covered. */
#define CHECK_INDENT   14
#define COVERED_INDENT (CHECK_INDENT + 18)

struct page {
	FILE *to;
	bool colour;
};

static void put_coloured(const struct page *page, const char *colour, const char *text)
{
	if (page->colour)
		fprintf(page->to, "%s%s" TEXT_PLAIN, colour, text);
	else
		fputs(text, page->to);
}

/* Bytes of @text that go on a line with @columns left: whole words, if at least one fits. */
static size_t line_break(const char *text, size_t columns, bool fresh)
{
	size_t fit = columns_fit(text, columns), end = fit;

	if (!text[fit])
		return fit;
	while (end && text[end] != ' ')
		end--;
	if (end)
		return end;
	return fresh ? fit : 0;
}

void text_put(FILE *to, size_t first, size_t indent, const char *text)
{
	for (size_t at = first;; at = indent) {
		size_t n = line_break(text, TEXT_COLUMNS - at, at == indent);

		fprintf(to, "%.*s\n", (int)n, text);
		text += n;
		text += strspn(text, " ");
		if (!*text)
			break;
		fprintf(to, "%*s", (int)indent, "");
	}
}

static void wrap_va(FILE *to, size_t first, size_t indent, const char *fmt, va_list args)
{
	cleanup(freep) char *text = NULL, *escaped = NULL;

	if (vasprintf(&text, fmt, args) < 0)
		text = NULL;
	escaped = text ? escape_dup(text) : NULL;
	text_put(to, first, indent, escaped ? escaped : "(no memory)");
}

void text_wrap(FILE *to, size_t first, size_t indent, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	wrap_va(to, first, indent, fmt, args);
	va_end(args);
}

void text_labelled(FILE *to, size_t margin, size_t indent, const char *label, const char *fmt,
		   ...)
{
	va_list args;

	fprintf(to, "%*s%-*s", (int)margin, "", (int)(indent - margin), label);
	va_start(args, fmt);
	wrap_va(to, indent, indent, fmt, args);
	va_end(args);
}

static const char *verdict_colour(enum verdict verdict)
{
	switch (verdict) {
	case VERDICT_CLEAN:
		return TEXT_GREEN;
	case VERDICT_COMPROMISED:
		return TEXT_RED;
	default:
		return TEXT_YELLOW;
	}
}

static void put_head(const struct page *page, const struct report *report)
{
	enum verdict verdict = verdict_of(report->sweep);
	const struct identity *guest = report->guest;
	const char *name = identity_name(guest);

	put_coloured(page, verdict_colour(verdict), verdict_name(verdict));
	fputs("  ", page->to);
	text_wrap(page->to, strlen(verdict_name(verdict)) + 2, FINDING_INDENT, "%s", name);
	text_wrap(page->to, 0, 2, "%s%s%s, Linux %s", name == guest->target ? "" : guest->target,
		  name == guest->target ? "" : ", ", guest->hypervisor, report->kernel->release);
}

/* A symbol that is only the address again says nothing. */
static bool has_symbol(const struct evidence *e)
{
	return e->symbol && *e->symbol && strncmp(e->symbol, "0x", 2);
}

/* "- what at address (symbol)" */
static void put_place(const struct page *page, const struct evidence *e)
{
	fprintf(page->to, "%*s- ", FINDING_INDENT, "");
	if (has_symbol(e))
		text_wrap(page->to, FACT_INDENT, FACT_INDENT, "%s at %#" PRIx64 " (%s)", e->what,
			  e->at.v, e->symbol);
	else if (e->at.v)
		text_wrap(page->to, FACT_INDENT, FACT_INDENT, "%s at %#" PRIx64, e->what,
			  e->at.v);
	else
		text_wrap(page->to, FACT_INDENT, FACT_INDENT, "%s", e->what);
}

static void put_fact(const struct page *page, const struct evidence *e)
{
	put_place(page, e);
	if (e->expected)
		text_labelled(page->to, FACT_INDENT, VALUE_INDENT, "expected", "%s", e->expected);
	if (e->found)
		text_labelled(page->to, FACT_INDENT, VALUE_INDENT, "found", "%s", e->found);
}

static void put_techniques(const struct page *page, const struct finding *finding)
{
	fprintf(page->to, "%*sfinding  %s", FINDING_INDENT, "", finding->id);
	for (size_t i = 0; finding->techniques && finding->techniques[i]; i++)
		fprintf(page->to, "%s%s", i ? " " : ", ATT&CK ", finding->techniques[i]);
	putc('\n', page->to);
}

static void put_finding(const struct page *page, const struct finding *finding)
{
	const char *severity = severity_name(finding->severity);

	putc('\n', page->to);
	put_coloured(page, finding->severity >= SEVERITY_HIGH ? TEXT_RED : TEXT_YELLOW, severity);
	fprintf(page->to, "%*s", FINDING_INDENT - (int)strlen(severity), "");
	text_wrap(page->to, FINDING_INDENT, FINDING_INDENT, "%s", finding->title);
	text_labelled(page->to, FINDING_INDENT, OBJECT_INDENT, "object", "%s %s",
		      finding->object_kind, finding->object_name);
	if (finding->owner)
		text_labelled(page->to, FINDING_INDENT, OBJECT_INDENT, "owner", "%s",
			      finding->owner);
	for (size_t i = 0; i < finding->evidence.n; i++)
		put_fact(page, &finding->evidence.v[i]);
	put_techniques(page, finding);
}

/* The worst first. */
static void put_findings(const struct page *page, const struct sweep *sweep)
{
	for (int severity = SEVERITY_CRITICAL; severity >= SEVERITY_LOW; severity--)
		for (size_t i = 0; i < sweep->results_n; i++) {
			const struct check_result *result = &sweep->results[i];

			for (size_t j = 0; j < result->findings.n; j++)
				if ((int)result->findings.v[j]->severity == severity)
					put_finding(page, result->findings.v[j]);
		}
}

static const char *state_colour(enum check_state state)
{
	switch (state) {
	case CHECK_CLEAN:
		return TEXT_GREEN;
	case CHECK_FINDING:
		return TEXT_RED;
	case CHECK_NOT_COVERED:
		return TEXT_BLUE;
	default:
		return TEXT_YELLOW;
	}
}

/* "450 entries, 2 tables"; to be freed, NULL: no memory. What was not there is left out. */
static char *covered_text(const struct check_result *result)
{
	const char *separator = "";
	char *text = NULL;
	size_t size;
	FILE *to = open_memstream(&text, &size);

	if (!to)
		return NULL;
	for (size_t i = 0; i < result->covered.n; i++) {
		const struct covered *covered = &result->covered.v[i];

		if (!covered->count)
			continue;
		fprintf(to, "%s%" PRIu64 " %s", separator, covered->count, covered->what);
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

static void put_check(const struct page *page, const struct check_result *result)
{
	bool skipped = result->state == CHECK_NOT_COVERED;
	cleanup(freep) char *covered = covered_text(result);
	const char *state = skipped ? "not covered" : check_state_name(result->state);
	size_t at = CHECK_INDENT + strlen(result->check->id) + 1;

	if (at < COVERED_INDENT)
		at = COVERED_INDENT;
	put_coloured(page, state_colour(result->state), state);
	fprintf(page->to, "%*s%-*s", CHECK_INDENT - (int)strlen(state), "",
		(int)at - CHECK_INDENT, result->check->id);
	text_wrap(page->to, at, COVERED_INDENT, "%s", skipped ? result->reason :
		  covered ? covered : "(no memory)");
	if (*result->reason && !skipped)
		text_labelled(page->to, 0, COVERED_INDENT, "", "%s", result->reason);
}

/* "reference: linux-image-6.1.0-32-amd64 6.1.129-1 (package)" */
static void put_reference(const struct page *page, const struct report *report)
{
	const struct reference_source *source = report->reference;

	if (source)
		text_wrap(page->to, 0, 2, "reference: %s%s%s (%s)",
			  *source->package ? source->package : source->path,
			  *source->version ? " " : "", source->version, source->source);
	else
		text_wrap(page->to, 0, 2, "reference: none (`hvsm reference fetch` gets one)");
}

/* "agent: trusted (build 4f0c…, 1,234 records)" */
static void put_agent(const struct page *page, const struct report *report)
{
	const struct keeper_agent *agent = report->agent;
	const char *state = agent ? keeper_state_name(report_agent_state(report)) : "";

	if (!agent)
		text_wrap(page->to, 0, 2, "agent: not covered (no copy of it is at hand: --agent)");
	else if (!agent->pid)
		text_wrap(page->to, 0, 2, "agent: %s", state);
	else
		text_wrap(page->to, 0, 2, "agent: %s (PID %d, build %.16s, %" PRIu64 " records)",
			  state, agent->pid, agent->build_id, agent->log_records);
}

static void put_sweep(const struct page *page, const struct report *report)
{
	const struct sweep *sweep = report->sweep;
	char duration[HUMAN_MAX], bytes[HUMAN_MAX], time[HUMAN_MAX];

	fprintf(page->to, "\nswept %s in %s: %" PRIu64 " pages, %s read\nassurance: %s\n",
		human_time(sweep->started_ns, time, sizeof(time)),
		human_duration(sweep->duration_ns, duration, sizeof(duration)),
		sweep->pages_read, human_bytes(sweep->bytes_read, bytes, sizeof(bytes)),
		assurance_name(report_assurance(report)));
}

void text_report(const struct report *report, bool colour, FILE *to)
{
	const struct page page = { to, colour };

	put_head(&page, report);
	put_findings(&page, report->sweep);
	putc('\n', to);
	for (size_t i = 0; i < report->sweep->results_n; i++)
		put_check(&page, &report->sweep->results[i]);
	put_sweep(&page, report);
	put_reference(&page, report);
	put_agent(&page, report);
	processes_text(report->sweep, to);
}
