/* SPDX-License-Identifier: Apache-2.0 */
#include "linux/symbols.h"

#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/cleanup.h"
#include "base/limits.h"
#include "make/kallsyms.h"

#define TEXT	0xffffffffa1200000ull
#define TABLE	0x3000u			/* where the table lies in the image */
#define IMAGE	(512u << 10)
#define MANY	5000u

/* An image with a symbol table in it, and the symbols. */
struct table {
	uint8_t *image;
	struct symbol_in symbols[MANY];
	char names[MANY][24];
	uint32_t n;
	struct kallsyms_parts parts;
};

static struct table *t;

static int start(void **state)
{
	(void)state;
	t = calloc(1, sizeof(*t));
	t->image = calloc(1, IMAGE);
	for (uint32_t i = 0; i < MANY; i++) {
		snprintf(t->names[i], sizeof(t->names[i]), "sys_test_%u_fn", i);
		t->symbols[i] = (struct symbol_in){ t->names[i], i % 3 ? 't' : 'T',
						    TEXT + 0x40ull * i };
	}
	t->symbols[0].name = "_text";
	t->n = MANY;
	return 0;
}

static int end(void **state)
{
	(void)state;
	free(t->image);
	free(t);
	return 0;
}

static void make(enum kallsyms_layout layout, int percpu)
{
	memset(t->image, 0, IMAGE);
	t->parts = kallsyms_make(t->image, IMAGE, TABLE, TEXT, t->symbols, t->n, layout, percpu);
}

/* In a buffer of its own of exactly @size bytes, so that AddressSanitizer sees its end. */
static int parse(size_t size, struct symbols **ret)
{
	cleanup(freep) uint8_t *copy = malloc(size ? size : 1);
	struct err err = {0};
	int r;

	memcpy(copy, t->image, size);
	r = symbols_parse(copy, size, gva_of(TEXT), ret, &err);
	if (r < 0)
		assert_int_equal(err.code, r);
	return r;
}

/* The table as it is now is refused, and nothing is given back. */
static int refused(void)
{
	struct symbols *symbols = NULL;
	int r = parse(t->parts.end, &symbols);

	assert_null(symbols);
	assert_true(r < 0);
	return r;
}

static void set_u32(size_t at, uint32_t value)
{
	memcpy(t->image + at, &value, sizeof(value));
}

static void assert_all_there(void)
{
	cleanup(symbols_free) struct symbols *symbols = NULL;

	assert_int_equal(parse(t->parts.end, &symbols), 0);
	assert_int_equal(symbols_count(symbols), t->n);
	for (uint32_t i = 0; i < t->n; i++) {
		struct symbol symbol = symbols_get(symbols, i);

		assert_string_equal(symbol.name, t->symbols[i].name);
		assert_int_equal(symbol.at.v, t->symbols[i].at);
		assert_int_equal(symbol.type, t->symbols[i].type);
	}
}

static void every_layout_gives_every_symbol(void **state)
{
	(void)state;
	for (int layout = OLD; layout < LAYOUTS; layout++) {
		make((enum kallsyms_layout)layout, 0);
		assert_all_there();
	}
}

/* The first symbols are per-CPU: small absolute numbers. */
static void per_cpu_symbols_are_absolute(void **state)
{
	(void)state;
	for (uint32_t i = 0; i < 100; i++) {
		t->symbols[i].at = 0x1000ull * i;
		t->symbols[i].type = 'A';
	}
	t->symbols[0].name = "fixed_percpu_data";
	t->symbols[100] = (struct symbol_in){ "_text", 'T', TEXT };
	for (int layout = OLD; layout < SELF; layout++) {
		make((enum kallsyms_layout)layout, 1);
		assert_all_there();
	}
}

/* Lengths from 128 on take two bytes; Rust has names of hundreds of characters. */
static void long_names(void **state)
{
	char name[4][SYMBOL_NAME_MAX];
	static const size_t length[] = { 126, 127, 300, SYMBOL_NAME_MAX - 1 };

	(void)state;
	for (unsigned i = 0; i < 4; i++) {
		memset(name[i], 'x', sizeof(name[i]));
		name[i][length[i]] = '\0';
		t->symbols[1000 + i].name = name[i];
	}
	for (int layout = OLD; layout < LAYOUTS; layout++) {
		make((enum kallsyms_layout)layout, 0);
		assert_all_there();
	}
}

