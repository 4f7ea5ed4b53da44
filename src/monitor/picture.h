/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HVSM_MONITOR_PICTURE_H
#define HVSM_MONITOR_PICTURE_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/vec.h"
#include "monitor/link.h"
#include "monitor/policy.h"
#include "monitor/schedule.h"

/*
 * What control knows of the guests that there are: what the parent tells, and how each check
 * ended when it ran last. What was found is in the ledger alone.
 */
enum picture_state {
	PICTURE_UNKNOWN,	/* it has not run yet */
	PICTURE_CLEAN,
	PICTURE_NOT_COVERED,
	PICTURE_INCONCLUSIVE,
	PICTURE_FINDING,
};

/* "not_run", "clean", "not_covered", "inconclusive", "finding". */
const char *picture_state_name(enum picture_state state);

struct picture_check {
	enum picture_state state;
	uint64_t print;		/* of how it ended and what it found: changes where these do */
};

struct picture_guest {
	uint64_t number;
	enum guest_state state;
	char *key;		/* for the ledger: escaped, at most 255 bytes */
	char *name, *uuid, *target, *hypervisor, *reason;
	uint64_t share_ppm, stretch_ppm, cpu_ns, memory_bytes;
	uint32_t restarts, reboots;
	uint64_t alarms;
	struct picture_check *checks;
	struct policy_memory memory;
	uint64_t sweeps;	/* reports that came */
	uint64_t swept_ns;	/* when the last one did, CLOCK_REALTIME; 0: none */
	uint64_t stored_ns;	/* when the ledger took one last, CLOCK_MONOTONIC; 0: never */
};

struct picture {
	const char *const *ids;	/* of the checks, by their number; the caller's */
	size_t ids_n;
	VEC(struct picture_guest *) guests;
};

/* NULL: there is none. */
struct picture_guest *picture_guest(const struct picture *picture, uint64_t number);

/* A guest that is new, or of which something is. 0, -ENOMEM. */
nodiscard int picture_set(struct picture *picture, const struct link_guest *guest);

/* Is that its key, as the parent has it: not escaped? */
bool picture_has_key(const struct picture_guest *guest, const char *key);
void picture_remove(struct picture *picture, uint64_t number);
void picture_free(struct picture *picture);

/* What a report says, besides what the ledger is for. */
struct picture_report {
	struct picture_check *checks;	/* all of them, as they are after it */
	struct schedule_cost *costs;	/* of those that ran */
	size_t costs_n;
	bool changed;			/* a check ended otherwise than before, or for the first
					   time; or found something else; or the policy says
					   something else of what it found */
};

/**
 * picture_read - read a report
 * @root: hvsm.report/1 of a scanner, as heard_report() took it: what is in it may be false; marked
 *        by policy_apply() or not
 * @ret:  receives what it says; picture_take() or picture_report_free()
 *
 * Return: 0, -EBADMSG (it is no report), -ENOMEM.
 */
nodiscard int picture_read(const struct picture *picture, const struct picture_guest *guest,
			   const json_t *root, struct picture_report *ret, struct err *err);

/* From now on the guest is as the report says; the report keeps its costs. */
void picture_take(struct picture_guest *guest, struct picture_report *report);

/* Nothing of what the checks said counts any more: all of it is news. */
void picture_forget(const struct picture *picture, struct picture_guest *guest);

void picture_report_free(struct picture_report *report);

/* Has any check run that covered something? */
bool picture_swept(const struct picture *picture, const struct picture_guest *guest);

#endif
