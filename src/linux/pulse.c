/* SPDX-License-Identifier: Apache-2.0 */
#include "linux/pulse.h"

#include <unistd.h>

#include "base/now.h"

#define POLL_US 5000u

/* More ticks or updates than any wait of ours sees; 1000 Hz for over 15 minutes. */
#define STEP_MAX (1u << 20)

int pulse_read(const struct kernel *kernel, struct view *view, struct pulse *ret, struct err *err)
{
	struct pulse pulse = {0};
	gva at;
	int r;

	r = kernel_symbol(kernel, "jiffies_64", &at, err);
	if (r >= 0)
		r = view_u64(view, at, &pulse.ticks, err);
	if (r < 0)
		return r;
	/* The first word of it is the sequence count (kernel/time/timekeeping.c). */
	at = symbols_lookup(kernel->symbols, "tk_core");
	if (at.v)
		r = view_u32(view, at, &pulse.updates, err);
	if (r >= 0)
		*ret = pulse;
	return r;
}

int pulse_wait(const struct kernel *kernel, struct view *view, const struct pulse *since,
	       uint32_t wait_ms, struct err *err)
{
	uint64_t end = now_ns(CLOCK_MONOTONIC) + wait_ms * 1000000ull;
	struct pulse now;
	int r;

	for (;;) {
		view_refresh(view);
		r = pulse_read(kernel, view, &now, err);
		if (r < 0)
			return r;
		if (now.ticks - since->ticks > STEP_MAX || now.updates - since->updates > STEP_MAX)
			return err_set(err, -ESTALE, "the guest's clock jumped: it was reset, or "
				       "something else lies there now");
		if (now.ticks != since->ticks)
			return 0;
		if (now_ns(CLOCK_MONOTONIC) >= end)
			return err_set(err, -ESTALE,
				       "the guest's clock stands still: it is paused, or was "
				       "reset and has not booted yet");
		usleep(POLL_US);
	}
}

struct state_fields {
	struct field running;
};

static const struct member state_members[] = {
	MEMBER(struct state_fields, running, "enum system_states.SYSTEM_RUNNING"),
};
LAYOUT(state_layout, struct state_fields, state_members);

int pulse_booting(const struct kernel *kernel, struct view *view, struct err *err)
{
	const struct state_fields *f;
	struct pulse pulse;
	uint32_t state;
	gva at;
	int r;

	r = types_layout(kernel->types, &state_layout, (const void **)&f, err);
	if (r >= 0)
		r = kernel_symbol(kernel, "system_state", &at, err);
	if (r >= 0)
		r = view_u32(view, at, &state, err);
	if (r >= 0)
		r = pulse_read(kernel, view, &pulse, err);
	if (r < 0)
		return r;
	return state < f->running.at && pulse.ticks <= UINT32_MAX;
}
