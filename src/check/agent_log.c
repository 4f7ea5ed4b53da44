/* SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>

#include "base/limits.h"
#include "check/agent.h"
#include "keeper/measured.h"

/* The log is whole, and only grows: keeper/follow.c. */

#define NS_PER_S 1000000000u

/*
 * A file whose event was lost may have run and ended without being measured. That never comes
 * back, so the reader is told when it was.
 */
static void tell_lost(struct check_run *run, const struct measured *measured)
{
	if (measured && measured->lost)
		check_inconclusive(run, "%" PRIu64 " events were lost, %" PRIu64 " to %" PRIu64
				   " s after the guest's boot: what ran then may not have been "
				   "measured", measured->lost, measured->lost_first_ns / NS_PER_S,
				   measured->lost_last_ns / NS_PER_S);
}

static int agent_log_run(struct check_run *run, struct err *err)
{
	const struct keeper_agent *agent;
	int r = agent_topic(run, KEEPER_LOG, &agent, err);

	if (agent) {
		check_covered(run, "records", agent->log_records);
		tell_lost(run, keeper_measured(check_keeper(run)));
	}
	return r;
}

CHECK(agent_log,
	.id = "agent-log",
	.group = GROUP_AGENT,
	.title = "Agent's log was tampered with",
	.proves = "The agent's log is a chain of records without a gap from its start to its "
		  "head, and an extension of what earlier sweeps of this boot saw (docs/agent.md).",
	.techniques = TECHNIQUES("T1070", "T1562.001"),
	.fuel_max = VIEW_FUEL_SWEEP,
	.run = agent_log_run);
