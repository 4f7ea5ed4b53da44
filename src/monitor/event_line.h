/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HVSM_MONITOR_EVENT_LINE_H
#define HVSM_MONITOR_EVENT_LINE_H

#include <stdbool.h>

#include "base/bytes.h"
#include "report/identity.h"

/* One line of events as a scanner sends them, before it is handed on. */
struct event_line {
	const char *text;	/* inside of what was read; not terminated */
	size_t n;		/* without the newline */
	bool paused, resumed;	/* the guest's clock stands still, or moves again */
	bool alarms;		/* code was put into the kernel, or taken out */
};

/* A line at most; what is longer, or is no hvsm.event/1, is left out. */
#define EVENT_LINE_MAX (64u << 10)

/**
 * event_line_of - a line as an event of one guest, whatever guest it says
 * Return: to be freed by the caller; NULL: it has what nobody may be shown, or no memory.
 */
char *event_line_of(const struct event_line *line, const struct identity *identity);

/* The next one that is an event. False: there is none. */
bool event_line_next(struct bytes *rest, struct event_line *ret);

#endif
