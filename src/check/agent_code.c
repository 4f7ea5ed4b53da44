/* SPDX-License-Identifier: Apache-2.0 */
#include "base/limits.h"
#include "check/agent.h"

/* The agent is the program that the host knows, and nothing besides: keeper/prove.c. */

static int agent_code_run(struct check_run *run, struct err *err)
{
	const struct keeper_agent *agent;
	int r = agent_topic(run, KEEPER_CODE, &agent, err);

	if (agent)
		check_covered(run, "pages", agent->pages);
	/* The agent sees what its kernel shows it. */
	if (agent && !check_reference(run))
		check_note(run, "the kernel beneath it has no reference to be compared with");
	return r;
}

CHECK(agent_code,
	.id = "agent-code",
	.group = GROUP_AGENT,
	.title = "Agent's memory is not as it must be",
	.proves = "Every page of the agent's code and constants is in memory, locked, and equal to "
		  "the host's copy of its program; it has no other code mapped, runs as root in "
		  "the initial namespaces, and nobody traces it (docs/agent.md).",
	.techniques = TECHNIQUES("T1562.001", "T1055"),
	.fuel_max = VIEW_FUEL_SWEEP,
	.run = agent_code_run);
