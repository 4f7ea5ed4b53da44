/* SPDX-License-Identifier: Apache-2.0 */
#include "reference/package.h"

#include <elf.h>
#include <fcntl.h>
#include <fts.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "base/limits.h"
#include "reference/archive.h"
#include "reference/bzimage.h"
#include "reference/input.h"
#include "reference/unpack.h"

/* What a bare file begins with tells what it is. */
#define SNIFF_BYTES	1024u

/* Where the bytes of the current member come from: an archive, or else a file. */
struct package_reader {
	struct archive_file *archive;
	int fd;
};

struct walk {
	packaged_fn *visit;
	void *ctx;
	bool all;	/* what was named must be something; in a directory other files may lie */
	struct reference_source source;
};

static const char *base_name(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

static bool starts(const char *text, const char *with)
{
	return !strncmp(text, with, strlen(with));
}

/* "snd-hda-intel.ko.xz" → "snd_hda_intel"; false: not called like a module. */
static bool module_name(const char *base, char *ret, size_t size)
{
	static const char *const packings[] = { "", ".xz", ".gz", ".zst", ".bz2", ".lz4" };
	const char *ko = strstr(base, ".ko");
	size_t n = ko ? (size_t)(ko - base) : 0;

	for (size_t i = 0; i < ARRAY_SIZE(packings); i++) {
		if (!n || n >= size || strcmp(ko + 3, packings[i]) != 0)
			continue;
		memcpy(ret, base, n);
		ret[n] = '\0';
		for (char *c = ret; *c; c++)
			if (*c == '-')
				*c = '_';
		return true;
	}
	return false;
}

static bool kernel_name(const char *base)
{
	static const char *const not[] = { ".h", ".lds", ".py", ".map", ".o", ".sig", ".txt" };
	const char *dot = strrchr(base, '.');

	if (!starts(base, "vmlinu") && !starts(base, "bzImage"))
		return false;
	for (size_t i = 0; dot && i < ARRAY_SIZE(not); i++)
		if (!strcmp(dot, not[i]))
			return false;
	return true;
}

/*
 * "./lib/modules/6.1.0-32-amd64/kernel/fs/ext4.ko" → "6.1.0-32-amd64". What does not begin with
 * a digit is no release: "modules/kernel/fs/ext4.ko" is of a tree that somebody copied.
 */
static void release_of(const char *path, char *ret, size_t size)
{
	const char *at = strstr(path, "modules/");
	size_t n;

	*ret = '\0';
	if (!at || (at != path && at[-1] != '/'))
		return;
	at += strlen("modules/");
	n = strcspn(at, "/");
	if (at[n] && n < size && *at >= '0' && *at <= '9') {
		memcpy(ret, at, n);
		ret[n] = '\0';
	}
}

/* What a path says of it. false: nothing that we want. */
static bool member_of(const char *path, struct packaged *ret)
{
	const char *base = base_name(path);

	*ret = (struct packaged){ .path = path };
	/* Of the same builds, but there is debug information in place of code. */
	if (strstr(path, "lib/debug/"))
		return false;
	release_of(path, ret->release, sizeof(ret->release));
	if (module_name(base, ret->module, sizeof(ret->module)))
		ret->kind = PACKAGED_MODULE;
	else if (kernel_name(base))
		ret->kind = PACKAGED_KERNEL;
	else
		return false;
	return true;
}

static int read_all(int fd, struct blob *ret, struct err *err)
{
	cleanup(blob_free) struct blob blob = {0};
	struct stat st;
	size_t n = 0;

	if (fstat(fd, &st) < 0)
		return err_set(err, -errno, "%s", strerror(errno));
	if ((uint64_t)st.st_size > REFERENCE_FILE_MAX)
		return err_set(err, -ELOOP, "over %u MiB", REFERENCE_FILE_MAX >> 20);
	blob.size = (size_t)st.st_size;
	blob.data = malloc(blob.size ? blob.size : 1);
	if (!blob.data)
		return err_set(err, -ENOMEM, "no memory for the file");
	while (n < blob.size) {
		ssize_t got = pread(fd, blob.data + n, blob.size - n, (off_t)n);

		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			return err_set(err, -EIO, "cannot be read: %s",
				       got ? strerror(errno) : "it became shorter");
		n += (size_t)got;
	}
	*ret = blob;
	blob = (struct blob){0};
	return 0;
}

static void sha256_hex(const struct blob *blob, char ret[65])
{
	unsigned char digest[crypto_hash_sha256_BYTES];

	crypto_hash_sha256(digest, blob->data, blob->size);
	sodium_bin2hex(ret, 65, digest, sizeof(digest));
}

int packaged_read(struct packaged *member, struct blob *ret, struct err *err)
{
	int r;

	if (member->reader->archive)
		r = archive_file_read(member->reader->archive, REFERENCE_FILE_MAX, ret, err);
	else
		r = read_all(member->reader->fd, ret, err);
	if (r < 0)
		return wrap(err, r, "%s", member->path);
	if (member->loose)
		sha256_hex(ret, member->source->sha256);
	return 0;
}

int package_read_file(const char *path, struct blob *ret, struct err *err)
{
	struct stat st;
	cleanup(fd_close) int fd = input_open(path, &st, err);
	int r;

	if (fd < 0)
		return fd;
	r = read_all(fd, ret, err);
	return r < 0 ? wrap(err, r, "'%s'", path) : 0;
}

static int visit_archived(const char *path, struct archive_file *archive, void *ctx,
			  struct err *err)
{
	struct walk *walk = ctx;
	struct package_reader reader = { .archive = archive, .fd = -1 };
	struct packaged member;

	if (!member_of(path, &member))
		return 0;
	member.source = &walk->source;
	member.reader = &reader;
	return walk->visit(&member, walk->ctx, err);
}

static int walk_package(struct walk *walk, int fd, struct err *err)
{
	int r = input_digest_text(fd, walk->source.sha256, err);

	strcpy(walk->source.source, "package");
	if (r >= 0)
		r = archive_each(fd, &walk->source, visit_archived, walk, err);
	return r < 0 ? wrap(err, r, "'%s'", walk->source.path) : r;
}

/* What a bare file is that a person named: kind and, of a module, its name. */
static int sniff(int fd, const char *path, struct packaged *member, struct err *err)
{
	uint8_t head[SNIFF_BYTES];
	ssize_t n = pread(fd, head, sizeof(head), 0);
	bool named = member_of(path, member);

	if (n < 0)
		return err_set(err, -errno, "'%s': %s", path, strerror(errno));
	if (bzimage_is(head, (size_t)n)) {
		member->kind = PACKAGED_KERNEL;
	} else if (n > 18 && !memcmp(head, ELFMAG, SELFMAG)) {
		member->kind = head[16] == ET_REL ? PACKAGED_MODULE : PACKAGED_KERNEL;
	} else if (!unpack_is_packed(head, (size_t)n)) {
		return err_set(err, -EBADMSG, "'%s': neither a package (.deb, .rpm) nor a kernel "
			       "(vmlinuz, vmlinux) nor a module (.ko)", path);
	} else if (!named) {
		member->kind = PACKAGED_KERNEL;
	}
	if (member->kind == PACKAGED_KERNEL)
		*member->module = '\0';
	else if (!*member->module)
		snprintf(member->module, sizeof(member->module), "%s", base_name(path));
	return 0;
}

static int walk_file(struct walk *walk, const char *path, struct err *err)
{
	struct stat st;
	cleanup(fd_close) int fd = input_open(path, &st, err);
	struct package_reader reader = { .fd = fd };
	struct packaged member;
	int r;

	if (fd < 0)
		return fd;
	walk->source = (struct reference_source){ .source = "file" };
	snprintf(walk->source.path, sizeof(walk->source.path), "%s", path);
	if (archive_is(fd))
		return walk_package(walk, fd, err);
	r = sniff(fd, path, &member, err);
	if (r < 0)
		return r == -EBADMSG && !walk->all ? 0 : r;
	member.loose = true;
	member.source = &walk->source;
	member.reader = &reader;
	r = walk->visit(&member, walk->ctx, err);
	return r < 0 ? wrap(err, r, "'%s'", path) : 0;
}

/* Is a file in a directory worth a look? */
static bool file_wanted(const char *path)
{
	const char *dot = strrchr(base_name(path), '.');
	struct packaged member;

	return (dot && (!strcmp(dot, ".deb") || !strcmp(dot, ".rpm"))) || member_of(path, &member);
}

static int by_name(const FTSENT **a, const FTSENT **b)
{
	return strcmp((*a)->fts_name, (*b)->fts_name);
}

static void close_fts(FTS **fts)
{
	if (*fts)
		fts_close(*fts);
}

static int walk_directory(struct walk *walk, const char *path, struct err *err)
{
	char *const paths[] = { (char *)(uintptr_t)path, NULL };
	cleanup(close_fts) FTS *fts = fts_open(paths, FTS_PHYSICAL | FTS_COMFOLLOW | FTS_NOCHDIR,
					       by_name);
	const FTSENT *entry;
	int r = 0;

	if (!fts)
		return err_set(err, -errno, "'%s': %s", path, strerror(errno));
	errno = 0;
	for (unsigned n = 0; r >= 0 && (entry = fts_read(fts)); n++) {
		if (n == REFERENCE_FILES_MAX)
			return err_set(err, -ELOOP, "'%s': over %u files", path,
				       REFERENCE_FILES_MAX);
		if (entry->fts_info == FTS_DNR || entry->fts_info == FTS_ERR)
			return err_set(err, -entry->fts_errno, "'%s': %s", entry->fts_path,
				       strerror(entry->fts_errno));
		if (entry->fts_info == FTS_F && file_wanted(entry->fts_path))
			r = walk_file(walk, entry->fts_path, err);
		errno = 0;
	}
	if (r >= 0 && errno)
		return err_set(err, -errno, "'%s': %s", path, strerror(errno));
	return r < 0 ? r : 0;
}

int package_each(const char *path, packaged_fn *visit, void *ctx, struct err *err)
{
	struct walk walk = { .visit = visit, .ctx = ctx };
	struct stat st;
	int r;

	if (stat(path, &st) < 0)
		return err_set(err, -errno, "'%s': %s", path, strerror(errno));
	walk.all = !S_ISDIR(st.st_mode);
	r = S_ISDIR(st.st_mode) ? walk_directory(&walk, path, err) : walk_file(&walk, path, err);
	return r < 0 ? r : 0;
}

/* The file itself where it is not packed. */
static int unpacked(struct blob *file, size_t limit, struct blob *ret, struct err *err)
{
	int r = 0;

	if (unpack_is_packed(file->data, file->size)) {
		r = unpack(file->data, file->size, limit, ret, err);
		blob_free(file);
	} else {
		*ret = *file;
		*file = (struct blob){0};
	}
	return r;
}

static bool is_elf(const struct blob *blob)
{
	return blob->size >= sizeof(Elf64_Ehdr) && !memcmp(blob->data, ELFMAG, SELFMAG);
}

int package_vmlinux(struct blob *file, struct blob *ret, struct err *err)
{
	cleanup(blob_free) struct blob plain = {0};
	int r = unpacked(file, REFERENCE_FILE_MAX, &plain, err);

	if (r < 0)
		return r;
	if (bzimage_is(plain.data, plain.size))
		return bzimage_vmlinux(plain.data, plain.size, ret, err);
	if (!is_elf(&plain))
		return err_set(err, -EBADMSG, "neither a kernel image (bzImage) nor an ELF file");
	*ret = plain;
	plain = (struct blob){0};
	return 0;
}

int package_module(struct blob *file, struct blob *ret, struct err *err)
{
	cleanup(blob_free) struct blob plain = {0};
	int r = unpacked(file, MODULE_FILE_MAX, &plain, err);

	if (r < 0)
		return r;
	if (!is_elf(&plain))
		return err_set(err, -EBADMSG, "not an ELF file");
	*ret = plain;
	plain = (struct blob){0};
	return 0;
}
