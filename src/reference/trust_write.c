/* SPDX-License-Identifier: Apache-2.0 */
#include "reference/trust_write.h"

#include <fts.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/limits.h"
#include "base/now.h"
#include "reference/archive.h"
#include "reference/input.h"
#include "reference/source.h"

#define MAY_EXECUTE 0111u
#define PERMISSIONS 07777u

struct gathered_file {
	uint8_t digest[TRUST_DIGEST_BYTES];
	enum trust_kind kind;
	uint32_t mode;
	uint64_t size_bytes;
	char *path;
};

/* What one source holds; it is written when all of it was read. */
struct gathered {
	struct reference_source source;
	VEC(struct gathered_file) files;
};

struct adding {
	struct trust *trust;
	struct gathered package, directory;
	struct trust_addition *ret;
};

static void gathered_free(struct gathered *gathered)
{
	for (size_t i = 0; i < gathered->files.n; i++)
		free(gathered->files.v[i].path);
	vec_free(&gathered->files);
}

static void adding_free(struct adding *adding)
{
	gathered_free(&adding->package);
	gathered_free(&adding->directory);
}

/* --- what is trusted --- */

const char *trust_kind_name(enum trust_kind kind)
{
	static const char *const names[] = {
		[TRUST_OTHER] = "file", [TRUST_ELF] = "ELF", [TRUST_MODULE] = "module",
		[TRUST_SCRIPT] = "script", [TRUST_EXECUTABLE] = "executable",
	};

	return names[kind];
}

static bool has_ending(const char *path, const char *const *endings, size_t n)
{
	size_t len = strlen(path);

	for (size_t i = 0; i < n; i++) {
		size_t ending = strlen(endings[i]);

		if (len > ending && !strcmp(path + len - ending, endings[i]))
			return true;
	}
	return false;
}

int trust_judge(const char *path, uint32_t mode, const uint8_t *head, size_t n,
		enum trust_kind *ret)
{
	static const char *const modules[] = {
		".ko", ".ko.xz", ".ko.gz", ".ko.zst", ".ko.bz2", ".ko.lz4",
	};
	static const char *const scripts[] = {
		".sh", ".bash", ".py", ".pyc", ".pl", ".pm", ".ph", ".al", ".rb", ".lua", ".tcl",
		".php", ".js", ".mjs", ".cjs", ".jar", ".class", ".awk", ".R", ".scm", ".el",
		".elc", ".jl", ".ps1",
	};

	if (!n)
		return 0;
	if (has_ending(path, modules, ARRAY_SIZE(modules)))
		*ret = TRUST_MODULE;
	else if (n >= 4 && !memcmp(head, "\177ELF", 4))
		*ret = TRUST_ELF;
	else if ((n >= 2 && !memcmp(head, "#!", 2)) ||
		 has_ending(path, scripts, ARRAY_SIZE(scripts)))
		*ret = TRUST_SCRIPT;
	else if (mode & MAY_EXECUTE)
		*ret = TRUST_EXECUTABLE;
	else
		return 0;
	return 1;
}

static int gather(struct gathered *gathered, const char *path,
		  const struct gathered_file *found, struct err *err)
{
	struct gathered_file *file;
	char *copy;

	if (strlen(path) >= PATH_BYTES_MAX)
		return err_set(err, -ELOOP, "a path of over %u bytes", PATH_BYTES_MAX);
	if (gathered->files.n == TRUST_FILES_MAX)
		return err_set(err, -ELOOP, "over %u files to trust", TRUST_FILES_MAX);
	copy = strdup(path);
	file = copy ? vec_add(&gathered->files) : NULL;
	if (!file) {
		free(copy);
		return err_set(err, -ENOMEM, "no memory for a list of files");
	}
	*file = *found;
	file->mode &= PERMISSIONS;
	file->path = copy;
	return 0;
}

/* --- writing --- */

static int report(struct adding *adding, const struct gathered *gathered, bool known,
		  struct err *err)
{
	struct trust_added *added = vec_add(&adding->ret->list);

	if (!added)
		return err_set(err, -ENOMEM, "no memory for a list");
	added->source = gathered->source;
	added->known = known;
	added->files = gathered->files.n;
	return 0;
}

static int insert_files(struct database *database, const struct gathered *gathered,
			struct err *err)
{
	cleanup(statement_end) sqlite3_stmt *row = NULL;
	int64_t source = sqlite3_last_insert_rowid(database->sqlite);
	int r = database_prepare(database, &row, err, "INSERT INTO file(source, kind, mode, size,"
				 " path, digest) VALUES(?,?,?,?,?,?)", "");

	for (size_t i = 0; i < gathered->files.n && r >= 0; i++) {
		const struct gathered_file *file = &gathered->files.v[i];

		if (sqlite3_bind_int64(row, 1, source) != SQLITE_OK ||
		    sqlite3_bind_int64(row, 2, (int64_t)file->kind) != SQLITE_OK ||
		    sqlite3_bind_int64(row, 3, (int64_t)file->mode) != SQLITE_OK ||
		    sqlite3_bind_int64(row, 4, (int64_t)file->size_bytes) != SQLITE_OK ||
		    sqlite3_bind_text(row, 5, file->path, -1, SQLITE_STATIC) != SQLITE_OK ||
		    sqlite3_bind_blob(row, 6, file->digest, sizeof(file->digest),
				      SQLITE_STATIC) != SQLITE_OK)
			return err_set(err, -ENOMEM, "no memory for the trust store");
		r = database_step(database, row, err);
		sqlite3_reset(row);
	}
	return r;
}

