/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "base/limits.h"
#include "check/agent.h"
#include "check/process.h"

/* One agent, and the same as before: keeper/find.c tells which processes are one. */

static int count_namesake(struct process_walk *walk, const struct task *task, void *ctx,
			  struct err *err)
{
	(void)walk;
	(void)err;
	*(uint64_t *)ctx += !strcmp(task->comm, "hvsm-agent");
	return 0;
}

/* Without a copy of the program nothing can be said of who is called so, but that he is there. */
static int without_copy(struct check_run *run, struct err *err)
{
	uint64_t n = 0;
	int r = process_each(run, count_namesake, &n, err);

	if (n)
		check_not_covered(run, "a process is called hvsm-agent, but no copy of the "
				  "agent's program is at hand (--agent)");
	else
		check_not_covered(run, "no copy of the agent's program is at hand (--agent)");
	return r;
}

static int agent_presence_run(struct check_run *run, struct err *err)
{
	const struct keeper_agent *agent;
	int r;

	if (!check_keeper(run))
		return without_copy(run, err);
	r = agent_look(run, &agent, err);
	agent_report(run, keeper_agent(check_keeper(run)), KEEPER_PRESENCE);
	if (r < 0)
		return r;
	if (agent->state == KEEPER_ABSENT)
		check_not_covered(run, "no agent runs in the guest, and in this boot none was "
				  "seen");
	else
		check_covered(run, "processes", agent->processes);
	return 0;
}

CHECK(agent_presence,
	.id = "agent-presence",
	.group = GROUP_AGENT,
	.title = "Agent is not the one that it must be",
	.proves = "Exactly one process runs the agent's program, it is the one that ran it before "
		  "in this boot, and none is called so that does not (docs/agent.md).",
	.techniques = TECHNIQUES("T1562.001", "T1036.004"),
	.fuel_max = VIEW_FUEL_SWEEP,
	.run = agent_presence_run);
