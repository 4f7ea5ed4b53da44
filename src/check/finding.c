/* SPDX-License-Identifier: Apache-2.0 */
#include "check/finding.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *severity_name(enum severity severity)
{
	static const char *const names[] = { "low", "medium", "high", "critical" };

	return names[severity];
}

static void evidence_free(struct evidence *evidence)
{
	free(evidence->what);
	free(evidence->symbol);
	free(evidence->expected);
	free(evidence->found);
}

void finding_clear(struct finding *finding)
{
	for (size_t i = 0; i < finding->evidence.n; i++)
		evidence_free(&finding->evidence.v[i]);
	vec_free(&finding->evidence);
	free(finding->title);
	free(finding->object_kind);
	free(finding->object_name);
	free(finding->owner);
	memset(finding, 0, sizeof(*finding));
}

void finding_free(struct finding *finding)
{
	if (!finding)
		return;
	finding_clear(finding);
	free(finding);
}

/* Replace a string of a finding by a formatted one. */
static void set_text(struct finding *finding, char **to, const char *fmt, va_list args)
{
	char *text;

	if (vasprintf(&text, fmt, args) < 0) {
		finding->incomplete = true;
		return;
	}
	free(*to);
	*to = text;
}

void finding_owner(struct finding *finding, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	set_text(finding, &finding->owner, fmt, args);
	va_end(args);
}

void finding_title(struct finding *finding, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	set_text(finding, &finding->title, fmt, args);
	va_end(args);
}

static char *copy(struct finding *finding, const char *text)
{
	char *own = text ? strdup(text) : NULL;

	if (text && !own)
		finding->incomplete = true;
	return own;
}

void finding_evidence(struct finding *finding, const char *what, gva at, const char *symbol,
		      const char *expected, const char *found)
{
	struct evidence *evidence = vec_add(&finding->evidence);

	if (!evidence) {
		finding->incomplete = true;
		return;
	}
	evidence->what = copy(finding, what);
	evidence->at = at;
	evidence->symbol = copy(finding, symbol);
	evidence->expected = copy(finding, expected);
	evidence->found = copy(finding, found);
}
