/* SPDX-License-Identifier: Apache-2.0 */
#include "linux/vma.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "base/cleanup.h"
#include "make/world.h"

#define LEAF	   1ull
#define SLOTS	   16u
#define ZERO_ENTRY 0x406u

static const struct made_struct types[] = {
	{ "maple_tree", 16, { { "ma_flags", 4, "u32", 0, 0, 0 }, { "ma_root", 8, "ptr", 0, 0, 0 } } },
	{ "maple_range_64", 256, { { "parent", 0, "ptr", 0, 0, 0 },
		{ "pivot", 8, "u64", SLOTS - 1, 0, 0 }, { "slot", 128, "ptr", SLOTS, 0, 0 } } },
	{ "maple_arange_64", 256, { { "parent", 0, "ptr", 0, 0, 0 },
		{ "pivot", 8, "u64", 9, 0, 0 }, { "slot", 80, "ptr", 10, 0, 0 } } },
	{ "vm_area_struct", 64, { { "vm_start", 0, "u64", 0, 0, 0 }, { "vm_end", 8, "u64", 0, 0, 0 },
		{ "vm_mm", 16, "ptr", 0, 0, 0 }, { "vm_flags", 24, "u64", 0, 0, 0 },
		{ "vm_pgoff", 32, "u64", 0, 0, 0 }, { "vm_file", 40, "ptr", 0, 0, 0 },
		{ "anon_vma", 48, "ptr", 0, 0, 0 }, { "vm_ops", 56, "ptr", 0, 0, 0 } } },
	{ "mm_struct", 128, { { "mm_mt", 0, "maple_tree", 0, 0, 0 },
		{ "map_count", 16, "u32", 0, 0, 0 }, { "start_code", 24, "u64", 0, 0, 0 },
		{ "end_code", 32, "u64", 0, 0, 0 }, { "start_brk", 40, "u64", 0, 0, 0 },
		{ "brk", 48, "u64", 0, 0, 0 }, { "start_stack", 56, "u64", 0, 0, 0 },
		{ "env_start", 64, "u64", 0, 0, 0 }, { "env_end", 72, "u64", 0, 0, 0 },
		{ "exe_file", 80, "ptr", 0, 0, 0 } } },
};

struct guest {
	struct world *world;
	gva mm, leaf;
	unsigned slots;
};

static int start(void **state)
{
	static struct guest g;

	g.world = world_new();
	world_start(g.world, types, ARRAY_SIZE(types));
	g.mm = world_alloc(g.world, 128);
	g.leaf = gva_of((world_alloc(g.world, 512).v + 255) & ~255ull);
	g.slots = 0;
	world_put(g.world, gva_add(g.mm, 8), g.leaf.v | LEAF << 3 | 2);
	*state = &g;
	return 0;
}

static int end(void **state)
{
	struct guest *g = *state;

	world_end(&g->world);
	return 0;
}

static void add_slot(struct guest *g, uint64_t last, uint64_t entry)
{
	world_put(g->world, gva_add(g->leaf, 8 + 8 * g->slots), last);
	world_put(g->world, gva_add(g->leaf, 128 + 8 * g->slots), entry);
	g->slots++;
}

/* An area at the end of those there are; what lies before it is free. */
static gva add_vma(struct guest *g, uint64_t from, uint64_t to, uint64_t flags)
{
	gva vma = world_alloc(g->world, 64);

	add_slot(g, from - 1, 0);
	add_slot(g, to - 1, vma.v);
	world_set(g->world, vma, "vm_area_struct.vm_start", from);
	world_set(g->world, vma, "vm_area_struct.vm_end", to);
	world_set(g->world, vma, "vm_area_struct.vm_mm", g->mm.v);
	world_set(g->world, vma, "vm_area_struct.vm_flags", flags);
	world_set(g->world, g->mm, "mm_struct.map_count",
		  world_get(g->world, g->mm, "mm_struct.map_count") + 1);
	return vma;
}

static int count(const struct vma *vma, void *ctx, struct err *err)
{
	(void)err;
	assert_true(vma->end > vma->start);
	++*(unsigned *)ctx;
	return 0;
}

static int walk(struct guest *g)
{
	unsigned n = 0;
	int r = vma_walk(world_kernel(g->world), world_view(g->world), g->mm, count, &n, NULL);

	return r < 0 ? r : (int)n;
}

static int find(struct guest *g, uint64_t address, struct vma *ret)
{
	return vma_find(world_kernel(g->world), world_view(g->world), g->mm, address, ret, NULL);
}

