/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HVSM_MONITOR_PARENT_H
#define HVSM_MONITOR_PARENT_H

#include "base/loop.h"
#include "monitor/config.h"
#include "monitor/fleet.h"
#include "monitor/link.h"
#include "monitor/material.h"
#include "monitor/schedule.h"
#include "monitor/settings.h"
#include "monitor/spawn.h"
#include "monitor/ward.h"

/*
 * The process that has the rights: it finds guests, opens their memory for scanners, starts and
 * restarts these and control, and decides who is looked at when. What scanners say of guests it
 * hands on unread.
 */
struct parent {
	struct config *config;
	char *config_path;		/* to be read again; NULL: there is no file */
	struct settings_user user;
	bool is_root;			/* else it runs for the tests, and changes to nobody */
	char *ledger;			/* directory */
	struct loop loop;
	struct schedule *schedule;
	struct fleet fleet;
	VEC(struct ward *) wards;	/* one for each guest of the fleet that is watched */
	struct material_store materials;
	size_t checks_n;
	struct spawned control;
	struct channel link;
	struct channel_rule rules[LINK_RULES];
	struct link_handlers handlers;
	bool control_ready;
	uint32_t control_failures;	/* in a row */
	uint64_t control_next;		/* when it is started again, CLOCK_MONOTONIC */
	int listen;			/* socket of the command line */
	int signals, timer;
	uint64_t started_ns;		/* CLOCK_REALTIME */
	bool stopping;
};

/**
 * parent_run - the role: until SIGTERM
 * @config: becomes the parent's
 * @path:   of its file; NULL: there is none
 *
 * Return: exit status.
 */
int parent_run(struct config *config, const char *path);

/* Something that a person should know, for the journal and for control; @guest may be 0. */
void parent_incident(struct parent *parent, uint64_t guest, const char *fmt, ...)
	printf_like(3, 4);

/* Its process has: told at once, not at the next look at /proc. */
void parent_guest_ended(struct parent *parent, uint64_t guest);

/* Start what may start now, and wake up for what comes next. */
void parent_work(struct parent *parent);

/* --- control, seen from the parent (parent_control.c) --- */

/* Start it where it does not run, and it is time. */
void parent_control_tend(struct parent *parent);

/* It ends, after it has done what came before; waits for it for a while. */
void parent_control_stop(struct parent *parent);

/* Tell it how a guest is. Nothing where it is not there: it is told all when it is. */
void parent_control_guest(struct parent *parent, const struct ward *ward);

/* Hand on what a scanner said; @fd stays the caller's. 0, or an errno: control is not there. */
nodiscard int parent_control_report(struct parent *parent, uint64_t guest, uint8_t verdict,
				    int fd);
nodiscard int parent_control_events(struct parent *parent, uint64_t guest, int fd);

#endif
