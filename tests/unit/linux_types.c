/* SPDX-License-Identifier: Apache-2.0 */
#include "linux/types.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/cleanup.h"
#include "base/limits.h"
#include "make/btf.h"

/* Blob and parse, in a buffer of exactly its size. */
static int parse(const struct btf *btf, struct types **ret)
{
	size_t size;
	cleanup(freep) uint8_t *blob = btf_make(btf, &size);
	struct err err = {0};
	int r = types_parse(blob, size, ret, &err);

	if (r < 0)
		assert_int_equal(err.code, r);
	return r;
}

static int refused(struct btf *btf)
{
	struct types *types = NULL;
	int r = parse(btf, &types);

	btf_free(btf);
	assert_null(types);
	assert_true(r < 0);
	return r;
}

static struct field get(const struct types *types, const char *path)
{
	struct field f = {0};
	struct err err = {0};
	int r = types_field(types, path, &f, &err);

	if (r < 0)
		fail_msg("%s", err.text);
	assert_true(f.there);
	return f;
}

static int code(const struct types *types, const char *path)
{
	struct field f = { .at = 77 };
	int r = types_field(types, path, &f, NULL);

	assert_true(r < 0);
	assert_int_equal(f.at, 77);
	return r;
}

/*
 * struct inner { int a; union { long b; struct { short c, d; }; }; };
 * typedef const struct inner inner_t;
 * struct outer {
 *	unsigned flags:3, more:13; void *pointer; inner_t in; struct inner many[4];
 *	int matrix[3][5]; int flexible[];
 * };
 */
static struct types *example(struct btf *b)
{
	uint32_t u16 = btf_int(b, "short", 2), u32 = btf_int(b, "int", 4), u64 = btf_int(b, "long", 8);
	uint32_t innermost, middle, inner, constant, typedefed, pointer, many, row, matrix, flexible;
	struct types *types = NULL;

	innermost = btf_type(b, "", BTF_STRUCT, 2, false, 4);
	btf_member(b, "c", u16, 0);
	btf_member(b, "d", u16, 16);
	middle = btf_type(b, "", BTF_UNION, 2, false, 8);
	btf_member(b, "b", u64, 0);
	btf_member(b, "", innermost, 0);
	inner = btf_type(b, "inner", BTF_STRUCT, 2, false, 16);
	btf_member(b, "a", u32, 0);
	btf_member(b, "", middle, 64);
	constant = btf_type(b, "", BTF_CONST, 0, false, inner);
	typedefed = btf_type(b, "inner_t", BTF_TYPEDEF, 0, false, constant);
	pointer = btf_pointer(b, 0);
	many = btf_array(b, inner, 4);
	row = btf_array(b, u32, 5);
	matrix = btf_array(b, row, 3);
	flexible = btf_array(b, u32, 0);
	btf_type(b, "outer", BTF_STRUCT, 7, true, 168);
	btf_bitfield(b, "flags", u32, 0, 3);
	btf_bitfield(b, "more", u32, 3, 13);
	btf_member(b, "pointer", pointer, 64);
	btf_member(b, "in", typedefed, 128);
	btf_member(b, "many", many, 256);
	btf_member(b, "matrix", matrix, 768);
	btf_member(b, "flexible", flexible, 1248);
	assert_int_equal(parse(b, &types), 0);
	btf_free(b);
	return types;
}

static void members_lie_where_they_lie(void **state)
{
	struct btf b = {0};
	cleanup(types_free) struct types *types = example(&b);

	(void)state;
	assert_int_equal(get(types, "outer").size_bytes, 168);
	assert_int_equal(get(types, "outer.pointer").at, 8);
	assert_int_equal(get(types, "outer.pointer").size_bytes, 8);
	assert_int_equal(get(types, "inner_t.a").at, 0);
	assert_int_equal(get(types, "inner_t").size_bytes, 16);
	assert_int_equal(get(types, "outer.in.a").at, 16);
	assert_string_equal(types_name(types, get(types, "outer.in").type), "inner");
	assert_string_equal(types_name(types, 0), "");
	assert_string_equal(types_name(types, UINT32_MAX), "");
}

