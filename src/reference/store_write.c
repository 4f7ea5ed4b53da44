/* SPDX-License-Identifier: Apache-2.0 */
#include "reference/store_write.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/limits.h"
#include "base/now.h"
#include "reference/pack.h"
#include "reference/package.h"
#include "reference/source.h"

struct new_item {
	char module[64];
	struct identified id;
	struct pack_item packed;
};

/* A source that is being written. */
struct writer {
	bool open;
	struct reference_source source;
	struct pack pack;
	VEC(struct new_item *) items;
	crypto_hash_sha256_state state;	/* of bare files: their names and digests */
};

struct adding {
	struct store *store;
	const char *path;
	const char *signature;
	struct writer package, loose;
	struct store_addition *ret;
};

static void writer_free(struct writer *writer)
{
	for (size_t i = 0; i < writer->items.n; i++)
		free(writer->items.v[i]);
	vec_free(&writer->items);
	pack_end(&writer->pack);
	writer->open = false;
}

static void adding_free(struct adding *adding)
{
	writer_free(&adding->package);
	writer_free(&adding->loose);
}

static int writer_begin(struct store *store, const struct reference_source *source,
			struct writer *writer, struct err *err)
{
	int r = pack_begin(store->database->dir, &writer->pack, err);

	if (r < 0)
		return r;
	writer->open = true;
	writer->source = *source;
	crypto_hash_sha256_init(&writer->state);
	return 0;
}

static int report(struct adding *adding, const struct writer *writer, bool known,
		  struct err *err)
{
	struct store_added *added;

	/* A package that is known is met again with each of its files. */
	for (size_t i = 0; i < adding->ret->list.n; i++)
		if (!strcmp(adding->ret->list.v[i].source.sha256, writer->source.sha256))
			return 0;
	added = vec_add(&adding->ret->list);
	if (!added)
		return err_set(err, -ENOMEM, "no memory for a list");
	added->source = writer->source;
	added->known = known;
	for (size_t i = 0; i < writer->items.n; i++) {
		added->kernels += !*writer->items.v[i]->module;
		added->modules += *writer->items.v[i]->module != '\0';
	}
	return 0;
}

static int insert_source(struct store *store, const struct writer *writer, const char *blob,
			 struct err *err)
{
	const struct reference_source *source = &writer->source;

	return database_do(store->database, err, "INSERT INTO source(kind, path, package, version,"
			   " sha256, signature, blob, size, added) VALUES(?,?,?,?,?,?,?,?,?)",
			   "sssssssii", source->source, source->path, source->package,
			   source->version, source->sha256, source->signature, blob,
			   (int64_t)writer->pack.end,
			   (int64_t)(now_ns(CLOCK_REALTIME) / 1000000000));
}

static int insert_items(struct store *store, const struct writer *writer, struct err *err)
{
	int64_t source = sqlite3_last_insert_rowid(store->database->sqlite);
	int r = 0;

	for (size_t i = 0; i < writer->items.n && r >= 0; i++) {
		const struct new_item *item = writer->items.v[i];

		r = database_do(store->database, err, "INSERT INTO item(source, module, release,"
				" build_id, banner, offset, size, sha256) VALUES(?,?,?,?,?,?,?,?)",
				"issssiib", source, item->module, item->id.release,
				item->id.build_id, item->id.banner, (int64_t)item->packed.offset,
				(int64_t)item->packed.size_bytes, item->packed.sha256,
				sizeof(item->packed.sha256));
	}
	return r;
}

/* The bytes are on the disk, under their name, before anything speaks of them. */
static int writer_finish(struct store *store, struct writer *writer, struct err *err)
{
	char blob[65];
	int r = pack_finish(&writer->pack, blob, err);

	if (r >= 0)
		r = database_begin(store->database, err);
	if (r < 0)
		return r;
	r = insert_source(store, writer, blob, err);
	if (r >= 0)
		r = insert_items(store, writer, err);
	if (r >= 0)
		r = database_commit(store->database, err);
	if (r < 0)
		database_undo(store->database);
	return r;
}

static int finish_package(struct adding *adding, struct err *err)
{
	int r = 0;

	if (adding->package.open)
		r = writer_finish(adding->store, &adding->package, err);
	if (r >= 0 && adding->package.open)
		r = report(adding, &adding->package, false, err);
	writer_free(&adding->package);
	return r;
}

/* Bare files are one source: what a directory holds, or the one that was named. */
static int finish_loose(struct adding *adding, struct err *err)
{
	struct writer *writer = &adding->loose;
	unsigned char digest[crypto_hash_sha256_BYTES];
	int r;

	if (!writer->open)
		return 0;
	if (writer->items.n > 1) {
		crypto_hash_sha256_final(&writer->state, digest);
		sodium_bin2hex(writer->source.sha256, sizeof(writer->source.sha256), digest,
			       sizeof(digest));
		strcpy(writer->source.source, "directory");
		snprintf(writer->source.path, sizeof(writer->source.path), "%s", adding->path);
	}
	r = source_known(adding->store->database, writer->source.sha256, err);
	if (r > 0)
		return report(adding, writer, true, err);
	if (r == 0)
		r = writer_finish(adding->store, writer, err);
	return r < 0 ? r : report(adding, writer, false, err);
}

static int add_item(struct writer *writer, const char *module, const struct identified *id,
		    const struct blob *plain, struct err *err)
{
	struct new_item *item = calloc(1, sizeof(*item)), **slot;

	slot = item ? vec_add(&writer->items) : NULL;
	if (!slot) {
		free(item);
		return err_set(err, -ENOMEM, "no memory for a reference");
	}
	*slot = item;
	strcpy(item->module, module);
	item->id = *id;
	return pack_add(&writer->pack, plain, &item->packed, err);
}

