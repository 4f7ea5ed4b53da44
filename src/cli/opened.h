/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HVSM_CLI_OPENED_H
#define HVSM_CLI_OPENED_H

#include "monitor/session.h"
#include "ram/guests.h"

/* A guest that a scanner (monitor/scanner.h) was started for: nothing of it is read here. */
struct opened {
	struct guest guest;
	struct identity identity;	/* of @guest, as reports have it */
	struct ram *ram;
	struct session session;		/* its kernel was found */
};

#define OPENED_NONE ((struct opened){ .session = SESSION_NONE })

/**
 * opened_start - find a guest and its memory, and have a scanner find its kernel
 * @opened: OPENED_NONE; to be given back with opened_end(), whatever came back
 *
 * What fails is said on stderr, and on a terminal what takes long.
 *
 * Return: 0, or a negative errno.
 */
nodiscard int opened_start(const char *target, struct opened *opened);
void opened_end(struct opened *opened);

/* For session_wait(): what a scanner remarks is said on stderr. */
void opened_remark(const char *text);

/* What to do where a scanner failed so; NULL: nothing that is not known anyhow. */
const char *opened_advice(int code);

#endif
