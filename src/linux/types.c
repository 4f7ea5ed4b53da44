/* SPDX-License-Identifier: Apache-2.0 */
#include "linux/types.h"

#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/limits.h"
#include "linux/types_inside.h"

#define BTF_MAGIC	0xeb9fu
#define BTF_HEADER_MIN	24u
#define BTF_HEADER_MAX	256u	/* room for what later versions append */
#define POINTER_BYTES	8u

/* Members that one lookup may look at: the largest struct has some thousands. */
#define LOOKUP_MEMBERS_MAX 16384u

/* Of a type's name; C has names below 100 bytes, Rust some hundreds. */
#define TYPE_NAME_MAX	2048u

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

int types_check_header(struct types *types, struct err *err)
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
	types->blob_bytes = header_bytes +
		(size_t)(strings_at + strings_bytes > types_at + types_bytes ?
			 strings_at + strings_bytes : types_at + types_bytes);
	return (int)types_bytes;
}

int types_index(struct types *types, uint32_t bytes, uint32_t known, struct err *err)
{
	struct bytes b = bytes_of(types->data, bytes);
	uint32_t n = 0;

	while (b.left) {
		uint32_t at = bytes - (uint32_t)b.left, info, extra, name = bytes_u32(&b);

		info = bytes_u32(&b);
		bytes_take(&b, 4);
		if (kind_extra(info >> 24 & 0x1f, info & 0xffff, &extra) < 0)
			return err_set(err, -ENOTSUP, "BTF type %u is of unknown kind %u", n + 1,
				       info >> 24 & 0x1f);
		bytes_take(&b, extra);
		if (!bytes_ok(&b) || name >= types->strings_bytes)
			return err_set(err, -EBADMSG, "BTF type %u is cut off", n + 1);
		if (n++ == BTF_TYPES_MAX)
			return err_set(err, -ELOOP, "over %u BTF types", BTF_TYPES_MAX);
		if (!known)
			types->offset[n] = at;
		else if (n > known || types->offset[n] != at)
			return err_set(err, -EBADMSG, "BTF type %u is elsewhere", n);
	}
	types->n = n;
	return known && n != known ? err_set(err, -EBADMSG, "BTF types are missing") : 0;
}

int types_check_references(const struct types *types, struct err *err)
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
		case KIND_FUNC_PROTO:
			good = t.size_or_type <= types->n;
			for (uint32_t i = 0; i < t.vlen && good; i++)
				good = get_u32(t.more + 8 * i + 4) <= types->n;
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

static bool is_enum(enum kind kind)
{
	return kind == KIND_ENUM || kind == KIND_ENUM64;
}

static bool has_members(enum kind kind)
{
	return kind == KIND_STRUCT || kind == KIND_UNION;
}

static bool is_typedef(enum kind kind)
{
	return kind == KIND_TYPEDEF;
}

static int add_names(struct types *types, struct names *names, bool (*wanted)(enum kind),
		     struct err *err)
{
	for (uint32_t id = types->n; id; id--) {
		struct type t = type_at(types, id);
		size_t len = wanted(t.kind) ? strnlen(t.name, TYPE_NAME_MAX) : 0;

		/* A million types may share one name of 60 MB. */
		if (len == TYPE_NAME_MAX)
			return err_set(err, -EBADMSG, "BTF type %u has a name without end", id);
		if (len)
			names_add(names, id, (uint32_t)(t.name - types->strings), len);
	}
	return 0;
}

/* Of several types of one name the first, and one with members before a typedef: added last. */
static int hash_names(struct types *types, struct err *err)
{
	int r = names_init(&types->objects, types->strings, types->n);

	if (r >= 0)
		r = names_init_beside(&types->enums, &types->objects, types->n);
	if (r >= 0)
		r = add_names(types, &types->objects, is_typedef, err);
	if (r >= 0)
		r = add_names(types, &types->objects, has_members, err);
	if (r >= 0)
		r = add_names(types, &types->enums, is_enum, err);
	return r;
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

	r = types_check_header(types, err);
	if (r >= 0)
		types->offset = calloc((size_t)r / TYPE_BYTES + 1, sizeof(*types->offset));
	if (r >= 0)
		r = types->offset ? types_index(types, (uint32_t)r, 0, err) : -ENOMEM;
	if (r >= 0)
		r = types_check_references(types, err);
	if (r >= 0)
		r = hash_names(types, err);
	if (r < 0)
		return r;
	*ret = take_ptr(&types);
	return 0;
}