static void what_is_shared_goes_with_its_last_user(void **state)
{
	struct btf b = {0};
	struct types *types = example(&b), *other = types_share(types);

	(void)state;
	types_free(&types);
	assert_null(types);
	assert_int_equal(get(other, "outer").size_bytes, 168);
	types_free(&other);
	assert_null(other);
}

static void anonymous_members_are_looked_into(void **state)
{
	struct btf b = {0};
	cleanup(types_free) struct types *types = example(&b);

	(void)state;
	assert_int_equal(get(types, "inner.b").at, 8);
	assert_int_equal(get(types, "inner.c").at, 8);
	assert_int_equal(get(types, "outer.in.d").at, 26);
	assert_int_equal(get(types, "outer.in.d").size_bytes, 2);
}

static void bitfields_have_their_bits(void **state)
{
	struct btf b = {0};
	cleanup(types_free) struct types *types = example(&b);
	struct field f = get(types, "outer.flags");

	(void)state;
	assert_true(f.at == 0 && f.bit_at == 0 && f.bits == 3 && f.size_bytes == 1);
	f = get(types, "outer.more");
	assert_true(f.at == 0 && f.bit_at == 3 && f.bits == 13 && f.size_bytes == 2);
	assert_int_equal(get(types, "outer.pointer").bits, 0);
}

static void arrays_are_indexed(void **state)
{
	struct btf b = {0};
	cleanup(types_free) struct types *types = example(&b);

	(void)state;
	assert_int_equal(get(types, "outer.many").size_bytes, 64);
	assert_int_equal(get(types, "outer.many").element_bytes, 16);
	assert_int_equal(get(types, "outer.many[3].d").at, 32 + 3 * 16 + 10);
	assert_int_equal(get(types, "outer.matrix").size_bytes, 60);
	assert_int_equal(get(types, "outer.matrix").element_bytes, 20);
	assert_int_equal(get(types, "outer.matrix[2]").at, 96 + 40);
	assert_int_equal(get(types, "outer.matrix[2][4]").at, 96 + 40 + 16);
	assert_int_equal(get(types, "outer.matrix[2][4]").size_bytes, 4);
	assert_int_equal(get(types, "outer.flexible").size_bytes, 0);
	assert_int_equal(get(types, "outer.flexible").element_bytes, 4);
	assert_int_equal(get(types, "outer.flexible[7]").at, 156 + 28);
	assert_int_equal(code(types, "outer.pointer[0]"), -ENOENT);
	assert_int_equal(code(types, "outer.flexible[4294967295]"), -EBADMSG);
}

static void alternatives_from_left_to_right(void **state)
{
	struct btf b = {0};
	cleanup(types_free) struct types *types = example(&b);
	struct err err = {0};
	struct field f;

	(void)state;
	assert_int_equal(get(types, "outer.nothing|inner.b|inner.a").at, 8);
	assert_int_equal(get(types, "none.a|outer.in.d").at, 26);
	assert_int_equal(types_field(types, "outer.nothing|none.b", &f, &err), -ENOENT);
	assert_non_null(strstr(err.text, "outer.nothing|none.b"));
}

static void paths_that_cannot_be(void **state)
{
	static const char *const paths[] = {
		"", "|", ".", "outer.", ".outer", "outer..in", "outer.many[", "outer.many[]",
		"outer.many[1", "outer.many[1.a]", "outer.many[x]", "outer.many[99999999999999]",
		"outer.many[1]a", "enum ", "enum .a", "[0]", "outer|", "outer.many[|inner",
	};
	struct btf b = {0};
	cleanup(types_free) struct types *types = example(&b);

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(paths); i++) {
		struct field f = {0};
		int r = types_field(types, paths[i], &f, NULL);

		if (strcmp(paths[i], "outer|"))
			assert_int_equal(r, -EINVAL);
	}
	assert_int_equal(code(types, "outer.pointer.a"), -ENOENT);
	assert_int_equal(code(types, "int.a"), -ENOENT);
	assert_int_equal(code(types, "oute"), -ENOENT);
	assert_int_equal(code(types, "outer.man"), -ENOENT);
}

