/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/say.h"

#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/escape.h"

static void put(const char *text)
{
	cleanup(freep) char *escaped = escape_dup(text);

	fprintf(stderr, "hvsm: %s\n", escaped ? escaped : "(no memory for a message)");
}

void say(const char *fmt, ...)
{
	char text[1024];
	va_list args;

	va_start(args, fmt);
	vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	put(text);
}

/* What helps against an error, wherever it came from; NULL: nothing that a table knows. */
static const char *usual_advice(int code)
{
	switch (code) {
	case -ESRCH:
		return "`hvsm list` shows the guests that run";
	case -ESTALE:
	case -EFAULT:
		return "the guest changed meanwhile: try again";
	case -EBADMSG:
		return "it is damaged, or it lies: treat the guest as compromised";
	case -ELOOP:
		return "no sound guest is that large: treat it as compromised";
	case -ENOMEM:
		return "free some memory of the host and try again";
	default:
		return NULL;
	}
}

void say_failed(int code, const struct err *err, const char *advice, const char *fmt, ...)
{
	char what[512];
	va_list args;

	if (!advice)
		advice = usual_advice(code);
	va_start(args, fmt);
	vsnprintf(what, sizeof(what), fmt, args);
	va_end(args);
	say("%s: %s%s%s", what, err->code ? err->text : strerror(-code), advice ? "; " : "",
	    advice ? advice : "");
}
