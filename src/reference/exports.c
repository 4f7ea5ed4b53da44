/* SPDX-License-Identifier: Apache-2.0 */
#include "reference/exports.h"

#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/cleanup.h"

#define ENTRY_BYTES 12u

struct exports {
	const struct kernel_image *image;
	VEC(uint32_t) entries;	/* of the tables: offsets into the image, ascending by name */
};

/* One of them, while they are sorted. */
struct export {
	const char *name;
	uint32_t entry;
};

struct reading {
	const struct kernel_image *image;
	VEC(struct export) list;
};

/* A name in the image; NULL where it does not end there. */
static const char *name_at(const struct kernel_image *image, gva at)
{
	const struct shipped_part *part = shipped_part(&image->shipped, at);
	uint64_t offset = part ? at.v - part->at.v : 0;

	if (!part || !memchr(part->bytes + offset, '\0', part->size_bytes - offset))
		return NULL;
	return (const char *)part->bytes + offset;
}

/* Its name as it was linked: how far away that is does not depend on where the kernel lies. */
static const char *name_of(const struct kernel_image *image, uint32_t entry)
{
	gva at = gva_add(image->shipped.parts.v[0].at, entry + 4ull);
	const uint8_t *from = shipped_at(&image->shipped, at, 4);
	int32_t offset;

	if (!from)
		return NULL;
	memcpy(&offset, from, sizeof(offset));
	return name_at(image, gva_add(at, (uint64_t)(int64_t)offset));
}

static int read_entries(struct reading *reading, gva at, struct bytes in, struct err *err)
{
	const struct kernel_image *image = reading->image;

	for (; in.left >= ENTRY_BYTES; at = gva_add(at, ENTRY_BYTES)) {
		struct export *export = vec_add(&reading->list);
		gva name;

		if (!export)
			return -ENOMEM;
		(void)bytes_u32(&in);
		name = gva_add(at, 4 + (uint64_t)(int64_t)(int32_t)bytes_u32(&in));
		(void)bytes_u32(&in);
		export->entry = (uint32_t)(at.v - image->shipped.parts.v[0].at.v);
		export->name = name_at(image, name);
		if (!export->name || export->name != name_of(image, export->entry))
			return err_set(err, -EBADMSG, "a name of them is outside of the image");
	}
	return 0;
}

static int read_table(struct reading *reading, const char *start, const char *stop,
		      struct err *err)
{
	const struct kernel_image *image = reading->image;
	gva from = symbols_lookup(kernel_image_symbols(image), start);
	gva to = symbols_lookup(kernel_image_symbols(image), stop);
	const struct shipped_part *whole = &image->shipped.parts.v[0];
	cleanup(freep) uint8_t *room = NULL;
	struct shipped_part part;
	size_t n = to.v - from.v;

	if (!from.v || to.v <= from.v)
		return 0;
	if (n > whole->size_bytes || n % ENTRY_BYTES)
		return err_set(err, -EBADMSG, "a table of %zu bytes", n);
	room = malloc(KERNEL_PART_BYTES(n));
	if (!room)
		return err_set(err, -ENOMEM, "no memory for them");
	if (kernel_image_part(image, from, n, room, &part) < 0)
		return err_set(err, -EBADMSG, "their table is outside of the image");
	return read_entries(reading, from, bytes_of(part.bytes + (from.v - part.at.v), n), err);
}

static int read_tables(struct reading *reading, struct err *err)
{
	int r;

	r = read_table(reading, "__start___ksymtab", "__stop___ksymtab", err);
	if (r >= 0)
		r = read_table(reading, "__start___ksymtab_gpl", "__stop___ksymtab_gpl", err);
	if (r >= 0 && !reading->list.n)
		r = err_set(err, -ENOENT, "there are none");
	return r;
}

static int by_name(const void *a, const void *b)
{
	const struct export *x = a, *y = b;

	return strcmp(x->name, y->name);
}

static int keep_entries(struct reading *reading, struct exports *exports)
{
	qsort(reading->list.v, reading->list.n, sizeof(*reading->list.v), by_name);
	for (size_t i = 0; i < reading->list.n; i++) {
		uint32_t *entry = vec_add(&exports->entries);

		if (!entry)
			return -ENOMEM;
		*entry = reading->list.v[i].entry;
	}
	vec_settle(&exports->entries);
	return 0;
}

int exports_read(const struct kernel_image *image, struct exports **ret, struct err *err)
{
	cleanup(exports_free) struct exports *exports = calloc(1, sizeof(*exports));
	struct reading reading = { .image = image };
	int r;

	if (!exports)
		return -ENOMEM;
	exports->image = image;
	r = read_tables(&reading, err);
	if (r >= 0)
		r = keep_entries(&reading, exports);
	vec_free(&reading.list);
	if (r < 0)
		return wrap(err, r, "exports of the kernel");
	*ret = take_ptr(&exports);
	return 0;
}

void exports_free(struct exports **exports)
{
	if (!*exports)
		return;
	vec_free(&(*exports)->entries);
	free(*exports);
	*exports = NULL;
}

int exports_find(const struct exports *exports, const char *name, gva *ret)
{
	const struct kernel_image *image = exports->image;
	size_t low = 0, high = exports->entries.n;
	int32_t offset;

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		const char *is = name_of(image, exports->entries.v[middle]);
		int order = is ? strcmp(is, name) : 1;
		gva at = gva_add(image->shipped.parts.v[0].at, exports->entries.v[middle]);

		if (order < 0) {
			low = middle + 1;
		} else if (order > 0) {
			high = middle;
		} else {
			if (!shipped_copy(&image->shipped, at, (uint8_t *)&offset, sizeof(offset)))
				return -ENOENT;
			*ret = gva_add(at, (uint64_t)(int64_t)offset);
			return 0;
		}
	}
	return -ENOENT;
}
