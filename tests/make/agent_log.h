/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HVSM_TESTS_MAKE_AGENT_LOG_H
#define HVSM_TESTS_MAKE_AGENT_LOG_H

#include <stddef.h>

#include "agent/format.h"

/* The log of an agent, for tests and for the fuzzer. What cannot be made ends the program. */
struct made_log {
	uint8_t *data;
	size_t size_bytes, room;
	uint64_t records;
	uint64_t time_ns;	/* of the next record; goes on by itself */
	uint8_t head[AGENT_DIGEST_BYTES];
};

/* The first record. */
void made_log_start(struct made_log *log);

/* One without anything but its header, struct agent_lost or struct agent_follows. */
void made_log_add(struct made_log *log, uint32_t type);

/**
 * made_log_file - a file as the agent would measure it
 * @file: device, inode, times, reason; the rest is filled in
 * @data: the file's bytes
 * @segments: @n of them, in the file's pages
 */
void made_log_file(struct made_log *log, const struct agent_file *file, const char *path,
		   const void *data, size_t size_bytes, const struct agent_segment *segments,
		   uint32_t n);

void made_log_unreadable(struct made_log *log, uint64_t inode, const char *path, uint32_t error);

/* Chain again from record to record, as far as their sizes go: after one was forged. */
void made_log_chain(struct made_log *log);

void made_log_free(struct made_log *log);

#endif
