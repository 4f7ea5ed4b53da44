/* SPDX-License-Identifier: Apache-2.0 */
#include "check/agent.h"

int agent_look(struct check_run *run, const struct keeper_agent **ret, struct err *err)
{
	struct keeper *keeper = check_keeper(run);
	int r;

	*ret = NULL;
	if (!keeper) {
		check_not_covered(run, "no copy of the agent's program is at hand (--agent)");
		return 0;
	}
	r = keeper_look(keeper, check_kernel(run), check_view(run), err);
	if (r >= 0)
		*ret = keeper_agent(keeper);
	return r;
}

int agent_measured(struct check_run *run, const struct measured **ret, struct err *err)
{
	const struct keeper_agent *agent;
	int r = agent_look(run, &agent, err);

	*ret = NULL;
	if (r < 0 || !agent)
		return r;
	*ret = keeper_measured(check_keeper(run));
	if (!*ret)
		check_not_covered(run, "the guest has no agent whose log can be believed");
	return 0;
}

void agent_report(struct check_run *run, const struct keeper_agent *agent,
		  enum keeper_topic topic)
{
	static const enum severity severities[] = {
		[KEEPER_LOW] = SEVERITY_LOW, [KEEPER_MEDIUM] = SEVERITY_MEDIUM,
		[KEEPER_HIGH] = SEVERITY_HIGH,
	};

	for (size_t i = 0; i < agent->problems.n; i++) {
		const struct keeper_problem *problem = &agent->problems.v[i];
		struct finding *finding;

		if (problem->topic != topic)
			continue;
		finding = check_finding(run, severities[problem->weight], "agent",
					 agent->task, "%s", problem->object);
		finding_title(finding, "%s", problem->title);
		finding_evidence(finding, problem->what, problem->at, NULL, problem->expected,
				 problem->found);
	}
	if (*agent->unseen[topic])
		check_inconclusive(run, "%s", agent->unseen[topic]);
}

int agent_topic(struct check_run *run, enum keeper_topic topic, const struct keeper_agent **ret,
		struct err *err)
{
	const struct keeper_agent *agent;
	int r = agent_look(run, &agent, err);

	*ret = NULL;
	if (r < 0)	/* what was found until then is so */
		agent_report(run, keeper_agent(check_keeper(run)), topic);
	if (r < 0 || !agent)
		return r;
	if (!agent->pid) {
		check_not_covered(run, "no agent runs in the guest");
		return 0;
	}
	agent_report(run, agent, topic);
	*ret = agent;
	return 0;
}