static int insert(struct database *database, const struct gathered *gathered, struct err *err)
{
	const struct reference_source *source = &gathered->source;
	int r = database_do(database, err, "INSERT INTO source(kind, path, package, version,"
			    " sha256, signature, added) VALUES(?,?,?,?,?,?,?)", "ssssssi",
			    source->source, source->path, source->package, source->version,
			    source->sha256, source->signature,
			    (int64_t)(now_ns(CLOCK_REALTIME) / 1000000000));

	return r < 0 ? r : insert_files(database, gathered, err);
}

/* All of it, or nothing; another process may have been quicker. */
static int finish(struct adding *adding, const struct gathered *gathered, struct err *err)
{
	struct database *database = adding->trust->database;
	int known, r = database_begin(database, err);

	if (r < 0)
		return r;
	known = r = source_known(database, gathered->source.sha256, err);
	if (r == 0)
		r = insert(database, gathered, err);
	if (r >= 0 && !known)
		r = database_commit(database, err);
	database_undo(database);
	return r < 0 ? r : report(adding, gathered, known, err);
}

/* --- packages --- */

struct hashed {
	crypto_hash_sha256_state state;
	uint8_t head[TRUST_HEAD_BYTES];
	size_t head_n;
	uint64_t size_bytes;
};

static int hash_block(const void *data, size_t size, void *ctx, struct err *err)
{
	struct hashed *hashed = ctx;
	size_t room = sizeof(hashed->head) - hashed->head_n, n = size < room ? size : room;

	(void)err;
	if (n)
		memcpy(hashed->head + hashed->head_n, data, n);
	hashed->head_n += n;
	hashed->size_bytes += size;
	crypto_hash_sha256_update(&hashed->state, data, size);
	return 0;
}

static int visit_member(const char *path, struct archive_file *from, void *ctx, struct err *err)
{
	struct gathered_file file = { .mode = archive_file_mode(from) };
	struct gathered *package = ctx;
	struct hashed hashed = {0};
	int r;

	crypto_hash_sha256_init(&hashed.state);
	r = archive_file_blocks(from, hash_block, &hashed, err);
	if (r < 0)
		return r;
	crypto_hash_sha256_final(&hashed.state, file.digest);
	if (!strncmp(path, "./", 2))
		path++;		/* as it will lie in a guest */
	if (!trust_judge(path, file.mode, hashed.head, hashed.head_n, &file.kind))
		return 0;
	file.size_bytes = hashed.size_bytes;
	return gather(package, path, &file, err);
}

static int add_package(struct adding *adding, int fd, const char *path, struct err *err)
{
	struct gathered *package = &adding->package;
	struct reference_source *source = &package->source;
	int r;

	gathered_free(package);
	*source = (struct reference_source){ .source = "package" };
	snprintf(source->path, sizeof(source->path), "%s", path);
	r = input_digest_text(fd, source->sha256, err);
	if (r < 0)
		return r;
	r = source_known(adding->trust->database, source->sha256, err);
	if (r < 0)
		return r;
	if (r > 0)
		return report(adding, package, true, err);
	r = archive_each(fd, source, visit_member, package, err);
	return r < 0 ? r : finish(adding, package, err);
}

/* --- files and directories --- */

/* The file's own permissions, digest and head. A file that changes meanwhile is nobody's. */
static int read_file(int fd, const struct stat *st, struct gathered_file *ret, uint8_t *head,
		     size_t *head_n, struct err *err)
{
	ssize_t n = pread(fd, head, TRUST_HEAD_BYTES, 0);
	int r;

	if (n < 0)
		return err_set(err, -errno, "%s", strerror(errno));
	*head_n = (size_t)n;
	ret->mode = st->st_mode & PERMISSIONS;
	r = input_digest(fd, ret->digest, &ret->size_bytes, err);
	if (r >= 0 && ret->size_bytes != (uint64_t)st->st_size)
		r = err_set(err, -ESTALE, "it changes while it is read");
	return r;
}

static int add_file(struct adding *adding, int fd, const struct stat *st, const char *path,
		    struct err *err)
{
	struct gathered *single = &adding->directory;
	struct gathered_file file = {0};
	uint8_t head[TRUST_HEAD_BYTES];
	size_t n;
	int r = read_file(fd, st, &file, head, &n, err);

	if (r < 0)
		return r;
	if (!n)
		return err_set(err, -ENOENT, "an empty file: there is nothing to trust");
	if (!trust_judge(path, file.mode, head, n, &file.kind))
		file.kind = TRUST_OTHER;
	strcpy(single->source.source, "file");
	snprintf(single->source.path, sizeof(single->source.path), "%s", path);
	sodium_bin2hex(single->source.sha256, sizeof(single->source.sha256), file.digest,
		       sizeof(file.digest));
	r = gather(single, path, &file, err);
	return r < 0 ? r : finish(adding, single, err);
}

