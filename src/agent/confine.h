/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HVSM_AGENT_CONFINE_H
#define HVSM_AGENT_CONFINE_H

#include "agent/agent.h"

/*
 * What the agent gives up. It reads files that anybody may have written, as root in the guest that
 * it watches: whoever finds a way to turn it must find little that it can do.
 */

/**
 * confine_privileges - give up what only the start needs
 *
 * A part of the agent: after those that need more, before those that start threads (capabilities
 * are each thread's own). See the table in confine.c for what is left. Also no_new_privs, no core
 * dump, and nobody may trace it who could not trace all of root's.
 */
nodiscard int confine_privileges(struct agent *agent, struct err *err);

/**
 * confine_calls - allow the system calls in the table of confine.c, for all threads
 *
 * A part of the agent, after all that open sockets, files to write, or more threads than there
 * are. A call that is not in the table fails with EPERM; one that only an intruder makes ends the
 * agent. A kernel without seccomp is told of, and the agent runs on: what it does is worth more.
 */
nodiscard int confine_calls(struct agent *agent, struct err *err);

#endif
