/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HVSM_MONITOR_CONTROL_H
#define HVSM_MONITOR_CONTROL_H

#include <stdio.h>

#include "monitor/audit_log.h"
#include "monitor/http.h"
#include "monitor/metrics.h"
#include "monitor/picture.h"
#include "monitor/serve.h"
#include "monitor/steady.h"

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

/* Kinds of reactions, and the one of reactions that there are not. */
#define CONTROL_KINDS	 (REACTION_POWEROFF + 2)
#define CONTROL_OUTCOMES (AUDIT_BUSY + 1)

/* What is counted for metrics, since control was started. */
struct control_counts {
	struct metrics_durations sweeps;
	uint64_t refused;		/* reports */
	uint64_t opened, closed;	/* findings */
	uint64_t reactions[CONTROL_KINDS][CONTROL_OUTCOMES];
	uint64_t gone_cpu_ns;		/* of guests that went */
	uint64_t http[HTTP_STATUSES];
};

struct control {
	struct loop loop;
	struct channel parent;
	struct channel_rule rules[LINK_RULES];
	struct picture picture;
	const char **ids;	/* of the checks */
	struct config *config;		/* NULL: none came yet */
	struct ledger *ledger;		/* NULL: it cannot be opened; told by @trouble */
	char *ledger_path;		/* directory; NULL: not set up yet */
	uint64_t ledger_next;		/* when that is tried again, CLOCK_MONOTONIC */
	struct audit_log audits;
	struct server server;
	struct http *http;		/* NULL: it is not served */
	struct control_counts counts;
	int socket;		/* -1: not set up yet */
	uint64_t started_ns;
	struct steady steady;		/* the host's clock; begins as the parent has it */
	uint64_t expire_next;		/* when old reports are removed, CLOCK_MONOTONIC */
	uint32_t host_us_per_s;
	uint64_t received, stored;	/* reports */
	uint64_t incidents_n;	/* all; the last ones are kept */
	struct control_incident incidents[CONTROL_INCIDENTS_MAX];
	char trouble[224];	/* why the ledger took nothing last time; "" it did */
};

/* The role: until the parent says so, or is gone. Return: exit status. */
int control_run(void);

/* Something that a person should know; @guest may be 0. */
void control_incident(struct control *control, uint64_t guest, const char *text);

/* What checks said that are switched off by now counts no more. */
void control_forget_off(const struct control *control, struct picture_guest *guest);

/* -ENOSPC and the like: a person is told once. @guest: whose report it was; NULL: nobody's. */
void control_trouble(struct control *control, const struct picture_guest *guest,
		     const struct err *why);

/**
 * control_ledger_open - have the ledger open, if there is none, or none any more, and it is time
 * What is wrong is told by control_trouble(). Nothing before the parent said where it is.
 */
void control_ledger_open(struct control *control);

/* Its file was removed, or replaced: another is opened, and gets all that is known now. */
void control_ledger_lost(struct control *control);

/* What the policy makes of one report; it points into the configuration and the report. */
struct judgement {
	struct guest_config config;
	struct policy_outcome outcome;
};

/**
 * control_judge - mark a report by the policy
 * @report: as heard_report() took it; it must outlive @ret
 * @ret:    judgement_free()
 *
 * Return: as policy_apply(); -EPROTO: there is no configuration.
 */
nodiscard int control_judge(const struct control *control, const struct picture_guest *guest,
			    json_t *report, struct judgement *ret, struct err *err);
void judgement_free(struct judgement *judgement);

/**
 * control_react - learn of a report, and ask the parent for what follows from it
 *
 * What cannot be asked for now is decided anew with the next report. Return: 0, or an errno of
 * the channel.
 */
nodiscard int control_react(struct control *control, struct picture_guest *guest,
			    const struct judgement *judgement, const json_t *report,
			    struct err *err);

/**
 * control_expire - remove reports that are older, or more, than the configuration has it
 * @monotonic: CLOCK_MONOTONIC: does nothing for an hour after it was called
 * @now:       CLOCK_REALTIME
 *
 * By age only while steady_is(): a clock that is wrong would have all removed. Nothing where there
 * is no ledger, or no configuration. What goes wrong is told, and tried again.
 */
void control_expire(struct control *control, uint64_t monotonic, uint64_t now);

/* Look at the host's clock; where it jumped, a person is told. As steady_look(). */
void control_clock(struct control *control, uint64_t real, uint64_t boot);

/* LINK_CONFIG, LINK_AUDIT, LINK_HTTP: @ctx is the struct control. */
channel_handler control_on_config, control_on_audit, control_on_http;

/* Answer a request of the command line; serve_fn, @ctx is the struct control. */
int control_answer(struct client *client, const char *line, void *ctx, struct err *err);

/* Answer a request over HTTP; http_fn, @ctx is the struct control. */
void control_answer_http(const struct http_request *request, struct http_answer *ret, void *ctx);

/**
 * control_metrics - all metrics, in Prometheus's text format
 * Errors of writing are those of @to. Return: 0, -ENOMEM, or as ledger_each_finding().
 */
nodiscard int control_metrics(const struct control *control, FILE *to, struct err *err);

#endif
