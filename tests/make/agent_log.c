/* SPDX-License-Identifier: Apache-2.0 */
#include "make/agent_log.h"

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "keeper/records.h"

/* Room for a record of @size_bytes, whose header is written: all but its chain. */
static uint8_t *begin(struct made_log *log, uint32_t type, size_t size_bytes)
{
	struct agent_record head = {
		.size_bytes = (uint32_t)((size_bytes + 7) / 8 * 8),
		.type = type,
		.sequence = log->records++,
		.time_ns = log->time_ns++,
	};
	uint8_t *at;

	if (head.size_bytes > log->room - log->size_bytes) {
		log->room = 2 * log->room + head.size_bytes;
		log->data = realloc(log->data, log->room);
		if (!log->data) {
			perror("log");
			exit(1);
		}
	}
	at = log->data + log->size_bytes;
	memset(at, 0, head.size_bytes);
	memcpy(at, &head, sizeof(head));
	log->size_bytes += head.size_bytes;
	return at;
}

static void end(struct made_log *log, uint8_t *at)
{
	record_chain(log->head, at, (size_t)(log->data + log->size_bytes - at), log->head);
	memcpy(at + offsetof(struct agent_record, chain), log->head, sizeof(log->head));
}

void made_log_start(struct made_log *log)
{
	uint8_t *at = begin(log, AGENT_RECORD_START, sizeof(struct agent_start));
	struct agent_start start;

	memcpy(&start, at, sizeof(start));
	memset(start.boot_id, 0xb0, sizeof(start.boot_id));
	start.pid = 42;
	start.build_id_bytes = 20;
	memset(start.build_id, 0xb1, 20);
	snprintf(start.version, sizeof(start.version), "0.1");
	memcpy(at, &start, sizeof(start));
	end(log, at);
}

void made_log_add(struct made_log *log, uint32_t type)
{
	uint8_t *at = begin(log, type,
			    type == AGENT_RECORD_LOST ? sizeof(struct agent_lost) :
			    type == AGENT_RECORD_FOLLOWS ? sizeof(struct agent_follows) :
							   sizeof(struct agent_record));

	if (type == AGENT_RECORD_LOST)
		at[sizeof(struct agent_record)] = 7;
	end(log, at);
}

/* One page of a file, as the page cache has it. */
static void digest_page(const uint8_t *data, size_t size_bytes, uint64_t page, uint8_t *ret)
{
	uint8_t buf[AGENT_PAGE_BYTES] = { 0 };
	uint64_t at = page * AGENT_PAGE_BYTES;

	if (at < size_bytes)
		memcpy(buf, data + at, size_bytes - at < sizeof(buf) ? size_bytes - at : sizeof(buf));
	crypto_hash_sha256(ret, buf, sizeof(buf));
}

void made_log_file(struct made_log *log, const struct agent_file *from, const char *path,
		   const void *data, size_t size_bytes, const struct agent_segment *segments,
		   uint32_t n)
{
	struct agent_file file = *from;
	uint8_t *at, *to;

	file.size_bytes = size_bytes;
	file.segments = n;
	file.path_bytes = (uint32_t)strlen(path);
	file.pages = 0;
	for (uint32_t i = 0; i < n; i++)
		file.pages += (uint32_t)segments[i].pages;
	crypto_hash_sha256(file.sha256, data, size_bytes);

	at = begin(log, AGENT_RECORD_FILE, sizeof(file) + n * sizeof(*segments) +
					   (size_t)file.pages * AGENT_DIGEST_BYTES + file.path_bytes);
	memcpy(&file.record, at, sizeof(file.record));
	memcpy(at, &file, sizeof(file));
	to = at + sizeof(file);
	memcpy(to, segments, n * sizeof(*segments));
	to += n * sizeof(*segments);
	for (uint32_t i = 0; i < n; i++) {
		for (uint64_t page = 0; page < segments[i].pages; page++) {
			digest_page(data, size_bytes, segments[i].first_page + page, to);
			to += AGENT_DIGEST_BYTES;
		}
	}
	memcpy(to, path, file.path_bytes);
	end(log, at);
}

void made_log_unreadable(struct made_log *log, uint64_t inode, const char *path, uint32_t error)
{
	struct agent_unreadable fixed = {
		.inode = inode, .reason = AGENT_EXEC, .error = error,
		.path_bytes = (uint32_t)strlen(path),
	};
	uint8_t *at = begin(log, AGENT_RECORD_UNREADABLE, sizeof(fixed) + fixed.path_bytes);

	memcpy(&fixed.record, at, sizeof(fixed.record));
	memcpy(at, &fixed, sizeof(fixed));
	memcpy(at + sizeof(fixed), path, fixed.path_bytes);
	end(log, at);
}

void made_log_chain(struct made_log *log)
{
	struct agent_record head;

	memset(log->head, 0, sizeof(log->head));
	for (size_t at = 0; log->size_bytes - at >= sizeof(head); at += head.size_bytes) {
		memcpy(&head, log->data + at, sizeof(head));
		if (head.size_bytes < sizeof(head) || head.size_bytes > log->size_bytes - at)
			return;
		record_chain(log->head, log->data + at, head.size_bytes, log->head);
		memcpy(log->data + at + offsetof(struct agent_record, chain), log->head,
		       sizeof(log->head));
	}
}

void made_log_free(struct made_log *log)
{
	free(log->data);
	*log = (struct made_log){ 0 };
}
