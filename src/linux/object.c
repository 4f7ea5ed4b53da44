/* SPDX-License-Identifier: Apache-2.0 */
#include "linux/object.h"

int object_read(struct view *view, gva at, const struct field *size, struct object *ret,
		struct err *err)
{
	int r;

	if (!gva_is_kernel(at))
		return fail(err, -EBADMSG, at, "no address in the kernel");
	if (!size->size_bytes || size->size_bytes > sizeof(ret->bytes))
		return fail(err, -EBADMSG, at, "a struct of %u bytes", size->size_bytes);
	r = view_read(view, at, ret->bytes, size->size_bytes, err);
	if (r < 0)
		return r;
	ret->at = at;
	ret->size_bytes = size->size_bytes;
	return 0;
}

uint64_t object_odd_uint(const struct object *object, const struct field *field)
{
	uint64_t value = 0;

	if (!field->there || field->size_bytes > sizeof(value))
		return 0;
	object_copy(object, field, &value, field->size_bytes);
	if (field->bits && field->bits < 64)
		value = value >> field->bit_at & ((1ull << field->bits) - 1);
	return value;
}

void object_copy(const struct object *object, const struct field *field, void *to, size_t n)
{
	if (field->there && field->at <= object->size_bytes &&
	    n <= object->size_bytes - field->at)
		memcpy(to, object->bytes + field->at, n);
	else
		memset(to, 0, n);
}