static void enumerators_have_their_values(void **state)
{
	struct btf b = {0};
	cleanup(types_free) struct types *types = NULL;

	(void)state;
	btf_type(&b, "pid_type", BTF_ENUM, 2, false, 4);
	btf_u32(&b, btf_name(&b, "PIDTYPE_PID"));
	btf_u32(&b, 0);
	btf_u32(&b, btf_name(&b, "PIDTYPE_TGID"));
	btf_u32(&b, 1);
	btf_type(&b, "wide", BTF_ENUM64, 1, false, 8);
	btf_u32(&b, btf_name(&b, "WIDE"));
	btf_u32(&b, 5);
	btf_u32(&b, 1);
	btf_type(&b, "pid_type", BTF_STRUCT, 0, false, 24);
	assert_int_equal(parse(&b, &types), 0);
	btf_free(&b);
	assert_int_equal(get(types, "enum pid_type.PIDTYPE_TGID").at, 1);
	assert_int_equal(get(types, "enum pid_type").size_bytes, 4);
	assert_int_equal(get(types, "enum wide.WIDE").at, 5);
	assert_int_equal(get(types, "pid_type").size_bytes, 24);
	assert_int_equal(code(types, "enum pid_type.PIDTYPE"), -ENOENT);
	assert_int_equal(code(types, "pid_type.PIDTYPE_PID"), -ENOENT);
	assert_int_equal(code(types, "wide"), -ENOENT);
}

/* The order in which they stand does not matter; of two structs the first is taken. */
static void struct_wins_over_typedef_of_its_name(void **state)
{
	(void)state;
	for (int typedef_first = 0; typedef_first < 2; typedef_first++) {
		struct btf b = {0};
		cleanup(types_free) struct types *types = NULL;
		uint32_t number = btf_int(&b, "int", 4);

		if (typedef_first)
			btf_type(&b, "thing", BTF_TYPEDEF, 0, false, number);
		btf_type(&b, "thing", BTF_STRUCT, 0, false, 40);
		btf_type(&b, "thing", BTF_UNION, 0, false, 50);
		if (!typedef_first)
			btf_type(&b, "thing", BTF_TYPEDEF, 0, false, number);
		assert_int_equal(parse(&b, &types), 0);
		btf_free(&b);
		assert_int_equal(get(types, "thing").size_bytes, 40);
	}
}

static void every_kind_can_be_walked_over(void **state)
{
	static const struct { unsigned kind, vlen, words; } kinds[] = {
		{ BTF_INT, 0, 1 }, { BTF_PTR, 0, 0 }, { BTF_ARRAY, 0, 3 }, { BTF_STRUCT, 2, 6 },
		{ BTF_UNION, 1, 3 }, { BTF_ENUM, 3, 6 }, { BTF_FWD, 0, 0 }, { BTF_TYPEDEF, 0, 0 },
		{ BTF_VOLATILE, 0, 0 }, { BTF_CONST, 0, 0 }, { BTF_RESTRICT, 0, 0 },
		{ BTF_FUNC, 1, 0 }, { BTF_FUNC_PROTO, 2, 4 }, { BTF_VAR, 0, 1 },
		{ BTF_DATASEC, 2, 6 }, { BTF_FLOAT, 0, 0 }, { BTF_DECL_TAG, 0, 1 },
		{ BTF_TYPE_TAG, 0, 0 }, { BTF_ENUM64, 2, 6 },
	};
	struct btf b = {0};
	cleanup(types_free) struct types *types = NULL;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		btf_type(&b, "", kinds[i].kind, kinds[i].vlen, false, 0);
		for (unsigned w = 0; w < kinds[i].words; w++)
			btf_u32(&b, 0);
	}
	btf_type(&b, "last", BTF_STRUCT, 0, false, 8);
	assert_int_equal(parse(&b, &types), 0);
	btf_free(&b);
	assert_int_equal(types_count(types), 20);
	assert_int_equal(get(types, "last").size_bytes, 8);
}

static void unknown_kinds_are_not_supported(void **state)
{
	(void)state;
	for (unsigned kind = 0; kind < 32; kind++) {
		struct btf b = {0};

		if (kind && kind <= BTF_ENUM64)
			continue;
		btf_type(&b, "", kind, 0, false, 0);
		assert_int_equal(refused(&b), -ENOTSUP);
	}
}

