/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HVSM_AGENT_MOUNTS_H
#define HVSM_AGENT_MOUNTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/map.h"

/* A line of /proc/PID/mountinfo, proc_pid_mountinfo(5). */
struct mount_line {
	uint64_t id;
	uint64_t device;	/* as struct agent_file has it */
	const char *point;	/* where, from the process's root; nothing in it is escaped */
	const char *type;
};

/* Parse a line, which is changed. -EBADMSG: it is none. */
nodiscard int mount_parse(char *line, struct mount_line *mount);

/* May a look at it stand still: does it depend on another machine, or on a process? */
bool mount_is_slow(const char *type);

/* Does a look at it depend on another file system, whichever that is? */
bool mount_is_stacked(const char *type);

/* Add to @slow, which has those places where a look may stand still. -ENOMEM. */
nodiscard int mount_put_slow(struct map *slow, const char *point);

/* Is @point one of them, or does the way there lead through one? */
bool mount_way_is_slow(const struct map *slow, const char *point);

#endif
