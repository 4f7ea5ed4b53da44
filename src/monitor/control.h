/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HVSM_MONITOR_CONTROL_H
#define HVSM_MONITOR_CONTROL_H

#include "monitor/picture.h"
#include "monitor/serve.h"

struct ledger;

/*
 * The process that keeps reports and answers questions. It has no rights: it is a user of its
 * own, sees no guest's memory, and what it reads are reports that a scanner, and so a guest, may
 * have forged.
 */
#define CONTROL_INCIDENTS_MAX 32u

struct control_incident {
	uint64_t time_ns;	/* CLOCK_REALTIME */
	char *guest;		/* its name; NULL: of none */
	char *text;
};

struct control {
	struct loop loop;
	struct channel parent;
	struct channel_rule rules[LINK_RULES];
	struct picture picture;
	const char **ids;	/* of the checks */
	struct ledger *ledger;
	struct server server;
	int socket;		/* -1: not set up yet */
	uint64_t started_ns;
	uint32_t host_us_per_s, retention_days, retention_mib;
	uint64_t received, stored;	/* reports */
	uint64_t incidents_n;	/* all; the last ones are kept */
	struct control_incident incidents[CONTROL_INCIDENTS_MAX];
	char trouble[224];	/* why the ledger took nothing last time; "" it did */
};

/* The role: until the parent says so, or is gone. Return: exit status. */
int control_run(void);

/* Something that a person should know; @guest may be 0. */
void control_incident(struct control *control, uint64_t guest, const char *text);

/* Answer a request of the command line; serve_fn, @ctx is the struct control. */
int control_answer(struct client *client, const char *line, void *ctx, struct err *err);

#endif
