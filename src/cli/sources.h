/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HVSM_CLI_SOURCES_H
#define HVSM_CLI_SOURCES_H

#include "cli/command.h"
#include "monitor/session.h"
#include "ram/guests.h"

/* Where `make install` puts the agents that guests may run: --agent, HVSM_AGENT name others. */
#define AGENTS_DEFAULT "/usr/lib/hvsm/agents"

/* What there is to compare a guest with: for its scanner, by a broker. */
struct sources {
	struct reference *reference;
	struct baseline *baseline;
	struct trust *trust;
	struct broker_files files;
};

#define SOURCES_NONE ((struct sources){ .files = BROKER_FILES_NONE })

/**
 * sources_open - what there is to compare a guest with
 * @identity: of @guest
 * @live:     it runs; an image does not
 * @kernel:   release, build_id, boot and text of the guest's
 * @ret:      to be given back with sources_close() on success
 *
 * What was named with --reference must be there, and be the guest's kernel; what is found
 * without being named may be missing. What fails is said on stderr.
 *
 * Return: 0, or a negative errno.
 */
nodiscard int sources_open(const struct guest *guest, const struct identity *identity, bool live,
			   const struct kernel *kernel, const struct arguments *args,
			   struct sources *ret);

/* For the scanner: what is the sources' stays theirs. */
void sources_lend(struct sources *sources, struct broker *broker);

/**
 * sources_commit - remember what the sweep saw for the first time, for the sweeps to come
 * Nothing is kept of a guest that is compromised, or that changed meanwhile. What cannot be
 * written is said on stderr.
 */
void sources_commit(struct sources *sources, const struct session_report *report);

/* The directory of the store: --store, else HVSM_STORE, else the usual place. */
const char *sources_store(const struct arguments *args);

void sources_close(struct sources *sources);

#endif
