/* SPDX-License-Identifier: Apache-2.0 */
#include "reference/archive.h"

#include <archive.h>
#include <archive_entry.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "base/limits.h"
#include "reference/rpm.h"
#include "reference/unpack.h"

/* The fields of a package: "control" of Debian has some KiB. */
#define CONTROL_MAX	(1u << 20)

/* Members of the outer archive of a .deb: there are three. */
#define DEB_MEMBERS_MAX	32u

#define READ_BYTES	65536u

struct archive_file {
	struct archive *archive;
	uint32_t mode;
};

struct package_walk {
	struct reference_source *source;
	archive_fn *visit;
	void *ctx;
	uint64_t bytes_left;	/* of what it may unpack to */
	uint32_t files_left;
	struct err *err;
};

static void close_archive(struct archive **archive)
{
	if (*archive)
		archive_read_free(*archive);
}

static int damaged(struct archive *archive, struct err *err)
{
	const char *why = archive_error_string(archive);

	return err_set(err, -EBADMSG, "a damaged package%s%s", why ? ": " : "", why ? why : "");
}

/* Filters that libarchive does itself: it would run programs for others. */
static struct archive *new_archive(void)
{
	struct archive *archive = archive_read_new();

	if (archive && archive_read_support_filter_gzip(archive) == ARCHIVE_OK &&
	    archive_read_support_filter_bzip2(archive) == ARCHIVE_OK &&
	    archive_read_support_filter_xz(archive) == ARCHIVE_OK &&
	    archive_read_support_filter_lzma(archive) == ARCHIVE_OK &&
	    archive_read_support_filter_zstd(archive) == ARCHIVE_OK)
		return archive;
	if (archive)
		archive_read_free(archive);
	return NULL;
}

bool archive_is(int fd)
{
	unsigned char head[8];

	return pread(fd, head, sizeof(head), 0) == sizeof(head) &&
	       (!memcmp(head, "!<arch>\n", 8) || !memcmp(head, RPM_MAGIC, 4));
}

uint32_t archive_file_mode(const struct archive_file *file)
{
	return file->mode;
}

int archive_file_blocks(struct archive_file *file, archive_block_fn *visit, void *ctx,
			struct err *err)
{
	uint64_t at = 0;

	for (;;) {
		const void *block;
		la_int64_t offset;
		size_t n;
		int r = archive_read_data_block(file->archive, &block, &n, &offset);

		if (r == ARCHIVE_EOF)
			return 0;
		if (r != ARCHIVE_OK)
			return damaged(file->archive, err);
		if ((uint64_t)offset != at)
			return err_set(err, -EBADMSG, "a sparse file in a package");
		at += n;
		r = visit(block, n, ctx, err);
		if (r < 0)
			return r;
	}
}

struct whole {
	struct blob blob;
	size_t room, limit;
};

static int append(const void *data, size_t size, void *ctx, struct err *err)
{
	struct whole *whole = ctx;

	return unpack_append(&whole->blob, &whole->room, data, size, whole->limit, err);
}

int archive_file_read(struct archive_file *file, size_t limit, struct blob *ret, struct err *err)
{
	struct whole whole = { .limit = limit };
	int r = archive_file_blocks(file, append, &whole, err);

	if (r >= 0 && !whole.blob.data && !(whole.blob.data = malloc(1)))
		r = err_set(err, -ENOMEM, "no memory for a file");
	if (r < 0)
		blob_free(&whole.blob);
	else
		*ret = whole.blob;
	return r;
}

/* Each regular file of an archive that is open. */
static int each_file(struct archive *archive, struct package_walk *walk, archive_fn *visit,
		     void *ctx)
{
	struct archive_file file = { .archive = archive };
	struct archive_entry *entry;
	int r;

	while ((r = archive_read_next_header(archive, &entry)) == ARCHIVE_OK ||
	       r == ARCHIVE_WARN) {
		const char *path = archive_entry_pathname(entry);
		int64_t size = archive_entry_size(entry);

		if (!walk->files_left--)
			return err_set(walk->err, -ELOOP, "over %u files in the package",
				       REFERENCE_FILES_MAX);
		/* What is passed over is unpacked, too. */
		if (size < 0 || (uint64_t)size > walk->bytes_left)
			return err_set(walk->err, -ELOOP, "the package unpacks to over %llu GiB",
				       PACKAGE_BYTES_MAX >> 30);
		walk->bytes_left -= (uint64_t)size;
		/* Of several names of one file, cpio gives the bytes with the last. */
		if (archive_entry_filetype(entry) != AE_IFREG ||
		    (archive_entry_hardlink(entry) && !size))
			continue;
		file.mode = archive_entry_perm(entry);
		r = visit(path ? path : "?", &file, ctx, walk->err);
		if (r)
			return r;
	}
	return r == ARCHIVE_EOF ? 0 : damaged(archive, walk->err);
}

