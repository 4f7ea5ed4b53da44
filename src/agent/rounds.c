/* SPDX-License-Identifier: Apache-2.0 */

#include "agent/rounds.h"

#define SHARE	    100		/* one part of so many is spent on rounds */
#define SHARE_EARLY 10

/* After @took_ns of work: not more of a pause than the most. */
static uint64_t pause_of(uint64_t took_ns, uint64_t share, uint64_t least_ns)
{
	uint64_t pause = took_ns < AGENT_ROUND_MAX_NS / share ? took_ns * share :
			 AGENT_ROUND_MAX_NS;

	return pause < least_ns ? least_ns : pause;
}

void rounds_begin(struct rounds *rounds, uint64_t now_ns)
{
	rounds->begun_ns = now_ns;
	rounds->took_ns = 0;
	rounds->in_round = true;
	rounds->early = false;
	/* Where it never ends, since its thread hangs, another one begins. */
	rounds->due_ns = now_ns + ROUND_NS;
}

void rounds_took(struct rounds *rounds, uint64_t took_ns)
{
	rounds->took_ns += took_ns;
}

uint64_t rounds_end(struct rounds *rounds, uint64_t now_ns)
{
	uint64_t period;

	rounds->in_round = false;
	rounds->ended_ns = now_ns;
	rounds->due_ns = now_ns + pause_of(rounds->took_ns, SHARE, ROUND_NS);
	period = rounds->due_ns - rounds->begun_ns;
	if (rounds->early)
		rounds_hurry(rounds);
	return period;
}

void rounds_hurry(struct rounds *rounds)
{
	uint64_t due;

	rounds->early = rounds->in_round;
	if (rounds->in_round)
		return;
	due = rounds->ended_ns + pause_of(rounds->took_ns, SHARE_EARLY, ROUND_EARLY_NS);
	if (due < rounds->due_ns)
		rounds->due_ns = due;
}
