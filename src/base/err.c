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
	char context[sizeof(err->text)], whole[2 * sizeof(err->text)];
	va_list args;

	if (!err)
		return code;
	va_start(args, fmt);
	vsnprintf(context, sizeof(context), fmt, args);
	va_end(args);

	snprintf(whole, sizeof(whole), "%s: %s", context,
		 err->code ? err->text : strerror(-code));
	memcpy(err->text, whole, sizeof(err->text) - 1);
	err->text[sizeof(err->text) - 1] = '\0';
	err->code = code;
	return code;
}
