/* SPDX-License-Identifier: Apache-2.0 */
#include "reference/module_tables.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/cleanup.h"
#include "make/world.h"

#define TABLE_BYTES 4096u

/* A guest that has one table at @at, and what was shipped of it. */
struct guest {
	struct world *world;
	gva at, tramp_start, tramp_stop;
	struct shipped shipped, vmlinux;
};

static int start(void **state)
{
	struct guest *g = calloc(1, sizeof(*g));

	g->world = world_new();
	g->tramp_start = world_symbol(g->world, "__start_static_call_tramp_key", 8);
	g->tramp_stop = world_symbol(g->world, "__stop_static_call_tramp_key", 8);
	world_start(g->world, NULL, 0);
	g->at = world_alloc(g->world, 2 * TABLE_BYTES);
	*state = g;
	return 0;
}

static int end(void **state)
{
	struct guest *g = *state;

	shipped_free(&g->shipped);
	shipped_free(&g->vmlinux);
	world_end(&g->world);
	free(g);
	return 0;
}

static struct shipped_part *add_part(struct guest *g, const char *name, uint64_t at, size_t n)
{
	struct shipped_part *part = shipped_add(&g->shipped, name, gva_add(g->at, at), n, 0);

	assert_non_null(part);
	return part;
}

static int settle(struct guest *g)
{
	assert_int_equal(shipped_sort(&g->shipped, NULL), 0);
	return module_tables_settle(world_kernel(g->world), world_view(g->world), &g->vmlinux,
				    world_kernel(g->world)->symbols, &g->shipped, NULL);
}

static void put32(uint8_t *bytes, size_t at, uint32_t value)
{
	memcpy(bytes + at, &value, sizeof(value));
}

static uint32_t get32(const uint8_t *bytes, size_t at)
{
	uint32_t value;

	memcpy(&value, bytes + at, sizeof(value));
	return value;
}

static void addresses_are_sorted(void **state)
{
	static const uint64_t in[] = { 30, 10, 20 }, out[] = { 10, 20, 30 };
	struct guest *g = *state;

	memcpy(add_part(g, "__mcount_loc", 0, sizeof(in))->bytes, in, sizeof(in));
	assert_int_equal(settle(g), 0);
	assert_memory_equal(g->shipped.parts.v[0].bytes, out, sizeof(out));
}

static void what_the_guest_has_does_not_count(void **state)
{
	static const uint64_t in[] = { 30, 10, 20 }, live[] = { 10, 99, 30 };
	static const uint64_t out[] = { 10, 20, 30 };
	struct guest *g = *state;

	memcpy(add_part(g, "__mcount_loc", 0, sizeof(in))->bytes, in, sizeof(in));
	world_copy(g->world, g->at, live, sizeof(live));
	assert_int_equal(settle(g), 0);
	assert_memory_equal(g->shipped.parts.v[0].bytes, out, sizeof(out));
}

/* Distances from their own place: they change when the entry moves. */
static void relative_entries_move_along_and_take_what_is_beside(void **state)
{
	struct guest *g = *state;
	uint8_t *ip = add_part(g, ".orc_unwind_ip", 0, 8)->bytes;
	uint8_t *orc = add_part(g, ".orc_unwind", 64, 12)->bytes;

	put32(ip, 0, 1000);	/* leads to at + 1000 */
	put32(ip, 4, 500);	/* leads to at + 504 */
	memcpy(orc, "AAAAAABBBBBB", 12);
	assert_int_equal(settle(g), 0);
	assert_int_equal(get32(ip, 0), 504);
	assert_int_equal(get32(ip, 4), 996);
	assert_memory_equal(orc, "BBBBBBAAAAAA", 12);
}

/* Two calls of one key: the kernel may have them either way round. */
static void entries_that_compare_equal_are_in_the_guests_order(void **state)
{
	struct guest *g = *state;
	uint8_t *table = add_part(g, ".static_call_sites", 0, 16)->bytes, live[16];

	put32(table, 0, 100);
	put32(table, 4, 1000 - 4);
	put32(table, 8, 200 - 8);
	put32(table, 12, 1000 - 12);
	put32(live, 0, 200);
	put32(live, 4, 1000 - 4);
	put32(live, 8, 100 - 8);
	put32(live, 12, 1000 - 12);
	world_copy(g->world, g->at, live, sizeof(live));
	assert_int_equal(settle(g), 0);
	assert_memory_equal(table, live, sizeof(live));

	/* Not if one of them is another one. */
	put32(live, 0, 204);
	world_copy(g->world, g->at, live, sizeof(live));
	assert_int_equal(settle(g), 0);
	assert_int_equal(get32(table, 0), 100);
	assert_int_equal(get32(table, 8), 200 - 8);
}