void types_free(struct types **types)
{
	if (!*types)
		return;
	/* Whoever goes may take with him what it was made from. */
	keep_free(&(*types)->keep);
	if ((*types)->others) {
		(*types)->others--;
		*types = NULL;
		return;
	}
	if (!(*types)->lent) {
		free((*types)->blob);
		free((*types)->offset);
		free((*types)->ambiguous);
	}
	names_free(&(*types)->enums);
	names_free(&(*types)->functions);
	names_free(&(*types)->objects);
	free(*types);
	*types = NULL;
}

struct types *types_share(struct types *types)
{
	types->others++;
	return types;
}

bool types_is_of(const struct types *types, const void *data, size_t size)
{
	return size >= types->blob_bytes && !memcmp(types->blob, data, types->blob_bytes);
}

uint32_t types_count(const struct types *types)
{
	return types->n;
}

size_t types_bytes(const struct types *types)
{
	return types->blob_bytes;
}

bool types_equal(const struct types *a, const struct types *b)
{
	return a->blob == b->blob || (a->blob_bytes == b->blob_bytes &&
				      !memcmp(a->blob, b->blob, a->blob_bytes));
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
	uint64_t base_bits;
};

/* Anonymous structs and unions in one struct; struct sk_buff has some twenty. */
#define PENDING_MAX 256u

/* A member that was found; where it begins must fit a struct field. */
static int set_field(const struct types *types, uint64_t at_bits, uint32_t bits, uint32_t type,
		     struct field *f, struct err *err)
{
	if (at_bits / 8 > UINT32_MAX)
		return err_set(err, -EBADMSG, "member beyond 4 GiB");
	f->type = type;
	f->at = (uint32_t)(at_bits / 8);
	f->bits = (uint8_t)bits;
	f->bit_at = (uint8_t)(at_bits % 8);
	f->size_bytes = bits ? (f->bit_at + bits + 7) / 8 : size_of(types, type);
	return 0;
}

/*
 * Find a member by name, inside anonymous structs and unions as well. Breadth first with a
 * bounded list instead of recursion: the types are the guest's.
 */
static int find_member(const struct types *types, uint32_t id, const char *name, size_t len,
		       struct field *f, struct err *err)
{
	struct pending todo[PENDING_MAX] = { { id, (uint64_t)f->at * 8 } };
	uint32_t n = 1, budget = LOOKUP_MEMBERS_MAX;

