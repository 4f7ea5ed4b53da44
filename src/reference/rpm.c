/* SPDX-License-Identifier: Apache-2.0 */
#include "reference/rpm.h"

#include <endian.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/cleanup.h"

#define LEAD_BYTES	96u
#define HEADER_MAGIC	"\x8e\xad\xe8\x01"
#define INTRO_BYTES	16u
#define ENTRY_BYTES	16u

/* Of one header: rpm itself allows 256 MiB of data; a kernel's has some MiB of file names. */
#define ENTRIES_MAX	65536u
#define STORE_MAX	(64u << 20)

#define TYPE_STRING	6u

enum {
	TAG_NAME = 1000, TAG_VERSION = 1001, TAG_RELEASE = 1002,
	/* In the signature header. */
	SIGTAG_DSA = 267, SIGTAG_RSA = 268, SIGTAG_PGP = 1002, SIGTAG_GPG = 1005,
	SIGTAG_OPENPGP = 278,
};

struct header {
	uint8_t *bytes;		/* entries, then their data */
	uint32_t entries, store_bytes;
};

static void header_free(struct header *header)
{
	free(header->bytes);
}

static uint32_t big32(struct bytes *bytes)
{
	return be32toh(bytes_u32(bytes));
}

/* Read the header at @*at, and move @*at behind it. */
static int read_header(int fd, off_t *at, struct header *ret, struct err *err)
{
	uint8_t intro[INTRO_BYTES];
	struct bytes bytes = bytes_of(intro + 8, 8);
	size_t size;

	if (pread(fd, intro, sizeof(intro), *at) != sizeof(intro) ||
	    memcmp(intro, HEADER_MAGIC, 4) != 0)
		return err_set(err, -EBADMSG, "a damaged package: no RPM header");
	ret->entries = big32(&bytes);
	ret->store_bytes = big32(&bytes);
	if (ret->entries > ENTRIES_MAX || ret->store_bytes > STORE_MAX)
		return err_set(err, -ELOOP, "an RPM header that is too large");
	size = (size_t)ret->entries * ENTRY_BYTES + ret->store_bytes;
	ret->bytes = malloc(size ? size : 1);
	if (!ret->bytes)
		return err_set(err, -ENOMEM, "no memory for a package");
	if (pread(fd, ret->bytes, size, *at + INTRO_BYTES) != (ssize_t)size)
		return err_set(err, -EBADMSG, "a truncated package");
	*at += (off_t)(INTRO_BYTES + size);
	return 0;
}

/* The entry of a tag: where its data begin, or -1. */
static int64_t find_tag(const struct header *header, uint32_t tag, uint32_t *type)
{
	struct bytes entries = bytes_of(header->bytes, (size_t)header->entries * ENTRY_BYTES);

	for (uint32_t i = 0; i < header->entries; i++) {
		uint32_t found = big32(&entries), offset;

		*type = big32(&entries);
		offset = big32(&entries);
		big32(&entries);
		if (found == tag && offset < header->store_bytes)
			return offset;
	}
	return -1;
}

/* A tag's string, or "". */
static const char *tag_string(const struct header *header, uint32_t tag)
{
	const char *store = (const char *)header->bytes + (size_t)header->entries * ENTRY_BYTES;
	uint32_t type;
	int64_t at = find_tag(header, tag, &type);

	if (at < 0 || type != TYPE_STRING ||
	    !memchr(store + at, '\0', header->store_bytes - (size_t)at))
		return "";
	return store + at;
}

static bool is_signed(const struct header *header)
{
	static const uint32_t tags[] = {
		SIGTAG_DSA, SIGTAG_RSA, SIGTAG_PGP, SIGTAG_GPG, SIGTAG_OPENPGP,
	};
	uint32_t type;

	for (size_t i = 0; i < ARRAY_SIZE(tags); i++)
		if (find_tag(header, tags[i], &type) >= 0)
			return true;
	return false;
}

int rpm_describe(int fd, struct reference_source *source, struct err *err)
{
	cleanup(header_free) struct header signature = {0};
	cleanup(header_free) struct header header = {0};
	off_t at = LEAD_BYTES;
	char magic[4];
	int r;

	if (pread(fd, magic, sizeof(magic), 0) != sizeof(magic) ||
	    memcmp(magic, RPM_MAGIC, sizeof(magic)) != 0)
		return -ENOENT;
	r = read_header(fd, &at, &signature, err);
	if (r < 0)
		return r;
	at = (at + 7) & ~(off_t)7;	/* the signature header alone is padded */
	r = read_header(fd, &at, &header, err);
	if (r < 0)
		return r;
	snprintf(source->package, sizeof(source->package), "%s", tag_string(&header, TAG_NAME));
	snprintf(source->version, sizeof(source->version), "%s-%s",
		 tag_string(&header, TAG_VERSION), tag_string(&header, TAG_RELEASE));
	snprintf(source->signature, sizeof(source->signature), "%s",
		 is_signed(&signature) ? "signed, signature not verified" : "not signed");
	return 0;
}