static void entries_of_init_code_are_marked(void **state)
{
	struct guest *g = *state;
	uint8_t *table = add_part(g, "__jump_table", 0, 32)->bytes;

	assert_non_null(shipped_add(&g->shipped, ".init.text", gva_add(g->at, 4096), 16,
				    PART_EXEC | PART_GONE));
	put32(table, 0, 4096);
	put32(table, 8, 8000);		/* key: at + 8008, no flags */
	put32(table, 16, 100);
	put32(table, 24, 8000 + 2);	/* at + 8024 + 2: marked in the file, for objtool */
	assert_int_equal(settle(g), 0);
	table = g->shipped.parts.v[0].bytes;
	assert_int_equal(get32(table, 8) & 3, 2);
	assert_int_equal(get32(table, 24) & 3, 0);
}

static void a_mark_that_the_guest_lacks_is_no_difference(void **state)
{
	struct guest *g = *state;
	uint8_t *table = add_part(g, "__jump_table", 0, 16)->bytes, live[16] = { 0 };

	assert_non_null(shipped_add(&g->shipped, ".init.text", gva_add(g->at, 4096), 16,
				    PART_EXEC | PART_GONE));
	put32(table, 0, 4096);
	put32(table, 8, 8000);
	memcpy(live, table, sizeof(live));
	world_copy(g->world, g->at, live, sizeof(live));
	assert_int_equal(settle(g), 0);
	assert_memory_equal(g->shipped.parts.v[0].bytes, live, sizeof(live));
}

static void a_call_of_a_trampoline_gets_its_key(void **state)
{
	struct guest *g = *state;
	uint8_t *table = add_part(g, ".static_call_sites", 0, 8)->bytes;
	gva tramp = gva_add(g->tramp_start, 0x100), key = gva_add(g->tramp_start, 0x200);
	struct shipped_part *image;

	image = shipped_add(&g->vmlinux, "image", g->tramp_start, 4096, 0);
	assert_non_null(image);
	put32(image->bytes, 0, 0x100);
	put32(image->bytes, 4, 0x200 - 4);
	put32(table, 0, 100);
	put32(table, 4, (uint32_t)(tramp.v - g->at.v - 4) | 1);
	/* Only 32 bits: the kernel and its modules lie close, which made-up ones need not. */
	if ((int64_t)(tramp.v - g->at.v) != (int32_t)(tramp.v - g->at.v))
		g->shipped.parts.v[0].at = gva_add(g->tramp_start, 0x400);
	if (g->shipped.parts.v[0].at.v != g->at.v)
		put32(table, 4, (uint32_t)(tramp.v - g->shipped.parts.v[0].at.v - 4) | 1);
	assert_int_equal(settle(g), 0);
	assert_int_equal((int32_t)get32(table, 4),
			 (int32_t)(key.v - g->shipped.parts.v[0].at.v - 4) | 1);
}

static void tables_that_cannot_be(void **state)
{
	static const struct {
		const char *name;
		size_t size;
	} bad[] = {
		{ "__mcount_loc", 12 }, { ".orc_unwind_ip", 8 }, { "__ex_table", 16 },
		{ "__jump_table", 24 }, { ".static_call_sites", 4 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		struct guest *g;
		void *again;

		start(&again);
		g = again;
		add_part(g, bad[i].name, 0, bad[i].size);
		assert_int_equal(settle(g), -EBADMSG);
		end(&again);
	}
	(void)state;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, start, end)
		TEST(addresses_are_sorted),
		TEST(what_the_guest_has_does_not_count),
		TEST(relative_entries_move_along_and_take_what_is_beside),
		TEST(entries_that_compare_equal_are_in_the_guests_order),
		TEST(entries_of_init_code_are_marked),
		TEST(a_mark_that_the_guest_lacks_is_no_difference),
		TEST(a_call_of_a_trampoline_gets_its_key),
		TEST(tables_that_cannot_be),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
