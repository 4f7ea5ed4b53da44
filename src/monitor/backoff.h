/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HVSM_MONITOR_BACKOFF_H
#define HVSM_MONITOR_BACKOFF_H

#include <stdint.h>

/*
 * When is a process that ended started again? Once is an accident, and at once is best: as long as
 * it is not there nobody does its work. One that ends again and again costs more than it does, and
 * waits twice as long each time. So long at work makes up for one end.
 */
#define BACKOFF_SERVICE_MS 5000u

/* All 0: it never ended. */
struct backoff {
	uint32_t ends;		/* that nothing made up for yet */
};

/**
 * backoff_next - it has ended
 * @served_ns: for how long it had done its work
 * @first_ms:  what the second end in a row waits for: > 0
 * @most_ms:   at most so long
 *
 * Return: how long to wait, in ns; 0: not at all.
 */
uint64_t backoff_next(struct backoff *backoff, uint64_t served_ns, uint32_t first_ms,
		      uint32_t most_ms);

#endif
