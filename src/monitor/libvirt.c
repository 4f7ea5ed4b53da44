/* SPDX-License-Identifier: Apache-2.0 */

/* What is said between the parent and the role; the role itself: libvirt_role.c. */

#include "monitor/libvirt.h"

#include <string.h>

#include "base/cleanup.h"
#include "monitor/link.h"

#define UUID_TEXT 36u
#define URI_MAX	  1024u

void libvirt_rules(const struct libvirt_handlers *handlers,
		   struct channel_rule rules[LIBVIRT_RULES])
{
	const struct libvirt_handlers *h = handlers;
	const struct channel_rule all[LIBVIRT_RULES] = {
		{ LIBVIRT_SETUP, "setup", ROLE_STARTER, 8, URI_MAX, 0, 0, h->setup },
		{ LIBVIRT_CONNECTED, "connected", ROLE_LIBVIRT, 0, 0, 0, 0, h->connected },
		{ LIBVIRT_DOMAIN, "domain", ROLE_LIBVIRT, 2, 64, 0, 0, h->domain },
		{ LIBVIRT_ALIVE, "alive", ROLE_LIBVIRT, 0, 0, 0, 0, h->alive },
		{ LIBVIRT_FAILED, "failed", ROLE_LIBVIRT, 1, 512, 0, 0, h->failed },
	};

	memcpy(rules, all, sizeof(all));
}

static const char *const why_paused[LIBVIRT_WHYS] = {
	[WHY_NONE] = "paused",
	[WHY_BY_SOMEBODY] = "paused by somebody",
	[WHY_MIGRATED] = "paused as it migrates",
	[WHY_SAVED] = "paused as it is saved",
	[WHY_CRASHED] = "it crashed",
	[WHY_IO_ERROR] = "paused by an error of its disk",
	[WHY_WATCHDOG] = "paused by its watchdog",
	[WHY_SLEEP] = "it sleeps",
	[WHY_FAILED] = "paused as something failed",
};

static const char *const why_stopped[LIBVIRT_WHYS] = {
	[WHY_NONE] = "shut down",
	[WHY_BY_SOMEBODY] = "destroyed by somebody",
	[WHY_MIGRATED] = "migrated away",
	[WHY_SAVED] = "saved to a file",
	[WHY_CRASHED] = "it crashed",
	[WHY_FAILED] = "its hypervisor failed",
};

const char *libvirt_words(enum libvirt_what what, enum libvirt_why why)
{
	const char *words = what == DOMAIN_PAUSED ? why_paused[why] :
			    what == DOMAIN_STOPPED ? why_stopped[why] :
			    what == DOMAIN_REBOOTED ? "rebooted" :
			    what == DOMAIN_RUNS ? "runs" :
			    why == WHY_DEVICE ? "a device came or went" : "its definition changed";

	return words ? words : what == DOMAIN_PAUSED ? "paused" : "stopped";
}

/* A number of libvirt's, and what it is to us. */
struct meaning {
	int number, detail;	/* -1: any other */
	enum libvirt_what what;
	enum libvirt_why why;
};

static int look_up(const struct meaning *list, size_t n, int number, int detail,
		   enum libvirt_why *why)
{
	for (size_t i = 0; i < n; i++) {
		if (list[i].number != number ||
		    (list[i].detail >= 0 && list[i].detail != detail))
			continue;
		*why = list[i].why;
		return (int)list[i].what;
	}
	return -1;
}

