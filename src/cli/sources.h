/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HVSM_CLI_SOURCES_H
#define HVSM_CLI_SOURCES_H

#include "check/sweep.h"
#include "cli/attach.h"
#include "cli/command.h"
#include "reference/reference.h"

/* Where `make install` puts the agents that guests may run: --agent, HVSM_AGENT name others. */
#define AGENTS_DEFAULT "/usr/lib/hvsm/agents"

/**
 * sources_open - what there is to compare a guest with
 * @ret: to be given back with sources_close() on success
 *
 * What was named with --reference must be there, and be the guest's kernel; what is found
 * without being named may be missing. What fails is said on stderr.
 *
 * Return: 0, or a negative errno.
 */
nodiscard int sources_open(const struct attached *guest, const struct arguments *args,
			   struct check_sources *ret);

/**
 * sources_commit - remember what the sweep saw for the first time, for the sweeps to come
 * Nothing is kept of a guest that is compromised, or that changed meanwhile. What cannot be
 * written is said on stderr.
 */
void sources_commit(struct check_sources *sources, const struct sweep *sweep);

/* The directory of the store: --store, else HVSM_STORE, else the usual place. */
const char *sources_store(const struct arguments *args);

void sources_close(struct check_sources *sources);

#endif
