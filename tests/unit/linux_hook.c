/* SPDX-License-Identifier: Apache-2.0 */
#include "linux/hook.h"

#include <stdarg.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "make/world.h"

/*
 * struct thing { struct plain *plain; struct inner { fn called; } inner; struct timer_list
 * { fn function; } timer; const struct thing_ops *ops; fn direct[2]; };
 */
static const struct made_struct types[] = {
	{ "nested_ops", 16, { { "deep", 0, "function" }, { "more", 8, "ptr" } } },
	{ "thing_ops", 32, {
		{ "open", 0, "function" }, { "close", 8, "function" },
		{ "nested", 16, "*nested_ops" }, { "owner", 24, "ptr" } } },
	{ "plain", 24, {
		{ "a", 0, "u64" }, { "b", 8, "u64" }, { "release", 16, "function" } } },
	{ "inner", 8, { { "called", 0, "function" } } },
	{ "timer_list", 8, { { "function", 0, "function" } } },
	{ "thing", 64, {
		{ "plain", 0, "*plain" }, { "inner", 8, "inner" }, { "timer", 16, "timer_list" },
		{ "ops", 24, "*thing_ops" }, { "direct", 32, "function", 2 },
		{ "other", 48, "*thing_ops" } } },
};

static struct world *world;
static struct hook_walk walk;
static struct err err;

static struct seen {
	char type[32], member[32];
	gva at, table, target;
} seen[32];
static uint32_t seen_n;

static int see(const struct hook *hook, void *ctx, struct err *e)
{
	struct seen *s = &seen[seen_n++];

	(void)ctx;
	(void)e;
	assert_true(seen_n < 32);
	snprintf(s->type, sizeof(s->type), "%s", hook->type);
	snprintf(s->member, sizeof(s->member), "%s", hook->member);
	s->at = hook->at;
	s->table = hook->table;
	s->target = hook->target;
	return 0;
}

static int setup(void **state)
{
	(void)state;
	world = world_new();
	world_start(world, types, sizeof(types) / sizeof(types[0]));
	seen_n = 0;
	err = (struct err){ 0 };
	hook_walk_open(world_kernel(world), world_view(world), NULL, see, NULL, &walk);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	hook_walk_close(&walk);
	world_end(&world);
	return 0;
}

static const struct seen *found(const char *member)
{
	for (uint32_t i = 0; i < seen_n; i++)
		if (!strcmp(seen[i].member, member))
			return &seen[i];
	return NULL;
}

static int members(gva at)
{
	struct hook_object object = { .mechanism = "thing", .at = at, .text = "a thing" };

	return hook_members(&walk, &object, "thing", &err);
}

static void pointers_are_found_by_their_types(void **state)
{
	gva thing = world_alloc(world, 64), ops = world_alloc(world, 32);
	gva nested = world_alloc(world, 16);

	(void)state;
	world_set(world, thing, "thing.inner.called", 0xffffffff81000010);
	world_set(world, thing, "thing.ops", ops.v);
	world_put(world, gva_add(thing, 40), 0xffffffff81000020);
	world_set(world, ops, "thing_ops.close", 0xffffffff81000030);
	world_set(world, ops, "thing_ops.nested", nested.v);
	world_set(world, nested, "nested_ops.deep", 0xffffffff81000040);
	assert_int_equal(members(thing), 0);
	assert_int_equal(seen_n, 4);
	assert_string_equal(found("called")->type, "inner");
	assert_int_equal(found("called")->at.v, thing.v + 8);
	assert_int_equal(found("called")->table.v, 0);
	assert_int_equal(found("direct")->target.v, 0xffffffff81000020);
	assert_int_equal(found("close")->table.v, ops.v);
	assert_int_equal(found("close")->at.v, ops.v + 8);
	assert_string_equal(found("deep")->type, "nested_ops");
	assert_int_equal(walk.partial.code, 0);
	assert_int_equal(walk.objects, 1);
	assert_int_equal(walk.pointers, 4);
}

