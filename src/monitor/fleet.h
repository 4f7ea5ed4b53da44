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
 * another one, which the ledger knows as the same by its UUID. Or it is a domain of Xen, with its
 * number and its UUID; there a reboot makes another domain.
 */
struct fleet_guest {
	uint64_t number;	/* of this run of the daemon; never used again */
	bool xen;
	pid_t pid;		/* of its process; 0: a domain of Xen */
	uint64_t started;	/* … ticks since the host's boot */
	char *key;		/* what the ledger calls it: its UUID; without one, its name,
				   and process and start where that is not unique */
	char *name, *uuid, *target, *hypervisor;
	struct err why_not;	/* code 0: it can be attached */
	bool unwatched;		/* the parent's: it could not begin, and tries again */
};

struct fleet {
	VEC(struct fleet_guest *) guests;	/* by number */
	uint64_t last_number;
	struct judged judged;	/* processes that are no guests */
	struct err xen;		/* why domains of Xen could not be looked for; code 0: they were */
};

/* What happened to a guest; it is in the fleet while it is told of. */
enum fleet_change {
	FLEET_CAME,
	FLEET_RENAMED,	/* its name or its UUID is another: so says its command line */
	FLEET_CHANGED,	/* it can be attached now, or not any more (why_not) */
	FLEET_WENT,	/* is freed when the function returns */
};

typedef void fleet_fn(enum fleet_change change, struct fleet_guest *guest, void *ctx);

/* A guest that was seen: what guests_find() says, and when its process was started. */
struct fleet_seen {
	const struct guest *guest;
	uint64_t started;	/* 0: a domain of Xen */
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
 * fleet_update_found - the same, with what guests_find() found just now
 *
 * The domain that this program runs in is left out. Where Xen could not be asked (fleet->xen
 * says why), its domains are taken to be as they were: silence is no end of a guest.
 *
 * Return: 0, -ENOMEM; -EMFILE, -ENFILE: nothing is changed, for nothing is known.
 */
nodiscard int fleet_update_found(struct fleet *fleet, const struct guests *found,
				 fleet_fn *told, void *ctx);

/**
 * fleet_scan - look at the host (guests_find()), and update
 * Return: 0, or an errno of guests_find().
 */
nodiscard int fleet_scan(struct fleet *fleet, fleet_fn *told, void *ctx, struct err *err);

/* Its process has ended: told at once, not at the next scan. */
void fleet_ended(struct fleet *fleet, uint64_t number, fleet_fn *told, void *ctx);

/* When was a process started, in ticks since boot? 0, -ESRCH; -EMFILE or -ENFILE: not known. */
nodiscard int fleet_started(pid_t pid, uint64_t *ret);

/* NULL: there is none of that number. */
struct fleet_guest *fleet_by_number(const struct fleet *fleet, uint64_t number);

void fleet_free(struct fleet *fleet);

#endif
