/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HVSM_MONITOR_HEARD_H
#define HVSM_MONITOR_HEARD_H

#include <jansson.h>

#include "monitor/sealed.h"
#include "report/identity.h"
#include "report/verdict.h"

/* What a scanner said may be anybody's words: is it of the form that it must have? */

/* Lines of UTF-8 that steer no terminal, but for the colours of reports. */
bool heard_text(const struct sealed *text, bool colour);

/**
 * heard_report - a report about this guest, with this verdict
 * @ret: a new reference
 * Return: 0, -EPROTO (it is not), -ENOMEM.
 */
nodiscard int heard_report(const struct sealed *text, const struct identity *identity,
			   enum verdict verdict, json_t **ret, struct err *err);

/* 40 hex digits or fewer, or none. */
bool heard_build_id(const char *text);

#endif
