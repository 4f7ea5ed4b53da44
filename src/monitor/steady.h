/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HVSM_MONITOR_STEADY_H
#define HVSM_MONITOR_STEADY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * Whether the host's clock is to be believed. Nobody can set CLOCK_BOOTTIME, so the other one was
 * set where it differs more, or less, from it than before (clock_gettime(2)): slewing, as NTP does
 * it, moves both. A clock that was set may be set back, by who noticed; what cannot be undone waits
 * until it stood for STEADY_NS. Pure but for steady_read(): the times are given from outside.
 *
 * Who keeps one may hand it to another process of this boot, which goes on from there: so that
 * nobody who has that one started again and again has it wait without end.
 */
#define STEADY_NS (3600ull * 1000000000)

/* What a leap second, or a small step of NTP's, moves it by is no jump. All steps add up. */
#define STEADY_JUMP_NS (10ll * 1000000000)

/* All 0: nothing is known yet. */
struct steady {
	bool begun;
	bool known;		/* @base_ns is there */
	bool stands;		/* it has, for STEADY_NS */
	int64_t base_ns;	/* real − boot, as it last stood for STEADY_NS */
	int64_t seen_ns;	/* real − boot, as the last jump left it */
	uint64_t since_ns;	/* when that was, CLOCK_BOOTTIME */
};

/**
 * steady_look - see how the clock is; to be called about once a second
 * @real: CLOCK_REALTIME
 * @boot: CLOCK_BOOTTIME, at the same moment
 *
 * Return: by how much it jumped since the last call, in ns; 0: it did not.
 */
int64_t steady_look(struct steady *steady, uint64_t real, uint64_t boot);

/* Both clocks, at the same moment. False: others ran in between; the next time will tell. */
bool steady_read(uint64_t *real, uint64_t *boot);

/* "the host's clock was set back by 7 s": of what steady_look() returned. Returns @text. */
char *steady_jump_text(int64_t by, char *text, size_t size);

/* Has it stood for STEADY_NS, as of the last look? */
bool steady_is(const struct steady *steady);

/**
 * steady_time - the time to act by
 * After a jump it goes on as it did before, until that clock stood for STEADY_NS. Where none ever
 * did it is @real.
 *
 * Return: ns since 1970.
 */
uint64_t steady_time(const struct steady *steady, uint64_t real, uint64_t boot);

#endif
