/* SPDX-License-Identifier: Apache-2.0 */
#include "base/err.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

int err_set(struct err *err, int code, const char *fmt, ...)
{
	va_list args;

	if (!err)
		return code;
	err->code = code;
	va_start(args, fmt);
	vsnprintf(err->text, sizeof(err->text), fmt, args);
	va_end(args);
	return code;
}

int fail(struct err *err, int code, gva at, const char *fmt, ...)
{
	va_list args;
	int n;

	if (!err)
		return code;
	err->code = code;
	n = snprintf(err->text, sizeof(err->text), "%#" PRIx64 ": ", at.v);
	va_start(args, fmt);
	vsnprintf(err->text + n, sizeof(err->text) - (size_t)n, fmt, args);
	va_end(args);
	return code;
}

int wrap(struct err *err, int code, const char *fmt, ...)
{
	char tail[sizeof(err->text)];
	va_list args;
	int n;

	if (!err)
		return code;
	/* A text of another code is left over from something that did not matter. */
	snprintf(tail, sizeof(tail), "%s", err->code == code ? err->text : strerror(-code));
	err->code = code;

	va_start(args, fmt);
	n = vsnprintf(err->text, sizeof(err->text), fmt, args);
	va_end(args);
	if (n > 0 && (size_t)n < sizeof(err->text))
		snprintf(err->text + n, sizeof(err->text) - (size_t)n, ": %s", tail);
	return code;
}
