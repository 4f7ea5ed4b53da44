/* SPDX-License-Identifier: Apache-2.0 */
#include "linux/types.h"

#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/cleanup.h"
#include "base/limits.h"

#define BTF_MAGIC	0xeb9fu
#define BTF_HEADER_MIN	24u
#define BTF_HEADER_MAX	256u	/* room for what later versions append */
#define TYPE_BYTES	12u	/* name, info, size or type */
#define POINTER_BYTES	8u
#define NAME_MAX_BYTES	128u	/* of one part of a path; C's own limit in the kernel is lower */

/* Members that one lookup may look at: the largest struct has some hundreds. */
#define LOOKUP_MEMBERS_MAX 200000u

/* include/uapi/linux/btf.h */
enum kind {
	KIND_INT = 1, KIND_PTR, KIND_ARRAY, KIND_STRUCT, KIND_UNION, KIND_ENUM, KIND_FWD,
	KIND_TYPEDEF, KIND_VOLATILE, KIND_CONST, KIND_RESTRICT, KIND_FUNC, KIND_FUNC_PROTO,
	KIND_VAR, KIND_DATASEC, KIND_FLOAT, KIND_DECL_TAG, KIND_TYPE_TAG, KIND_ENUM64,
};

struct resolved {
	const struct layout *layout;
	void *fields;
	struct resolved *next;
};

struct types {
	uint8_t *blob;		/* our copy: header, types, strings */
	size_t blob_bytes;
	const uint8_t *data;	/* the type section */
	const char *strings;
	uint32_t strings_bytes;

