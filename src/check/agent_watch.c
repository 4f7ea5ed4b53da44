/* SPDX-License-Identifier: Apache-2.0 */
#include <unistd.h>

#include "base/limits.h"
#include "check/agent.h"

/* The agent is told of what is executed: keeper/watch.c. */

#define POLL_MS		100u
#define WAIT_MAX_MS	10000u	/* periods are one second */

/*
 * What was mounted just now it marks within some periods: a running guest is waited for, and of an
 * image nothing is said.
 */
static int wait_for_marks(struct check_run *run, const struct keeper_agent *agent, struct err *err)
{
	int r = 0;

	for (uint32_t waited = 0; r >= 0 && agent->young && waited < WAIT_MAX_MS &&
	     agent->state != KEEPER_STALLED; waited += POLL_MS) {
		usleep(POLL_MS * 1000);
		view_refresh(check_view(run));
		r = agent_look(run, &agent, err);
	}
	return r;
}

static int agent_watch_run(struct check_run *run, struct err *err)
{
	const struct keeper_agent *agent;
	int r = agent_look(run, &agent, err);

	if (r >= 0 && agent && agent->young && ram_is_live(view_ram(check_view(run))))
		r = wait_for_marks(run, agent, err);
	if (r >= 0)
		r = agent_topic(run, KEEPER_WATCH, &agent, err);
	if (r < 0 || !agent)
		return r;
	check_covered(run, "marks", agent->marks);
	check_covered(run, "file systems", agent->systems);
	if (agent->state == KEEPER_STARTING)
		check_not_covered(run, "the agent has not made all of its marks yet");
	else if (agent->young && ram_is_live(view_ram(check_view(run))))
		check_inconclusive(run, "the agent has not marked what was mounted just now");
	else if (agent->young)
		check_note(run, "a file system without a mark may have been mounted just now");
	return 0;
}

CHECK(agent_watch,
	.id = "agent-watch",
	.group = GROUP_AGENT,
	.title = "Agent is not told of what is executed",
	.proves = "Each local file system from which programs can be executed has a mark of the "
		  "agent's fanotify groups, and these have no other marks (docs/agent.md).",
	.techniques = TECHNIQUES("T1562.001"),
	.fuel_max = VIEW_FUEL_SWEEP,
	.run = agent_watch_run);
