/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HVSM_MONITOR_FLEET_H
#define HVSM_MONITOR_FLEET_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/vec.h"
#include "ram/guests.h"

/*
 * The guests of the host, as they come and go. One is a QEMU process, from its start to its end:
 * what reboots in it stays the same guest, what is started anew or arrives from another host is
 * another one, which the ledger knows as the same by its UUID.
 */
struct fleet_guest {
	uint64_t number;	/* of this run of the daemon; never used again */
	pid_t pid;
	uint64_t started;	/* of the process: ticks since the host's boot */
	char *key;		/* what the ledger calls it: its UUID; without one, its name,
				   and process and start where that is not unique */
	char *name, *uuid, *target, *hypervisor;
	struct err why_not;	/* code 0: it can be attached */
};

struct fleet {
	VEC(struct fleet_guest *) guests;	/* by number */
	uint64_t last_number;
};

/* What happened to a guest; it is in the fleet while it is told of. */
enum fleet_change {
	FLEET_CAME,
	FLEET_RENAMED,	/* its name or its UUID is another: so says its command line */
	FLEET_CHANGED,	/* it can be attached now, or not any more (why_not) */
	FLEET_WENT,	/* is freed when the function returns */
};

typedef void fleet_fn(enum fleet_change change, struct fleet_guest *guest, void *ctx);

/* A process that was seen: what guests_find() says, and when it was started. */
struct fleet_seen {
	const struct guest *guest;
	uint64_t started;
};

/**
 * fleet_update - compare with what is there now
 * @seen: every guest that there is; their order does not matter
 * @told: is called for each change: those that went first
 *
 * Return: 0, -ENOMEM (the rest is told by the next update).
 */
nodiscard int fleet_update(struct fleet *fleet, const struct fleet_seen *seen, size_t n,
			   fleet_fn *told, void *ctx);

/**
 * fleet_scan - look at the host (guests_find()), and update
 * Return: 0, or an errno of guests_find().
 */
nodiscard int fleet_scan(struct fleet *fleet, fleet_fn *told, void *ctx, struct err *err);

/* Its process has ended: told at once, not at the next scan. */
void fleet_ended(struct fleet *fleet, uint64_t number, fleet_fn *told, void *ctx);

/* NULL: there is none of that number. */
struct fleet_guest *fleet_by_number(const struct fleet *fleet, uint64_t number);

void fleet_free(struct fleet *fleet);

#endif
