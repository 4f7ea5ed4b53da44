/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HVSM_AGENT_CONTROL_H
#define HVSM_AGENT_CONTROL_H

#include "agent/agent.h"

/*
 * How `hvsm-agent status` and `log` ask the running agent: they connect to AGENT_SOCKET (root
 * only), and are sent a copy of struct agent_anchor and then its log_bytes of log. Nothing is ever
 * read from them, and a slow one holds up nobody.
 */

/* A part of the agent. Where no socket can be made, the agent does without, and says so. */
nodiscard int control_start(struct agent *agent, struct err *err);

/* Nobody is to connect any more. */
void control_stop(void);

#endif