static void ids_beyond_the_last_are_refused(void **state)
{
	static const unsigned kinds[] = { BTF_PTR, BTF_TYPEDEF, BTF_VOLATILE, BTF_CONST,
					  BTF_RESTRICT, BTF_TYPE_TAG, BTF_FUNC };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		struct btf b = {0};

		btf_type(&b, "", kinds[i], 0, false, 2);
		assert_int_equal(refused(&b), -EBADMSG);
	}
	struct btf array = {0}, member = {0};

	btf_array(&array, UINT32_MAX, 1);
	assert_int_equal(refused(&array), -EBADMSG);
	btf_type(&member, "s", BTF_STRUCT, 1, false, 8);
	btf_member(&member, "m", 2, 0);
	assert_int_equal(refused(&member), -EBADMSG);
}

static void names_beyond_the_strings_are_refused(void **state)
{
	struct btf type = {0}, member = {0}, enumerator = {0};

	(void)state;
	btf_type(&type, "a", BTF_STRUCT, 0, false, 8);
	memset(type.types, 0xff, 4);
	assert_int_equal(refused(&type), -EBADMSG);
	btf_type(&member, "s", BTF_STRUCT, 1, false, 8);
	btf_u32(&member, 3);
	btf_u32(&member, 0);
	btf_u32(&member, 0);
	assert_int_equal(refused(&member), -EBADMSG);
	btf_type(&enumerator, "s", BTF_ENUM, 1, false, 4);
	btf_u32(&enumerator, 3);
	btf_u32(&enumerator, 0);
	assert_int_equal(refused(&enumerator), -EBADMSG);
}

static void strings_must_be_terminated(void **state)
{
	struct btf b = {0};

	(void)state;
	btf_type(&b, "name", BTF_STRUCT, 0, false, 8);
	b.strings[b.strings_bytes - 1] = 'x';
	assert_int_equal(refused(&b), -EBADMSG);
	btf_type(&b, "name", BTF_STRUCT, 0, false, 8);
	b.strings[0] = 'x';
	assert_int_equal(refused(&b), -EBADMSG);
	btf_type(&b, "", BTF_STRUCT, 0, false, 8);
	b.strings_bytes = 0;
	assert_int_equal(refused(&b), -EBADMSG);
}

static void truncated_anywhere_is_no_btf(void **state)
{
	struct btf b = {0};
	cleanup(freep) uint8_t *blob = NULL;
	size_t size;

	(void)state;
	for (unsigned i = 0; i < 20; i++) {
		btf_type(&b, "name", BTF_STRUCT, 1, false, 8);
		btf_member(&b, "m", 0, 0);
	}
	blob = btf_make(&b, &size);
	btf_free(&b);
	for (size_t n = 0; n < size; n++) {
		cleanup(freep) uint8_t *part = malloc(n ? n : 1);
		struct types *types = NULL;

		memcpy(part, blob, n);
		assert_true(types_parse(part, n, &types, NULL) < 0);
		assert_null(types);
	}
}

/* Each byte of the header in turn: refused, or a blob whose lookups stay inside. */
static void any_header(void **state)
{
	(void)state;
	for (unsigned at = 0; at < 24; at++)
		for (unsigned value = 0; value < 256; value += 15) {
			struct btf b = {0};
			cleanup(freep) uint8_t *blob = NULL;
			struct types *types = NULL;
			struct field f;
			size_t size;

			btf_type(&b, "name", BTF_STRUCT, 1, false, 8);
			btf_member(&b, "m", 0, 0);
			blob = btf_make(&b, &size);
			btf_free(&b);
			blob[at] = (uint8_t)value;
			if (types_parse(blob, size, &types, NULL) >= 0) {
				assert_true(types_bytes(types) <= size);
				(void)!types_field(types, "name.m", &f, NULL);
			}
			types_free(&types);
		}
}

static void more_than_the_limit_is_refused(void **state)
{
	static uint8_t data[24];
	struct types *types = NULL;
	struct btf b = {0};

	(void)state;
	assert_int_equal(types_parse(data, BTF_BYTES_MAX + 1ull, &types, NULL), -ELOOP);
	for (uint32_t i = 0; i <= BTF_TYPES_MAX; i++)
		btf_type(&b, "", BTF_FLOAT, 0, false, 8);
	assert_int_equal(refused(&b), -ELOOP);
}

