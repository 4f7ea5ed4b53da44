/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HVSM_LINUX_TYPES_INSIDE_H
#define HVSM_LINUX_TYPES_INSIDE_H

#include <string.h>

#include "base/bytes.h"
#include "base/keep.h"
#include "base/names.h"
#include "linux/types.h"

/* The inside of types: for types.c and types_table.c. */

#define TYPE_BYTES	12u	/* name, info, size or type */

/* include/uapi/linux/btf.h */
enum kind {
	KIND_INT = 1, KIND_PTR, KIND_ARRAY, KIND_STRUCT, KIND_UNION, KIND_ENUM, KIND_FWD,
	KIND_TYPEDEF, KIND_VOLATILE, KIND_CONST, KIND_RESTRICT, KIND_FUNC, KIND_FUNC_PROTO,
	KIND_VAR, KIND_DATASEC, KIND_FLOAT, KIND_DECL_TAG, KIND_TYPE_TAG, KIND_ENUM64,
};

struct types {
	unsigned others;	/* users besides the first */
	bool lent;		/* all but keep is somebody else's */
	uint8_t *blob;		/* our copy: header, types, strings */
	size_t blob_bytes;
	const uint8_t *data;	/* the type section */
	const char *strings;
	uint32_t strings_bytes;

	uint32_t *offset;	/* of type i (1..n) in data; [0] unused */
	uint32_t n;
	struct names objects;	/* → struct, union or typedef */
	struct names enums;
	struct keep keep;	/* what was made of all this */

	/* Made when the first function is asked for. */
	struct names functions;
	uint8_t *ambiguous;	/* one bit per type */
	bool has_functions;
};

/* One type, unpacked. The blob was checked, so that nothing here can be out of bounds. */
struct type {
	const char *name;
	enum kind kind;
	uint32_t vlen;
	bool kind_flag;
	uint32_t size_or_type;
	const uint8_t *more;	/* what follows the fixed part */
};

static inline uint32_t get_u32(const uint8_t *at)
{
	uint32_t v;

	memcpy(&v, at, sizeof(v));
	return v;
}

static inline struct type type_at(const struct types *types, uint32_t id)
{
	const uint8_t *at = types->data + types->offset[id];
	uint32_t info = get_u32(at + 4);

	return (struct type){
		.name = types->strings + get_u32(at),
		.kind = (enum kind)(info >> 24 & 0x1f),
		.vlen = info & 0xffff,
		.kind_flag = info >> 31,
		.size_or_type = get_u32(at + 8),
		.more = at + TYPE_BYTES,
	};
}

/* Where the sections of the blob are. Return: bytes of that of the types, or -EBADMSG. */
nodiscard int types_check_header(struct types *types, struct err *err);

/**
 * types_index - where each type begins; what cannot be walked over cannot be trusted at all
 * @bytes: of the type section
 * @known: they are there already, of so many types, and are to be the same; 0: they are not
 *
 * Return: 0, -EBADMSG, -ENOTSUP (a kind that nobody knows), -ELOOP.
 */
nodiscard int types_index(struct types *types, uint32_t bytes, uint32_t known, struct err *err);

/* Every type id and every name that a lookup may follow is inside: 0, -EBADMSG. */
nodiscard int types_check_references(const struct types *types, struct err *err);

/* Names of functions, which are not asked for of each kernel: 0, -ENOMEM. */
nodiscard int types_hash_functions(struct types *types);

#endif