/* What a timer calls counts while it is armed; and a struct is no table for one function. */
static void what_is_not_always_set_is_passed_over(void **state)
{
	gva thing = world_alloc(world, 64), plain = world_alloc(world, 24);

	(void)state;
	world_set(world, thing, "thing.timer.function", 0xffffffff81000010);
	world_set(world, thing, "thing.plain", plain.v);
	world_set(world, plain, "plain.release", 0xffffffff81000020);
	assert_int_equal(members(thing), 0);
	assert_int_equal(seen_n, 0);
}

static void a_table_is_visited_once(void **state)
{
	gva thing = world_alloc(world, 64), other = world_alloc(world, 64);
	gva ops = world_alloc(world, 32);

	(void)state;
	world_set(world, ops, "thing_ops.open", 0xffffffff81000010);
	world_set(world, thing, "thing.ops", ops.v);
	world_set(world, thing, "thing.other", ops.v);
	world_set(world, other, "thing.ops", ops.v);
	assert_int_equal(members(thing), 0);
	assert_int_equal(members(other), 0);
	assert_int_equal(seen_n, 1);
}

/* One address may be taken for a table of two types: it is looked at as both. */
static void a_table_of_two_types_is_visited_as_both(void **state)
{
	struct hook_object object = { .mechanism = "thing", .text = "a thing" };
	gva ops = world_alloc(world, 32);

	(void)state;
	world_set(world, ops, "thing_ops.close", 0xffffffff81000010);
	assert_int_equal(hook_table(&walk, &object, "nested_ops", ops, &err), 0);
	assert_int_equal(seen_n, 0);
	assert_int_equal(hook_table(&walk, &object, "thing_ops", ops, &err), 0);
	assert_int_equal(seen_n, 1);
}

static void a_table_outside_of_the_kernel_is_told(void **state)
{
	gva thing = world_alloc(world, 64);

	(void)state;
	world_set(world, thing, "thing.ops", 0x401000);
	assert_int_equal(members(thing), 0);
	assert_int_equal(seen_n, 1);
	assert_string_equal(seen[0].member, "ops");
	assert_int_equal(seen[0].target.v, 0x401000);
}

static void what_cannot_be_read_is_not_forgotten(void **state)
{
	gva thing = world_alloc(world, 64);

	(void)state;
	world_set(world, thing, "thing.ops", world_nowhere().v);
	world_put(world, gva_add(thing, 32), 0xffffffff81000020);
	assert_int_equal(members(thing), 0);
	assert_int_equal(seen_n, 1);
	assert_int_equal(walk.partial.code, -EFAULT);
	assert_int_equal(members(world_nowhere()), 0);
	assert_int_equal(seen_n, 1);
}

/* ERR_PTR(-ENOENT), as the kernel writes where there is none. */
static void an_error_is_no_table(void **state)
{
	gva thing = world_alloc(world, 64);

	(void)state;
	world_set(world, thing, "thing.ops", (uint64_t)-2);
	assert_int_equal(members(thing), 0);
	assert_int_equal(seen_n, 0);
	assert_int_equal(walk.partial.code, 0);
}

static void a_type_that_is_not_there_is_told(void **state)
{
	struct hook_object object = { .mechanism = "thing", .text = "a thing" };

	(void)state;
	assert_int_equal(hook_members(&walk, &object, "nothing", &err), -ENOENT);
	assert_non_null(strstr(err.text, "nothing"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(pointers_are_found_by_their_types, setup, teardown),
		cmocka_unit_test_setup_teardown(what_is_not_always_set_is_passed_over, setup,
						teardown),
		cmocka_unit_test_setup_teardown(a_table_is_visited_once, setup, teardown),
		cmocka_unit_test_setup_teardown(a_table_of_two_types_is_visited_as_both, setup,
						teardown),
		cmocka_unit_test_setup_teardown(a_table_outside_of_the_kernel_is_told, setup,
						teardown),
		cmocka_unit_test_setup_teardown(what_cannot_be_read_is_not_forgotten, setup,
						teardown),
		cmocka_unit_test_setup_teardown(an_error_is_no_table, setup, teardown),
		cmocka_unit_test_setup_teardown(a_type_that_is_not_there_is_told, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
