/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HVSM_KEEPER_WILL_H
#define HVSM_KEEPER_WILL_H

#include "keeper/succession.h"

/**
 * will_find - did an agent that is gone leave word that it was told to end?
 * @before: it
 *
 * Reads AGENT_WILL where init sees it, from the page cache: it is on a tmpfs. Whoever is root in
 * the guest may have put it there, and may have told the agent to end.
 *
 * Return: 1, 0 (nothing there that says so and can be true), or an error.
 */
nodiscard int will_find(struct look *look, const struct memory *before, struct err *err);

#endif