static void areas_in_order(void **state)
{
	struct guest *g = *state;
	struct vma vma;

	assert_int_equal(walk(g), 0);
	add_vma(g, 0x1000, 0x3000, VMA_READ | VMA_EXEC);
	add_slot(g, 0x3fff, ZERO_ENTRY);
	add_vma(g, 0x5000, 0x6000, VMA_READ | VMA_WRITE);
	assert_int_equal(walk(g), 2);
	assert_int_equal(find(g, 0x2fff, &vma), 0);
	assert_int_equal(vma.start, 0x1000);
	assert_int_equal(vma.flags, VMA_READ | VMA_EXEC);
	assert_int_equal(find(g, 0x3000, &vma), -ENOENT);
	assert_int_equal(find(g, 0x4000, &vma), -ENOENT);
	assert_int_equal(find(g, 0x5000, &vma), 0);
	assert_int_equal(find(g, UINT64_MAX, &vma), -ENOENT);
}

static void an_area_that_was_taken_out(void **state)
{
	struct guest *g = *state;

	add_vma(g, 0x1000, 0x3000, VMA_READ);
	add_vma(g, 0x5000, 0x6000, VMA_READ | VMA_EXEC);
	world_put(g->world, gva_add(g->leaf, 128 + 8 * 3), 0);
	assert_int_equal(walk(g), -EBADMSG);
}

static void areas_that_are_of_another(void **state)
{
	struct guest *g = *state;
	struct vma found;
	gva vma = add_vma(g, 0x1000, 0x3000, VMA_READ);

	world_set(g->world, vma, "vm_area_struct.vm_mm", g->leaf.v);
	assert_int_equal(walk(g), -EBADMSG);
	assert_int_equal(find(g, 0x1000, &found), -EBADMSG);
	world_set(g->world, vma, "vm_area_struct.vm_mm", g->mm.v);
	world_set(g->world, vma, "vm_area_struct.vm_end", 0x4000);
	assert_int_equal(walk(g), -EBADMSG);
	world_set(g->world, vma, "vm_area_struct.vm_end", 0x1000);
	assert_int_equal(walk(g), -EBADMSG);
	world_set(g->world, vma, "vm_area_struct.vm_end", 0x3000);
	world_set(g->world, vma, "vm_area_struct.vm_file", 0x1000);
	assert_int_equal(walk(g), -EBADMSG);
	world_set(g->world, vma, "vm_area_struct.vm_file", 0);
	assert_int_equal(walk(g), 1);
}

static void an_area_that_is_nowhere(void **state)
{
	struct guest *g = *state;

	add_slot(g, 0xfff, 0);
	add_slot(g, 0x1fff, world_nowhere().v);
	assert_int_equal(walk(g), -EFAULT);
	world_put(g->world, gva_add(g->leaf, 128 + 8), 0x2000);
	assert_int_equal(walk(g), -EBADMSG);
}

static void stack_and_heap(void **state)
{
	struct vma_space space = { .heap_start = 0x10000, .heap_end = 0x12800,
				   .stack_start = 0x7fff8 };
	struct vma heap = { .start = 0x10000, .end = 0x13000 };
	struct vma stack = { .start = 0x70000, .end = 0x80000 };
	struct vma part = { .start = 0x60000, .end = 0x70000, .flags = VMA_GROWSDOWN };
	struct vma other = { .start = 0x20000, .end = 0x30000 };

	(void)state;
	assert_string_equal(vma_kind(&heap, &space), "[heap]");
	assert_string_equal(vma_kind(&stack, &space), "[stack]");
	assert_string_equal(vma_kind(&part, &space), "[stack]");
	assert_string_equal(vma_kind(&other, &space), "anonymous");
}

static int alive(struct ram *ram, struct err *err)
{
	(void)ram;
	(void)err;
	return 0;
}

/* The view's copy is of a moment at which the tree was another. */
static void an_area_that_came_meanwhile(void **state)
{
	struct guest *g = *state;
	struct view *view = world_view(g->world);
	struct ram *ram = view_ram(view);
	const struct ram_ops *image = ram->ops;
	struct ram_ops ops = *image;
	uint64_t leaf;
	struct vma vma;

	ops.alive = alive;
	ram->ops = &ops;
	assert_int_equal(view_u64(view, g->leaf, &leaf, NULL), 0);
	add_vma(g, 0x1000, 0x3000, VMA_READ);
	assert_int_equal(vma_find(world_kernel(g->world), view, g->mm, 0x1000, &vma, NULL), 0);
	assert_int_equal(vma.start, 0x1000);
	ram->ops = image;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, start, end)
		TEST(areas_in_order),
		TEST(an_area_that_was_taken_out),
		TEST(areas_that_are_of_another),
		TEST(an_area_that_is_nowhere),
		TEST(an_area_that_came_meanwhile),
		TEST(stack_and_heap),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
