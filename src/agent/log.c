/* SPDX-License-Identifier: Apache-2.0 */

#include "agent/log.h"

#include <sodium.h>
#include <string.h>

#include "agent/anchor.h"
#include "base/now.h"

/* Kept back for the record that says that nothing follows. */
#define LAST_BYTES sizeof(struct agent_record)

void log_chain(const uint8_t before[AGENT_DIGEST_BYTES], const struct agent_record *record,
	       uint8_t chain[AGENT_DIGEST_BYTES])
{
	struct agent_record header = *record;
	crypto_hash_sha256_state state;

	memset(header.chain, 0, sizeof(header.chain));
	crypto_hash_sha256_init(&state);
	crypto_hash_sha256_update(&state, before, AGENT_DIGEST_BYTES);
	crypto_hash_sha256_update(&state, (const uint8_t *)&header, sizeof(header));
	crypto_hash_sha256_update(&state, (const uint8_t *)(record + 1),
				  record->size_bytes - sizeof(header));
	crypto_hash_sha256_final(&state, chain);
}

/* The record stands behind the last one: make it part of the log. Sequence lock, see format.h. */
static void publish(struct agent_anchor *anchor, const struct agent_record *record)
{
	uint64_t sequence = anchor->log_sequence;

	__atomic_store_n(&anchor->log_sequence, sequence + 1, __ATOMIC_RELAXED);
	__atomic_thread_fence(__ATOMIC_RELEASE);
	anchor->log_bytes += record->size_bytes;
	anchor->log_records++;
	memcpy(anchor->log_head, record->chain, sizeof(anchor->log_head));
	__atomic_store_n(&anchor->log_sequence, sequence + 2, __ATOMIC_RELEASE);
}

/* There is room and memory for @size_bytes; the lock is held. */
static void write_record(struct log *log, const struct agent_record *record, size_t struct_bytes,
			 const struct iovec *parts, unsigned n_parts, uint32_t size_bytes)
{
	struct agent_anchor *anchor = log->anchor;
	uint8_t *at = log->memory.at + anchor->log_bytes;
	struct agent_record *written = (struct agent_record *)at;
	size_t used = struct_bytes;

	memcpy(at, record, struct_bytes);
	for (unsigned i = 0; i < n_parts; i++) {
		if (parts[i].iov_len)
			memcpy(at + used, parts[i].iov_base, parts[i].iov_len);
		used += parts[i].iov_len;
	}
	memset(at + used, 0, size_bytes - used);
	written->size_bytes = size_bytes;
	written->sequence = anchor->log_records;
	written->time_ns = now_ns(CLOCK_BOOTTIME);
	log_chain(anchor->log_head, written, written->chain);
	publish(anchor, written);
}

static int make_room(struct log *log, uint64_t size_bytes)
{
	static const struct agent_record full = { .type = AGENT_RECORD_FULL };
	uint64_t used = log->anchor->log_bytes;
	int r;

	if (log->full)
		return -ENOSPC;
	if (size_bytes + LAST_BYTES <= log->memory.size_bytes - used)
		return memory_need(&log->memory, used + size_bytes + LAST_BYTES);

	r = memory_need(&log->memory, used + LAST_BYTES);
	if (r < 0)
		return r;
	write_record(log, &full, sizeof(full), NULL, 0, sizeof(full));
	log->full = true;
	return -ENOSPC;
}

int log_append(struct log *log, const struct agent_record *record, size_t size_bytes,
	       const struct iovec *parts, unsigned n_parts, uint64_t *sequence)
{
	uint64_t total = size_bytes;
	int r;

	for (unsigned i = 0; i < n_parts; i++)
		total += parts[i].iov_len;
	total = (total + 7) & ~7ull;
	if (total > AGENT_RECORD_MAX)
		return -E2BIG;

	pthread_mutex_lock(&log->lock);
	r = make_room(log, total);
	if (r >= 0) {
		if (sequence)
			*sequence = log->anchor->log_records;
		write_record(log, record, size_bytes, parts, n_parts, (uint32_t)total);
	}
	pthread_mutex_unlock(&log->lock);
	return r;
}

int log_append_type(struct log *log, enum agent_record_type type)
{
	const struct agent_record record = { .type = type };

	return log_append(log, &record, sizeof(record), NULL, 0, NULL);
}

int log_start(struct log *log, struct agent_anchor *anchor, uint64_t max_bytes, struct err *err)
{
	struct agent_start start = {
		.record.type = AGENT_RECORD_START,
		.started_ns = anchor->started_ns,
		.pid = anchor->pid,
		.version = HVSM_VERSION,
	};
	int r;

	*log = (struct log){ .anchor = anchor, .lock = PTHREAD_MUTEX_INITIALIZER };
	r = memory_reserve(&log->memory, max_bytes, err);
	if (r < 0)
		return r;
	anchor->log = memory_region(&log->memory);
	memcpy(start.boot_id, anchor->boot_id, sizeof(start.boot_id));
	start.build_id_bytes = anchor_build_id(start.build_id);
	r = log_append(log, &start.record, sizeof(start), NULL, 0, NULL);
	return r < 0 ? err_set(err, r, "memory for the log") : 0;
}
