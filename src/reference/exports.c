/* SPDX-License-Identifier: Apache-2.0 */
#include "reference/exports.h"

#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/cleanup.h"

#define ENTRY_BYTES 12u

struct export {
	const char *name;
	gva at;
};

struct exports {
	VEC(struct export) list;	/* ascending by name */
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

static int read_entries(struct exports *exports, const struct kernel_image *image, gva at,
			struct bytes in, struct err *err)
{
	while (in.left >= ENTRY_BYTES) {
		gva value = gva_add(at, (uint64_t)(int64_t)(int32_t)bytes_u32(&in));
		gva name = gva_add(at, 4 + (uint64_t)(int64_t)(int32_t)bytes_u32(&in));
		struct export *export = vec_add(&exports->list);

		if (!export)
			return -ENOMEM;
		(void)bytes_u32(&in);
		*export = (struct export){ name_at(image, name), value };
		if (!export->name)
			return err_set(err, -EBADMSG, "a name of them is outside of the image");
		at = gva_add(at, ENTRY_BYTES);
	}
	return 0;
}

static int read_table(struct exports *exports, const struct kernel_image *image,
		      const char *start, const char *stop, struct err *err)
{
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
	return read_entries(exports, image, from,
			    bytes_of(part.bytes + (from.v - part.at.v), n), err);
}

static int read_tables(struct exports *exports, const struct kernel_image *image,
		       struct err *err)
{
	int r;

	r = read_table(exports, image, "__start___ksymtab", "__stop___ksymtab", err);
	if (r >= 0)
		r = read_table(exports, image, "__start___ksymtab_gpl", "__stop___ksymtab_gpl",
			       err);
	if (r >= 0 && !exports->list.n)
		r = err_set(err, -ENOENT, "there are none");
	return r;
}

static int by_name(const void *a, const void *b)
{
	const struct export *x = a, *y = b;

	return strcmp(x->name, y->name);
}

int exports_read(const struct kernel_image *image, struct exports **ret, struct err *err)
{
	cleanup(exports_free) struct exports *exports = calloc(1, sizeof(*exports));
	int r;

	if (!exports)
		return -ENOMEM;
	r = read_tables(exports, image, err);
	if (r < 0)
		return wrap(err, r, "exports of the kernel");
	qsort(exports->list.v, exports->list.n, sizeof(*exports->list.v), by_name);
	*ret = take_ptr(&exports);
	return 0;
}

void exports_free(struct exports **exports)
{
	if (!*exports)
		return;
	vec_free(&(*exports)->list);
	free(*exports);
	*exports = NULL;
}

int exports_find(const struct exports *exports, const char *name, gva *ret)
{
	struct export key = { .name = name };
	const struct export *found = bsearch(&key, exports->list.v, exports->list.n, sizeof(key),
					     by_name);

	if (!found)
		return -ENOENT;
	*ret = found->at;
	return 0;
}