	uint32_t *offset;	/* of type i (1..n) in data; [0] unused */
	uint32_t n;
	uint32_t *slots;	/* hash of the name → struct, union, enum or typedef; 0: free */
	uint32_t slots_n;
	struct resolved *resolved;
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

static uint32_t get_u32(const uint8_t *at)
{
	uint32_t v;

	memcpy(&v, at, sizeof(v));
	return v;
}

static struct type type_at(const struct types *types, uint32_t id)
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

/* Bytes per element of what follows a type's fixed part; 0 with @fixed set: that many. */
static int kind_extra(uint32_t kind, uint32_t vlen, uint32_t *bytes)
{
	switch (kind) {
	case KIND_INT: case KIND_VAR: case KIND_DECL_TAG:
		*bytes = 4;
		return 0;
	case KIND_ARRAY:
		*bytes = 12;
		return 0;
	case KIND_STRUCT: case KIND_UNION: case KIND_DATASEC: case KIND_ENUM64:
		*bytes = 12 * vlen;
		return 0;
	case KIND_ENUM: case KIND_FUNC_PROTO:
		*bytes = 8 * vlen;
		return 0;
	case KIND_PTR: case KIND_FWD: case KIND_TYPEDEF: case KIND_VOLATILE: case KIND_CONST:
	case KIND_RESTRICT: case KIND_FUNC: case KIND_FLOAT: case KIND_TYPE_TAG:
		*bytes = 0;
		return 0;
	default:
		return -ENOTSUP;
	}
}

static int check_header(struct types *types, struct err *err)
{
	struct bytes b = bytes_of(types->blob, types->blob_bytes);
	uint32_t header_bytes, types_at, types_bytes, strings_at, strings_bytes;
	struct bytes data, strings;

	if (bytes_u16(&b) != BTF_MAGIC)
		return err_set(err, -EBADMSG, "type information without BTF's magic number");
	bytes_take(&b, 2);	/* version, flags */
	header_bytes = bytes_u32(&b);
	types_at = bytes_u32(&b);
	types_bytes = bytes_u32(&b);
	strings_at = bytes_u32(&b);
	strings_bytes = bytes_u32(&b);
	if (!bytes_ok(&b) || header_bytes < BTF_HEADER_MIN || header_bytes > BTF_HEADER_MAX)
		return err_set(err, -EBADMSG, "BTF header of %u bytes", header_bytes);

	b = bytes_of(types->blob, types->blob_bytes);
	bytes_take(&b, header_bytes);
	data = bytes_slice(&b, types_at, types_bytes);
	strings = bytes_slice(&b, strings_at, strings_bytes);
	if (!bytes_ok(&data) || !bytes_ok(&strings) || !strings_bytes || strings.at[0] ||
	    strings.at[strings_bytes - 1])
		return err_set(err, -EBADMSG, "BTF sections leave the blob");
	types->data = data.at;
	types->strings = (const char *)strings.at;
	types->strings_bytes = strings_bytes;
	types->blob_bytes = header_bytes + (size_t)(strings_at + strings_bytes > types_at + types_bytes ?
		strings_at + strings_bytes : types_at + types_bytes);
	return (int)types_bytes;
}

/* Where each type begins; what cannot be walked over cannot be trusted at all. */
static int index_types(struct types *types, uint32_t bytes, struct err *err)
{
	struct bytes b = bytes_of(types->data, bytes);

	types->offset = malloc((bytes / TYPE_BYTES + 1) * sizeof(*types->offset));
	if (!types->offset)
		return -ENOMEM;
	while (b.left) {
		uint32_t at = bytes - (uint32_t)b.left, info, extra, name = bytes_u32(&b);

		info = bytes_u32(&b);
		bytes_take(&b, 4);
		if (kind_extra(info >> 24 & 0x1f, info & 0xffff, &extra) < 0)
			return err_set(err, -ENOTSUP, "BTF type %u is of unknown kind %u",
				       types->n + 1, info >> 24 & 0x1f);
		bytes_take(&b, extra);
		if (!bytes_ok(&b) || name >= types->strings_bytes)
			return err_set(err, -EBADMSG, "BTF type %u is cut off", types->n + 1);
		if (types->n == BTF_TYPES_MAX)
			return err_set(err, -ELOOP, "over %u BTF types", BTF_TYPES_MAX);
		types->offset[++types->n] = at;
	}
	return 0;
}

/* Every type id and every name that a lookup may follow is inside. */
static int check_references(const struct types *types, struct err *err)
{
	for (uint32_t id = 1; id <= types->n; id++) {
		struct type t = type_at(types, id);
		bool good = true;

		switch (t.kind) {
		case KIND_ARRAY:
			good = get_u32(t.more) <= types->n;
			break;
		case KIND_STRUCT: case KIND_UNION:
			for (uint32_t i = 0; i < t.vlen && good; i++)
				good = get_u32(t.more + 12 * i) < types->strings_bytes &&
				       get_u32(t.more + 12 * i + 4) <= types->n;
			break;
		case KIND_ENUM: case KIND_ENUM64:
			for (uint32_t i = 0; i < t.vlen && good; i++)
				good = get_u32(t.more + (t.kind == KIND_ENUM ? 8 : 12) * i) <
				       types->strings_bytes;
			break;
		case KIND_PTR: case KIND_TYPEDEF: case KIND_VOLATILE: case KIND_CONST:
		case KIND_RESTRICT: case KIND_TYPE_TAG: case KIND_FUNC: case KIND_VAR:
			good = t.size_or_type <= types->n;
			break;
		default:
			break;
		}
		if (!good)
			return err_set(err, -EBADMSG, "BTF type %u refers to nothing", id);
	}
	return 0;
}

static uint32_t hash_name(const char *name, size_t len)
{
	uint32_t h = 2166136261u;

	for (size_t i = 0; i < len; i++)
		h = (h ^ (uint8_t)name[i]) * 16777619u;
	return h;
}

static bool is_named_kind(enum kind kind)
{
	return kind == KIND_STRUCT || kind == KIND_UNION || kind == KIND_ENUM ||
	       kind == KIND_ENUM64 || kind == KIND_TYPEDEF;
}

static int hash_names(struct types *types)
{
	uint32_t named = 0;

	for (uint32_t id = 1; id <= types->n; id++)
		named += is_named_kind(type_at(types, id).kind);
	for (types->slots_n = 16; types->slots_n < 2 * named; types->slots_n *= 2)
		;
	types->slots = calloc(types->slots_n, sizeof(*types->slots));
	if (!types->slots)
		return -ENOMEM;

	for (uint32_t id = 1; id <= types->n; id++) {
		struct type t = type_at(types, id);
		uint32_t i;

		if (!t.name[0] || !is_named_kind(t.kind))
			continue;
		i = hash_name(t.name, strlen(t.name)) & (types->slots_n - 1);
		while (types->slots[i])
			i = (i + 1) & (types->slots_n - 1);
		types->slots[i] = id;
	}
	return 0;
}

int types_parse(const void *data, size_t size, struct types **ret, struct err *err)
{
	cleanup(types_free) struct types *types = NULL;
	int r;

	if (size > BTF_BYTES_MAX)
		return err_set(err, -ELOOP, "BTF of %zu bytes", size);
	types = calloc(1, sizeof(*types));
	if (!types)
		return -ENOMEM;
	types->blob = malloc(size ? size : 1);
	if (!types->blob)
		return -ENOMEM;
	memcpy(types->blob, data, size);
	types->blob_bytes = size;

	r = check_header(types, err);
	if (r >= 0)
		r = index_types(types, (uint32_t)r, err);
	if (r >= 0)
		r = check_references(types, err);
	if (r >= 0)
		r = hash_names(types);
	if (r < 0)
		return r;
	*ret = take_ptr(&types);
	return 0;
}

void types_free(struct types **types)
{
	struct resolved *next;

	if (!*types)
		return;
	for (struct resolved *r = (*types)->resolved; r; r = next) {
		next = r->next;
		free(r->fields);
		free(r);
	}
	free((*types)->blob);
	free((*types)->offset);
	free((*types)->slots);
	free(*types);
	*types = NULL;
}

uint32_t types_count(const struct types *types)
{
	return types->n;
}

size_t types_bytes(const struct types *types)
{
	return types->blob_bytes;
}

const char *types_name(const struct types *types, uint32_t type)
{
	return type && type <= types->n ? type_at(types, type).name : "";
}

/*
 * Follow typedefs and qualifiers to the type itself; 0 (void) for a chain that is too long.
 */
static uint32_t strip(const struct types *types, uint32_t id)
{
	for (unsigned depth = 0; id && depth < BTF_DEPTH_MAX; depth++) {
		struct type t = type_at(types, id);

		if (t.kind != KIND_TYPEDEF && t.kind != KIND_VOLATILE && t.kind != KIND_CONST &&
		    t.kind != KIND_RESTRICT && t.kind != KIND_TYPE_TAG)
			return id;
		id = t.size_or_type;
	}
	return 0;
}

/* Bytes of a type; 0 where it has none (void, a function) or they are beyond 32 bits. */
static uint32_t size_of(const struct types *types, uint32_t id)
{
	uint32_t count = 1, bytes;

	for (unsigned depth = 0; depth < BTF_DEPTH_MAX; depth++) {
		struct type t;

		id = strip(types, id);
		if (!id)
			return 0;
		t = type_at(types, id);
		switch (t.kind) {
		case KIND_ARRAY:
			if (__builtin_mul_overflow(count, get_u32(t.more + 8), &count))
				return 0;
			id = get_u32(t.more);
			continue;
		case KIND_PTR:
			return __builtin_mul_overflow(count, POINTER_BYTES, &bytes) ? 0 : bytes;
		case KIND_INT: case KIND_STRUCT: case KIND_UNION: case KIND_ENUM:
		case KIND_ENUM64: case KIND_FLOAT:
			return __builtin_mul_overflow(count, t.size_or_type, &bytes) ? 0 : bytes;
		default:
			return 0;
		}
	}
	return 0;
}

/* A struct or union whose members are still to be looked through, and where it lies. */
struct pending {
	uint32_t id;
	uint32_t base_bits;
};

/*
 * Find a member by name, inside anonymous structs and unions as well. Breadth first with a
 * bounded list instead of recursion: the types are the guest's.
 */
static int find_member(const struct types *types, uint32_t id, const char *name, size_t len,
		       struct field *f, struct err *err)
{
	struct pending todo[64] = { { id, f->at * 8 } };
	uint32_t n = 1, budget = LOOKUP_MEMBERS_MAX;