/* Read it, unpack it, and see what it is. */
static int read_member(struct packaged *from, struct identified *id, struct blob *plain,
		       struct err *err)
{
	bool module = from->kind == PACKAGED_MODULE;
	cleanup(blob_free) struct blob file = {0};
	int r = packaged_read(from, &file, err);

	if (r < 0)
		return r;
	r = module ? package_module(&file, plain, err) : package_vmlinux(&file, plain, err);
	if (r >= 0)
		r = module ? identify_module(plain, id, err) : identify_kernel(plain, id, err);
	if (r < 0)
		return wrap(err, r, "%s", from->path);
	if (!*id->release)
		strcpy(id->release, from->release);
	return 0;
}

/* A copy that was fetched lies where it will not stay; who fetched it knows what it is worth. */
static void vouch(struct reference_source *source, const char *signature)
{
	const char *slash = strrchr(source->path, '/');

	snprintf(source->signature, sizeof(source->signature), "%s", signature);
	if (slash)
		memmove(source->path, slash + 1, strlen(slash));
}

/* The writer that this one belongs to, ready for it; 1: what it belongs to is known. */
static int choose_writer(struct adding *adding, struct packaged *from, struct writer **ret,
			 struct err *err)
{
	struct writer *writer = from->loose ? &adding->loose : &adding->package;
	const struct reference_source *source = from->source;
	int r = 0;

	*ret = writer;
	if (writer->open && !from->loose && strcmp(writer->source.sha256, source->sha256) != 0)
		r = finish_package(adding, err);
	if (r < 0 || writer->open)
		return r;
	if (!from->loose) {
		struct writer known = { .source = *source };

		r = source_known(adding->store->database, source->sha256, err);
		if (r > 0 && report(adding, &known, true, err) < 0)
			r = -ENOMEM;
		if (r)
			return r;
	}
	r = writer_begin(adding->store, source, writer, err);
	if (r >= 0 && adding->signature)
		vouch(&writer->source, adding->signature);
	return r;
}

static int visit(struct packaged *from, void *ctx, struct err *err)
{
	cleanup(blob_free) struct blob plain = {0};
	struct adding *adding = ctx;
	struct writer *writer;
	struct identified id;
	int r = choose_writer(adding, from, &writer, err);

	if (r)
		return r;
	r = read_member(from, &id, &plain, err);
	if (r < 0)
		return r;
	if (from->loose) {
		writer->source = *from->source;
		crypto_hash_sha256_update(&writer->state, (const unsigned char *)from->module,
					  strlen(from->module) + 1);
		crypto_hash_sha256_update(&writer->state,
					  (const unsigned char *)from->source->sha256, 64);
	}
	return add_item(writer, from->module, &id, &plain, err);
}

int store_add(struct store *store, const char *path, const char *signature,
	      struct store_addition *ret, struct err *err)
{
	cleanup(adding_free) struct adding adding = {
		.store = store, .path = path, .signature = signature, .ret = ret,
		.package.pack = PACK_NONE, .loose.pack = PACK_NONE,
	};
	cleanup(fd_close) int lock = database_lock(store->database, err);
	size_t before = ret->list.n;
	int r;

	if (lock < 0)
		return lock;
	r = store_sweep(store, err);
	if (r >= 0)
		r = package_each(path, visit, &adding, err);
	if (r >= 0)
		r = finish_package(&adding, err);
	if (r >= 0)
		r = finish_loose(&adding, err);
	if (r >= 0 && ret->list.n == before)
		r = err_set(err, -ENOENT, "'%s' holds no kernel and no module", path);
	return r;
}

int store_add_kernel(struct store *store, const struct reference_source *source,
		     const struct blob *vmlinux, struct err *err)
{
	cleanup(writer_free) struct writer writer = { .pack = PACK_NONE };
	cleanup(fd_close) int lock = database_lock(store->database, err);
	struct identified id;
	int r;

	if (lock < 0)
		return lock;
	r = source_known(store->database, source->sha256, err);
	if (r)
		return r < 0 ? r : 0;
	r = identify_kernel(vmlinux, &id, err);
	if (r >= 0)
		r = writer_begin(store, source, &writer, err);
	if (r >= 0)
		r = add_item(&writer, "", &id, vmlinux, err);
	return r < 0 ? r : writer_finish(store, &writer, err);
}

/* Is this blob some source's? 1, 0, or an errno. */
static int is_used(struct store *store, const char *blob, struct err *err)
{
	cleanup(statement_end) sqlite3_stmt *row = NULL;
	int r = database_prepare(store->database, &row, err,
				 "SELECT 1 FROM source WHERE blob = ?", "s", blob);

	return r < 0 ? r : database_step(store->database, row, err);
}

int store_sweep(struct store *store, struct err *err)
{
	cleanup(dir_close) DIR *dir = NULL;
	const struct dirent *entry;
	int fd = openat(store->database->dir, "blobs", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	dir = fd < 0 ? NULL : fdopendir(fd);
	if (!dir) {
		int r = err_set(err, -errno, "the store's blobs: %s", strerror(errno));

		fd_close(&fd);
		return r;
	}
	while ((entry = readdir(dir))) {
		int r = entry->d_name[0] == '.' ? 1 : is_used(store, entry->d_name, err);

		if (r < 0)
			return r;
		if (!r && unlinkat(dirfd(dir), entry->d_name, 0) < 0)
			return err_set(err, -errno, "the store's blobs: %s", strerror(errno));
	}
	return 0;
}
