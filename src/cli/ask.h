/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HVSM_CLI_ASK_H
#define HVSM_CLI_ASK_H

#include <jansson.h>

#include "base/err.h"

/* Questions to hvsmd over its socket: a line of JSON each, and so are the answers. */

/* Where it is unless HVSM_SOCKET says otherwise. */
#define ASK_SOCKET "/run/hvsm/hvsmd.sock"

/* How long to wait for an answer; and an answer at most. */
#define ASK_MS	      10000
#define ASK_BYTES_MAX (16u << 20)

/**
 * ask_once - one question, one answer
 * @request: a line, without its newline
 * @schema:  that the answer must have
 * @ret:     receives it: a new reference
 *
 * Return: 0, -ECONNREFUSED, -ENOENT (nobody is there), -EACCES, -ETIMEDOUT, -EBADMSG (it is no
 *         such answer), -EREMOTEIO (it refused, and says why), -ENOMEM, or another errno.
 */
nodiscard int ask_once(const char *request, const char *schema, json_t **ret, struct err *err);

/* A question whose answer has no end: lines of JSON. */
struct asking {
	int fd;			/* -1: none */
	char *text;		/* what came and was not taken yet */
	size_t n, room;
};

#define ASKING_NONE ((struct asking){ .fd = -1 })

/* As ask_once(), of the first line; asking_end() on success. */
nodiscard int ask_begin(const char *request, const char *schema, struct asking *ret,
			struct err *err);

/**
 * ask_next - the next line
 * @ret: receives it: a new reference
 * Return: 0, -ETIMEDOUT (none came yet), -EINTR, -ECONNRESET (there are no more), -EBADMSG, …
 */
nodiscard int ask_next(struct asking *asking, int timeout_ms, json_t **ret, struct err *err);

void asking_end(struct asking *asking);

#endif
