/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HVSM_CLI_ATTACH_H
#define HVSM_CLI_ATTACH_H

#include <stdint.h>

#include "linux/kernel.h"
#include "ram/guests.h"
#include "report/identity.h"

/* A guest that a subcommand works on, from its name on the command line to its kernel. */
struct attached {
	struct guest guest;
	struct identity identity;	/* of @guest, as reports have it */
	struct ram *ram;
	struct view *view;
	struct kernel *kernel;
	uint64_t duration_ns;		/* what attaching took */
	struct view_stats stats;	/* what it read */
};

/**
 * attach - find a guest, its memory, and its kernel
 * @target: as on the command line
 * @ret:    to be given back with attached_free()
 *
 * What fails is said on stderr. Where stderr is a terminal and it takes over a second, it
 * says what is going on.
 *
 * Return: 0, or a negative errno.
 */
nodiscard int attach(const char *target, struct attached **ret);

/* *@attached becomes NULL. NULL is fine. */
void attached_free(struct attached **attached);

/* Forget what was read, and fill the tank for one sweep. */
void attached_fresh(struct attached *attached);

#endif
