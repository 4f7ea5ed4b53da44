/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HVSM_MONITOR_PARENT_H
#define HVSM_MONITOR_PARENT_H

#include "base/loop.h"
#include "monitor/backoff.h"
#include "monitor/config.h"
#include "monitor/fleet.h"
#include "monitor/http_setup.h"
#include "monitor/libvirt.h"
#include "monitor/link.h"
#include "monitor/material.h"
#include "monitor/reaction.h"
#include "monitor/schedule.h"
#include "monitor/settings.h"
#include "monitor/spawn.h"
#include "monitor/ward.h"
#include "monitor/xen_events.h"

/* libvirt, seen from the parent (parent_libvirt.c). */
struct parent_libvirt {
	struct spawned process;
	struct channel channel;
	struct channel_rule rules[LIBVIRT_RULES];
	bool connected;
	uint32_t failures;	/* in a row */
	uint64_t next;		/* when it is started again; CLOCK_MONOTONIC, as all of these */
	uint64_t heard;		/* when it said something */
	uint64_t looked;	/* at the host, as it said something */
	char why[224];		/* it is not there, as it was told */
	char *uri;		/* that the process was told */
};

/* Who holds the monitor rings of Xen's domains, seen from the parent (parent_xen.c). */
struct parent_xen {
	struct spawned process;
	struct channel channel;
	struct channel_rule rules[XEN_EVENTS_RULES];
	bool looked;		/* it was started once */
	uint32_t failures;	/* in a row */
	uint64_t next;		/* when it is started again; CLOCK_MONOTONIC */
	char why[224];		/* it is not there, as it was told */
};

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
	bool xen_silent;		/* its domains could not be looked for: that was told */
	bool blind;			/* no guests could be looked for: that was told */
	VEC(struct ward *) wards;	/* one for each guest of the fleet that is watched */
	struct material_store materials;
	size_t checks_n;
	struct spawned control;
	struct channel link;
	struct channel_rule rules[LINK_RULES];
	struct link_handlers handlers;
	bool control_ready;
	uint64_t control_ready_at;	/* CLOCK_MONOTONIC; 0: it was not yet */
	struct backoff control_ends;
	uint64_t control_next;		/* when it is started again, CLOCK_MONOTONIC */
	struct parent_libvirt libvirt;
	struct parent_xen xen;
	struct reactor *reactor;
	const char *reacting_to;	/* while a reaction is submitted: why, for the journal */
	bool reaction_audited;		/* … and whether it was told of */
	int listen;			/* socket of the command line */
	struct http_setup http;		/* as it is served */
	struct {			/* a configuration that control has not tried yet … */
		struct config *config;	/* NULL: there is none */
		struct http_setup http;
		bool overtook;		/* … and another before it, which control may serve */
	} next;
	uint32_t http_serial;		/* of the last LINK_HTTP */
	int signals, timer;
	uint64_t started_ns;		/* CLOCK_REALTIME */
	struct steady clock;		/* the host's, for each control that is started */
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

/* Look at the host: which guests are there now? */
void parent_look(struct parent *parent);

/* Start what may start now, and wake up for what comes next. */
void parent_work(struct parent *parent);

/* What comes next is another now. */
void parent_wake(struct parent *parent);

/* --- control, seen from the parent (parent_control.c) --- */

/* Start it where it does not run, and it is time. */
void parent_control_tend(struct parent *parent);

/*
 * Look at the host's clock, which control does as well: whoever has control end does not have what
 * waits for a clock that stood wait anew. As steady_look().
 */
void parent_control_clock(struct parent *parent, uint64_t real, uint64_t boot);

/* It ends, after it has done what came before; waits for it for a while. */
void parent_control_stop(struct parent *parent);

/* What link_send_…() came to: a control that does not read is started anew. */
void parent_control_told(struct parent *parent, int r, const char *what, const struct err *err);

/* Tell it how a guest is. Nothing where it is not there: it is told all when it is. */
void parent_control_guest(struct parent *parent, const struct ward *ward);

/* Tell it what holds now; nothing where it is not there. */
void parent_control_config(struct parent *parent);

/* It ended, or does not work: it is started again. @why: for the journal. */
void parent_control_went(struct parent *parent, const char *why);

/* Hand on what a scanner said; @fd stays the caller's. 0, or an errno: control is not there. */
nodiscard int parent_control_report(struct parent *parent, uint64_t guest, uint8_t verdict,
				    int fd);
nodiscard int parent_control_events(struct parent *parent, uint64_t guest, int fd);

/* --- libvirt, seen from the parent (parent_libvirt.c) --- */

/*
 * Start its process where none runs, and it is time; end one that says nothing, or that is not the
 * configuration's any more.
 */
void parent_libvirt_tend(struct parent *parent);
void parent_libvirt_stop(struct parent *parent);

/* --- events of Xen, seen from the parent (parent_xen.c) --- */

/* Start its process where a guest is to have events, and ask for those that it is to have. */
void parent_xen_tend(struct parent *parent);

/* A guest goes: its ring, if we had it, is given back. */
void parent_xen_leave(struct parent *parent, const struct ward *ward);

/* All rings are given back. */
void parent_xen_stop(struct parent *parent);

/* --- HTTP, and how a configuration comes into force (parent_http.c) --- */

/* What the first configuration says of it. 0, or as http_setup_make(). */
nodiscard int parent_http_start(struct parent *parent, struct err *err);

/* Tell control, which was started. 0, or an errno of the channel. */
nodiscard int parent_http_tell(struct parent *parent, struct err *err);

/**
 * parent_reload - another configuration, all or nothing
 * @config: becomes the parent's in any case
 *
 * It holds where all that it says of HTTP works: control, where it runs, tries that first. Then
 * parent_apply() is called, at once or later; else a person is told that it does not hold.
 */
void parent_reload(struct parent *parent, struct config *config);

/* Control is gone: what it has not tried does not hold. */
void parent_reload_lost(struct parent *parent);

/* It holds from now on (parent.c). */
void parent_apply(struct parent *parent, struct config *config);

void parent_http_stop(struct parent *parent);

/* LINK_SERVING: @ctx is the parent. */
channel_handler parent_on_serving;

/* --- reactions, that control asks for (parent_reaction.c) --- */

nodiscard int parent_reaction_start(struct parent *parent, struct err *err);

/* The configuration is another one. */
void parent_reaction_apply(struct parent *parent);

/* What is under way ends. */
void parent_reaction_stop(struct parent *parent);

/* LINK_REACT: @ctx is the parent. */
channel_handler parent_on_react;

#endif