/* Older kernels have no two-byte lengths: there 128 and more are lengths as well. */
static void one_byte_lengths_over_127(void **state)
{
	char name[200];
	size_t at;

	(void)state;
	memset(name, 'x', sizeof(name));
	name[126] = '\0';
	t->symbols[MANY - 1].name = name;
	make(NEW, 0);
	/* The last name gets longer by what lies between it and the markers; so the rest moves. */
	at = t->parts.names;
	for (uint32_t i = 0; i < MANY - 1; i++)
		at += 1u + t->image[at];
	assert_int_equal(t->image[at], 127);
	memmove(t->image + t->parts.markers + 64, t->image + t->parts.markers,
		t->parts.end - t->parts.markers);
	t->parts.end += 64;
	t->image[at] = 127 + 64;
	memset(t->image + at + 1 + 127, 'y', 64);
	memset(name + 126, 'y', 64);
	name[190] = '\0';
	assert_all_there();
}

static void names_longer_than_any_are_refused(void **state)
{
	char name[SYMBOL_NAME_MAX + 1];

	(void)state;
	memset(name, 'x', sizeof(name));
	name[SYMBOL_NAME_MAX] = '\0';
	t->symbols[1000].name = name;
	make(SELF, 0);
	refused();
	/* Short when packed, long when unpacked: each of its tokens has three characters. */
	memset(name, 0xc0, sizeof(name));
	name[200] = '\0';
	make(SELF, 0);
	assert_int_equal(refused(), -EBADMSG);
}

static void truncated_anywhere_is_no_table(void **state)
{
	(void)state;
	for (int layout = OLD; layout < LAYOUTS; layout++) {
		size_t needed;

		make((enum kallsyms_layout)layout, 0);
		needed = layout == SELF ? t->parts.offsets + 4 * t->n :
			 layout == NEW ? t->parts.base + 8 : t->parts.index + 512;
		for (size_t size = 0; size < needed; size += size < needed - 600 ? 611 : 1) {
			struct symbols *symbols = NULL;

			assert_true(parse(size, &symbols) < 0);
			assert_null(symbols);
		}
	}
}

static void forged_tokens(void **state)
{
	(void)state;
	make(NEW, 0);
	t->image[t->parts.tokens] = '\n';
	refused();
	make(NEW, 0);
	memset(t->image + t->parts.tokens, 'x', 100);
	refused();
	make(NEW, 0);
	memset(t->image + t->parts.tokens, 'x', 4000);
	refused();
	make(NEW, 0);
	t->image[t->parts.index + 300] ^= 1;
	assert_int_equal(refused(), -ENOENT);
}

static void forged_number_of_symbols(void **state)
{
	static const uint32_t numbers[] = { 0, 1, MANY / 2, MANY - 256, MANY - 1, MANY + 1,
					    MANY + 300, SYMBOLS_MAX, SYMBOLS_MAX + 1, UINT32_MAX };

	(void)state;
	for (int layout = OLD; layout < LAYOUTS; layout++)
		for (size_t i = 0; i < ARRAY_SIZE(numbers); i++) {
			make((enum kallsyms_layout)layout, 0);
			set_u32(t->parts.number, numbers[i]);
			refused();
		}
}

static void forged_markers(void **state)
{
	(void)state;
	for (unsigned i = 0; i < MANY / 256; i++) {
		make(NEW, 0);
		set_u32(t->parts.markers + 4 * i, UINT32_MAX);
		assert_int_equal(refused(), -ENOENT);
		make(NEW, 0);
		t->image[t->parts.markers + 4 * i] ^= 4;
		assert_int_equal(refused(), -ENOENT);
	}
}

static void forged_lengths_of_names(void **state)
{
	(void)state;
	for (unsigned value = 0; value < 256; value += 17) {
		make(NEW, 0);
		if (t->image[t->parts.names] == value)
			continue;
		t->image[t->parts.names] = (uint8_t)value;
		refused();
	}
}

static void offsets_out_of_order_are_refused(void **state)
{
	(void)state;
	for (int layout = OLD; layout < LAYOUTS; layout++) {
		make((enum kallsyms_layout)layout, 0);
		set_u32(t->parts.offsets + 4 * 100, 0x7fffffff);
		refused();
	}
}

static void another_base_is_refused(void **state)
{
	(void)state;
	for (int layout = OLD; layout < SELF; layout++) {
		make((enum kallsyms_layout)layout, 0);
		t->image[t->parts.base + 3] ^= 1;
		assert_int_equal(refused(), -EBADMSG);
	}
}

