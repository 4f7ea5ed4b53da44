/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HVSM_CLI_WATCH_DAEMON_H
#define HVSM_CLI_WATCH_DAEMON_H

#include <signal.h>
#include <stddef.h>

#include "base/err.h"

/* `hvsm watch` without a target: what hvsmd(8) tells of all its guests. */
struct watch_daemon {
	bool json;
	unsigned kinds;		/* EVENT_BIT()s: other events are left out */
	bool findings;		/* that open and close, too */
	uint64_t left;		/* lines that may still be printed */
	uint64_t end_ns;	/* CLOCK_MONOTONIC; 0: none */
	size_t columns;		/* 0: lines are not cut */
	const volatile sig_atomic_t *stop;
};

/**
 * watch_daemon - print what comes, until the end of what was asked for, or of the daemon
 * Return: 0; -ECONNRESET: the daemon has ended; or as ask_begin().
 */
nodiscard int watch_daemon(struct watch_daemon *watch, struct err *err);

#endif
