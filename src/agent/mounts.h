/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HVSM_AGENT_MOUNTS_H
#define HVSM_AGENT_MOUNTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

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

/* Is @path at or below @point? */
bool mount_covers(const char *point, const char *path);

#endif
