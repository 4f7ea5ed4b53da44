/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HVSM_KEEPER_SUCCESSION_H
#define HVSM_KEEPER_SUCCESSION_H

#include "keeper/follow.h"

/*
 * Which agent is followed, and how it came that it is another one than before: was that one told
 * to end, or did it just go? Both are remembered over runs of hvsm, so there are no pointers.
 */
struct memory {
	bool there;
	char build_id[41];
	int32_t pid;
	uint64_t start_ns;	/* of its task */
	uint64_t began_ns;	/* as its log says; 0: that was not read yet */
	uint64_t seen_ns;	/* its newest heartbeat, or record */
	uint64_t bias;
	struct log_mark mark;
};

struct succession {
	bool there;
	bool settled;		/* the new one's log was asked: it stays as it is */
	bool told;		/* the one before was told to end, and did … */
	struct agent_ended end;	/* … as this says: its own last record, or the next one's log */
	struct memory before;
	uint64_t began_ns;	/* when the next one began */
};

/**
 * succession_begin - another agent is followed from now on
 * @before:   the one that was
 * @began_ns: when the new one's process began
 *
 * What is not told yet goes before: one that was killed is not forgotten because others, which
 * were told to end, come after it.
 */
void succession_begin(struct succession *succession, const struct memory *before,
		      uint64_t began_ns);

/**
 * succession_settle - what the new one's log says of those that it follows
 * @follow:  of that log, which was proved; nothing is decided before all of that was read
 * @running: the agent has started, so that all of it has been written
 */
void succession_settle(struct succession *succession, const struct follow *follow, bool running);

/* Does this speak of that agent … */
bool succession_is_of(const struct memory *before, const struct agent_ended *end);

/* … and can it be true, by what was seen of its log? @next_ns: when the next one started. */
bool succession_fits(const struct memory *before, const struct agent_ended *end,
		     uint64_t next_ns);

/* Did an agent go without a word that could have left one, and was another put in its place? */
bool succession_is_replaced(const struct succession *succession);

/**
 * succession_tell - tell of it
 * @agent_is_well: the new one is proved, and runs
 * @now_ns: by the guest's clock: a restart is told for a day
 */
void succession_tell(const struct succession *succession, struct look *look, bool agent_is_well,
		     uint64_t now_ns);

#endif
