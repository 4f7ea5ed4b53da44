/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HVSM_MONITOR_AUDIT_LOG_H
#define HVSM_MONITOR_AUDIT_LOG_H

#include <stdbool.h>
#include <stdint.h>

#include "monitor/link.h"

/*
 * The file of what was done, tried, or would have been: hvsm.audit/1, one line for each step of a
 * reaction, oldest first (docs/policy.md). It only grows, until it is AUDIT_LOG_BYTES_MAX long:
 * then it takes the place of the one before it (".1"), and a new one begins.
 */
#define AUDIT_LOG_NAME "audit.jsonl"

struct audit_log {
	int directory, fd;	/* -1: none */
	uint64_t size;		/* of complete lines */
	uint64_t size_max;
	bool torn;		/* a line in part is behind them, which could not be taken back */
};

#define AUDIT_LOG_NONE ((struct audit_log){ .directory = -1, .fd = -1 })

/**
 * audit_log_open - go on with the file of a directory, or make it
 * @ret: audit_log_close() on success
 *
 * A line that was cut when the host lost power is ended, so that the next one is whole.
 *
 * Return: 0, or a negative errno.
 */
nodiscard int audit_log_open(const char *directory, struct audit_log *ret, struct err *err);
void audit_log_close(struct audit_log *log);

/**
 * audit_log_add - a line more
 *
 * It is on the disk when this returns 0, but for what was only logged; else nothing is changed.
 * The guest's key is escaped here.
 *
 * Return: 0, -ENOMEM, -ENOSPC, or another errno of writing.
 */
nodiscard int audit_log_add(struct audit_log *log, const struct link_audit *audit,
			    struct err *err);

#endif
