/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HVSM_CHECK_AGENT_H
#define HVSM_CHECK_AGENT_H

#include "check/check.h"
#include "keeper/keeper.h"

/* What the checks of the agent share. */

/**
 * agent_look - the agent, as the keeper finds it now
 * @ret: NULL where no copy of it is at hand: then the check is not covered, and that is said
 *
 * Return: 0, or as keeper_look().
 */
nodiscard int agent_look(struct check_run *run, const struct keeper_agent **ret, struct err *err);

/**
 * agent_measured - what the agent measured, for the checks of processes
 * @ret: NULL where no copy of the agent is at hand, or none runs whose log can be believed: then
 *       the check is not covered, and that is said
 *
 * Return: as agent_look().
 */
nodiscard int agent_measured(struct check_run *run, const struct measured **ret,
			     struct err *err);

/**
 * agent_topic - report what the keeper found of one topic
 * Where there is no agent the topic is not covered.
 * @ret: the agent; NULL where there is nothing to say of it
 *
 * Return: as agent_look().
 */
nodiscard int agent_topic(struct check_run *run, enum keeper_topic topic,
			  const struct keeper_agent **ret, struct err *err);

/* Report all problems of a topic, and what could not be seen. */
void agent_report(struct check_run *run, const struct keeper_agent *agent,
		  enum keeper_topic topic);

#endif
