/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>

#include "base/cleanup.h"
#include "base/limits.h"
#include "base/writer.h"
#include "linux/types_inside.h"

/* Types in bytes that several processes share. */

size_t types_written_max(const struct types *types)
{
	/* The names of functions have as many heads as the others. */
	return 256 + types->blob_bytes + ((size_t)types->n + 1) * sizeof(*types->offset) +
	       types->n / 8 + 1 + 3 * names_written_max(&types->objects, types->n);
}

int types_write(struct types *types, struct writer *w)
{
	if (!types->has_functions && types_hash_functions(types) < 0)
		return -ENOMEM;
	write_aligned(w);
	write_u64(w, types->blob_bytes);
	write_u64(w, types->n);
	write_bytes(w, types->offset, ((size_t)types->n + 1) * sizeof(*types->offset));
	write_bytes(w, types->ambiguous, types->n / 8 + 1);
	write_aligned(w);
	write_bytes(w, types->blob, types->blob_bytes);
	names_write(&types->objects, types->n, w);
	names_write(&types->enums, types->n, w);
	names_write(&types->functions, types->n, w);
	return 0;
}

static int read_names(struct types *types, struct bytes *b)
{
	int r = names_read(&types->objects, b, types->strings, types->strings_bytes, types->n,
			   NULL);

	if (r >= 0)
		r = names_read(&types->enums, b, types->strings, types->strings_bytes, types->n,
			       &types->objects);
	if (r >= 0)
		r = names_read(&types->functions, b, types->strings, types->strings_bytes,
			       types->n, &types->objects);
	types->has_functions = true;
	return r;
}

int types_read(struct bytes *b, struct types **ret, struct err *err)
{
	cleanup(types_free) struct types *types = calloc(1, sizeof(*types));
	uint64_t blob_bytes, n;
	int r;

	if (!types)
		return -ENOMEM;
	types->lent = true;
	bytes_align(b);
	blob_bytes = bytes_u64(b);
	n = bytes_u64(b);
	if (!bytes_ok(b) || !n || n > BTF_TYPES_MAX || blob_bytes > BTF_BYTES_MAX)
		return err_set(err, -EBADMSG, "no table of types");
	types->offset = (uint32_t *)(uintptr_t)bytes_take(b, (n + 1) * sizeof(*types->offset));
	types->ambiguous = (uint8_t *)(uintptr_t)bytes_take(b, n / 8 + 1);
	bytes_align(b);
	types->blob = (uint8_t *)(uintptr_t)bytes_take(b, blob_bytes);
	types->blob_bytes = blob_bytes;
	if (!bytes_ok(b))
		return err_set(err, -EBADMSG, "a table of types that is cut off");
	r = types_check_header(types, err);
	if (r >= 0)
		r = types_index(types, (uint32_t)r, (uint32_t)n, err);
	if (r >= 0)
		r = types_check_references(types, err);
	if (r >= 0 && read_names(types, b) < 0)
		r = err_set(err, -EBADMSG, "names of types that lead out of their table");
	if (r >= 0)
		*ret = take_ptr(&types);
	return r;
}
