/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HVSM_LINUX_OBJECT_H
#define HVSM_LINUX_OBJECT_H

#include <string.h>

#include "linux/kernel.h"

/*
 * One struct of the guest, copied whole: its members are then of one instant, and each is
 * fetched once.
 */
#define OBJECT_BYTES_MAX 8192u	/* the largest that is read so has 1.6 KiB (packet_sock) */

struct object {
	gva at;
	uint32_t size_bytes;
	uint8_t bytes[OBJECT_BYTES_MAX];
};

/**
 * object_read - copy a struct
 * @size: the struct itself: MEMBER(…, size, "sock")
 *
 * Return: 0, -EBADMSG (@at is no address in the kernel, or the struct is absurdly large), or
 *         an error as view_read().
 */
nodiscard int object_read(struct view *view, gva at, const struct field *size,
			  struct object *ret, struct err *err);

/* A member's bytes, @n of them from its start; zeros where they are not all inside. */
void object_copy(const struct object *object, const struct field *field, void *to, size_t n);

/* A bitfield, or a number that is not 2, 4 or 8 bytes. */
uint64_t object_odd_uint(const struct object *object, const struct field *field);

/* A member as a number; 0 where it is not there, no number, or outside of the struct. */
static inline uint64_t object_uint(const struct object *object, const struct field *field)
{
	uint64_t value;
	uint32_t small;
	uint16_t tiny;

	if (!field->there || field->bits || field->size_bytes > object->size_bytes ||
	    field->at > object->size_bytes - field->size_bytes)
		return object_odd_uint(object, field);
	switch (field->size_bytes) {
	case sizeof(value):
		memcpy(&value, object->bytes + field->at, sizeof(value));
		return value;
	case sizeof(small):
		memcpy(&small, object->bytes + field->at, sizeof(small));
		return small;
	case sizeof(tiny):
		memcpy(&tiny, object->bytes + field->at, sizeof(tiny));
		return tiny;
	default:
		return object_odd_uint(object, field);
	}
}

static inline gva object_ptr(const struct object *object, const struct field *field)
{
	return gva_of(object_uint(object, field));
}

static inline uint32_t object_u32(const struct object *object, const struct field *field)
{
	return (uint32_t)object_uint(object, field);
}

/* Where a member lies in the guest. */
static inline gva object_at(const struct object *object, const struct field *field)
{
	return field_at(object->at, field);
}

#endif
