/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HVSM_LINUX_PULSE_H
#define HVSM_LINUX_PULSE_H

#include "linux/kernel.h"

/*
 * Does the kernel that was found in memory run, or is it what a reset left behind? After a
 * warm reset the old kernel lies there, complete and consistent, until firmware, boot loader
 * or the next kernel write over it. What gives it away is that its clocks stand still.
 */

struct pulse {
	uint64_t ticks;		/* jiffies_64 */
	uint32_t updates;	/* of the timekeeper: only to see it jump */
};

/**
 * pulse_read - where the kernel's clocks stand
 * To be read on a fresh view.
 *
 * Return: 0, -ENOENT (a kernel without these clocks), or an error as view_read().
 */
nodiscard int pulse_read(const struct kernel *kernel, struct view *view, struct pulse *ret,
			 struct err *err);

/**
 * pulse_wait - wait until the clocks have moved on from @since
 * An idle guest without a tick (NO_HZ) wakes up some times a second. The view is refreshed.
 *
 * Return: 0 (it runs), -ESTALE (it stood still for @wait_ms: paused, or the remains of a
 *         kernel; or the clocks jumped: something else lies there now), or an error as
 *         pulse_read().
 */
nodiscard int pulse_wait(const struct kernel *kernel, struct view *view,
			 const struct pulse *since, uint32_t wait_ms, struct err *err);

/**
 * pulse_booting - is the kernel still on its way up?
 * Until init runs, a kernel patches itself, frees its init code and builds what checks look
 * at. It is believed for the first five minutes only: jiffies_64 starts 300 s below 2^32
 * (INITIAL_JIFFIES) so that its wrap is seen early, and so tells how long ago that was.
 *
 * Return: 1 (booting), 0 (no), or an error as pulse_read().
 */
nodiscard int pulse_booting(const struct kernel *kernel, struct view *view, struct err *err);

#endif
