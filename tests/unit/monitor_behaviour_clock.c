/* SPDX-License-Identifier: Apache-2.0 */

/* Somebody sets the host's clock between two looks. */
#include "monitor/behaviour.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <cmocka.h>

#include "base/limits.h"
#include "make/kernel.h"

#define S 1000000000ull

/* The linker leads calls of this here; see meson.build. */
int __wrap_clock_gettime(clockid_t clock, struct timespec *ret);

static struct {
	struct memory m;
	struct kernel_in in;
	struct ram *ram;
	struct view *view;
	struct kernel *kernel;
	struct behaviour *behaviour;
	uint64_t now, set;	/* since the host was started; what the clock is ahead of that */
	uint64_t looked;	/* when the last but one began, as @now */
	unsigned told;
} g;

/* Each call takes a moment. */
int __wrap_clock_gettime(clockid_t clock, struct timespec *ret)
{
	uint64_t t = (g.now += 1000) + (clock == CLOCK_REALTIME ? g.set : 0);

	ret->tv_sec = (time_t)(t / S);
	ret->tv_nsec = (long)(t % S);
	return 0;
}

/* All happened between that look and now, whatever the clock said then. */
static void tell(const struct event *event, void *ctx)
{
	(void)ctx;
	assert_true(event->after_ns <= event->before_ns);
	assert_true(event->before_ns <= g.now + g.set);
	assert_in_range(event->after_ns - g.set, g.looked - S / 100, g.looked + S / 100);
	g.told++;
}

static void look(void)
{
	assert_true(behaviour_look(g.behaviour, g.kernel, g.view, tell, NULL, NULL) >= 0);
}

static void tick(uint64_t n)
{
	static uint64_t ticks = 0x100012345;

	memory_u64(&g.m, g.in.image + KERNEL_JIFFIES, ticks += n);
}

/* A guest that stands still is paused since its clock was last seen to move. */
static void windows_follow_the_clock(void **state)
{
	const int64_t jumps[] = { 0, 3600 * (int64_t)S, -3600 * (int64_t)S, -(1ll << 60) };

	(void)state;
	for (size_t i = 0; i < sizeof(jumps) / sizeof(*jumps); i++) {
		memset(&g, 0, sizeof(g));
		g.now = 1000 * S;
		g.set = (1ull << 60) + 86400 * S;
		g.in = kernel_in_default();
		kernel_make(&g.m, &g.in);
		g.view = memory_view(&g.m, VIEW_FUEL_ATTACH, &g.ram);
		assert_int_equal(kernel_open(g.view, &g.kernel, NULL), 0);
		assert_int_equal(behaviour_open(EVENT_BIT(EVENT_PAUSED) | EVENT_BIT(EVENT_RESUMED),
						&g.behaviour), 0);
		look();
		tick(1);
		g.looked = g.now;
		look();
		g.now += 20 * S;
		g.set += (uint64_t)jumps[i];
		look();
		assert_int_equal(g.told, 1);
		g.set -= (uint64_t)jumps[i] / 2;
		g.now += S;
		tick(1);
		look();
		assert_int_equal(g.told, 2);
		behaviour_close(&g.behaviour);
		kernel_close(&g.kernel);
		view_close(&g.view);
		ram_close(&g.ram);
		memory_free(&g.m);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(windows_follow_the_clock),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
