/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HVSM_AGENT_ROUNDS_H
#define HVSM_AGENT_ROUNDS_H

#include <stdbool.h>
#include <stdint.h>

#include "agent/format.h"

/*
 * When all processes are looked at. A round costs more in a guest with more of them, so the pause
 * after it is as long as keeps rounds at 1 % of a core; from ROUND_NS to AGENT_ROUND_MAX_NS. One
 * that is asked for early, as users can make that needed at any time, may have 10 %.
 *
 * Times are CLOCK_MONOTONIC in ns, those that a round took of the processor's time.
 */
#define ROUND_NS	15000000000ull
#define ROUND_EARLY_NS	200000000ull

struct rounds {
	uint64_t begun_ns, ended_ns;	/* of the newest round */
	uint64_t took_ns;		/* … as far as it has gone */
	uint64_t due_ns;		/* when the next one is; 0: at once */
	bool in_round;
	bool early;			/* the next one was asked for early */
};

void rounds_begin(struct rounds *rounds, uint64_t now_ns);

/* @took_ns more were spent on it. */
void rounds_took(struct rounds *rounds, uint64_t took_ns);

/* Returns from the begin of this one to that of the next. */
uint64_t rounds_end(struct rounds *rounds, uint64_t now_ns);

/* Something is known to have been missed: a round as soon as may be, after the one that goes on. */
void rounds_hurry(struct rounds *rounds);

#endif
