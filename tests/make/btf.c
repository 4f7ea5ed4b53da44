/* SPDX-License-Identifier: Apache-2.0 */
#include "make/btf.h"

#include <stdlib.h>
#include <string.h>

/* Room for @n more bytes behind @used; it doubles, as most types are some bytes. */
static void *grow(void *at, size_t used, size_t n, size_t *room)
{
	if (n > *room - used) {
		*room = 2 * (used + n);
		at = realloc(at, *room);
	}
	if (!at)
		abort();
	return at;
}

uint32_t btf_name(struct btf *btf, const char *name)
{
	size_t n = strlen(name) + 1, at = btf->strings_bytes;

	if (!at) {
		btf->strings = grow(NULL, 0, 1, &btf->strings_room);
		btf->strings[0] = '\0';
		at = btf->strings_bytes = 1;
	}
	if (n == 1)
		return 0;
	btf->strings = grow(btf->strings, at, n, &btf->strings_room);
	memcpy(btf->strings + at, name, n);
	btf->strings_bytes += n;
	return (uint32_t)at;
}

void btf_u32(struct btf *btf, uint32_t value)
{
	btf->types = grow(btf->types, btf->types_bytes, sizeof(value), &btf->types_room);
	memcpy(btf->types + btf->types_bytes, &value, sizeof(value));
	btf->types_bytes += sizeof(value);
}

uint32_t btf_type(struct btf *btf, const char *name, unsigned kind, unsigned vlen, bool flag,
		  uint32_t size_or_type)
{
	btf_u32(btf, btf_name(btf, name));
	btf_u32(btf, (uint32_t)flag << 31 | kind << 24 | vlen);
	btf_u32(btf, size_or_type);
	return ++btf->n;
}

uint32_t btf_int(struct btf *btf, const char *name, uint32_t bytes)
{
	uint32_t id = btf_type(btf, name, BTF_INT, 0, false, bytes);

	btf_u32(btf, bytes * 8);
	return id;
}

uint32_t btf_pointer(struct btf *btf, uint32_t to)
{
	return btf_type(btf, "", BTF_PTR, 0, false, to);
}

uint32_t btf_array(struct btf *btf, uint32_t of, uint32_t n)
{
	uint32_t id = btf_type(btf, "", BTF_ARRAY, 0, false, 0);

	btf_u32(btf, of);
	btf_u32(btf, 0);
	btf_u32(btf, n);
	return id;
}

void btf_member(struct btf *btf, const char *name, uint32_t type, uint32_t at_bits)
{
	btf_bitfield(btf, name, type, at_bits, 0);
}

void btf_bitfield(struct btf *btf, const char *name, uint32_t type, uint32_t at_bits, uint32_t bits)
{
	btf_u32(btf, btf_name(btf, name));
	btf_u32(btf, type);
	btf_u32(btf, bits << 24 | at_bits);
}

uint8_t *btf_make(const struct btf *btf, size_t *size)
{
	const uint32_t header[] = {
		0x0001eb9f, 24, 0, (uint32_t)btf->types_bytes, (uint32_t)btf->types_bytes,
		(uint32_t)btf->strings_bytes,
	};
	uint8_t *blob;

	*size = sizeof(header) + btf->types_bytes + btf->strings_bytes;
	blob = malloc(*size);
	if (!blob)
		abort();
	memcpy(blob, header, sizeof(header));
	memcpy(blob + sizeof(header), btf->types, btf->types_bytes);
	memcpy(blob + sizeof(header) + btf->types_bytes, btf->strings, btf->strings_bytes);
	return blob;
}

void btf_free(struct btf *btf)
{
	free(btf->types);
	free(btf->strings);
	*btf = (struct btf){0};
}
