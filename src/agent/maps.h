/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HVSM_AGENT_MAPS_H
#define HVSM_AGENT_MAPS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

/* A line of /proc/PID/maps, proc_pid_maps(5). */
struct map_line {
	char range[36];		/* its name in /proc/PID/map_files */
	bool executable;
	uint64_t first_page;	/* of the file */
	uint64_t pages;
	uint64_t device;	/* as struct agent_file has it */
	uint64_t inode;		/* 0: no file */
	const char *path;	/* in the line that was parsed; "" where there is none */
};

/* Parse a line, whose newline is cut off. -EBADMSG: it is none. */
nodiscard int map_parse(char *line, struct map_line *map);

#endif
