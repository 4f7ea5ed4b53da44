/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/kept.h"

#include <stdarg.h>
#include <stdio.h>

#include "report/text.h"

const char *kept_name(const struct reference_source *source)
{
	return *source->package ? source->package : source->path;
}

void kept_say(const struct reference_source *source, const char *fmt, ...)
{
	char text[128];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	text_wrap(stdout, 0, KEPT_ID_DIGITS + 2, "%.*s  %s%s%s: %s", KEPT_ID_DIGITS,
		  source->sha256, kept_name(source), *source->version ? " " : "",
		  source->version, text);
	fflush(stdout);	/* the next one may take long */
}
