/* SPDX-License-Identifier: Apache-2.0 */
#include "monitor/behaviour.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/limits.h"
#include "make/kernel.h"

/*
 * A kernel with a clock and nothing that could be looked at: each view fails, which is an event
 * after some looks.
 */
static struct {
	struct memory m;
	struct kernel_in in;
	struct ram *ram;
	struct view *view;
	struct kernel *kernel;
	struct behaviour *behaviour;
	unsigned told[EVENT_KINDS];
	uint64_t ticks;
} g;

static void tell(const struct event *event, void *ctx)
{
	(void)ctx;
	assert_non_null(event->object);
	assert_true(event->after_ns <= event->before_ns);
	g.told[event->kind]++;
}

static int start(void **state)
{
	(void)state;
	memset(&g, 0, sizeof(g));
	g.in = kernel_in_default();
	kernel_make(&g.m, &g.in);
	g.view = memory_view(&g.m, VIEW_FUEL_ATTACH, &g.ram);
	g.ticks = 0x100012345;
	if (kernel_open(g.view, &g.kernel, NULL) < 0)
		return -1;
	return behaviour_open(EVENTS_ALL, &g.behaviour);
}

static int end(void **state)
{
	(void)state;
	behaviour_close(&g.behaviour);
	kernel_close(&g.kernel);
	view_close(&g.view);
	ram_close(&g.ram);
	memory_free(&g.m);
	return 0;
}

static void tick(uint64_t n)
{
	g.ticks += n;
	memory_u64(&g.m, g.in.image + KERNEL_JIFFIES, g.ticks);
}

static int look(void)
{
	return behaviour_look(g.behaviour, g.kernel, g.view, tell, NULL, NULL);
}

static int settle(void)
{
	return behaviour_settle(g.behaviour, g.kernel, g.view, tell, NULL, NULL);
}

static void what_was_found_waits_for_the_clock(void **state)
{
	(void)state;
	assert_int_equal(look(), 1);
	assert_int_equal(settle(), 1);
	assert_int_equal(g.told[EVENT_WATCH], 0);
	tick(1);
	assert_int_equal(settle(), 0);
	assert_int_equal(g.told[EVENT_WATCH], 1);
	assert_int_equal(settle(), 0);
	assert_int_equal(g.told[EVENT_WATCH], 1);
}

static void the_next_look_tells_too(void **state)
{
	(void)state;
	assert_int_equal(look(), 1);
	tick(1);
	assert_int_equal(look(), 0);
	assert_int_equal(g.told[EVENT_WATCH], 1);
}

static void views_that_fail_are_told(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 6; i++) {
		assert_true(look() >= 0);
		assert_int_equal(g.told[EVENT_LOOK_INCOMPLETE], 0);
		tick(1);
		if (i < 4)
			assert_true(settle() >= 0);
		else
			break;
	}
	assert_int_equal(settle(), 0);
	assert_in_range(g.told[EVENT_LOOK_INCOMPLETE], 1, 6);
}

static void another_boot_ends_it(void **state)
{
	(void)state;
	assert_int_equal(look(), 1);
	memory_u64(&g.m, g.in.image + KERNEL_INIT_TASK, 0x998877);
	tick(1);
	assert_int_equal(look(), -ESTALE);
	assert_int_equal(g.told[EVENT_WATCH], 0);

	/* What the old kernel's memory seemed to say is never told. */
	behaviour_reboot(g.behaviour, "old", "new", tell, NULL);
	assert_int_equal(g.told[EVENT_REBOOT], 1);
	kernel_close(&g.kernel);
	view_refresh(g.view);
	view_refuel(g.view, VIEW_FUEL_ATTACH);
	assert_int_equal(kernel_open(g.view, &g.kernel, NULL), 0);
	assert_int_equal(look(), 1);
	tick(1);
	assert_int_equal(settle(), 0);
	assert_int_equal(g.told[EVENT_WATCH], 1);
}

static void a_clock_that_jumps_is_none(void **state)
{
	(void)state;
	assert_int_equal(look(), 1);
	tick(1u << 30);
	assert_int_equal(look(), -ESTALE);
}

static void what_is_not_wanted_is_not_looked_at(void **state)
{
	(void)state;
	behaviour_close(&g.behaviour);
	assert_int_equal(behaviour_open(EVENT_BIT(EVENT_REBOOT), &g.behaviour), 0);
	for (unsigned i = 0; i < 8; i++) {
		assert_int_equal(look(), 0);
		tick(1);
	}
	for (unsigned i = 0; i < EVENT_KINDS; i++)
		assert_int_equal(g.told[i], 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, start, end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(what_was_found_waits_for_the_clock),
		TEST(the_next_look_tells_too),
		TEST(views_that_fail_are_told),
		TEST(another_boot_ends_it),
		TEST(a_clock_that_jumps_is_none),
		TEST(what_is_not_wanted_is_not_looked_at),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
