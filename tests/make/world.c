/* SPDX-License-Identifier: Apache-2.0 */
#include "make/world.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/limits.h"
#include "guest/paging.h"
#include "ram/fake.h"

#define RAM_BYTES   (64u << 20)
#define DIRECT_MAP  0xffff888000000000ull
#define TEXT	    0xffffffff81000000ull
#define TABLES	    0x1000u	/* of pages, from here on */
#define SYMBOLS_AT  0x100000u	/* variables, up to the heap */
#define HEAP_AT	    0x400000u
#define SYMBOLS_N   4352u	/* the parser takes fewer for no kernel */
#define PACKED_MAX  (1u << 20)
#define TYPES_MAX   (1u << 20)

struct symbol_made {
	char name[64];
	char type;
	uint32_t at;
};

struct world {
	uint8_t *bytes;
	struct ram *ram;
	struct view *view;
	struct kernel kernel;
	struct symbol_made symbols[64];
	uint32_t symbols_n;
	uint32_t variables, heap;	/* what is free */
};

static void die(const char *what)
{
	fprintf(stderr, "world: %s\n", what);
	abort();
}

static void put64(uint8_t *to, uint64_t value)
{
	memcpy(to, &value, sizeof(value));
}

/* --- memory --- */

/* Both maps show the same memory, in pages of 2 MiB. */
static void make_tables(struct world *world)
{
	uint32_t top = TABLES, direct = top + 0x1000, direct_pmd = top + 0x2000;
	uint32_t text = top + 0x3000, text_pmd = top + 0x4000;
	const uint64_t table = PTE_PRESENT | PTE_WRITE, page = table | PTE_LARGE;

	put64(world->bytes + top + 8 * paging_index(gva_of(DIRECT_MAP), 4), direct | table);
	put64(world->bytes + direct + 8 * paging_index(gva_of(DIRECT_MAP), 3), direct_pmd | table);
	put64(world->bytes + top + 8 * paging_index(gva_of(TEXT), 4), text | table);
	put64(world->bytes + text + 8 * paging_index(gva_of(TEXT), 3), text_pmd | table);
	for (uint32_t i = 0; i < RAM_BYTES >> 21; i++) {
		put64(world->bytes + direct_pmd + 8 * i, (uint64_t)i << 21 | page);
		put64(world->bytes + text_pmd + 8 * (paging_index(gva_of(TEXT), 2) + i),
		      (uint64_t)i << 21 | page);
	}
}

struct world *world_new(void)
{
	struct world *world = calloc(1, sizeof(*world));

	if (!world)
		die("no memory");
	world->bytes = calloc(1, RAM_BYTES);
	if (!world->bytes)
		die("no memory");
	make_tables(world);
	world->variables = SYMBOLS_AT;
	world->heap = HEAP_AT;
	return world;
}

void *world_at(struct world *world, gva at, uint32_t bytes)
{
	uint64_t offset = at.v >= TEXT ? at.v - TEXT : at.v - DIRECT_MAP;

	if (offset > RAM_BYTES || bytes > RAM_BYTES - offset)
		die("an address outside of the memory");
	return world->bytes + offset;
}

static uint32_t take(uint32_t *free_at, uint32_t bytes, uint32_t end)
{
	uint32_t at = *free_at;

	if (bytes > end - at)
		die("no room");
	*free_at = (at + bytes + 63) & ~63u;
	return at;
}

gva world_alloc(struct world *world, uint32_t bytes)
{
	return gva_of(DIRECT_MAP + take(&world->heap, bytes, RAM_BYTES));
}

gva world_text(struct world *world, const char *text)
{
	gva at = world_alloc(world, (uint32_t)strlen(text) + 1);

	world_copy(world, at, text, (uint32_t)strlen(text) + 1);
	return at;
}

gva world_nowhere(void)
{
	return gva_of(DIRECT_MAP + (1ull << 40));
}

void world_copy(struct world *world, gva at, const void *bytes, uint32_t n)
{
	memcpy(world_at(world, at, n), bytes, n);
}

void world_put(struct world *world, gva at, uint64_t value)
{
	world_copy(world, at, &value, sizeof(value));
}

/* --- types --- */

