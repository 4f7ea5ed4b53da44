/* SPDX-License-Identifier: Apache-2.0 */
#include "linux/pulse.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>

#include "base/limits.h"
#include "make/kernel.h"

static struct {
	struct memory m;
	struct kernel_in in;
	struct ram *ram;
	struct view *view;
	struct kernel *kernel;
	struct pulse pulse;
} g;

static int start(void **state)
{
	(void)state;
	g.in = kernel_in_default();
	kernel_make(&g.m, &g.in);
	g.view = memory_view(&g.m, VIEW_FUEL_ATTACH, &g.ram);
	if (kernel_open(g.view, &g.kernel, NULL) < 0)
		return -1;
	return pulse_read(g.kernel, g.view, &g.pulse, NULL);
}

static int end(void **state)
{
	(void)state;
	kernel_close(&g.kernel);
	view_close(&g.view);
	ram_close(&g.ram);
	memory_free(&g.m);
	return 0;
}

static void set(uint64_t at, uint64_t value)
{
	memory_u64(&g.m, g.in.image + at, value);
	view_refresh(g.view);
}

static int wait_for(uint64_t ticks)
{
	set(KERNEL_JIFFIES, ticks);
	return pulse_wait(g.kernel, g.view, &g.pulse, 1, NULL);
}

static void clock_that_moved_on_is_a_sign_of_life(void **state)
{
	(void)state;
	assert_int_equal(g.pulse.ticks, 0x100012345);
	assert_int_equal(wait_for(g.pulse.ticks + 1), 0);
	assert_int_equal(wait_for(g.pulse.ticks + 100000), 0);
}

static void clock_that_stands_still_is_none(void **state)
{
	(void)state;
	assert_int_equal(wait_for(g.pulse.ticks), -ESTALE);
}

static void clock_that_jumps_is_none(void **state)
{
	(void)state;
	assert_int_equal(wait_for(g.pulse.ticks - 1), -ESTALE);
	assert_int_equal(wait_for(0), -ESTALE);
	assert_int_equal(wait_for(g.pulse.ticks + (1ull << 32)), -ESTALE);
}

static void kernel_is_up_once_it_says_so(void **state)
{
	(void)state;
	assert_int_equal(pulse_booting(g.kernel, g.view, NULL), 0);
	set(KERNEL_STATE, 2);
	set(KERNEL_JIFFIES, 0xfffffff0);	/* where Linux begins to count */
	assert_int_equal(pulse_booting(g.kernel, g.view, NULL), 1);
	/* A guest that lies of itself has run for five minutes by then. */
	set(KERNEL_JIFFIES, 0x100000000);
	assert_int_equal(pulse_booting(g.kernel, g.view, NULL), 0);
}

static void clock_that_cannot_be_read_is_an_error(void **state)
{
	struct pulse pulse = { .ticks = 5 };

	(void)state;
	memory_map(&g.m, g.kernel->space, g.in.text, 0, 2, 0);
	view_refresh(g.view);
	assert_int_equal(pulse_read(g.kernel, g.view, &pulse, NULL), -EFAULT);
	assert_int_equal(pulse.ticks, 5);
	assert_int_equal(pulse_wait(g.kernel, g.view, &g.pulse, 1, NULL), -EFAULT);
	assert_int_equal(pulse_booting(g.kernel, g.view, NULL), -EFAULT);
}

#define T(name) cmocka_unit_test_setup_teardown(name, start, end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(clock_that_moved_on_is_a_sign_of_life),
		T(clock_that_stands_still_is_none),
		T(clock_that_jumps_is_none),
		T(kernel_is_up_once_it_says_so),
		T(clock_that_cannot_be_read_is_an_error),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
