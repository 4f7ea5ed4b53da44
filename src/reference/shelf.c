/* SPDX-License-Identifier: Apache-2.0 */
#include "reference/shelf.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <zstd.h>

#include "base/cleanup.h"
#include "base/limits.h"
#include "reference/unpack.h"

/* As fast as it gets: it is read back a few times at most. */
#define LEVEL 1

/* On a disk where there is one, for /tmp may be memory. */
static int temporary(const char *store, struct err *err)
{
	const char *const places[] = { store, "/var/tmp", "/tmp" };
	int fd = -1;

	for (size_t i = 0; i < ARRAY_SIZE(places) && fd < 0; i++)
		if (places[i])
			fd = open(places[i], O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	if (fd < 0)
		fd = memfd_create("hvsm-reference", MFD_CLOEXEC);
	return fd < 0 ? err_set(err, -errno, "a temporary file: %s", strerror(errno)) : fd;
}

static int write_all(int fd, const struct blob *blob, uint64_t at, struct err *err)
{
	for (size_t n = 0; n < blob->size;) {
		ssize_t put = pwrite(fd, blob->data + n, blob->size - n, (off_t)(at + n));

		if (put < 0 && errno == EINTR)
			continue;
		if (put <= 0)
			return err_set(err, -EIO, "a temporary file: %s", strerror(errno));
		n += (size_t)put;
	}
	return 0;
}

/* Packed, unless it is already. */
static int pack(struct blob *plain, struct err *err)
{
	size_t room = ZSTD_compressBound(plain->size), n;
	struct blob packed;

	if (unpack_is_packed(plain->data, plain->size))
		return 0;
	packed.data = malloc(room);
	if (!packed.data)
		return err_set(err, -ENOMEM, "no memory for a module");
	n = ZSTD_compress(packed.data, room, plain->data, plain->size, LEVEL);
	if (ZSTD_isError(n)) {
		free(packed.data);
		return err_set(err, -ENOMEM, "a module: %s", ZSTD_getErrorName(n));
	}
	packed.size = n;
	blob_free(plain);
	*plain = packed;
	return 0;
}

static int add_archived(struct shelf *shelf, struct packaged *from, struct shelf_module *module,
			struct err *err)
{
	cleanup(blob_free) struct blob blob = {0};
	int r = packaged_read(from, &blob, err);

	if (r >= 0 && shelf->fd < 0)
		r = shelf->fd = temporary(shelf->place, err);
	if (r >= 0)
		r = pack(&blob, err);
	if (r >= 0)
		r = write_all(shelf->fd, &blob, shelf->end, err);
	if (r < 0)
		return r;
	module->offset = shelf->end;
	module->size_bytes = blob.size;
	shelf->end += blob.size;
	return 0;
}

int shelf_add(struct shelf *shelf, struct packaged *from, struct err *err)
{
	struct shelf_module *module;
	int r = 0;

	if (shelf->modules.n == REFERENCE_FILES_MAX)
		return err_set(err, -ELOOP, "over %u modules", REFERENCE_FILES_MAX);
	module = vec_add(&shelf->modules);
	if (!module)
		return err_set(err, -ENOMEM, "no memory for a module");
	strcpy(module->name, from->module);
	snprintf(module->version, sizeof(module->version), "%s", from->source->version);
	if (!from->loose)
		r = add_archived(shelf, from, module, err);
	else if (!(module->path = strdup(from->path)))
		r = err_set(err, -ENOMEM, "no memory for a module");
	if (r < 0)
		shelf->modules.n--;
	return r;
}

static int read_archived(const struct shelf *shelf, const struct shelf_module *module,
			 struct blob *ret, struct err *err)
{
	cleanup(blob_free) struct blob blob = { malloc(module->size_bytes), module->size_bytes };

	if (!blob.data)
		return err_set(err, -ENOMEM, "no memory for a module");
	if (pread(shelf->fd, blob.data, blob.size, (off_t)module->offset) != (ssize_t)blob.size)
		return err_set(err, -EIO, "a temporary file: %s", strerror(errno));
	*ret = blob;
	blob = (struct blob){0};
	return 0;
}

int shelf_get(const struct shelf *shelf, const char *name, size_t *from, const char **version,
	      struct blob *ret, struct err *err)
{
	cleanup(blob_free) struct blob file = {0};
	const struct shelf_module *module = NULL;
	int r;

	while (*from < shelf->modules.n && !module) {
		module = &shelf->modules.v[(*from)++];
		if (strcmp(module->name, name) != 0)
			module = NULL;
	}
	if (!module)
		return err_set(err, -ENOENT, "no module '%s' in the reference", name);
	*version = module->version;
	if (module->path)
		r = package_read_file(module->path, &file, err);
	else
		r = read_archived(shelf, module, &file, err);
	if (r >= 0)
		r = package_module(&file, ret, err);
	return r < 0 ? wrap(err, r, "module '%s'", name) : 0;
}

void shelf_free(struct shelf *shelf)
{
	for (size_t i = 0; i < shelf->modules.n; i++)
		free(shelf->modules.v[i].path);
	vec_free(&shelf->modules);
	fd_close(&shelf->fd);
	*shelf = SHELF_EMPTY;
}