/* virDomainEventType, and the details of each. */
int libvirt_of_event(int event, int detail, enum libvirt_why *why)
{
	static const struct meaning list[] = {
		{ 0, -1, DOMAIN_CHANGED, WHY_DEFINED },		/* defined, renamed */
		{ 1, -1, DOMAIN_CHANGED, WHY_DEFINED },		/* undefined */
		{ 2, -1, DOMAIN_RUNS, WHY_NONE },		/* started, restored, arrived */
		{ 3, 0, DOMAIN_PAUSED, WHY_BY_SOMEBODY },
		{ 3, 1, DOMAIN_PAUSED, WHY_MIGRATED },
		{ 3, 2, DOMAIN_PAUSED, WHY_IO_ERROR },
		{ 3, 3, DOMAIN_PAUSED, WHY_WATCHDOG },
		{ 3, 7, DOMAIN_PAUSED, WHY_MIGRATED },		/* postcopy */
		{ 3, 8, DOMAIN_PAUSED, WHY_FAILED },
		{ 3, -1, DOMAIN_PAUSED, WHY_NONE },
		{ 4, -1, DOMAIN_RUNS, WHY_NONE },		/* resumed */
		{ 5, 0, DOMAIN_STOPPED, WHY_NONE },
		{ 5, 1, DOMAIN_STOPPED, WHY_BY_SOMEBODY },
		{ 5, 2, DOMAIN_STOPPED, WHY_CRASHED },
		{ 5, 3, DOMAIN_STOPPED, WHY_MIGRATED },
		{ 5, 4, DOMAIN_STOPPED, WHY_SAVED },
		{ 5, -1, DOMAIN_STOPPED, WHY_FAILED },
		{ 7, -1, DOMAIN_PAUSED, WHY_SLEEP },		/* ACPI S3, S4 */
		{ 8, -1, DOMAIN_PAUSED, WHY_CRASHED },
	};

	return look_up(list, ARRAY_SIZE(list), event, detail, why);
}

/* virDomainState, and virDomainPausedReason. */
int libvirt_of_state(int state, int reason, enum libvirt_why *why)
{
	static const struct meaning list[] = {
		{ 1, -1, DOMAIN_RUNS, WHY_NONE },
		{ 3, 1, DOMAIN_PAUSED, WHY_BY_SOMEBODY },
		{ 3, 2, DOMAIN_PAUSED, WHY_MIGRATED },
		{ 3, 3, DOMAIN_PAUSED, WHY_SAVED },
		{ 3, 5, DOMAIN_PAUSED, WHY_IO_ERROR },
		{ 3, 6, DOMAIN_PAUSED, WHY_WATCHDOG },
		{ 3, 10, DOMAIN_PAUSED, WHY_CRASHED },
		{ 3, -1, DOMAIN_PAUSED, WHY_NONE },
		{ 6, -1, DOMAIN_PAUSED, WHY_CRASHED },
		{ 7, -1, DOMAIN_PAUSED, WHY_SLEEP },
	};

	return look_up(list, ARRAY_SIZE(list), state, reason, why);
}

int libvirt_send_setup(struct channel *channel, const struct libvirt_setup *setup,
		       struct err *err)
{
	uint8_t body[URI_MAX];
	struct writer w = writer_of(body, sizeof(body));

	write_u32(&w, setup->uid);
	write_u32(&w, setup->gid);
	write_text(&w, setup->uri);
	return channel_send_written(channel, LIBVIRT_SETUP, &w, NULL, 0, LINK_WAIT_MS, err);
}

int libvirt_read_setup(struct message *message, struct libvirt_setup *ret, struct err *err)
{
	struct bytes *b = &message->body;
	struct libvirt_setup setup = { .uid = bytes_u32(b) };

	setup.gid = bytes_u32(b);
	setup.uri = bytes_text(b);
	if (!bytes_at_end(b) || !setup.uri)
		return err_set(err, -EPROTO, "setup that cannot be read");
	*ret = setup;
	return 0;
}

int libvirt_send_domain(struct channel *channel, const struct libvirt_domain *domain,
			struct err *err)
{
	uint8_t body[64];
	struct writer w = writer_of(body, sizeof(body));

	write_u8(&w, (uint8_t)domain->what);
	write_u8(&w, (uint8_t)domain->why);
	write_text(&w, domain->uuid);
	return channel_send_written(channel, LIBVIRT_DOMAIN, &w, NULL, 0, LINK_WAIT_MS, err);
}

int libvirt_read_domain(struct message *message, struct libvirt_domain *ret, struct err *err)
{
	struct bytes *b = &message->body;
	uint8_t what = bytes_u8(b), why = bytes_u8(b);
	const char *uuid = bytes_text(b);

	if (!bytes_at_end(b) || what >= DOMAIN_WHATS || why >= LIBVIRT_WHYS || !uuid ||
	    strlen(uuid) != UUID_TEXT || strspn(uuid, "0123456789abcdef-") != UUID_TEXT)
		return err_set(err, -EPROTO, "a domain that cannot be read");
	*ret = (struct libvirt_domain){ (enum libvirt_what)what, (enum libvirt_why)why, uuid };
	return 0;
}