static void text_must_be_where_the_image_begins(void **state)
{
	(void)state;
	t->symbols[0].name = "_stext";
	make(NEW, 0);
	assert_int_equal(refused(), -ENOENT);
	t->symbols[1].name = "_text";
	make(NEW, 0);
	assert_int_equal(refused(), -EBADMSG);
}

static void too_many_symbols_at_one_address(void **state)
{
	enum { N = SYMBOLS_AT_ONE_MAX + 100, SIZE = 4 << 20 };
	struct symbol_in *symbols = calloc(N, sizeof(*symbols));
	uint8_t *image = calloc(1, SIZE);
	struct symbols *ret = NULL;

	(void)state;
	for (unsigned i = 0; i < N; i++)
		symbols[i] = (struct symbol_in){ i ? "same" : "_text", 't', TEXT };
	kallsyms_make(image, SIZE, TABLE, TEXT, symbols, N, NEW, 0);
	assert_int_equal(symbols_parse(image, SIZE, gva_of(TEXT), &ret, NULL), -EBADMSG);
	assert_null(ret);
	for (unsigned i = 100; i < N; i++)
		symbols[i].at++;
	memset(image, 0, SIZE);
	kallsyms_make(image, SIZE, TABLE, TEXT, symbols, N, NEW, 0);
	assert_int_equal(symbols_parse(image, SIZE, gva_of(TEXT), &ret, NULL), 0);
	symbols_free(&ret);
	free(symbols);
	free(image);
}

/* Twenty bytes in a row look like the start of a token table, eight million times. */
static void decoys_of_token_tables_end_the_search(void **state)
{
	static const char digits[] = "0\0001\0002\0003\0004\0005\0006\0007\0008\0009";
	const size_t size = 64u << 20;
	cleanup(freep) uint8_t *image = malloc(size);
	struct symbols *symbols = NULL;

	(void)state;
	for (size_t at = 0; at + sizeof(digits) <= size; at += sizeof(digits))
		memcpy(image + at, digits, sizeof(digits));
	assert_int_equal(symbols_parse(image, size, gva_of(TEXT), &symbols, NULL), -ELOOP);
}

/*
 * A true token table, and before it as many runs of markers as fit, in front of each a number
 * of symbols that goes with it at every place where names might begin.
 */
static void decoys_of_markers_end_the_search(void **state)
{
	const size_t size = 32u << 20, room = 1u << 20;
	cleanup(freep) uint8_t *image = calloc(1, size);
	struct symbols *symbols = NULL;

	(void)state;
	make(NEW, 0);
	for (size_t at = 0; at < size - room; at += 4) {
		uint32_t i = (uint32_t)(at / 4 % 32), value = i < 17 ? 512 * i : 4096 + 1;

		memcpy(image + at, &value, sizeof(value));
	}
	memcpy(image + size - room, t->image + t->parts.tokens, t->parts.end - t->parts.tokens);
	assert_int_equal(symbols_parse(image, size, gva_of(TEXT), &symbols, NULL), -ELOOP);
}

static struct symbols *some_symbols(void)
{
	struct symbols *symbols = NULL;

	for (uint32_t i = 0; i < 100; i++)
		t->symbols[i].at = 0x1000ull * i;	/* per-CPU */
	t->symbols[0].name = "fixed_percpu_data";
	t->symbols[100] = (struct symbol_in){ "_text", 'T', TEXT };
	t->symbols[200] = (struct symbol_in){ "twice", 't', TEXT + 0x3200 };
	t->symbols[201] = (struct symbol_in){ "global", 'T', TEXT + 0x3200 };
	t->symbols[202] = (struct symbol_in){ "alias", 't', TEXT + 0x3200 };
	t->symbols[300] = (struct symbol_in){ "twice", 't', t->symbols[300].at };
	make(NEW, 1);
	assert_int_equal(parse(t->parts.end, &symbols), 0);
	return symbols;
}

static void found_by_name(void **state)
{
	cleanup(symbols_free) struct symbols *symbols = some_symbols();
	gva at = gva_of(5);
	struct err err = {0};

	(void)state;
	assert_int_equal(symbols_find(symbols, "twice", &at, NULL), 0);
	assert_int_equal(at.v, TEXT + 0x3200);
	assert_int_equal(symbols_lookup(symbols, "global").v, TEXT + 0x3200);
	assert_int_equal(symbols_lookup(symbols, "globa").v, 0);
	assert_int_equal(symbols_lookup(symbols, "").v, 0);
	at = gva_of(5);
	assert_int_equal(symbols_find(symbols, "globall", &at, &err), -ENOENT);
	assert_int_equal(at.v, 5);
	assert_non_null(strstr(err.text, "globall"));
}

