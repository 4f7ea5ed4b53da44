/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HVSM_AGENT_CLIENT_H
#define HVSM_AGENT_CLIENT_H

#include "agent/format.h"
#include "base/err.h"

/**
 * client_connect - ask the running agent (see control.h)
 * @anchor: receives its anchor
 *
 * Return: a descriptor from which anchor->log_bytes of log can be read, to be closed by the
 * caller; -ENOENT or -ECONNREFUSED where no agent runs; or another error.
 */
nodiscard int client_connect(struct agent_anchor *anchor, struct err *err);

/* Called for each record, whose size_bytes are there. Negative ends the log. */
typedef int client_record_fn(const struct agent_record *record, void *ctx, struct err *err);

/* Read the log of @anchor from @fd, record by record. -EBADMSG: it is not well formed. */
nodiscard int client_log(int fd, const struct agent_anchor *anchor, client_record_fn *fn,
			 void *ctx, struct err *err);

#endif
