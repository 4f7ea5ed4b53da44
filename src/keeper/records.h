/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HVSM_KEEPER_RECORDS_H
#define HVSM_KEEPER_RECORDS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "agent/format.h"
#include "base/bytes.h"
#include "base/err.h"

/*
 * The agent's log, record after record, out of bytes that were copied from the guest. Each is
 * looked at as a whole before it is given: its size, its number, its chain, and that all that
 * it says to hold lies inside of it. What follows a record that is wrong is worth nothing.
 *
 *	struct records records = records_of(bytes, size_bytes, &(struct log_mark){ 0 });
 *	struct record record;
 *
 *	while ((r = records_next(&records, &record, err)) > 0)
 *		…
 *	// r == 0: all of it was read, and records.mark says where the next sweep goes on
 */

/* How far a log was read; {0}: not at all. */
struct log_mark {
	uint64_t offset;	/* in the log's region: bytes that are done */
	uint64_t sequence;	/* of the record that is expected there */
	uint8_t chain[AGENT_DIGEST_BYTES];	/* of the record before */
	bool ended;		/* that one was AGENT_RECORD_STOP: nothing may follow */
	bool full;		/* … or _FULL: an agent that is told to end cannot say so */
};

struct record {
	const uint8_t *at;	/* all of it, in the caller's bytes; not aligned */
	uint64_t offset;	/* in the log's region */
	union {			/* a copy of its fixed part */
		struct agent_record head;
		struct agent_start start;
		struct agent_file file;
		struct agent_unreadable unreadable;
		struct agent_lost lost;
		struct agent_follows follows;
	};

	/* Of AGENT_RECORD_FILE, in the caller's bytes: */
	const uint8_t *segments;	/* file.segments of struct agent_segment, in order */
	const uint8_t *digests;		/* file.pages of AGENT_DIGEST_BYTES */

	/* Of this and AGENT_RECORD_UNREADABLE; no NUL in it and none at its end. Guest text. */
	const char *path;
	size_t path_bytes;
};

struct records {
	struct bytes left;
	struct log_mark mark;	/* behind the record that was given last */
};

/**
 * records_of - start to read, or go on
 * @data: bytes of the log from @mark->offset on; they must outlive the records
 * @mark: where the last ones ended
 */
static inline struct records records_of(const void *data, size_t size_bytes,
					const struct log_mark *mark)
{
	return (struct records){ bytes_of(data, size_bytes), *mark };
}

/**
 * records_next - the next record
 * @ret: its pointers are good as long as the bytes are
 *
 * After a failure every other call fails alike.
 *
 * Return: 1, 0 (that was the last), -EBADMSG (this is no log: what is wrong is in @err).
 */
nodiscard int records_next(struct records *records, struct record *ret, struct err *err);

/**
 * record_segment - number @n of a file's segments, n < file.segments
 */
struct agent_segment record_segment(const struct record *record, uint32_t n);

/* "start", "file", …; "?". */
const char *record_type_name(uint32_t type);

/**
 * record_chain - the chain of a record
 * @before: chain of the one before
 * @data:   the record, @size_bytes long; what stands in place of its chain does not matter
 * @size_bytes: at least that of struct agent_record
 */
void record_chain(const uint8_t before[AGENT_DIGEST_BYTES], const uint8_t *data,
		  size_t size_bytes, uint8_t ret[AGENT_DIGEST_BYTES]);

#endif
