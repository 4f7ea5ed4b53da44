/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HVSM_MONITOR_LANDLOCK_H
#define HVSM_MONITOR_LANDLOCK_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"

/*
 * Landlock (Linux 5.13, Documentation/userspace-api/landlock.rst): what a process gives up of the
 * files that it could reach as the user that it is. Not every kernel has it, and an older one
 * cannot deny all that a newer one can: what there is to be denied is.
 */

/* Beneath a directory these are still allowed. */
struct landlock_place {
	const char *path;
	bool make;	/* files made, renamed, removed, directories made; else only written */
};

/**
 * landlock_deny - from now on, for this process and all that it starts
 * @read:   files may still be read and directories listed, wherever they lie
 * @places: that cannot be opened are no exception, either
 *
 * No file is executed, written, cut off, made, renamed or removed, but in @places, and none is read
 * unless @read; no TCP port is bound or connected to, no socket without a name in the file system
 * reached, no process outside signalled. What is open already stays as it is.
 *
 * The process must have no-new-privileges set.
 *
 * Return: 0, -EOPNOTSUPP (this kernel has no Landlock), or another negative errno.
 */
nodiscard int landlock_deny(bool read, const struct landlock_place *places, size_t n,
			    struct err *err);

#endif
