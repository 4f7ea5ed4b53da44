/* SPDX-License-Identifier: Apache-2.0 */
#include "reference/parcel.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/bytes.h"
#include "base/cleanup.h"
#include "base/limits.h"
#include "base/writer.h"
#include "reference/reference_inside.h"

/* What stands before a text, and behind it; and what a module has besides texts. */
#define TEXT_BYTES   (sizeof(uint32_t) + 1)
#define MODULE_BYTES (3 * TEXT_BYTES + 2 * sizeof(uint64_t))

/* --- to pack --- */

static size_t room_for(const struct reference *reference)
{
	size_t n = sizeof(struct reference_source) + sizeof(struct identified) + 9 * TEXT_BYTES +
		   sizeof(uint32_t);

	for (size_t i = 0; i < reference->shelf.modules.n; i++) {
		const struct shelf_module *module = &reference->shelf.modules.v[i];

		n += MODULE_BYTES + strlen(module->name) + strlen(module->version) +
		     (module->path ? strlen(module->path) : 0);
	}
	return n;
}

int parcel_pack(const struct reference *reference, struct parcel *ret, struct err *err)
{
	const struct reference_source *source = &reference->source;
	size_t room = room_for(reference);
	uint8_t *data = malloc(room);
	struct writer w = writer_of(data, room);

	if (!data)
		return err_set(err, -ENOMEM, "no memory for a list of modules");
	write_text(&w, source->source);
	write_text(&w, source->path);
	write_text(&w, source->package);
	write_text(&w, source->version);
	write_text(&w, source->sha256);
	write_text(&w, source->signature);
	write_text(&w, reference->id.build_id);
	write_text(&w, reference->id.release);
	write_text(&w, reference->id.banner);
	write_u32(&w, (uint32_t)reference->shelf.modules.n);
	for (size_t i = 0; i < reference->shelf.modules.n; i++) {
		const struct shelf_module *module = &reference->shelf.modules.v[i];

		write_text(&w, module->name);
		write_text(&w, module->version);
		write_text(&w, module->path);
		write_u64(&w, module->offset);
		write_u64(&w, module->size_bytes);
	}
	ret->table = (struct blob){ data, w.n };
	ret->modules = reference->shelf.fd;
	return 0;
}

/* --- to unpack --- */

struct unpacking {
	struct bytes table;
	const struct reference_options *options;
	uint64_t file_bytes;	/* of the modules' file */
	struct reference *reference;
};

/* Into an array of @size bytes; what does not fit makes the table bad. */
static void take_text(struct unpacking *u, char *ret, size_t size)
{
	const char *text = bytes_text(&u->table);

	if (!text || strlen(text) >= size)
		u->table.bad = true;
	else
		strcpy(ret, text);
}

static void take_kernel(struct unpacking *u)
{
	struct reference_source *source = &u->reference->source;
	struct identified *id = &u->reference->id;

	take_text(u, source->source, sizeof(source->source));
	take_text(u, source->path, sizeof(source->path));
	take_text(u, source->package, sizeof(source->package));
	take_text(u, source->version, sizeof(source->version));
	take_text(u, source->sha256, sizeof(source->sha256));
	take_text(u, source->signature, sizeof(source->signature));
	take_text(u, id->build_id, sizeof(id->build_id));
	take_text(u, id->release, sizeof(id->release));
	take_text(u, id->banner, sizeof(id->banner));
}

/* Is it what somebody named, or below it? */
static bool is_named(const struct reference_options *options, const char *path)
{
	if (strstr(path, "/../"))
		return false;
	for (size_t i = 0; i < options->paths_n; i++) {
		size_t n = strlen(options->paths[i]);

		if (strncmp(path, options->paths[i], n) != 0)
			continue;
		if (!path[n] || path[n] == '/' || (n && path[n - 1] == '/'))
			return true;
	}
	return false;
}

static bool is_sound(const struct unpacking *u, const struct shelf_module *module)
{
	if (module->path)
		return is_named(u->options, module->path);
	return module->size_bytes && module->size_bytes <= REFERENCE_FILE_MAX &&
	       module->offset <= u->file_bytes &&
	       module->size_bytes <= u->file_bytes - module->offset;
}

static int take_module(struct unpacking *u, struct err *err)
{
	struct shelf_module *module = vec_add(&u->reference->shelf.modules);
	const char *path;

	if (!module)
		return err_set(err, -ENOMEM, "no memory for a list of modules");
	*module = (struct shelf_module){ 0 };
	take_text(u, module->name, sizeof(module->name));
	take_text(u, module->version, sizeof(module->version));
	path = bytes_text(&u->table);
	module->offset = bytes_u64(&u->table);
	module->size_bytes = bytes_u64(&u->table);
	if (path && !u->table.bad && !(module->path = strdup(path)))
		return err_set(err, -ENOMEM, "no memory for a list of modules");
	return u->table.bad || is_sound(u, module) ? 0 :
		err_set(err, -EPROTO, "a list of modules that cannot be");
}

static int take_modules(struct unpacking *u, struct err *err)
{
	uint32_t n = bytes_u32(&u->table);
	int r = 0;

	if (n > REFERENCE_FILES_MAX)
		return err_set(err, -EPROTO, "over %u modules", REFERENCE_FILES_MAX);
	for (uint32_t i = 0; i < n && r >= 0 && bytes_ok(&u->table); i++)
		r = take_module(u, err);
	if (r >= 0 && !bytes_at_end(&u->table))
		r = err_set(err, -EPROTO, "a list of modules that cannot be read");
	return r;
}

int parcel_unpack(const void *table, size_t size, int modules,
		  const struct reference_options *options, struct reference **ret,
		  struct err *err)
{
	cleanup(reference_close) struct reference *reference = calloc(1, sizeof(*reference));
	struct unpacking u = {
		.table = bytes_of(table, size), .options = options, .reference = reference,
	};
	struct stat st;
	int r;

	if (!reference)
		return err_set(err, -ENOMEM, "no memory for a reference");
	reference->shelf = SHELF_EMPTY;
	/* One with a name is another's: it may hang, or change. */
	if (modules >= 0 && (fstat(modules, &st) < 0 || !S_ISREG(st.st_mode) || st.st_nlink))
		return err_set(err, -EPROTO, "modules lie in no nameless file");
	u.file_bytes = modules >= 0 ? (uint64_t)st.st_size : 0;
	take_kernel(&u);
	r = take_modules(&u, err);
	if (r >= 0)
		r = reference_open_store(reference, options->store, err);
	if (r >= 0)
		r = reference_ask_store(reference, err);
	if (r < 0)
		return r;
	reference->shelf.fd = modules;
	reference->shelf.end = u.file_bytes;
	*ret = take_ptr(&reference);
	return 0;
}
