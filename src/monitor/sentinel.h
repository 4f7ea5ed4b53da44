/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HVSM_MONITOR_SENTINEL_H
#define HVSM_MONITOR_SENTINEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "linux/kernel.h"

/*
 * The sentinel: in each look it reads some of what does not change while a guest is calm, the code
 * and the constants of its kernel and modules, and says in which region something is not what it
 * was when it was read before. That is no evidence, only a reason to run the checks that judge the
 * region at once, not when it is their turn: who is found there, and with what, is theirs to say,
 * and what the kernel patches for good reason is clean to them as ever. They also run by themselves
 * (schedule.h), so that a change which the sentinel misses is found all the same, later.
 *
 * What is hooked most, and is small, is read in every look. All else is read in turns: constants
 * that hold pointers into code more often, those that hold none seldom, each time in another
 * order. How much of it fits into a look is a matter of time, which the caller gives: a guest
 * can make it slower, but not dearer.
 *
 * A piece is remembered as a hash of 32 bits, with a key of this process: a guest that could choose
 * bytes with the same hash would have to know it.
 */
struct sentinel;

enum sentinel_region {
	SENTINEL_CODE,		/* of the kernel */
	SENTINEL_ENTRY,		/* … where system calls and interrupts come in */
	SENTINEL_CONSTANTS,
	SENTINEL_ONCE,		/* ro_after_init: constants since it has booted */
	SENTINEL_CALLS,		/* the system call tables */
	SENTINEL_GATES,		/* the interrupt descriptor table */
	SENTINEL_MODULES,	/* their code and constants */
	SENTINEL_LIST,		/* which modules there are: no check's to judge, but an event */
	SENTINEL_REGIONS,
};

#define SENTINEL_BIT(region) (1u << (region))

/* Checks that judge all regions together, at most. */
#define SENTINEL_CHECKS_MAX 32u

nodiscard int sentinel_open(struct sentinel **ret);

/* *@sentinel becomes NULL. NULL is fine. */
void sentinel_close(struct sentinel **sentinel);

/**
 * sentinel_look - has anything changed?
 * @kernel:  the same each time
 * @view:    of the kernel; is refuelled and refreshed
 * @time_ns: CPU time that what is read in turns may take; where the memory is another process's
 *           to read (ram/served.h), time. UINT64_MAX: all of it is read, once; else at least
 *           128 KiB, and with 0 nothing.
 *
 * What is read for the first time has not changed. Where something cannot be read any more, or
 * could not be, that is a change, too. Without memory less is watched.
 *
 * Return: SENTINEL_BIT() of each region.
 */
uint32_t sentinel_look(struct sentinel *sentinel, const struct kernel *kernel, struct view *view,
		       uint64_t time_ns);

/* How often all code of the kernel was read by now, and how many bytes at all. */
struct sentinel_stats {
	uint64_t rounds, bytes;
};
struct sentinel_stats sentinel_stats(const struct sentinel *sentinel);

/**
 * sentinel_checks - who judges what has changed
 * @regions: SENTINEL_BIT()
 * @ret:     numbers of checks, as checks_all() has them; room for SENTINEL_CHECKS_MAX
 *
 * Return: how many.
 */
size_t sentinel_checks(uint32_t regions, uint32_t *ret);

/*
 * Is all that a check judges watched, so that comparing it whole, which is dear, need not be done
 * often? @id: of a check.
 */
bool sentinel_watches(const char *id);

#endif
