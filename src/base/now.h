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

#endif
