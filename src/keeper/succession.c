/* SPDX-License-Identifier: Apache-2.0 */
#include "keeper/succession.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define NS_PER_MS    1000000u
#define TOLD_NS	     86400000000000ull	/* a restart: a day, so that a daily look sees it */

static bool is_open(const struct succession *succession)
{
	return succession->there && !succession->told && !succession->before.mark.full;
}

void succession_begin(struct succession *succession, const struct memory *before,
		      uint64_t began_ns)
{
	if (is_open(succession))
		return;
	*succession = (struct succession){
		.there = true, .before = *before, .began_ns = began_ns,
		.settled = before->mark.ended, .told = before->mark.ended,
	};
	if (!before->mark.ended)
		return;
	succession->end = (struct agent_ended){
		.started_ns = before->began_ns, .ended_ns = before->seen_ns,
		.log_records = before->mark.sequence, .log_bytes = before->mark.offset,
	};
}

bool succession_is_of(const struct memory *before, const struct agent_ended *end)
{
	return before->began_ns && (int64_t)end->pid == before->pid &&
	       end->started_ns == before->began_ns;
}

bool succession_fits(const struct memory *before, const struct agent_ended *end,
		     uint64_t next_ns)
{
	bool is_same = end->log_records == before->mark.sequence;

	if (!succession_is_of(before, end))
		return false;
	if (end->log_records < before->mark.sequence || end->log_bytes < before->mark.offset ||
	    is_same != (end->log_bytes == before->mark.offset))
		return false;
	if (is_same &&
	    memcmp(end->log_head, before->mark.chain, sizeof(before->mark.chain)) != 0)
		return false;
	/* A full log ends as it is; any other has one more record, which says that it ends. */
	if (is_same != before->mark.full)
		return false;
	return end->ended_ns >= before->seen_ns && end->ended_ns <= next_ns;
}

void succession_settle(struct succession *succession, const struct follow *follow, bool running)
{
	if (!succession->there || succession->settled || !follow->mark.sequence)
		return;
	for (uint32_t i = 0; i < follow->ancestors_n; i++) {
		const struct agent_ended *end = &follow->ancestors[i];

		if (!succession_is_of(&succession->before, end))
			continue;
		succession->told = succession_fits(&succession->before, end, follow->started_ns);
		succession->end = *end;
		succession->settled = true;
		return;
	}
	succession->settled = running || follow->measures;
}

bool succession_is_replaced(const struct succession *succession)
{
	return is_open(succession) && succession->settled;
}

/* "PID 812 ended 61 s after the guest's boot". */
static void tell_restart(const struct succession *succession, struct look *look)
{
	const struct memory *before = &succession->before;
	const struct agent_ended *end = &succession->end;
	uint64_t absent = succession->began_ns > end->ended_ns ?
			  succession->began_ns - end->ended_ns : 0;
	const struct told told = {
		.topic = KEEPER_PRESENCE, .weight = KEEPER_LOW, .at = look->agent->task,
		.object = "restart", .title = "Agent was told to end, and started again",
		.what = "agent", .expected = "one agent, from the guest's start on",
	};

	look_tell(look, &told, "PID %d ended %" PRIu64 " ms after the guest's boot, as it was "
		  "told to, with %" PRIu64 " records that this host has not seen; the next one "
		  "began %" PRIu64 " ms later: what ran and ended in between was not measured",
		  before->pid, end->ended_ns / NS_PER_MS,
		  end->log_records - before->mark.sequence, absent / NS_PER_MS);
}

static void tell_replaced(const struct succession *succession, struct look *look, bool is_well)
{
	const struct memory *before = &succession->before;
	const struct keeper_agent *agent = look->agent;
	char expected[128];
	const struct told told = {
		.topic = KEEPER_PRESENCE, .weight = is_well ? KEEPER_MEDIUM : KEEPER_HIGH,
		.at = agent->task, .object = "another agent",
		.title = strcmp(before->build_id, agent->build_id) != 0 ?
			 "Agent was replaced by another build" :
			 "Agent was replaced by another one",
		.expected = expected,
	};

	snprintf(expected, sizeof(expected), "PID %d, build %.16s, or its word that it ends",
		 before->pid, before->build_id);
	look_tell(look, &told, "PID %d, build %.16s; the other ended after %" PRIu64 " records "
		  "at least, and without a word%s. There was none between %" PRIu64 " and %" PRIu64
		  " ms after the guest's boot, or for a part of that time",
		  agent->pid, agent->build_id, before->mark.sequence,
		  succession->end.pid ? " that can be true" : "", before->seen_ns / NS_PER_MS,
		  succession->began_ns / NS_PER_MS);
}

void succession_tell(const struct succession *succession, struct look *look, bool agent_is_well,
		     uint64_t now_ns)
{
	if (!succession->there)
		return;
	if (succession->told) {
		if (now_ns < succession->began_ns || now_ns - succession->began_ns < TOLD_NS)
			tell_restart(succession, look);
	} else if (!succession->settled)
		look_unseen(look, KEEPER_PRESENCE, "another agent than before, PID %d, and its log "
			    "does not say yet whom it follows", look->agent->pid);
	else if (succession->before.mark.full)
		look_unseen(look, KEEPER_PRESENCE, "another agent than before: the log of PID %d "
			    "was full, and nobody says that it was told to end",
			    succession->before.pid);
	else
		tell_replaced(succession, look, agent_is_well);
}
