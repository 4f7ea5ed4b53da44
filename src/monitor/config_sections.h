/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HVSM_MONITOR_CONFIG_SECTIONS_H
#define HVSM_MONITOR_CONFIG_SECTIONS_H

#include "monitor/config_value.h"

/* The sections of the configuration file, and the keys of each: all that it can say. */
enum section_id {
	SECTION_TOP,		/* what stands in no section; struct config */
	SECTION_HTTP,		/* struct config, too */
	SECTION_REACTION,	/* struct config_reaction */
	SECTION_GUEST,		/* struct config_guest */
	SECTION_ALLOW,		/* struct config_allow */
	SECTIONS,
};

#define SECTION_KEYS_MAX 32	/* of one section */

struct section {
	const char *name;	/* as libconfuse calls it */
	const struct key *keys;
	size_t n;
	enum { SECTION_ONCE, SECTION_TITLED, SECTION_AGAIN } often;
};

extern const struct section sections[SECTIONS];

#endif
