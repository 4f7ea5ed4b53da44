/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HVSM_MONITOR_WARD_H
#define HVSM_MONITOR_WARD_H

#include "monitor/backoff.h"
#include "monitor/event.h"
#include "monitor/fleet.h"
#include "monitor/libvirt.h"
#include "monitor/link.h"
#include "monitor/schedule.h"

struct parent;
struct ward_scanner;	/* the process, and what is said to it: ward_scanner.c */

/* Which boot of which kernel a scanner found: numbers that no two boots share. */
struct ward_boot {
	uint64_t text, canary, first_task, first_task_ns;	/* as in struct kernel_boot */
};

/* Is what was found then the boot that is there now? */
bool ward_boot_is_same(const struct ward_boot *then, const struct ward_boot *now);

/* What Xen tells of a domain as it happens (parent_xen.c). */
struct ward_xen_events {
	bool asked;		/* they are told, or asked for */
	bool refused;		/* … and were not told: a person knows */
	uint64_t next;		/* when they are asked for again; CLOCK_MONOTONIC */
};

/* A guest that is watched, and its scanner, seen from the parent. */
struct ward {
	struct parent *parent;
	uint64_t number;		/* of the guest */
	const struct fleet_guest *guest;
	int pidfd;			/* of the guest's process; -1: a domain of Xen has none */
	enum guest_state state;
	char reason[224];		/* why it is not watched */

	struct ward_scanner *scanner;	/* NULL: none runs */
	bool ready;			/* it has found the guest's kernel */
	uint32_t restarts;		/* after it died, since the guest came */
	struct backoff deaths;
	uint32_t failures;		/* in a row: it found no kernel */
	uint64_t next;			/* when one is started, if none runs; CLOCK_MONOTONIC */
	uint64_t ready_at;

	struct ward_boot boot;		/* as it was found last */
	char release[65];		/* of its kernel */
	uint64_t found_ns;		/* when it was, CLOCK_BOOTTIME */
	bool seen_up;			/* a sweep saw this boot run */
	uint64_t alive_ns;		/* when the last one that did began, CLOCK_BOOTTIME */
	char before[65];		/* release of the boot that ran before it; "": none did */
	uint32_t reboots;		/* since the guest came */
	uint64_t alarms;		/* of its sentinel, since then */
	uint32_t unsteady;		/* sweeps in a row that did not */
	uint32_t plugged;		/* reports in a row that did not count: ward_on_plugged() */
	uint64_t probe;			/* when it is tried again, if so; 0: not */

	struct ward_xen_events xen_events;
	const char *stands;		/* libvirt says that it is paused: why; else NULL */

	bool working;
	bool probing;			/* the job is no one's but ours */
	bool handed;			/* its report is with control */
	uint64_t job_started;
	uint64_t job_cpu;		/* of the scanner, when the job began */
	uint64_t job_spent;		/* by the job, once its report is there */
	uint64_t charged;		/* CPU time of the scanner that the schedule knows of */
	uint64_t cpu_ns;		/* of scanners that have ended */
	bool died;			/* the last one did, or was killed */
};

/**
 * ward_create - a guest is to be watched from now on
 * @guest: of the fleet; outlives the ward
 * Return: 0, or a negative errno.
 */
nodiscard int ward_create(struct parent *parent, const struct fleet_guest *guest,
			  struct ward **ret, struct err *err);

/* Ends its scanner. *@ward becomes NULL; NULL is fine. */
void ward_free(struct ward **ward);

/* Start its scanner where none runs, and it is time; end a job that takes too long. */
void ward_tend(struct ward *ward, uint64_t now);

/* When is there something to tend, after @now? UINT64_MAX: not at a time that is known. */
uint64_t ward_wake(const struct ward *ward, uint64_t now);

/* A job begins. What goes wrong ends the scanner, and another is started. */
void ward_start(struct ward *ward, const struct schedule_job *job, uint64_t now);

/* Control has read the report of its job. */
void ward_taken(struct ward *ward, const struct schedule_cost *costs, size_t costs_n,
		uint64_t now);

/* Control says that the report of its job is none. */
void ward_refused(struct ward *ward);

/* Control is gone, and maybe a report with it: everything is looked at once more. */
void ward_lost(struct ward *ward, uint64_t now);

/* Its name or UUID is another now: its scanner has said the old one, and begins anew. */
void ward_renamed(struct ward *ward, uint64_t now);

/* Its events say that its clock stands still, or moves again. */
void ward_pause(struct ward *ward, bool paused, uint64_t now);

/* Has its process, of which the loop may not have told yet? */
bool ward_has_ended(const struct ward *ward);

/**
 * ward_hint - libvirt says something of it
 * @domain: NULL: it says nothing any more
 *
 * It is looked at at once, and stays what it is seen to be: only the words are libvirt's.
 */
void ward_hint(struct ward *ward, const struct libvirt_domain *domain, uint64_t now);

/* Something happened in it that no scanner has seen. 0, or an errno: control is not there. */
nodiscard int ward_tell_event(struct ward *ward, const struct event *event);

/* For control. */
void ward_tell(const struct ward *ward, uint64_t now, struct link_guest *ret);

/* --- what its scanner says: called by ward_scanner.c --- */

void ward_on_ready(struct ward *ward, const struct ward_boot *boot, const char *release);

/* @fd stays the caller's. */
void ward_on_report(struct ward *ward, int fd, uint8_t verdict, bool steady);

/* @changed: SENTINEL_BIT() of regions in which something is not what it was */
void ward_on_events(struct ward *ward, int fd, uint32_t changed);

/* Its report is of less memory than the guest has by now: it is opened anew. */
void ward_on_plugged(struct ward *ward);

/* It could not be opened, or swept; or the scanner died, or was made to: @died. */
void ward_on_failure(struct ward *ward, int code, const char *why, bool died);

/* --- and what it is told: ward_scanner.c --- */

/* Starts a process, and opens the guest for it. 0, or a negative errno. */
nodiscard int ward_scanner_start(struct ward *ward, struct err *err);

/* What there is to compare its guest with may be complete now: then it is told. */
void ward_scanner_resume(struct ward *ward);

/* Kills it. Nothing where none runs. */
void ward_scanner_end(struct ward *ward);

/* @checks: numbers; @n 0: a look */
nodiscard int ward_scanner_sweep(struct ward *ward, const uint32_t *checks, size_t n,
				 struct err *err);
/* As @job says. */
nodiscard int ward_scanner_look(struct ward *ward, const struct schedule_job *job,
				struct err *err);

/* CPU time and memory of the process; 0: none runs. */
uint64_t ward_scanner_cpu_ns(const struct ward *ward);
uint64_t ward_scanner_memory_bytes(const struct ward *ward);

#endif
