/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include "base/glob.h"
#include "monitor/config.h"
#include "monitor/config_sections.h"

bool texts_have(const struct texts *texts, const char *text)
{
	for (size_t i = 0; i < texts->n; i++)
		if (!strcmp(texts->v[i], text))
			return true;
	return false;
}

bool reaction_touches_guest(enum reaction_kind kind)
{
	return kind >= REACTION_PAUSE;
}

const struct config_reaction *config_reaction(const struct config *config, const char *name)
{
	for (size_t i = 0; i < config->reactions.n; i++)
		if (!strcmp(config->reactions.v[i].name, name))
			return &config->reactions.v[i];
	return NULL;
}

/* Does a section set the key whose value is at @at? */
static bool sets(const struct config_guest *section, size_t at)
{
	for (size_t i = 0; i < sections[SECTION_GUEST].n; i++)
		if (sections[SECTION_GUEST].keys[i].at == at)
			return section->set >> i & 1;
	return false;
}

#define TAKE(member, from)                                              \
	do {                                                            \
		if (sets(section, offsetof(struct config_guest, from))) \
			guest->member = section->from;                  \
	} while (0)

#define TAKE_LIST(member)                                                 \
	do {                                                              \
		if (sets(section, offsetof(struct config_guest, member))) \
			guest->member = &section->member;                 \
	} while (0)

static void take(struct guest_config *guest, const struct config_guest *section)
{
	TAKE(watch, watch);
	TAKE(xen_events, xen_events);
	TAKE(sentinel, sentinel);
	TAKE(mode, mode);
	TAKE(look_period_ms, look_period_ms);
	TAKE(cheap_period_ms, cheap_period_ms);
	TAKE(middle_period_ms, middle_period_ms);
	TAKE(dear_period_ms, dear_period_ms);
	TAKE(cpu_permille, cpu_permille);
	TAKE_LIST(checks);
	TAKE_LIST(skip);
	TAKE_LIST(reactions);
}

static bool fits(const struct config_guest *section, const char *name, const char *uuid)
{
	return (name && glob_match(section->pattern, name)) ||
	       (uuid && glob_match(section->pattern, uuid)) ||
	       !strcmp(section->pattern, "*");
}

int config_guest(const struct config *config, const char *name, const char *uuid,
		 struct guest_config *ret)
{
	static const struct texts none;
	struct guest_config guest = {
		.watch = true,
		.sentinel = true,
		.mode = config->mode,
		.look_period_ms = config->look_period_ms,
		.cheap_period_ms = config->cheap_period_ms,
		.middle_period_ms = config->middle_period_ms,
		.dear_period_ms = config->dear_period_ms,
		.cpu_permille = config->guest_cpu_permille,
		.checks = &none, .skip = &none, .reactions = &none,
	};

	for (size_t i = 0; i < config->guests.n; i++) {
		const struct config_guest *section = &config->guests.v[i], **room;

		if (!fits(section, name, uuid))
			continue;
		room = vec_add(&guest.sections);
		if (!room) {
			guest_config_free(&guest);
			return -ENOMEM;
		}
		*room = section;
		take(&guest, section);
	}
	*ret = guest;
	return 0;
}

void guest_config_free(struct guest_config *guest)
{
	vec_free(&guest->sections);
}

bool guest_config_runs(const struct guest_config *guest, const char *check)
{
	return (guest->checks->n == 0 || texts_have(guest->checks, check)) &&
	       !texts_have(guest->skip, check);
}
