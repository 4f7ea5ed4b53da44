/* SPDX-License-Identifier: Apache-2.0 */
#include "monitor/journal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/escape.h"

#define LINE_MAX_BYTES 1000

void journal(int priority, const char *fmt, ...)
{
	char text[LINE_MAX_BYTES], safe[ESCAPED_MAX(LINE_MAX_BYTES)];
	char line[sizeof(safe) + 32];
	va_list args;
	int n;

	va_start(args, fmt);
	vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	if (escape_needless(text, strlen(text)))
		memcpy(safe, text, strlen(text) + 1);
	else
		escape(text, strlen(text), safe, sizeof(safe));
	n = getenv("JOURNAL_STREAM") ? snprintf(line, sizeof(line), "<%d>%s\n", priority, safe)
				     : snprintf(line, sizeof(line), "hvsmd: %s\n", safe);
	/* One write, so that the lines of several processes do not mix. Nobody else can be told. */
	if (n > 0 && write(STDERR_FILENO, line, (size_t)n) < 0)
		return;
}