struct btf {
	uint32_t *words;
	uint32_t n;
	char *strings;
	uint32_t strings_n;
	uint32_t ids;
	struct {
		char name[64];
		uint32_t id;
	} named[256];
	uint32_t named_n;
};

static void word(struct btf *btf, uint32_t value)
{
	if (btf->n == TYPES_MAX / 4)
		die("too many types");
	btf->words[btf->n++] = value;
}

static uint32_t string(struct btf *btf, const char *text)
{
	uint32_t at = btf->strings_n, bytes = (uint32_t)strlen(text) + 1;

	if (!*text)
		return 0;
	if (bytes > TYPES_MAX - at)
		die("too many names of types");
	memcpy(btf->strings + at, text, bytes);
	btf->strings_n += bytes;
	return at;
}

enum {
	KIND_INT = 1, KIND_PTR = 2, KIND_ARRAY = 3, KIND_STRUCT = 4, KIND_ENUM = 6,
	KIND_FUNC_PROTO = 13,
};

static uint32_t type_head(struct btf *btf, const char *name, uint32_t kind, uint32_t vlen,
			  bool flag, uint32_t size)
{
	word(btf, string(btf, name));
	word(btf, kind << 24 | vlen | (flag ? 1u << 31 : 0));
	word(btf, size);
	return ++btf->ids;
}

static void remember(struct btf *btf, const char *name, uint32_t id)
{
	if (btf->named_n == sizeof(btf->named) / sizeof(btf->named[0]))
		die("too many types");
	snprintf(btf->named[btf->named_n].name, sizeof(btf->named[0].name), "%s", name);
	btf->named[btf->named_n++].id = id;
}

static uint32_t type_id(const struct btf *btf, const char *name)
{
	for (uint32_t i = 0; i < btf->named_n; i++)
		if (!strcmp(btf->named[i].name, name))
			return btf->named[i].id;
	fprintf(stderr, "world: no type %s\n", name);
	abort();
}

static void make_int(struct btf *btf, const char *name, uint32_t bytes)
{
	remember(btf, name, type_head(btf, name, KIND_INT, 0, false, bytes));
	word(btf, bytes * 8);
}

static uint32_t member_type(struct btf *btf, const struct made_member *member)
{
	uint32_t id = type_id(btf, member->type + (*member->type == '*'));

	if (*member->type == '*')
		id = type_head(btf, "", KIND_PTR, 0, false, id);
	if (!member->count)
		return id;
	type_head(btf, "", KIND_ARRAY, 0, false, 0);
	word(btf, id);
	word(btf, type_id(btf, "u32"));
	word(btf, member->count);
	return btf->ids;
}

static void make_enum(struct btf *btf, const struct made_struct *made)
{
	uint32_t n = 0;

	while (n < 32 && made->members[n].name)
		n++;
	type_head(btf, made->name + strlen("enum "), KIND_ENUM, n, false, made->size);
	for (uint32_t i = 0; i < n; i++) {
		word(btf, string(btf, made->members[i].name));
		word(btf, made->members[i].at);
	}
}

static void make_struct(struct btf *btf, const struct made_struct *made)
{
	uint32_t types[32], n = 0;
	bool bits = false;

	if (!strncmp(made->name, "enum ", strlen("enum "))) {
		make_enum(btf, made);
		return;
	}
	for (; n < 32 && made->members[n].name; n++) {
		types[n] = member_type(btf, &made->members[n]);
		bits |= made->members[n].bits > 0;
	}
	remember(btf, made->name, type_head(btf, made->name, KIND_STRUCT, n, bits, made->size));
	for (uint32_t i = 0; i < n; i++) {
		const struct made_member *member = &made->members[i];

		word(btf, string(btf, member->name));
		word(btf, types[i]);
		word(btf, (uint32_t)member->bits << 24 | (member->at * 8 + member->bit_at));
	}
}