	for (uint32_t next = 0; next < n; next++) {
		struct type t = type_at(types, todo[next].id);

		for (uint32_t i = 0; i < t.vlen; i++) {
			const uint8_t *m = t.more + 12 * i;
			const char *member = types->strings + get_u32(m);
			uint32_t raw = get_u32(m + 8), inner = strip(types, get_u32(m + 4));
			uint32_t bits = t.kind_flag ? raw >> 24 : 0, at;

			if (!budget--)
				return err_set(err, -ELOOP, "too many members");
			if (__builtin_add_overflow(todo[next].base_bits,
						   t.kind_flag ? raw & 0xffffff : raw, &at))
				return err_set(err, -EBADMSG, "member beyond 4 GiB");
			if (!strncmp(member, name, len) && !member[len]) {
				f->type = inner;
				f->at = at / 8;
				f->bits = (uint8_t)bits;
				f->bit_at = (uint8_t)(at % 8);
				f->size_bytes = bits ? (at % 8 + bits + 7) / 8 : size_of(types, inner);
				return 0;
			}
			if (!member[0] && inner && n < ARRAY_SIZE(todo) &&
			    (type_at(types, inner).kind == KIND_STRUCT ||
			     type_at(types, inner).kind == KIND_UNION))
				todo[n++] = (struct pending){ inner, at };
		}
	}
	return -ENOENT;
}

/* "[3]" behind a member: step into the array. */
static int index_array(const struct types *types, uint32_t index, struct field *f, struct err *err)
{
	struct type t;
	uint32_t skip, element;

	if (!f->type)
		return -ENOENT;
	t = type_at(types, f->type);
	if (t.kind != KIND_ARRAY)
		return err_set(err, -ENOENT, "not an array");
	element = strip(types, get_u32(t.more));
	f->size_bytes = size_of(types, element);
	if (__builtin_mul_overflow(f->size_bytes, index, &skip) ||
	    __builtin_add_overflow(f->at, skip, &f->at))
		return err_set(err, -EBADMSG, "array element beyond 4 GiB");
	f->type = element;
	return 0;
}

static int find_enumerator(const struct types *types, uint32_t id, const char *name, struct field *f)
{
	struct type t = type_at(types, id);
	uint32_t each = t.kind == KIND_ENUM ? 8 : 12;

	for (uint32_t i = 0; i < t.vlen; i++) {
		if (strcmp(types->strings + get_u32(t.more + each * i), name))
			continue;
		f->at = get_u32(t.more + each * i + 4);
		f->size_bytes = t.size_or_type;
		f->type = id;
		return 0;
	}
	return -ENOENT;
}

/* The struct, union, enum or typedef of this name; of several the one that has a size. */
static uint32_t find_named(const struct types *types, const char *name, size_t len, bool is_enum)
{
	uint32_t i = hash_name(name, len) & (types->slots_n - 1), found = 0;

	for (; types->slots[i]; i = (i + 1) & (types->slots_n - 1)) {
		struct type t = type_at(types, types->slots[i]);
		bool enumeration = t.kind == KIND_ENUM || t.kind == KIND_ENUM64;

		if (enumeration != is_enum || strncmp(t.name, name, len) || t.name[len])
			continue;
		if (!found || (t.kind != KIND_TYPEDEF && types->slots[i] < found))
			found = types->slots[i];
	}
	return found;
}

/* One alternative of a path, @end not included. */
static int find_path(const struct types *types, const char *path, const char *end, struct field *f,
		     struct err *err)
{
	bool is_enum = !strncmp(path, "enum ", 5);
	char part[NAME_MAX_BYTES];
	uint32_t id;
	int r = 0;