/* The archive within an archive: libarchive asks for its next bytes. */
struct inner {
	struct archive *outer;
};

static la_ssize_t read_inner(struct archive *archive, void *ctx, const void **block)
{
	struct inner *inner = ctx;
	la_int64_t offset;
	size_t n;
	int r = archive_read_data_block(inner->outer, block, &n, &offset);

	if (r == ARCHIVE_EOF)
		return 0;
	if (r != ARCHIVE_OK) {
		archive_set_error(archive, EINVAL, "%s", archive_error_string(inner->outer));
		return -1;
	}
	return (la_ssize_t)n;
}

static int each_of_tar(struct archive *outer, struct package_walk *walk, archive_fn *visit,
		       void *ctx)
{
	cleanup(close_archive) struct archive *tar = new_archive();
	struct inner inner = { outer };

	if (!tar || archive_read_support_format_tar(tar) != ARCHIVE_OK)
		return err_set(walk->err, -ENOMEM, "no memory for a package");
	if (archive_read_open(tar, &inner, NULL, read_inner, NULL) != ARCHIVE_OK)
		return damaged(tar, walk->err);
	return each_file(tar, walk, visit, ctx);
}

/* One field of Debian's control file (deb-control(5)); it may not be there. */
static void control_field(const char *control, const char *name, char *ret, size_t size)
{
	size_t len = strlen(name);

	for (const char *line = control; line; line = strchr(line, '\n')) {
		size_t n;

		line += *line == '\n';
		if (strncasecmp(line, name, len) != 0 || line[len] != ':')
			continue;
		line += len + 1;
		line += strspn(line, " \t");
		n = strcspn(line, "\r\n");
		snprintf(ret, size, "%.*s", (int)n, line);
		return;
	}
}

static int read_control(const char *path, struct archive_file *file, void *ctx, struct err *err)
{
	struct reference_source *source = ctx;
	cleanup(blob_free) struct blob blob = {0};
	cleanup(freep) char *text = NULL;
	int r;

	if (strcmp(path, "./control") != 0 && strcmp(path, "control") != 0)
		return 0;
	r = archive_file_read(file, CONTROL_MAX, &blob, err);
	if (r < 0)
		return wrap(err, r, "control");
	text = strndup((const char *)blob.data, blob.size);
	if (!text)
		return err_set(err, -ENOMEM, "no memory for a package");
	control_field(text, "Package", source->package, sizeof(source->package));
	control_field(text, "Version", source->version, sizeof(source->version));
	return 1;
}

static int each_of_deb(struct archive *ar, struct package_walk *walk)
{
	struct archive_entry *entry;
	bool data = false;
	int r = 0;

	for (unsigned n = 0; n < DEB_MEMBERS_MAX && !data; n++) {
		const char *name;

		r = archive_read_next_header(ar, &entry);
		if (r == ARCHIVE_EOF)
			break;
		if (r != ARCHIVE_OK)
			return damaged(ar, walk->err);
		name = archive_entry_pathname(entry);
		r = 0;
		data = name && !strncmp(name, "data.tar", 8);
		if (name && !strncmp(name, "control.tar", 11))
			r = each_of_tar(ar, walk, read_control, walk->source);
		else if (data)
			r = each_of_tar(ar, walk, walk->visit, walk->ctx);
		if (r < 0)
			return r;
	}
	if (!data)
		return err_set(walk->err, -EBADMSG, "a Debian package without data.tar");
	return r > 0 ? 1 : 0;
}

static int open_fd(struct archive *archive, int fd, struct err *err)
{
	if (lseek(fd, 0, SEEK_SET) < 0)
		return err_set(err, -errno, "%s", strerror(errno));
	if (archive_read_open_fd(archive, fd, READ_BYTES) != ARCHIVE_OK)
		return damaged(archive, err);
	return 0;
}

int archive_each(int fd, struct reference_source *source, archive_fn *visit, void *ctx,
		 struct err *err)
{
	struct package_walk walk = {
		.source = source, .visit = visit, .ctx = ctx, .err = err,
		.bytes_left = PACKAGE_BYTES_MAX, .files_left = REFERENCE_FILES_MAX,
	};
	cleanup(close_archive) struct archive *archive = new_archive();
	int rpm = rpm_describe(fd, source, err), r;

	if (rpm < 0 && rpm != -ENOENT)
		return rpm;
	if (!archive || archive_read_support_filter_rpm(archive) != ARCHIVE_OK ||
	    (rpm == 0 ? archive_read_support_format_cpio(archive) :
			archive_read_support_format_ar(archive)) != ARCHIVE_OK)
		return err_set(err, -ENOMEM, "no memory for a package");
	r = open_fd(archive, fd, err);
	if (r < 0)
		return r;
	return rpm == 0 ? each_file(archive, &walk, visit, ctx) : each_of_deb(archive, &walk);
}