static bool is_package(int fd, const char *path)
{
	static const char *const endings[] = { ".deb", ".rpm", ".udeb", ".ddeb" };

	return has_ending(path, endings, ARRAY_SIZE(endings)) && archive_is(fd);
}

/* @name: its path in the directory, with a '/' in front. */
static int visit_file(struct adding *adding, const char *path, const char *name, struct err *err)
{
	struct gathered_file file = {0};
	uint8_t head[TRUST_HEAD_BYTES];
	struct stat st;
	cleanup(fd_close) int fd = input_open(path, &st, err);
	ssize_t n;
	size_t head_n;
	int r;

	if (fd < 0)
		return fd;
	if (is_package(fd, path)) {
		r = add_package(adding, fd, path, err);
		return r < 0 ? wrap(err, r, "'%s'", path) : 0;
	}
	/* Most files are neither: they are not read to their end. */
	n = pread(fd, head, sizeof(head), 0);
	if (n < 0)
		return err_set(err, -errno, "'%s': %s", path, strerror(errno));
	if (!trust_judge(name, st.st_mode, head, (size_t)n, &file.kind))
		return 0;
	r = read_file(fd, &st, &file, head, &head_n, err);
	if (r < 0)
		return wrap(err, r, "'%s'", path);
	return gather(&adding->directory, name, &file, err);
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

static int walk_directory(struct adding *adding, const char *path, struct err *err)
{
	char *const paths[] = { (char *)(uintptr_t)path, NULL };
	cleanup(close_fts) FTS *fts = fts_open(paths, FTS_PHYSICAL | FTS_COMFOLLOW | FTS_NOCHDIR |
					       FTS_XDEV, by_name);
	size_t skip = strlen(path);
	const FTSENT *entry;
	int r = 0;

	while (skip && path[skip - 1] == '/')
		skip--;
	if (!fts)
		return err_set(err, -errno, "'%s': %s", path, strerror(errno));
	errno = 0;
	for (unsigned n = 0; r >= 0 && (entry = fts_read(fts)); n++) {
		if (n == TRUST_WALK_MAX)
			return err_set(err, -ELOOP, "'%s': over %u files", path, TRUST_WALK_MAX);
		if (entry->fts_info == FTS_DNR || entry->fts_info == FTS_ERR ||
		    entry->fts_info == FTS_NS)
			return err_set(err, -entry->fts_errno, "'%s': %s", entry->fts_path,
				       strerror(entry->fts_errno));
		if (entry->fts_info == FTS_F && S_ISREG(entry->fts_statp->st_mode))
			r = visit_file(adding, entry->fts_path, entry->fts_path + skip, err);
		errno = 0;
	}
	if (r >= 0 && errno)
		return err_set(err, -errno, "'%s': %s", path, strerror(errno));
	return r;
}

/* What is at @path, with links in it resolved: where it was is kept, too. */
static int add_directory(struct adding *adding, const char *path, struct err *err)
{
	struct gathered *directory = &adding->directory;
	struct reference_source *source = &directory->source;
	uint8_t digest[TRUST_DIGEST_BYTES];
	crypto_hash_sha256_state state;
	int r = walk_directory(adding, path, err);

	if (r < 0 || !directory->files.n)
		return r;
	crypto_hash_sha256_init(&state);
	for (size_t i = 0; i < directory->files.n; i++) {
		const struct gathered_file *file = &directory->files.v[i];

		crypto_hash_sha256_update(&state, file->digest, sizeof(file->digest));
		crypto_hash_sha256_update(&state, (const unsigned char *)file->path,
					  strlen(file->path) + 1);
	}
	crypto_hash_sha256_final(&state, digest);
	sodium_bin2hex(source->sha256, sizeof(source->sha256), digest, sizeof(digest));
	strcpy(source->source, "directory");
	snprintf(source->path, sizeof(source->path), "%s", path);
	return finish(adding, directory, err);
}

int trust_add(struct trust *trust, const char *path, struct trust_addition *ret,
	      struct err *err)
{
	cleanup(adding_free) struct adding adding = { .trust = trust, .ret = ret };
	cleanup(fd_close) int fd = -1;
	size_t before = ret->list.n;
	struct stat st;
	int r;

	if (stat(path, &st) < 0)
		return err_set(err, -errno, "'%s': %s", path, strerror(errno));
	if (S_ISDIR(st.st_mode)) {
		r = add_directory(&adding, path, err);
	} else {
		fd = input_open(path, &st, err);
		if (fd < 0)
			return fd;
		r = archive_is(fd) ? add_package(&adding, fd, path, err) :
				     add_file(&adding, fd, &st, path, err);
		if (r < 0)
			return wrap(err, r, "'%s'", path);
	}
	if (r >= 0 && ret->list.n == before)
		r = err_set(err, -ENOENT, "'%s' holds no program, library, script or module",
			    path);
	return r;
}
