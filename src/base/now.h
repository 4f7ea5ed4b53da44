/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HVSM_BASE_NOW_H
#define HVSM_BASE_NOW_H

#include <stdint.h>
#include <time.h>

/* The host's time in nanoseconds; @clock is one that every Linux has, so it cannot fail. */
static inline uint64_t now_ns(clockid_t clock)
{
	struct timespec t = {0};

	clock_gettime(clock, &t);
	return (uint64_t)t.tv_sec * 1000000000ull + (uint64_t)t.tv_nsec;
}

/*
 * When something was, as a clock has it that may have been set since: @real is CLOCK_REALTIME now,
 * @boot what CLOCK_BOOTTIME was then. Never after @real.
 */
static inline uint64_t now_since_ns(uint64_t real, uint64_t boot)
{
	uint64_t ago = now_ns(CLOCK_BOOTTIME) - boot;

	return real > ago ? real - ago : 0;
}

#endif