/* One name of 8 MB, and half a million types that have it. */
static void names_without_end_are_refused(void **state)
{
	enum { LONG = 8 << 20 };
	char *name = malloc(LONG);
	struct btf b = {0};
	uint32_t text;

	(void)state;
	memset(name, 'x', LONG - 1);
	name[LONG - 1] = '\0';
	text = btf_name(&b, name);
	free(name);
	for (unsigned i = 0; i < 500000; i++) {
		btf_u32(&b, text);
		btf_u32(&b, BTF_STRUCT << 24);
		btf_u32(&b, 8);
	}
	assert_int_equal(refused(&b), -EBADMSG);
}

static void typedefs_in_a_circle_are_no_type(void **state)
{
	struct btf b = {0};
	cleanup(types_free) struct types *types = NULL;

	(void)state;
	btf_type(&b, "a", BTF_TYPEDEF, 0, false, 2);
	btf_type(&b, "b", BTF_TYPEDEF, 0, false, 1);
	btf_type(&b, "self", BTF_CONST, 0, false, 3);
	btf_array(&b, 4, 2);
	btf_type(&b, "s", BTF_STRUCT, 3, false, 8);
	btf_member(&b, "a", 1, 0);
	btf_member(&b, "", 3, 0);
	btf_member(&b, "array", 4, 0);
	assert_int_equal(parse(&b, &types), 0);
	btf_free(&b);
	assert_int_equal(get(types, "a").size_bytes, 0);
	assert_int_equal(get(types, "s.a").size_bytes, 0);
	assert_int_equal(get(types, "s.array").size_bytes, 0);
	assert_int_equal(get(types, "s.array[1][1][1]").type, 4);
	assert_int_equal(code(types, "a.b"), -ENOENT);
}

static void struct_inside_itself_ends(void **state)
{
	struct btf b = {0};
	cleanup(types_free) struct types *types = NULL;

	(void)state;
	btf_type(&b, "s", BTF_STRUCT, 2, false, 8);
	btf_member(&b, "", 1, 0);
	btf_member(&b, "", 1, 8);
	assert_int_equal(parse(&b, &types), 0);
	btf_free(&b);
	assert_int_equal(code(types, "s.nothing"), -ELOOP);
}

/* Each level has two of the next: 2^40 ways. */
static void exponential_nesting_ends(void **state)
{
	struct btf b = {0};
	cleanup(types_free) struct types *types = NULL;

	(void)state;
	for (uint32_t i = 1; i <= 40; i++) {
		btf_type(&b, i == 1 ? "s" : "", BTF_STRUCT, 2, false, 8);
		btf_member(&b, i < 40 ? "" : "bottom", i < 40 ? i + 1 : 0, 0);
		btf_member(&b, i < 40 ? "" : "b", i < 40 ? i + 1 : 0, 8);
	}
	assert_int_equal(parse(&b, &types), 0);
	btf_free(&b);
	assert_int_equal(code(types, "s.bottom"), -ELOOP);
}

static void too_many_members_end_the_search(void **state)
{
	struct btf b = {0};
	cleanup(types_free) struct types *types = NULL;

	(void)state;
	btf_type(&b, "s", BTF_STRUCT, 5, false, 8);
	for (unsigned i = 0; i < 5; i++)
		btf_member(&b, "", 2, 0);
	btf_type(&b, "", BTF_STRUCT, 0xffff, false, 8);
	for (unsigned i = 0; i < 0xffff; i++)
		btf_member(&b, "x", 0, 0);
	assert_int_equal(parse(&b, &types), 0);
	btf_free(&b);
	assert_int_equal(code(types, "s.nothing"), -ELOOP);
}