static void found_by_address(void **state)
{
	cleanup(symbols_free) struct symbols *symbols = some_symbols();
	struct symbol symbol;
	uint64_t size;

	(void)state;
	assert_int_equal(symbols_at(symbols, gva_of(TEXT + 0x3200), &symbol, &size), 0);
	assert_string_equal(symbol.name, "global");
	assert_int_equal(size, 0x40ull * 203 - 0x3200);
	assert_int_equal(symbols_at(symbols, gva_of(TEXT + 0x3210), &symbol, NULL), 0);
	assert_string_equal(symbol.name, "global");
	assert_int_equal(symbols_at(symbols, gva_of(UINT64_MAX), &symbol, &size), 0);
	assert_int_equal(symbol.at.v, TEXT + 0x40ull * (MANY - 1));
	assert_int_equal(size, 0);
	/* Per-CPU symbols and what lies below all symbols. */
	assert_int_equal(symbols_at(symbols, gva_of(TEXT - 1), &symbol, &size), -ENOENT);
	assert_int_equal(symbols_at(symbols, gva_of(0x1000), &symbol, &size), -ENOENT);

	assert_true(symbols_is_start(symbols, gva_of(TEXT + 0x3200), NULL));
	assert_true(symbols_is_start(symbols, gva_of(TEXT + 0x3200), "ali"));
	assert_false(symbols_is_start(symbols, gva_of(TEXT + 0x3200), "sys_"));
	assert_false(symbols_is_start(symbols, gva_of(TEXT + 0x3201), NULL));
}

/* The search by pages of the image finds what a look at all of them does. */
static void found_by_address_in_every_page(void **state)
{
	const uint64_t by = 0x1400000;
	cleanup(symbols_free) struct symbols *symbols = NULL, *moved = NULL;

	(void)state;
	for (uint32_t i = 0; i < 100; i++)
		t->symbols[i].at = 0x1000ull * i;
	t->symbols[0].name = "fixed_percpu_data";
	t->symbols[100] = (struct symbol_in){ "_text", 'T', TEXT };
	for (uint32_t i = 101; i < MANY; i++)
		t->symbols[i].at = TEXT + (i / 7) * 0x7c0ull + (i % 7 ? 0 : 0x40);
	t->symbols[100 + 1].at = TEXT;
	for (uint32_t i = 102; i < MANY; i++)
		if (t->symbols[i].at < t->symbols[i - 1].at)
			t->symbols[i].at = t->symbols[i - 1].at;
	t->symbols[MANY - 20].name = "_end";
	make(NEW, 1);
	assert_int_equal(parse(t->parts.end, &symbols), 0);
	assert_true(symbols_lookup(symbols, "_end").v > TEXT + 10 * 4096ull);
	assert_int_equal(symbols_move(symbols, by, &moved), 0);

	for (uint64_t at = TEXT; at < TEXT + 0x7c0ull * (MANY / 7 + 2); at += 0x20) {
		struct symbol symbol;
		uint64_t below = 0;

		for (size_t i = 0; i < symbols_count(symbols); i++)
			if (symbols_get(symbols, i).at.v <= at)
				below = symbols_get(symbols, i).at.v;
		assert_int_equal(symbols_at(symbols, gva_of(at), &symbol, NULL), 0);
		assert_int_equal(symbol.at.v, below);
		assert_int_equal(symbols_at(moved, gva_of(at + by), &symbol, NULL), 0);
		assert_int_equal(symbol.at.v, below + by);
		assert_int_equal(symbols_is_start(symbols, gva_of(at), NULL), at == below);
	}
}

static void printed_with_offset_or_bare(void **state)
{
	cleanup(symbols_free) struct symbols *symbols = some_symbols();
	char buf[40], few[5];

	(void)state;
	assert_string_equal(symbols_print(symbols, gva_of(TEXT + 0x3200), buf, sizeof(buf)),
			    "global");
	assert_string_equal(symbols_print(symbols, gva_of(TEXT + 0x3203), buf, sizeof(buf)),
			    "global+0x3");
	assert_string_equal(symbols_print(symbols, gva_of(0x123), buf, sizeof(buf)), "0x123");
	assert_string_equal(symbols_print(symbols, gva_of(TEXT + 0x3203), few, sizeof(few)), "glob");
}

