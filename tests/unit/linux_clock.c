/* SPDX-License-Identifier: Apache-2.0 */
#include "linux/clock.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/cleanup.h"
#include "make/world.h"

#define S 1000000000ll

#define COMMON                                                                            \
	{ "seqcount_t", 4, { { "sequence", 0, "u32", 0, 0, 0 } } },                       \
	{ "tk_read_base", 56, { { "clock", 0, "ptr", 0, 0, 0 } } },                       \
	{ "timekeeper", 304, {                                                            \
		{ "tkr_mono", 0, "tk_read_base", 0, 0, 0 },                               \
		{ "offs_real", 88, "u64", 0, 0, 0 }, { "offs_boot", 96, "u64", 0, 0, 0 }, \
		{ "tkr_raw", 120, "tk_read_base", 0, 0, 0 } } }

static const struct made_struct old_types[] = { COMMON };
static const struct made_struct new_types[] = { COMMON,
	{ "tk_data", 640, { { "timekeeper", 16, "timekeeper", 0, 0, 0 } } } };

static int read_clock(struct world *world, gva timekeeper, uint64_t source, int64_t real,
		      int64_t boot, struct clock *ret)
{
	world_set(world, timekeeper, "timekeeper.tkr_mono.clock", source);
	world_set(world, timekeeper, "timekeeper.tkr_raw.clock", source);
	world_set(world, timekeeper, "timekeeper.offs_real", (uint64_t)real);
	world_set(world, timekeeper, "timekeeper.offs_boot", (uint64_t)boot);
	return clock_read(world_kernel(world), world_view(world), ret, NULL);
}

static void the_clock_lies_behind_its_sequence_count(void **state)
{
	struct world *world = world_new();
	gva at = gva_add(world_symbol(world, "tk_core", 640), 8);
	struct clock clock;
	(void)state;

	world_start(world, old_types, ARRAY_SIZE(old_types));
	assert_int_equal(read_clock(world, at, 0xffffffff82000000, 1700000000 * S, 7 * S, &clock), 0);
	assert_int_equal(clock.real_minus_boot_ns, 1699999993 * S);
	assert_int_equal(clock.boot_minus_mono_ns, 7 * S);
	assert_int_equal(clock_wall_ns(&clock, 10 * S), 1700000003 * S);
	world_end(&world);
}

static void newer_kernels_have_several_clocks(void **state)
{
	struct world *world = world_new();
	gva at = gva_add(world_symbol(world, "timekeeper_data", 1280), 16);
	struct clock clock;
	(void)state;

	world_start(world, new_types, ARRAY_SIZE(new_types));
	assert_int_equal(read_clock(world, at, 0xffffffff82000000, 1700000000 * S, 0, &clock), 0);
	assert_int_equal(clock.real_minus_boot_ns, 1700000000 * S);
	world_end(&world);
}

static void forged_clocks_are_refused(void **state)
{
	struct world *world = world_new();
	gva at = gva_add(world_symbol(world, "tk_core", 640), 8);
	struct clock clock = { 1, 2 };
	(void)state;

	world_start(world, old_types, ARRAY_SIZE(old_types));
	assert_int_equal(read_clock(world, at, 0, S, 0, &clock), -EBADMSG);
	assert_int_equal(read_clock(world, at, 0x400000, S, 0, &clock), -EBADMSG);
	assert_int_equal(read_clock(world, at, 0xffffffff82000000, INT64_MAX, 0, &clock), -EBADMSG);
	assert_int_equal(read_clock(world, at, 0xffffffff82000000, INT64_MIN, 0, &clock), -EBADMSG);
	assert_int_equal(read_clock(world, at, 0xffffffff82000000, 0, -S, &clock), -EBADMSG);
	assert_int_equal(read_clock(world, at, 0xffffffff82000000, 0, INT64_MAX, &clock), -EBADMSG);
	assert_int_equal(clock.real_minus_boot_ns, 1);
	world_end(&world);
}

static void a_kernel_without_a_clock_has_none(void **state)
{
	struct world *world = world_new();
	struct clock clock;
	(void)state;

	world_start(world, old_types, ARRAY_SIZE(old_types));
	assert_int_equal(clock_read(world_kernel(world), world_view(world), &clock, NULL), -ENOENT);
	world_end(&world);
}

static void times_that_cannot_be_are_none(void **state)
{
	const struct clock past = { -10 * S, 0 }, late = { INT64_MAX - 10, 0 };
	(void)state;

	assert_int_equal(clock_wall_ns(&past, 9 * S), 0);
	assert_int_equal(clock_wall_ns(&past, 11 * S), S);
	assert_int_equal(clock_wall_ns(&late, 11), 0);
	assert_int_equal(clock_wall_ns(&past, UINT64_MAX), 0);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_clock_lies_behind_its_sequence_count),
		cmocka_unit_test(newer_kernels_have_several_clocks),
		cmocka_unit_test(forged_clocks_are_refused),
		cmocka_unit_test(a_kernel_without_a_clock_has_none),
		cmocka_unit_test(times_that_cannot_be_are_none),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
