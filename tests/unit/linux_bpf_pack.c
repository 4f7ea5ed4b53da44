/* SPDX-License-Identifier: Apache-2.0 */
#include "linux/bpf_pack.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

#include "base/cleanup.h"
#include "make/world.h"

#define BYTES 8192u
#define CHUNK 64u

static const struct made_struct types[] = {
	{ "bpf_prog_pack", 32, { { "ptr", 16, "ptr", 0, 0, 0 }, { "bitmap", 24, "u64", 0, 0, 0 } } },
};

struct guest {
	struct world *world;
	gva pack, memory;
};

static int start(void **state)
{
	static struct guest g;

	g.world = world_new();
	world_start(g.world, types, ARRAY_SIZE(types));
	g.pack = world_alloc(g.world, 64);
	g.memory = world_alloc(g.world, BYTES);
	memset(world_at(g.world, g.memory, BYTES), 0xcc, BYTES);
	*state = &g;
	return 0;
}

static int end(void **state)
{
	world_end(&((struct guest *)*state)->world);
	return 0;
}

static int check(struct guest *g, uint64_t bytes, struct bpf_slack *slack, uint64_t *unused)
{
	return bpf_pack_check(world_kernel(g->world), world_view(g->world), g->pack, g->memory,
			      bytes, slack, unused, NULL);
}

static void put(struct guest *g, unsigned chunk, uint8_t value)
{
	*(uint8_t *)world_at(g->world, gva_add(g->memory, chunk * CHUNK + 63), 1) = value;
}

static void programs_are_where_the_bitmap_says(void **state)
{
	struct guest *g = *state;
	struct bpf_slack slack;
	uint64_t unused;

	assert_int_equal(check(g, BYTES, &slack, &unused), 0);
	assert_int_equal(unused, BYTES);
	put(g, 3, 0x90);
	world_put(g->world, gva_add(g->pack, 24), 1u << 3);
	assert_int_equal(check(g, BYTES, &slack, &unused), 0);
	assert_int_equal(unused, BYTES - CHUNK);
}

static void code_in_unused_chunks_is_seen(void **state)
{
	struct guest *g = *state;
	struct bpf_slack slack;
	uint64_t unused;

	put(g, 127, 0xc3);
	assert_int_equal(check(g, BYTES, &slack, &unused), 1);
	assert_int_equal(slack.start.v, g->memory.v + 127 * CHUNK);
	assert_int_equal(slack.size_bytes, CHUNK);
	put(g, 100, 0xc3);
	assert_int_equal(check(g, BYTES, &slack, &unused), 1);
	assert_int_equal(slack.start.v, g->memory.v + 100 * CHUNK);
	assert_int_equal(slack.size_bytes, 28 * CHUNK);
}

static void sizes_that_cannot_be(void **state)
{
	struct guest *g = *state;
	struct bpf_slack slack;
	uint64_t unused;

	assert_int_equal(check(g, 0, &slack, &unused), -EBADMSG);
	assert_int_equal(check(g, 100, &slack, &unused), -EBADMSG);
	assert_int_equal(check(g, 1ull << 40, &slack, &unused), -EBADMSG);
	g->memory = world_nowhere();
	assert_int_equal(check(g, BYTES, &slack, &unused), -EFAULT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, start, end)
		TEST(programs_are_where_the_bitmap_says),
		TEST(code_in_unused_chunks_is_seen),
		TEST(sizes_that_cannot_be),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