static void moved_with_the_kernel(void **state)
{
	const uint64_t by = 0x1400000;
	cleanup(symbols_free) struct symbols *symbols = NULL, *moved = NULL, *back = NULL;
	struct symbol symbol;
	char buf[40];
	uint64_t size;

	per_cpu_symbols_are_absolute(state);
	assert_int_equal(parse(t->parts.end, &symbols), 0);
	assert_int_equal(symbols_move(symbols, by, &moved), 0);
	assert_int_equal(symbols_count(moved), symbols_count(symbols));
	assert_int_equal(symbols_lookup(moved, "_text").v, TEXT + by);
	assert_int_equal(symbols_at(moved, gva_of(TEXT + by + 0x40 * 200 + 3), &symbol, &size), 0);
	assert_string_equal(symbol.name, "sys_test_200_fn");
	assert_int_equal(symbol.at.v, TEXT + by + 0x40 * 200);
	assert_int_equal(size, 0x40);
	assert_string_equal(symbols_print(moved, gva_of(TEXT + by + 0x40 * 200 + 3), buf,
					  sizeof(buf)), "sys_test_200_fn+0x3");
	assert_true(symbols_is_start(moved, gva_of(TEXT + by + 0x40 * 200), "sys_"));
	assert_int_equal(symbols_at(moved, gva_of(TEXT + by - 1), &symbol, NULL), -ENOENT);
	/* Per-CPU variables are where they are. */
	assert_int_equal(symbols_get(moved, 99).at.v, 99 * 0x1000);
	assert_int_equal(symbols_lookup(moved, "sys_test_50_fn").v, 50 * 0x1000);

	assert_false(symbols_equal(symbols, moved));
	assert_int_equal(symbols_move(moved, -by, &back), 0);
	assert_true(symbols_equal(symbols, back));
}

static bool equal_with(uint32_t i, struct symbol_in other)
{
	cleanup(symbols_free) struct symbols *a = NULL, *b = NULL;
	struct symbol_in own = t->symbols[i];

	make(NEW, 0);
	assert_int_equal(parse(t->parts.end, &a), 0);
	t->symbols[i] = other;
	make(OLD, 0);
	assert_int_equal(parse(t->parts.end, &b), 0);
	t->symbols[i] = own;
	return symbols_equal(a, b) && symbols_equal(b, a);
}

static void equal_symbol_for_symbol(void **state)
{
	const uint32_t last = MANY - 1;

	(void)state;
	for (uint32_t i = 77; i <= last; i += last - 77) {
		struct symbol_in own = t->symbols[i], other = own;

		assert_true(equal_with(i, own));
		other.at += 1;
		assert_false(equal_with(i, other));
		other = own;
		other.type = 'W';
		assert_false(equal_with(i, other));
		other = own;
		other.name = "sys_test_zz_fn";
		assert_false(equal_with(i, other));
	}
}

static void more_symbols_are_not_equal(void **state)
{
	cleanup(symbols_free) struct symbols *a = NULL, *b = NULL;

	(void)state;
	make(NEW, 0);
	assert_int_equal(parse(t->parts.end, &a), 0);
	t->n--;
	make(NEW, 0);
	assert_int_equal(parse(t->parts.end, &b), 0);
	assert_false(symbols_equal(a, b));
	assert_false(symbols_equal(b, a));
}

#define T(name) cmocka_unit_test_setup_teardown(name, start, end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(every_layout_gives_every_symbol),
		T(per_cpu_symbols_are_absolute),
		T(long_names),
		T(one_byte_lengths_over_127),
		T(names_longer_than_any_are_refused),
		T(truncated_anywhere_is_no_table),
		T(forged_tokens),
		T(forged_number_of_symbols),
		T(forged_markers),
		T(forged_lengths_of_names),
		T(offsets_out_of_order_are_refused),
		T(another_base_is_refused),
		T(text_must_be_where_the_image_begins),
		T(too_many_symbols_at_one_address),
		T(decoys_of_token_tables_end_the_search),
		T(decoys_of_markers_end_the_search),
		T(found_by_name),
		T(found_by_address),
		T(found_by_address_in_every_page),
		T(printed_with_offset_or_bare),
		T(moved_with_the_kernel),
		T(equal_symbol_for_symbol),
		T(more_symbols_are_not_equal),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
