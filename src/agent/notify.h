/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HVSM_AGENT_NOTIFY_H
#define HVSM_AGENT_NOTIFY_H

#include "agent/agent.h"

/*
 * What the service manager is told (sd_notify(3), the protocol itself): that the agent has
 * started, that it lives, that it stops. Where nobody asked for it ($NOTIFY_SOCKET), nothing is.
 */

/* The part of the agent that comes first: the socket, before the agent may not have one. */
nodiscard int notify_start(struct agent *agent, struct err *err);

/* The part that comes last: all others have started; from now on a sign of life each period. */
nodiscard int notify_ready(struct agent *agent, struct err *err);

/* The agent ends, as it was told to. */
void notify_stopping(void);

#endif
