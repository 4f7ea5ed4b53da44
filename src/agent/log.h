/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HVSM_AGENT_LOG_H
#define HVSM_AGENT_LOG_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/uio.h>

#include "agent/format.h"
#include "agent/memory.h"
#include "base/err.h"

/* What follows a record's struct: at most this many pieces. */
#define LOG_PARTS_MAX 4

/*
 * The log of format.h: records behind one another, chained, never changed. Any thread may append;
 * the anchor says how far the outside may read.
 */
struct log {
	struct memory memory;
	struct agent_anchor *anchor;	/* whose log_* it keeps */
	pthread_mutex_t lock;
	bool full;
};

/**
 * log_start - reserve the log and write its first record
 * @anchor:   complete but for what belongs to the log
 * @max_bytes: of all records, ≤ AGENT_LOG_MAX; a multiple of the page size
 */
nodiscard int log_start(struct log *log, struct agent_anchor *anchor, uint64_t max_bytes,
			struct err *err);

/**
 * log_append - add a record
 * @record:   begins with struct agent_record, of which only the type is read
 * @size_bytes: of the record's struct
 * @parts:    what follows it, without gaps; padded to a multiple of 8 with zeros
 * @sequence: receives the record's number; may be NULL
 *
 * Return: 0; -ENOSPC (the log is full: the record that says so is written); -E2BIG (over
 * AGENT_RECORD_MAX); -ENOMEM, -EAGAIN (no memory now; nothing was written, another try may work).
 */
nodiscard int log_append(struct log *log, const struct agent_record *record, size_t size_bytes,
			 const struct iovec *parts, unsigned n_parts, uint64_t *sequence);

/* A record of nothing but its header: AGENT_RECORD_STOP. */
nodiscard int log_append_type(struct log *log, enum agent_record_type type);

/**
 * log_chain - what a record's chain must be
 * @before: chain of the record before it; 32 zero bytes for the first
 * @record: record->size_bytes bytes are there, ≥ sizeof(*record)
 */
void log_chain(const uint8_t before[AGENT_DIGEST_BYTES], const struct agent_record *record,
	       uint8_t chain[AGENT_DIGEST_BYTES]);

#endif