	if (is_enum)
		path += 5;
	for (bool first = true; path < end; first = false) {
		size_t len = strcspn(path, ".[|"), next;
		char *index_end;

		if (path + len > end)
			len = (size_t)(end - path);
		if (!len || len >= sizeof(part))
			return err_set(err, -EINVAL, "bad path of a member: %s", path);
		memcpy(part, path, len);
		part[len] = '\0';

		if (first) {
			id = find_named(types, part, len, is_enum);
			if (!id)
				return err_set(err, -ENOENT, "no type '%s'", part);
			f->type = strip(types, id);
			f->size_bytes = size_of(types, id);
		} else if (is_enum) {
			r = find_enumerator(types, f->type, part, f);
		} else {
			if (!f->type || (type_at(types, f->type).kind != KIND_STRUCT &&
					 type_at(types, f->type).kind != KIND_UNION))
				return err_set(err, -ENOENT, "'%s' of what is no struct", part);
			r = find_member(types, f->type, part, len, f, err);
		}
		if (r == -ENOENT)
			return err_set(err, r, "no member '%s'", part);
		next = len;
		while (r >= 0 && path + next < end && path[next] == '[') {
			r = index_array(types, (uint32_t)strtoul(path + next + 1, &index_end, 10), f,
					err);
			next = (size_t)(index_end - path) + 1;
		}
		if (r < 0)
			return r;
		path += next + (path[next] == '.');
	}
	return 0;
}

int types_field(const struct types *types, const char *path, struct field *ret, struct err *err)
{
	const char *alternative = path;
	int r;

	for (;;) {
		size_t len = strcspn(alternative, "|");
		struct field f = {0};

		r = find_path(types, alternative, alternative + len, &f, err);
		if (r >= 0) {
			if (f.type && type_at(types, f.type).kind == KIND_ARRAY)
				f.element_bytes =
					size_of(types, get_u32(type_at(types, f.type).more));
			f.there = true;
			*ret = f;
			return 0;
		}
		if (r != -ENOENT || !alternative[len])
			return wrap(err, r, "the kernel's type '%s'", path);
		alternative += len + 1;
	}
}

int types_layout(struct types *types, const struct layout *layout, const void **ret, struct err *err)
{
	struct resolved *resolved;
	int r;

	for (resolved = types->resolved; resolved; resolved = resolved->next)
		if (resolved->layout == layout) {
			*ret = resolved->fields;
			return 0;
		}

	resolved = calloc(1, sizeof(*resolved));
	if (!resolved)
		return -ENOMEM;
	resolved->layout = layout;
	resolved->fields = calloc(1, layout->bytes);
	r = resolved->fields ? 0 : -ENOMEM;
	for (size_t i = 0; r >= 0 && i < layout->members_n; i++) {
		const struct member *m = &layout->members[i];

		r = types_field(types, m->path,
				(struct field *)((char *)resolved->fields + m->slot), err);
		if (r == -ENOENT && m->optional)
			r = 0;
	}
	if (r < 0) {
		free(resolved->fields);
		free(resolved);
		return r;
	}
	resolved->next = types->resolved;
	types->resolved = resolved;
	*ret = resolved->fields;
	return 0;
}
