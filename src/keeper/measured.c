/* SPDX-License-Identifier: Apache-2.0 */
#include "keeper/measured.h"

#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "base/limits.h"

/* A key of the maps is never 0. */
static uint64_t hash_same(uint64_t inode, uint64_t size_bytes, uint64_t mtime_ns)
{
	const uint64_t key[] = { inode, size_bytes, mtime_ns };

	return hash_bytes(key, sizeof(key), hash_secret()) | 1;
}

static uint64_t hash_inode(uint64_t inode)
{
	return hash_bytes(&inode, sizeof(inode), hash_secret()) | 1;
}

static const struct measured_file *newest(const struct measured *measured,
					  const struct map *map, uint64_t hash)
{
	uint32_t n;

	return map_get(map, hash, &n) ? measured->files.v[n] : NULL;
}

/* The file with its segments, digests and path, as one piece of memory. */
static struct measured_file *copy(const struct record *record)
{
	const struct agent_file *from = &record->file;
	size_t segments = from->segments * sizeof(struct agent_segment);
	size_t digests = (size_t)from->pages * AGENT_DIGEST_BYTES;
	struct measured_file *file;
	uint8_t *at;

	file = calloc(1, sizeof(*file) + segments + digests + record->path_bytes + 1);
	if (!file)
		return NULL;
	at = (uint8_t *)(file + 1);
	memcpy(at, record->segments, segments);
	memcpy(at + segments, record->digests, digests);
	memcpy(at + segments + digests, record->path, record->path_bytes);
	*file = (struct measured_file){
		.device = from->device, .inode = from->inode, .size_bytes = from->size_bytes,
		.mtime_ns = from->mtime_ns, .ctime_ns = from->ctime_ns,
		.time_ns = from->record.time_ns, .sequence = from->record.sequence,
		.reason = from->reason, .segments = from->segments, .pages = from->pages,
		.segment = (const struct agent_segment *)at,
		.digests = at + segments,
		.path = (const char *)at + segments + digests,
	};
	memcpy(file->sha256, from->sha256, sizeof(file->sha256));
	return file;
}

static int add_file(struct measured *measured, const struct record *record, struct err *err)
{
	uint64_t same = hash_same(record->file.inode, record->file.size_bytes,
				  record->file.mtime_ns);
	uint64_t inode = hash_inode(record->file.inode);
	uint32_t n = (uint32_t)measured->files.n;
	struct measured_file *file, **slot;

	if (n == MEASURED_FILES_MAX) {
		measured->partial = true;
		return err_set(err, -ELOOP, "over %u measured files", MEASURED_FILES_MAX);
	}
	file = copy(record);
	if (!file)
		return -ENOMEM;
	file->older_same = newest(measured, &measured->same, same);
	file->older_inode = newest(measured, &measured->inodes, inode);
	slot = vec_add(&measured->files);
	if (!slot) {
		free(file);
		return -ENOMEM;
	}
	*slot = file;
	if (map_put(&measured->same, same, n) < 0 || map_put(&measured->inodes, inode, n) < 0)
		return -ENOMEM;
	return 0;
}

static int add_failure(struct measured *measured, const struct record *record, struct err *err)
{
	struct measured_failure *failure;
	char *path;

	if (measured->failures.n == MEASURED_FILES_MAX) {
		measured->partial = true;
		return err_set(err, -ELOOP, "over %u files that could not be measured",
			       MEASURED_FILES_MAX);
	}
	path = malloc(record->path_bytes + 1);
	failure = path ? vec_add(&measured->failures) : NULL;
	if (!failure) {
		free(path);
		return -ENOMEM;
	}
	memcpy(path, record->path, record->path_bytes);
	path[record->path_bytes] = '\0';
	*failure = (struct measured_failure){
		.device = record->unreadable.device, .inode = record->unreadable.inode,
		.time_ns = record->head.time_ns, .reason = record->unreadable.reason,
		.error = record->unreadable.error, .path = path,
	};
	return 0;
}

int measured_add(struct measured *measured, const struct record *record, struct err *err)
{
	switch (record->head.type) {
	case AGENT_RECORD_FILE:
		return add_file(measured, record, err);
	case AGENT_RECORD_UNREADABLE:
		return add_failure(measured, record, err);
	case AGENT_RECORD_LOST:
		if (!measured->lost)
			measured->lost_first_ns = record->head.time_ns;
		measured->lost_last_ns = record->head.time_ns;
		measured->lost = record->lost.lost;
		return 0;
	case AGENT_RECORD_FULL:
		measured->full = true;
		measured->full_ns = record->head.time_ns;
		return 0;
	case AGENT_RECORD_STOP:
		measured->stopped = true;
		return 0;
	default:
		return 0;
	}
}

void measured_restart(struct measured *measured)
{
	measured->lost = measured->lost_first_ns = measured->lost_last_ns = 0;
	measured->full = measured->stopped = false;
	measured->full_ns = 0;
}

const struct measured_file *measured_same(const struct measured *measured,
					  const struct measured_key *key)
{
	const struct measured_file *file =
		newest(measured, &measured->same,
		       hash_same(key->inode, key->size_bytes, key->mtime_ns));

	/* Two keys of one hash are possible, if nobody will ever see them. */
	return file && file->inode == key->inode && file->size_bytes == key->size_bytes &&
	       file->mtime_ns == key->mtime_ns ? file : NULL;
}

const struct measured_file *measured_inode(const struct measured *measured, uint64_t inode)
{
	const struct measured_file *file = newest(measured, &measured->inodes, hash_inode(inode));

	return file && file->inode == inode ? file : NULL;
}

const struct measured_file *measured_find(const struct measured *measured,
					  const struct measured_key *key)
{
	const struct measured_file *file = measured_same(measured, key), *best = NULL;
	unsigned likeness, most = 0;

	for (uint32_t n = 0; file && n < MEASURED_SAME_MAX; n++, file = file->older_same) {
		likeness = 1u + 2u * (file->device == key->device) +
			   1u * (file->ctime_ns == key->ctime_ns);
		if (likeness > most) {
			most = likeness;
			best = file;
		}
	}
	return best;
}

const uint8_t *measured_digest(const struct measured_file *file, uint64_t page)
{
	uint64_t before = 0;

	for (uint32_t i = 0; i < file->segments; i++) {
		const struct agent_segment *segment = &file->segment[i];

		if (page >= segment->first_page && page - segment->first_page < segment->pages)
			return file->digests +
			       (before + page - segment->first_page) * AGENT_DIGEST_BYTES;
		before += segment->pages;
	}
	return NULL;
}

const char *measured_reason_name(uint32_t reason)
{
	static const char *const names[] = {
		[AGENT_EXEC] = "executed",
		[AGENT_MAPPED] = "mapped",
		[AGENT_SCRIPT] = "script",
		[AGENT_MODULE] = "module",
	};

	return reason < sizeof(names) / sizeof(names[0]) && names[reason] ? names[reason] : "?";
}

void measured_free(struct measured *measured)
{
	for (size_t i = 0; i < measured->files.n; i++)
		free(measured->files.v[i]);
	for (size_t i = 0; i < measured->failures.n; i++)
		free(measured->failures.v[i].path);
	vec_free(&measured->files);
	vec_free(&measured->failures);
	map_free(&measured->same);
	map_free(&measured->inodes);
	*measured = (struct measured){ 0 };
}
