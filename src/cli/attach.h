/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HVSM_CLI_ATTACH_H
#define HVSM_CLI_ATTACH_H

#include <stdbool.h>
#include <stdint.h>

#include "linux/kernel.h"
#include "report/identity.h"
#include "report/verdict.h"

/* A guest that a subcommand reads, from its name on the command line to its kernel. */
struct attached {
	struct identity identity;	/* as reports have it */
	struct ram *ram;
	struct view *view;
	struct kernel *kernel;
	uint64_t duration_ns;		/* what attaching took */
	struct view_stats stats;	/* what it read */
};

struct attach_options {
	uint32_t cpu_s;			/* processor time at most; 0: no limit */
	bool live;			/* an image will not do */
	volatile const int *stop;	/* not 0: a signal said to stop; NULL: it ends all */
};

/**
 * attach - find a guest and its memory, and from there on in a sandbox its kernel
 * @target: as on the command line
 * @options: NULL: as lists have it
 * @ret:    to be given back with attached_free(); NULL: there is nothing left to do
 *
 * There are two processes from here on (monitor/apart.h): this returns in the one that is
 * sandboxed, with the guest, for the rest of the command; and in the other when all is done.
 * What fails is said on stderr. Where stderr is a terminal and it takes over a second, it
 * says what is going on.
 *
 * Return: the exit status, where there is nothing left to do.
 */
nodiscard enum exit_status attach(const char *target, const struct attach_options *options,
				  struct attached **ret);

/* *@attached becomes NULL. NULL is fine. */
void attached_free(struct attached **attached);

/* Forget what was read, and fill the tank for one sweep. */
void attached_fresh(struct attached *attached);

#endif