/* 20 arrays of 2^20 of each other; a struct of 4 GiB many times; offsets that add up. */
static void sizes_beyond_32_bits_are_none(void **state)
{
	struct btf b = {0};
	cleanup(types_free) struct types *types = NULL;
	uint32_t big, array;

	(void)state;
	big = btf_type(&b, "big", BTF_STRUCT, 2, false, UINT32_MAX);
	btf_member(&b, "far", 2, UINT32_MAX);
	btf_member(&b, "again", 1, 0xfffffff8);
	array = btf_array(&b, big, 1u << 20);
	for (unsigned i = 0; i < 20; i++)
		array = btf_array(&b, array, 1u << 20);
	btf_type(&b, "s", BTF_STRUCT, 1, false, 8);
	btf_member(&b, "array", array, 0);
	assert_int_equal(parse(&b, &types), 0);
	btf_free(&b);
	assert_int_equal(get(types, "s.array").size_bytes, 0);
	assert_int_equal(get(types, "big.far").at, UINT32_MAX / 8);
	assert_int_equal(get(types, "big.far").bit_at, 7);
	assert_int_equal(get(types, "big.again.again.again").at, 3 * 0x1fffffffu);
	assert_int_equal(code(types, "big.again.again.again.again.again.again.again.again.again"),
			 -EBADMSG);
}

struct example_fields {
	struct field a, missing, pointer;
};

static void layout_is_resolved_once(void **state)
{
	static const struct member members[] = {
		MEMBER(struct example_fields, a, "inner.a"),
		MEMBER_OPTIONAL(struct example_fields, missing, "inner.none"),
		MEMBER(struct example_fields, pointer, "outer.pointer"),
	};
	static const struct member broken[] = {
		MEMBER(struct example_fields, a, "inner.a"),
		MEMBER(struct example_fields, missing, "inner.none"),
	};
	LAYOUT(layout, struct example_fields, members);
	LAYOUT(broken_layout, struct example_fields, broken);
	struct btf b = {0};
	cleanup(types_free) struct types *types = example(&b);
	const void *none = NULL;
	const struct example_fields *f, *again;
	struct err err = {0};

	(void)state;
	assert_int_equal(types_layout(types, &layout, (const void **)&f, NULL), 0);
	assert_true(f->a.there && f->pointer.there && !f->missing.there);
	assert_int_equal(f->pointer.at, 8);
	assert_int_equal(types_layout(types, &layout, (const void **)&again, NULL), 0);
	assert_ptr_equal(f, again);
	assert_int_equal(types_layout(types, &broken_layout, &none, &err), -ENOENT);
	assert_null(none);
	assert_non_null(strstr(err.text, "inner.none"));
}

/* A function; each parameter a type. */
static void add_function(struct btf *b, const char *name, uint32_t returns, uint32_t n,
			 const uint32_t *params)
{
	uint32_t proto = btf_type(b, "", BTF_FUNC_PROTO, n, false, returns);

	for (uint32_t i = 0; i < n; i++) {
		btf_u32(b, btf_name(b, "p"));
		btf_u32(b, params[i]);
	}
	btf_type(b, name, BTF_FUNC, 0, false, proto);
}

static bool alike(struct types *types, const char *a, const char *b)
{
	assert_true(types_function(types, a));
	assert_true(types_function(types, b));
	return types_alike(types, types_function(types, a), types_function(types, b));
}

static void prototypes_are_compared_by_what_is_passed(void **state)
{
	struct btf b = {0};
	uint32_t i32 = btf_int(&b, "int", 4), u32 = btf_int(&b, "unsigned int", 4);
	uint32_t u64 = btf_int(&b, "long", 8);
	uint32_t file = btf_pointer(&b, btf_type(&b, "file", BTF_STRUCT, 0, false, 8));
	uint32_t constant = btf_type(&b, "", BTF_CONST, 0, false, file - 1);
	uint32_t const_file = btf_pointer(&b, constant);
	uint32_t forward = btf_pointer(&b, btf_type(&b, "file", BTF_FWD, 0, false, 0));
	uint32_t sock = btf_pointer(&b, btf_type(&b, "sock", BTF_STRUCT, 0, false, 8));
	uint32_t any = btf_pointer(&b, 0);
	struct types *types = NULL;

	(void)state;
	add_function(&b, "base", i32, 2, (uint32_t[]){ file, u64 });
	add_function(&b, "const", u32, 2, (uint32_t[]){ const_file, u64 });
	add_function(&b, "forward", i32, 2, (uint32_t[]){ forward, u64 });
	add_function(&b, "any", i32, 2, (uint32_t[]){ any, u64 });
	add_function(&b, "other", i32, 2, (uint32_t[]){ sock, u64 });
	add_function(&b, "narrow", i32, 2, (uint32_t[]){ file, u32 });
	add_function(&b, "fewer", i32, 1, (uint32_t[]){ file });
	add_function(&b, "void", 0, 2, (uint32_t[]){ file, u64 });
	add_function(&b, "twice", i32, 1, (uint32_t[]){ file });
	add_function(&b, "twice", i32, 1, (uint32_t[]){ sock });
	assert_int_equal(parse(&b, &types), 0);
	assert_true(alike(types, "base", "base"));
	assert_true(alike(types, "base", "const"));
	assert_true(alike(types, "base", "forward"));
	assert_true(alike(types, "base", "any"));
	assert_false(alike(types, "base", "other"));
	assert_false(alike(types, "base", "narrow"));
	assert_false(alike(types, "base", "fewer"));
	assert_false(alike(types, "base", "void"));
	assert_int_equal(types_function(types, "twice"), 0);
	assert_int_equal(types_function(types, "nothing"), 0);
	btf_free(&b);
	types_free(&types);
}

