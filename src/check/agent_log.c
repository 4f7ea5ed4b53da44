/* SPDX-License-Identifier: Apache-2.0 */
#include "base/limits.h"
#include "check/agent.h"

/* The log is whole, and only grows: keeper/follow.c. */

static int agent_log_run(struct check_run *run, struct err *err)
{
	const struct keeper_agent *agent;
	int r = agent_topic(run, KEEPER_LOG, &agent, err);

	if (agent)
		check_covered(run, "records", agent->log_records);
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