static void make_types(struct world *world, const struct made_struct *made, size_t n)
{
	struct btf *btf = calloc(1, sizeof(*btf));
	uint8_t *blob = calloc(1, 24 + 2 * TYPES_MAX);
	struct err err = { 0 };

	if (!btf || !blob)
		die("no memory");
	btf->words = calloc(1, TYPES_MAX);
	btf->strings = calloc(1, TYPES_MAX);
	if (!btf->words || !btf->strings)
		die("no memory");
	btf->strings_n = 1;
	make_int(btf, "u8", 1);
	make_int(btf, "u16", 2);
	make_int(btf, "u32", 4);
	make_int(btf, "u64", 8);
	remember(btf, "ptr", type_head(btf, "", KIND_PTR, 0, false, 0));
	type_head(btf, "", KIND_FUNC_PROTO, 0, false, 0);
	remember(btf, "function", type_head(btf, "", KIND_PTR, 0, false, btf->ids));
	for (size_t i = 0; i < n; i++)
		make_struct(btf, &made[i]);

	uint32_t head[6] = { 0x0001eb9f, 24, 0, btf->n * 4, btf->n * 4, btf->strings_n };

	memcpy(blob, head, sizeof(head));
	memcpy(blob + 24, btf->words, btf->n * 4);
	memcpy(blob + 24 + btf->n * 4, btf->strings, btf->strings_n);
	if (types_parse(blob, 24 + btf->n * 4 + btf->strings_n, &world->kernel.types, &err) < 0)
		die(err.text);
	free(btf->words);
	free(btf->strings);
	free(btf);
	free(blob);
}

/* --- symbols, packed as 6.4 and later do it, every token a character --- */

static gva add_symbol(struct world *world, const char *name, char type, uint32_t bytes)
{
	struct symbol_made *made = &world->symbols[world->symbols_n++];

	if (world->symbols_n == sizeof(world->symbols) / sizeof(world->symbols[0]))
		die("too many symbols");
	snprintf(made->name, sizeof(made->name), "%s", name);
	made->type = type;
	made->at = take(&world->variables, bytes, HEAP_AT);
	return gva_of(TEXT + made->at);
}

gva world_symbol(struct world *world, const char *name, uint32_t bytes)
{
	return add_symbol(world, name, 'D', bytes);
}

gva world_function(struct world *world, const char *name, uint32_t bytes)
{
	return add_symbol(world, name, 'T', bytes);
}

struct packed {
	uint8_t bytes[PACKED_MAX];
	uint32_t n;
};

static void pack(struct packed *packed, const void *bytes, uint32_t n)
{
	if (n > PACKED_MAX - packed->n)
		die("too many symbols");
	memcpy(packed->bytes + packed->n, bytes, n);
	packed->n += n;
}

static void pack32(struct packed *packed, uint32_t value)
{
	pack(packed, &value, sizeof(value));
}

static void pack_align(struct packed *packed)
{
	while (packed->n % 8)
		pack(packed, "", 1);
}

static void pack_tokens(struct packed *packed)
{
	uint16_t index[256];
	uint32_t start = packed->n;

	for (uint32_t i = 0; i < 256; i++) {
		char token[3] = { 'q', 'q', 0 };
		uint32_t bytes = 3;

		if (i > 0x20 && i < 0x7f) {
			token[0] = (char)i;
			token[1] = 0;
			bytes = 2;
		}
		index[i] = (uint16_t)(packed->n - start);
		pack(packed, token, bytes);
	}
	pack_align(packed);
	pack(packed, index, sizeof(index));
}

static void make_symbols(struct world *world)
{
	struct packed *packed = calloc(1, sizeof(*packed));
	uint32_t markers[SYMBOLS_N / 256 + 1], names;
	uint32_t fillers = SYMBOLS_N - world->symbols_n;	/* in front: they go up */
	uint64_t base = TEXT;
	struct err err = { 0 };

	if (!packed)
		die("no memory");
	pack32(packed, SYMBOLS_N);
	pack32(packed, 0);
	names = packed->n;
	for (uint32_t i = 0; i < SYMBOLS_N; i++) {
		char name[80];
		uint8_t length;

		if (i >= fillers)
			snprintf(name, sizeof(name), "%c%s", world->symbols[i - fillers].type,
				 world->symbols[i - fillers].name);
		else
			snprintf(name, sizeof(name), i ? "tfiller_%u" : "T_text", i);
		length = (uint8_t)strlen(name);
		if (i % 256 == 0)
			markers[i / 256] = packed->n - names;
		pack(packed, &length, 1);
		pack(packed, name, length);
	}
	pack_align(packed);
	pack(packed, markers, SYMBOLS_N / 256 * 4);
	pack_align(packed);
	pack_tokens(packed);
	for (uint32_t i = 0; i < SYMBOLS_N; i++)
		pack32(packed, i < fillers ? 16 * i : world->symbols[i - fillers].at);
	pack_align(packed);
	pack(packed, &base, sizeof(base));
	if (symbols_parse(packed->bytes, packed->n, gva_of(TEXT), &world->kernel.symbols, &err) < 0)
		die(err.text);
	free(packed);
}