static void a_parameter_of_no_type_is_refused(void **state)
{
	struct btf b = {0};

	(void)state;
	add_function(&b, "forged", 0, 1, (uint32_t[]){ 1000 });
	assert_int_equal(refused(&b), -EBADMSG);
}

struct all {
	struct type_member members[16];
	uint32_t n;
};

static int take_member(const struct type_member *member, void *ctx, struct err *err)
{
	struct all *all = ctx;

	(void)err;
	assert_true(all->n < 16);
	all->members[all->n++] = *member;
	return 0;
}

static void all_members_are_told(void **state)
{
	struct btf b = {0};
	cleanup(types_free) struct types *types = example(&b);
	struct all all = {0};

	(void)state;
	assert_int_equal(types_members(types, types_find(types, "outer"), take_member, &all, NULL),
			 0);
	assert_int_equal(all.n, 5);	/* bitfields are left out */
	assert_string_equal(all.members[0].name, "pointer");
	assert_int_equal(all.members[0].kind, TYPE_OTHER);
	assert_int_equal(all.members[1].kind, TYPE_STRUCT);
	assert_int_equal(all.members[1].at, 16);
	assert_int_equal(all.members[2].count, 4);
	assert_int_equal(types_members(types, 0, take_member, &all, NULL), -ENOENT);
	assert_int_equal(types_find(types, "inner_t"), types_find(types, "inner"));
	assert_int_equal(types_find(types, "nothing"), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(members_lie_where_they_lie),
		cmocka_unit_test(what_is_shared_goes_with_its_last_user),
		cmocka_unit_test(all_members_are_told),
		cmocka_unit_test(prototypes_are_compared_by_what_is_passed),
		cmocka_unit_test(a_parameter_of_no_type_is_refused),
		cmocka_unit_test(anonymous_members_are_looked_into),
		cmocka_unit_test(bitfields_have_their_bits),
		cmocka_unit_test(arrays_are_indexed),
		cmocka_unit_test(alternatives_from_left_to_right),
		cmocka_unit_test(paths_that_cannot_be),
		cmocka_unit_test(enumerators_have_their_values),
		cmocka_unit_test(struct_wins_over_typedef_of_its_name),
		cmocka_unit_test(every_kind_can_be_walked_over),
		cmocka_unit_test(unknown_kinds_are_not_supported),
		cmocka_unit_test(ids_beyond_the_last_are_refused),
		cmocka_unit_test(names_beyond_the_strings_are_refused),
		cmocka_unit_test(strings_must_be_terminated),
		cmocka_unit_test(truncated_anywhere_is_no_btf),
		cmocka_unit_test(any_header),
		cmocka_unit_test(more_than_the_limit_is_refused),
		cmocka_unit_test(names_without_end_are_refused),
		cmocka_unit_test(typedefs_in_a_circle_are_no_type),
		cmocka_unit_test(struct_inside_itself_ends),
		cmocka_unit_test(exponential_nesting_ends),
		cmocka_unit_test(too_many_members_end_the_search),
		cmocka_unit_test(sizes_beyond_32_bits_are_none),
		cmocka_unit_test(layout_is_resolved_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
