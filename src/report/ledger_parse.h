/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HVSM_REPORT_LEDGER_PARSE_H
#define HVSM_REPORT_LEDGER_PARSE_H

#include <jansson.h>

#include "base/blob.h"
#include "base/err.h"

/* A report as it comes from a scanner, which may have been taken over by its guest. */

#define PARSED_NAME_MAX 255	/* bytes of a name that records have in them */

struct parsed {
	json_t *document;	/* what the texts below point into */
	struct blob text;	/* the document, compact */
	uint8_t digest[32];	/* SHA-256 of that */
	uint8_t print[32];	/* of it without times, counts and processes: what makes two the
				   same */
	const char *guest;	/* its UUID, else its name, else its target */
	const char *name;	/* its name, else its target */
	const char *boot;	/* where its kernel lies */
	const char *verdict, *assurance;
	uint64_t started_ns, duration_us;
	json_t *checks;		/* each: id, result, reason are of their types */
	json_t *findings;	/* each: id, check, severity, title are strings */
};

/**
 * parsed_load - read what should be JSON, if it is not too much
 * @ret: a new reference
 * Return: 0, -EBADMSG (it is none), -ELOOP (too large, too deep, too many values), -ENOMEM.
 */
nodiscard int parsed_load(const char *json, size_t size, json_t **ret, struct err *err);

/**
 * parsed_read - read hvsm.report/1
 * @ret: for parsed_free()
 *
 * What hvsm relies on is of its type, and all strings are fit to be printed. What else there is
 * is kept as it is.
 *
 * Return: 0, -EBADMSG, -ELOOP (too much of it), -ENOMEM.
 */
nodiscard int parsed_read(const void *json, size_t size, struct parsed *ret, struct err *err);

void parsed_free(struct parsed *parsed);

/* Did this check see all that it is about? */
bool parsed_is_conclusive(const json_t *check);

/* Are all strings of this compact JSON fit to be printed? */
bool parsed_is_clean(const char *text, size_t size);

/* Is it fit to be printed? Backslashes are: they come from escape(). */
bool parsed_is_printable(const char *text, size_t size);

#endif