/* --- a guest of it all --- */

void world_start(struct world *world, const struct made_struct *types, size_t n)
{
	struct ram_range range = { gpa_of(0), RAM_BYTES };
	void *bytes = world->bytes;
	struct err err = { 0 };

	make_types(world, types, n);
	make_symbols(world);
	if (fake_open(&range, &bytes, 1, &world->ram, &err) < 0)
		die(err.text);
	if (view_open(world->ram, VIEW_FUEL_SWEEP, &world->view) < 0)
		die("no memory");
	world->kernel.space = (struct space){ gpa_of(TABLES), 4 };
	world->kernel.text = gva_of(TEXT);
	world->kernel.end = gva_of(TEXT + HEAP_AT);
	world->kernel.page_offset = gva_of(DIRECT_MAP);
	view_set_kernel(world->view, world->kernel.space);
}

static struct field field_of(struct world *world, const char *path)
{
	struct err err = { 0 };
	struct field field;

	if (types_field(world->kernel.types, path, &field, &err) < 0)
		die(err.text);
	return field;
}

gva world_member(struct world *world, gva object, const char *path)
{
	return gva_add(object, field_of(world, path).at);
}

void world_set(struct world *world, gva object, const char *path, uint64_t value)
{
	struct field field = field_of(world, path);
	uint64_t mask = field.bits ? ((1ull << field.bits) - 1) << field.bit_at : ~0ull;
	uint8_t *to = world_at(world, gva_add(object, field.at), field.size_bytes);
	uint64_t old = 0;

	if (field.size_bytes > sizeof(old))
		die("a member that is no number");
	memcpy(&old, to, field.size_bytes);
	old = (old & ~mask) | ((value << field.bit_at) & mask);
	memcpy(to, &old, field.size_bytes);
}

uint64_t world_get(struct world *world, gva object, const char *path)
{
	struct field field = field_of(world, path);
	uint64_t value = 0;

	if (field.size_bytes > sizeof(value))
		die("a member that is no number");
	memcpy(&value, world_at(world, gva_add(object, field.at), field.size_bytes),
	       field.size_bytes);
	return value;
}

static uint64_t peek(struct world *world, gva at)
{
	uint64_t value;

	memcpy(&value, world_at(world, at, sizeof(value)), sizeof(value));
	return value;
}

void world_list_add(struct world *world, gva head, gva link)
{
	uint64_t last = peek(world, gva_add(head, 8));

	if (!last) {	/* not initialised yet */
		last = head.v;
		world_put(world, head, head.v);
	}
	world_put(world, link, head.v);
	world_put(world, gva_add(link, 8), last);
	world_put(world, gva_of(last), link.v);
	world_put(world, gva_add(head, 8), link.v);
}

void world_hlist_add(struct world *world, gva head, gva link)
{
	uint64_t first = peek(world, head);

	world_put(world, link, first);
	world_put(world, gva_add(link, 8), head.v);
	if (first && !(first & 1))
		world_put(world, gva_add(gva_of(first), 8), link.v);
	world_put(world, head, link.v);
}

const struct kernel *world_kernel(struct world *world)
{
	return &world->kernel;
}

struct view *world_view(struct world *world)
{
	view_refresh(world->view);
	view_refuel(world->view, VIEW_FUEL_SWEEP);
	return world->view;
}

void world_end(struct world **world)
{
	view_close(&(*world)->view);
	ram_close(&(*world)->ram);
	types_free(&(*world)->kernel.types);
	symbols_free(&(*world)->kernel.symbols);
	free((*world)->bytes);
	free(*world);
	*world = NULL;
}
