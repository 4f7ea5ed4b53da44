/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HVSM_AGENT_USERS_H
#define HVSM_AGENT_USERS_H

#include "agent/items.h"

/* Sessions of one machine, and records of its utmp: 4,096 terminals are many. */
#define USERS_MAX 4096u

/**
 * users_list - add who is logged in: AGENT_ITEM_USER
 * @run: a directory like /run
 *
 * Out of utmp(5) and of systemd-logind's sessions (systemd/sessions/N); who stands in both, by the
 * leader's PID, is listed once. A machine that has neither has no users that it knows of.
 */
void users_list(struct items *items, int run);

#endif