	for (uint32_t next = 0; next < n; next++) {
		struct type t = type_at(types, todo[next].id);

		for (uint32_t i = 0; i < t.vlen; i++) {
			const uint8_t *m = t.more + 12 * i;
			const char *member = types->strings + get_u32(m);
			uint32_t raw = get_u32(m + 8), bits = t.kind_flag ? raw >> 24 : 0, inner;
			uint64_t at = todo[next].base_bits + (t.kind_flag ? raw & 0xffffff : raw);

			if (!budget--)
				return err_set(err, -ELOOP, "too many members");
			if (!strncmp(member, name, len) && !member[len])
				return set_field(types, at, bits, strip(types, get_u32(m + 4)), f,
						 err);
			if (member[0])
				continue;
			inner = strip(types, get_u32(m + 4));
			if (!inner || !has_members(type_at(types, inner).kind))
				continue;
			if (n == PENDING_MAX)
				return err_set(err, -ELOOP, "too many anonymous members");
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

static int find_enumerator(const struct types *types, uint32_t id, const char *name, size_t len,
			   struct field *f)
{
	struct type t = type_at(types, id);
	uint32_t each = t.kind == KIND_ENUM ? 8 : 12;

	for (uint32_t i = 0; i < t.vlen; i++) {
		const char *text = types->strings + get_u32(t.more + each * i);

		if (strncmp(text, name, len) || text[len])
			continue;
		f->at = get_u32(t.more + each * i + 4);
		f->size_bytes = t.size_or_type;
		f->type = id;
		return 0;
	}
	return -ENOENT;
}

const char *types_enumerator(const struct types *types, const char *name, uint32_t value)
{
	uint32_t id = names_find(&types->enums, name, strlen(name));
	struct type t = id ? type_at(types, id) : (struct type){0};
	uint32_t each = t.kind == KIND_ENUM ? 8 : 12;

	for (uint32_t i = 0; i < t.vlen; i++)
		if (get_u32(t.more + each * i + 4) == value)
			return types->strings + get_u32(t.more + each * i);
	return NULL;
}

/* The type that a path begins with. */
static int find_first(const struct types *types, const char *name, size_t len, bool enumeration,
		      struct field *f, struct err *err)
{
	uint32_t id = names_find(enumeration ? &types->enums : &types->objects, name, len);

	if (!id)
		return err_set(err, -ENOENT, "no type '%.*s'", (int)len, name);
	f->type = strip(types, id);
	f->size_bytes = size_of(types, id);
	return 0;
}

/* A further part of a path: a member or an enumerator. */
static int find_next(const struct types *types, const char *name, size_t len, struct field *f,
		     struct err *err)
{
	enum kind kind = f->type ? type_at(types, f->type).kind : 0;
	int r = -ENOENT;

	if (is_enum(kind))
		r = find_enumerator(types, f->type, name, len, f);
	else if (has_members(kind))
		r = find_member(types, f->type, name, len, f, err);
	return r == -ENOENT ? err_set(err, r, "no member '%.*s'", (int)len, name) : r;
}

/* Any number of "[3]" from @path on. Return: the bytes that they take, or an error. */
static int find_element(const struct types *types, const char *path, const char *end,
			struct field *f, struct err *err)
{
	const char *at = path;

	while (at < end && *at == '[') {
		char *behind;
		unsigned long index = strtoul(at + 1, &behind, 10);
		int r;

		if (behind == at + 1 || behind >= end || *behind != ']' || index > UINT32_MAX)
			return err_set(err, -EINVAL, "bad index in a path of members");
		r = index_array(types, (uint32_t)index, f, err);
		if (r < 0)
			return r;
		at = behind + 1;
	}
	return (int)(at - path);
}

/* One alternative of a path, @end not included. */
static int find_path(const struct types *types, const char *path, const char *end, struct field *f,
		     struct err *err)
{
	bool enumeration = !strncmp(path, "enum ", 5);

	if (enumeration)
		path += 5;
	for (bool first = true;; first = false) {
		size_t len = strcspn(path, ".[|");
		int r;

		if (!len)
			return err_set(err, -EINVAL, "a path of members with an empty part");
		r = first ? find_first(types, path, len, enumeration, f, err) :
			    find_next(types, path, len, f, err);
		if (r >= 0)
			r = find_element(types, path + len, end, f, err);
		if (r < 0)
			return r;
		path += len + (size_t)r;
		if (path == end)
			return 0;
		if (*path++ != '.')
			return err_set(err, -EINVAL, "a path of members with '%c' in it", path[-1]);
	}
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

void *types_kept(const struct types *types, const void *key)
{
	return keep_get(&types->keep, key);
}

int types_keep(struct types *types, const void *key, void *object, void (*release)(void *object))
{
	return keep_put(&types->keep, key, object, release);
}

int types_layout(struct types *types, const struct layout *layout, const void **ret,
		 struct err *err)
{
	void *fields = types_kept(types, layout);
	int r = 0;

	if (fields) {
		*ret = fields;
		return 0;
	}
	fields = calloc(1, layout->bytes);
	if (!fields)
		return -ENOMEM;
	for (size_t i = 0; r >= 0 && i < layout->members_n; i++) {
		const struct member *m = &layout->members[i];

		r = types_field(types, m->path, (struct field *)((char *)fields + m->slot), err);
		if (r == -ENOENT && m->optional)
			r = 0;
	}
	if (r >= 0)
		r = types_keep(types, layout, fields, free);
	if (r < 0) {
		free(fields);
		return r;
	}
	*ret = fields;
	return 0;
}

uint32_t types_find(const struct types *types, const char *name)
{
	return strip(types, names_find(&types->objects, name, strlen(name)));
}

/* --- all members of a struct --- */

/* What a pointer leads to, or a member is. */
static void classify(const struct types *types, uint32_t id, struct type_member *ret)
{
	struct type t;
	bool pointer;

	id = strip(types, id);
	t = id ? type_at(types, id) : (struct type){0};
	pointer = id && t.kind == KIND_PTR;
	if (pointer) {
		id = strip(types, t.size_or_type);
		t = id ? type_at(types, id) : (struct type){0};
	}
	ret->kind = TYPE_OTHER;
	ret->type = id;
	if (!id)
		return;
	if (t.kind == KIND_STRUCT)
		ret->kind = pointer ? TYPE_STRUCT_POINTER : TYPE_STRUCT;
	else if (t.kind == KIND_UNION && !pointer)
		ret->kind = TYPE_UNION;
	else if (t.kind == KIND_FUNC_PROTO && pointer)
		ret->kind = TYPE_FUNCTION;
}

int types_members(const struct types *types, uint32_t type, type_member_fn *visit, void *ctx,
		  struct err *err)
{
	struct type t;
	int r = 0;

	type = type <= types->n ? strip(types, type) : 0;
	if (!type || !has_members(type_at(types, type).kind))
		return err_set(err, -ENOENT, "no struct or union");
	t = type_at(types, type);
	for (uint32_t i = 0; i < t.vlen && r >= 0; i++) {
		const uint8_t *m = t.more + 12 * i;
		uint32_t raw = get_u32(m + 8), inner = strip(types, get_u32(m + 4));
		struct type_member member = {
			.name = types->strings + get_u32(m),
			.at = (t.kind_flag ? raw & 0xffffff : raw) / 8,
			.count = 1,
		};

		if (t.kind_flag && raw >> 24)
			continue;	/* a bitfield */
		if (inner && type_at(types, inner).kind == KIND_ARRAY) {
			member.count = get_u32(type_at(types, inner).more + 8);
			inner = get_u32(type_at(types, inner).more);
		}
		classify(types, inner, &member);
		r = visit(&member, ctx, err);
	}
	return r;
}

/* --- prototypes --- */

int types_hash_functions(struct types *types)
{
	struct names *names = &types->functions;
	int r = names_init_beside(names, &types->objects, types->n);

	if (r < 0)
		return r;
	types->ambiguous = calloc(1, types->n / 8 + 1);
	if (!types->ambiguous) {
		names_free(names);
		return -ENOMEM;
	}
	for (uint32_t id = types->n; id; id--) {
		struct type t = type_at(types, id);
		size_t len = t.kind == KIND_FUNC ? strnlen(t.name, TYPE_NAME_MAX) : 0;
		uint32_t other;

		if (!len || len == TYPE_NAME_MAX)
			continue;
		other = names_find(names, t.name, len);
		names_add(names, id, (uint32_t)(t.name - types->strings), len);
		if (other && type_at(types, other).size_or_type != t.size_or_type)
			types->ambiguous[id / 8] |= (uint8_t)(1 << id % 8);
	}
	types->has_functions = true;
	return 0;
}

uint32_t types_function(struct types *types, const char *name)
{
	uint32_t id;

	if (!types->has_functions && types_hash_functions(types) < 0)
		return 0;
	id = names_find(&types->functions, name, strlen(name));
	if (!id || types->ambiguous[id / 8] & 1 << id % 8)
		return 0;
	id = strip(types, type_at(types, id).size_or_type);
	return id && type_at(types, id).kind == KIND_FUNC_PROTO ? id : 0;
}

uint32_t types_prototype(const struct types *types, const struct field *field)
{
	struct type_member member = {0};

	if (field->type && field->type <= types->n)
		classify(types, field->type, &member);
	return member.kind == TYPE_FUNCTION ? member.type : 0;
}

/* Two structs or unions that may be one: declared only, or the same by name. */
static bool same_object(const struct type *a, const struct type *b)
{
	bool objects = (has_members(a->kind) || a->kind == KIND_FWD) &&
		       (has_members(b->kind) || b->kind == KIND_FWD);

	return objects && !strcmp(a->name, b->name);
}

static bool is_passed_alike(const struct types *types, uint32_t a, uint32_t b)
{
	struct type x, y;

	a = strip(types, a);
	b = strip(types, b);
	if (a == b)
		return true;
	if (!a || !b)
		return false;
	x = type_at(types, a);
	y = type_at(types, b);
	if (x.kind != KIND_PTR || y.kind != KIND_PTR)
		return size_of(types, a) == size_of(types, b) &&
		       has_members(x.kind) == has_members(y.kind);
	a = strip(types, x.size_or_type);
	b = strip(types, y.size_or_type);
	if (a == b || !a || !b)
		return true;
	x = type_at(types, a);
	y = type_at(types, b);
	if (has_members(x.kind) || has_members(y.kind))
		return same_object(&x, &y) || x.kind == KIND_INT || y.kind == KIND_INT;
	return true;
}

bool types_alike(const struct types *types, uint32_t a, uint32_t b)
{
	struct type x, y;

	if (a == b || !a || !b || a > types->n || b > types->n)
		return true;
	x = type_at(types, a);
	y = type_at(types, b);
	if (x.kind != KIND_FUNC_PROTO || y.kind != KIND_FUNC_PROTO)
		return true;
	if (x.vlen != y.vlen || !is_passed_alike(types, x.size_or_type, y.size_or_type))
		return false;
	for (uint32_t i = 0; i < x.vlen; i++)
		if (!is_passed_alike(types, get_u32(x.more + 8 * i + 4),
				     get_u32(y.more + 8 * i + 4)))
			return false;
	return true;
}
