/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HVSM_LINUX_CLOCK_H
#define HVSM_LINUX_CLOCK_H

#include "linux/kernel.h"

/* The guest's clocks, as its timekeeper relates them (kernel/time/timekeeping.c). */
struct clock {
	int64_t real_minus_boot_ns;	/* CLOCK_REALTIME − CLOCK_BOOTTIME */
	int64_t boot_minus_mono_ns;	/* time spent suspended */
};

/**
 * clock_read - how the guest's clocks stand to each other
 * Return: 0, -ENOENT (no timekeeper found), -EBADMSG (it contradicts itself; may be an update
 *         in flight), or an error as view_read().
 */
nodiscard int clock_read(const struct kernel *kernel, struct view *view, struct clock *ret,
			 struct err *err);

/**
 * clock_boot_now - CLOCK_BOOTTIME, as of the last time that the guest's kernel kept its clock
 * That is the last tick; a guest that is idle altogether may be some seconds further.
 *
 * Return: as clock_read().
 */
nodiscard int clock_boot_now(const struct kernel *kernel, struct view *view, uint64_t *ret_ns,
			     struct err *err);

/* A time since boot as wall clock time (ns since 1970); 0 where it would be negative. */
uint64_t clock_wall_ns(const struct clock *clock, uint64_t boot_ns);

#endif
