/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HVSM_RAM_MAPS_H
#define HVSM_RAM_MAPS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/vec.h"

/* One area of a process, as a line of /proc/PID/maps tells it; see proc(5). */
struct area {
	uint64_t start, end;	/* host-virtual; start < end */
	uint64_t offset;	/* of @start in the file */
	uint64_t inode;		/* 0: anonymous */
	uint32_t major, minor;	/* device of the file */
	bool read, write, shared;
	const char *path;	/* "" where there is none; inside maps.text */
};

struct maps {
	char *text;
	VEC(struct area) areas;	/* ascending, disjoint */
};

/**
 * maps_parse - read a maps file that is in memory
 * @text: malloc()ed, @len bytes and a NUL; becomes the result's on success, or stays
 *        the caller's (its contents are spoilt either way)
 *
 * Return: 0, -EBADMSG (not such a file), -ELOOP (over MAPS_AREAS_MAX), -ENOMEM.
 */
nodiscard int maps_parse(char *text, size_t len, struct maps *maps, struct err *err);
void maps_free(struct maps *maps);

/**
 * maps_run - the areas from @first on that continue each other
 * One block of RAM may be split into several areas (NUMA policies, madvise), which have the
 * same file at consecutive offsets and the same rights.
 *
 * Return: index after the last of them.
 */
size_t maps_run(const struct maps *maps, size_t first);

/* The area that holds host address @at, or NULL. */
const struct area *maps_find(const struct maps *maps, uint64_t at);

#endif
