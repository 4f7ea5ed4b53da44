/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HVSM_AGENT_SEGMENTS_H
#define HVSM_AGENT_SEGMENTS_H

#include <stdbool.h>
#include <stdint.h>

#include "agent/format.h"
#include "base/err.h"

/* After overlapping ones were joined. Programs have one; some, with overlays of code, a few. */
#define SEGMENTS_MAX 32

/* Which pages of a file may be mapped executable: in their order, none of them twice. */
struct segments {
	uint32_t n;
	uint32_t pages;		/* of all of them */
	bool elf;		/* it is an ELF file, so that they are its PT_LOAD with PF_X */
	struct agent_segment v[SEGMENTS_MAX];
};

/**
 * segments_read - find them in a file
 * @fd:         read with pread(2) only
 * @size_bytes: of the file; no segment passes its end
 * @segments:   receives them
 *
 * What is no ELF file that the kernel would load, or has more segments than a program has, yields
 * one segment: all of it, with @segments->elf false.
 *
 * Return: 0; or what pread(2) failed with; -EFBIG: over 2^32 pages.
 */
nodiscard int segments_read(int fd, uint64_t size_bytes, struct segments *segments);

/* One segment: all of a file of @size_bytes. */
nodiscard int segments_all(uint64_t size_bytes, struct segments *segments);

#endif
