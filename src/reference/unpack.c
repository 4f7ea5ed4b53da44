/* SPDX-License-Identifier: Apache-2.0 */
#include "reference/unpack.h"

#include <archive.h>
#include <archive_entry.h>
#include <string.h>

#include "base/cleanup.h"

static const struct magic {
	const char *bytes;
	size_t n;
} magics[] = {
	{ "\x1f\x8b", 2 },			/* gzip */
	{ "BZh", 3 },				/* bzip2 */
	{ "\xfd" "7zXZ", 6 },			/* xz */
	{ "\x5d\0\0", 3 },			/* lzma, as xz --format=lzma makes it */
	{ "\x28\xb5\x2f\xfd", 4 },		/* zstd */
	{ "\x02\x21\x4c\x18", 4 },		/* lz4, legacy */
	{ "\x04\x22\x4d\x18", 4 },		/* lz4 */
};

bool unpack_is_packed(const void *data, size_t size)
{
	for (size_t i = 0; i < ARRAY_SIZE(magics); i++)
		if (size >= magics[i].n && !memcmp(data, magics[i].bytes, magics[i].n))
			return true;
	return false;
}

int unpack_append(struct blob *blob, size_t *room, const void *data, size_t size, size_t limit,
		  struct err *err)
{
	if (size > limit || blob->size > limit - size)
		return err_set(err, -ELOOP, "unpacks to over %zu MiB", limit >> 20);
	if (blob->size + size > *room || !blob->data) {
		size_t bigger = *room ? *room : 65536;
		uint8_t *moved;

		while (bigger < blob->size + size)
			bigger *= 2;
		moved = realloc(blob->data, bigger);
		if (!moved)
			return err_set(err, -ENOMEM, "no memory to unpack it");
		blob->data = moved;
		*room = bigger;
	}
	if (size)
		memcpy(blob->data + blob->size, data, size);
	blob->size += size;
	return 0;
}

static void close_archive(struct archive **archive)
{
	if (*archive)
		archive_read_free(*archive);
}

/* Only those that libarchive does itself: it would run programs for others. */
static struct archive *open_raw(const void *data, size_t size)
{
	struct archive *archive = archive_read_new();

	if (archive && archive_read_support_filter_gzip(archive) == ARCHIVE_OK &&
	    archive_read_support_filter_bzip2(archive) == ARCHIVE_OK &&
	    archive_read_support_filter_xz(archive) == ARCHIVE_OK &&
	    archive_read_support_filter_lzma(archive) == ARCHIVE_OK &&
	    archive_read_support_filter_zstd(archive) == ARCHIVE_OK &&
	    archive_read_support_filter_lz4(archive) == ARCHIVE_OK &&
	    archive_read_support_format_raw(archive) == ARCHIVE_OK &&
	    archive_read_open_memory(archive, data, size) == ARCHIVE_OK)
		return archive;
	if (archive)
		archive_read_free(archive);
	return NULL;
}

static int damaged(struct archive *archive, struct err *err)
{
	const char *why = archive_error_string(archive);

	return err_set(err, -EBADMSG, "damaged compressed data%s%s", why ? ": " : "",
		       why ? why : "");
}

static int unpack_all(struct archive *archive, size_t limit, struct blob *blob, struct err *err)
{
	struct archive_entry *entry;
	size_t room = 0;
	int r;

	if (archive_read_next_header(archive, &entry) != ARCHIVE_OK)
		return damaged(archive, err);
	for (;;) {
		const void *block;
		la_int64_t offset;
		size_t n;

		r = archive_read_data_block(archive, &block, &n, &offset);
		if (r == ARCHIVE_EOF)
			return blob->size ? 0 : err_set(err, -EBADMSG, "it unpacks to nothing");
		if (r != ARCHIVE_OK)
			return damaged(archive, err);
		r = unpack_append(blob, &room, block, n, limit, err);
		if (r < 0)
			return r;
	}
}

int unpack(const void *data, size_t size, size_t limit, struct blob *ret, struct err *err)
{
	cleanup(close_archive) struct archive *archive = NULL;
	cleanup(blob_free) struct blob blob = {0};
	int r;

	if (!unpack_is_packed(data, size))
		return err_set(err, -EBADMSG, "not compressed in a known format");
	archive = open_raw(data, size);
	if (!archive)
		return err_set(err, -EBADMSG, "cannot be unpacked");
	r = unpack_all(archive, limit, &blob, err);
	if (r < 0)
		return r;
	*ret = blob;
	blob = (struct blob){0};
	return 0;
}
