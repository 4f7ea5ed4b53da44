/* SPDX-License-Identifier: Apache-2.0 */
#include "keeper/records.h"

#include <inttypes.h>
#include <sodium.h>

_Static_assert(AGENT_DIGEST_BYTES == crypto_hash_sha256_BYTES, "SHA-256");

#define ALIGN 8u

void record_chain(const uint8_t before[AGENT_DIGEST_BYTES], const uint8_t *data,
		  size_t size_bytes, uint8_t ret[AGENT_DIGEST_BYTES])
{
	static const uint8_t zeros[AGENT_DIGEST_BYTES];
	const size_t at = offsetof(struct agent_record, chain), end = at + sizeof(zeros);
	crypto_hash_sha256_state state;

	crypto_hash_sha256_init(&state);
	crypto_hash_sha256_update(&state, before, AGENT_DIGEST_BYTES);
	crypto_hash_sha256_update(&state, data, at);
	crypto_hash_sha256_update(&state, zeros, sizeof(zeros));
	crypto_hash_sha256_update(&state, data + end, size_bytes - end);
	crypto_hash_sha256_final(&state, ret);
}

const char *record_type_name(uint32_t type)
{
	static const char *const names[] = {
		[AGENT_RECORD_START] = "start",	    [AGENT_RECORD_FILE] = "file",
		[AGENT_RECORD_UNREADABLE] = "unreadable", [AGENT_RECORD_LOST] = "lost",
		[AGENT_RECORD_FULL] = "full",	    [AGENT_RECORD_STOP] = "stop",
		[AGENT_RECORD_FOLLOWS] = "follows",
	};

	return type < sizeof(names) / sizeof(names[0]) && names[type] ? names[type] : "?";
}

struct agent_segment record_segment(const struct record *record, uint32_t n)
{
	struct agent_segment segment;

	memcpy(&segment, record->segments + n * sizeof(segment), sizeof(segment));
	return segment;
}

/* What stands where the record's parts end: zeros up to its size, and less than ALIGN of them. */
static bool ends_well(struct bytes *rest)
{
	const uint8_t *padding = rest->at;
	size_t n = rest->left;

	if (!bytes_ok(rest) || n >= ALIGN)
		return false;
	for (size_t i = 0; i < n; i++) {
		if (padding[i])
			return false;
	}
	return true;
}

static bool take_path(struct bytes *rest, uint32_t path_bytes, struct record *record)
{
	if (path_bytes > AGENT_PATH_MAX)
		return false;
	record->path = (const char *)bytes_take(rest, path_bytes);
	record->path_bytes = path_bytes;
	return record->path && !memchr(record->path, '\0', path_bytes);
}

/* Pages of all segments, which must be in order; UINT64_MAX: they are not. */
static uint64_t count_pages(const struct record *record)
{
	uint64_t end = 0, pages = 0;

	for (uint32_t i = 0; i < record->file.segments; i++) {
		struct agent_segment segment = record_segment(record, i);

		if (segment.first_page < end || segment.pages > AGENT_RECORD_MAX ||
		    __builtin_add_overflow(segment.first_page, segment.pages, &end))
			return UINT64_MAX;
		pages += segment.pages;
	}
	return pages;
}

static bool take_file(struct bytes *rest, struct record *record)
{
	const struct agent_file *file = &record->file;

	if (file->segments > AGENT_SEGMENTS_MAX)
		return false;
	record->segments = bytes_take(rest, file->segments * sizeof(struct agent_segment));
	record->digests = bytes_take(rest, (size_t)file->pages * AGENT_DIGEST_BYTES);
	return record->segments && record->digests && count_pages(record) == file->pages &&
	       file->reason >= AGENT_EXEC && file->reason <= AGENT_MODULE &&
	       take_path(rest, file->path_bytes, record);
}

static size_t fixed_bytes(uint32_t type)
{
	switch (type) {
	case AGENT_RECORD_START:
		return sizeof(struct agent_start);
	case AGENT_RECORD_FILE:
		return sizeof(struct agent_file);
	case AGENT_RECORD_UNREADABLE:
		return sizeof(struct agent_unreadable);
	case AGENT_RECORD_LOST:
		return sizeof(struct agent_lost);
	case AGENT_RECORD_FOLLOWS:
		return sizeof(struct agent_follows);
	case AGENT_RECORD_FULL:
	case AGENT_RECORD_STOP:
		return sizeof(struct agent_record);
	default:
		return 0;
	}
}

/* What is behind the header that @record has already. */
static bool take_parts(struct record *record)
{
	struct bytes rest = bytes_of(record->at, record->head.size_bytes);
	size_t fixed = fixed_bytes(record->head.type);

	if (!fixed || fixed > record->head.size_bytes)
		return false;
	bytes_copy(&rest, &record->head, fixed);
	switch (record->head.type) {
	case AGENT_RECORD_START:
		if (record->start.build_id_bytes > sizeof(record->start.build_id))
			return false;
		break;
	case AGENT_RECORD_FILE:
		if (!take_file(&rest, record))
			return false;
		break;
	case AGENT_RECORD_UNREADABLE:
		if (!take_path(&rest, record->unreadable.path_bytes, record))
			return false;
		break;
	default:
		break;
	}
	return ends_well(&rest);
}

static int refuse(struct records *records, const struct record *record, struct err *err,
		  const char *what)
{
	records->left.bad = true;
	return err_set(err, -EBADMSG,
		       "record %" PRIu64 " (%s) at byte %" PRIu64 " of the agent's log %s",
		       records->mark.sequence, record_type_name(record->head.type),
		       record->offset, what);
}

int records_next(struct records *records, struct record *ret, struct err *err)
{
	struct record record = { .offset = records->mark.offset };
	struct bytes head = records->left;
	uint8_t chain[AGENT_DIGEST_BYTES];

	if (records->left.bad)
		return refuse(records, &record, err, "comes after one that is wrong");
	if (!records->left.left)
		return 0;
	record.at = records->left.at;
	bytes_copy(&head, &record.head, sizeof(record.head));
	if (!bytes_ok(&head))
		return refuse(records, &record, err, "is cut off");
	if (records->mark.ended || records->mark.full)
		return refuse(records, &record, err, "comes after the last one");
	if (record.head.size_bytes % ALIGN || record.head.size_bytes < sizeof(record.head) ||
	    record.head.size_bytes > AGENT_RECORD_MAX)
		return refuse(records, &record, err, "has a size that cannot be");
	if (!bytes_take(&records->left, record.head.size_bytes))
		return refuse(records, &record, err, "is cut off");
	if (record.head.sequence != records->mark.sequence)
		return refuse(records, &record, err, "has another number");
	if ((record.head.type == AGENT_RECORD_START) != (record.head.sequence == 0) ||
	    (record.head.type == AGENT_RECORD_FOLLOWS &&
	     record.head.sequence > AGENT_ANCESTORS_MAX))
		return refuse(records, &record, err, "is not where it belongs");
	record_chain(records->mark.chain, record.at, record.head.size_bytes, chain);
	if (memcmp(chain, record.head.chain, sizeof(chain)) != 0)
		return refuse(records, &record, err, "breaks the chain");
	if (!take_parts(&record))
		return refuse(records, &record, err, "does not hold what it says");

	memcpy(records->mark.chain, chain, sizeof(chain));
	records->mark.offset += record.head.size_bytes;
	records->mark.sequence++;
	records->mark.ended = record.head.type == AGENT_RECORD_STOP;
	records->mark.full = record.head.type == AGENT_RECORD_FULL;
	*ret = record;
	return 1;
}
