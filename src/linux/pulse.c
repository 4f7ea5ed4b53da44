/* SPDX-License-Identifier: Apache-2.0 */
#include "linux/pulse.h"

#include <unistd.h>

#include "base/now.h"

#define POLL_US 5000u

int pulse_read(const struct kernel *kernel, struct view *view, uint64_t *ret, struct err *err)
{
	gva jiffies, timekeeper;
	uint64_t ticks;
	uint32_t updates = 0;
	int r;

	r = kernel_symbol(kernel, "jiffies_64", &jiffies, err);
	if (r >= 0)
		r = view_u64(view, jiffies, &ticks, err);
	/* Its first word is the sequence count of kernel/time/timekeeping.c. */
	if (r >= 0)
		timekeeper = symbols_lookup(kernel->symbols, "tk_core");
	if (r >= 0 && timekeeper.v)
		r = view_u32(view, timekeeper, &updates, err);
	if (r < 0)
		return r;
	*ret = ticks + ((uint64_t)updates << 40);
	return 0;
}

int pulse_wait(const struct kernel *kernel, struct view *view, uint64_t since, uint32_t wait_ms,
	       struct err *err)
{
	uint64_t end = now_ns(CLOCK_MONOTONIC) + wait_ms * 1000000ull, now;
	int r;

	for (;;) {
		view_refresh(view);
		r = pulse_read(kernel, view, &now, err);
		if (r < 0)
			return r;
		if (now != since)
			return 0;
		if (now_ns(CLOCK_MONOTONIC) >= end)
			return err_set(err, -ESTALE, "the guest's clock stands still: it is paused, "
				       "or was reset and has not booted yet");
		usleep(POLL_US);
	}
}
