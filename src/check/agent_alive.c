/* SPDX-License-Identifier: Apache-2.0 */
#include "base/limits.h"
#include "check/agent.h"

/* The agent runs: keeper/alive.c, and its heartbeat. */

static int agent_alive_run(struct check_run *run, struct err *err)
{
	const struct keeper_agent *agent;
	int r = agent_topic(run, KEEPER_ALIVE, &agent, err);

	if (agent)
		check_covered(run, "agents", 1);
	return r;
}

CHECK(agent_alive,
	.id = "agent-alive",
	.group = GROUP_AGENT,
	.title = "Agent does not run",
	.proves = "The agent is not stopped and not frozen, and its heart beats by the guest's own "
		  "clock (docs/agent.md).",
	.techniques = TECHNIQUES("T1562.001"),
	.fuel_max = VIEW_FUEL_SWEEP,
	.run = agent_alive_run);
