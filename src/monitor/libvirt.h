/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HVSM_MONITOR_LIBVIRT_H
#define HVSM_MONITOR_LIBVIRT_H

#include "monitor/channel.h"

/*
 * What libvirt tells of its domains, as it happens: a role of its own, which loads libvirt's
 * library where that is installed, connects (read-only), and says what happens to whom.
 *
 * Why a process: the library has a loop, threads and a parser of its own, and its calls wait as
 * long as libvirtd likes. In the parent, which has all rights, that would be a large body of
 * foreign code, and a libvirtd that hangs would stop the watch over every guest; in control it
 * would stop the answers and the ledger. Here it stops nothing: who is silent for LIBVIRT_SILENT_MS
 * is ended and started anew. It connects as root, since libvirtd asks who its peer is, and is
 * nobody after that; one process is one connection, so to connect again is to start another.
 *
 * Why it is believed so little: libvirtd is the host's, and trusted, but it may be gone, hang, be
 * restarted, or not know a guest. So /proc stays what says which guests there are; what libvirt
 * says makes the parent look at once, gives a reason its words, and proves nothing. A role that
 * was taken over can make the parent look at /proc more often, and say that who stands still
 * was paused.
 */
#define LIBVIRT_ROLE "libvirt"

enum libvirt_message {
	/* parent → role */
	LIBVIRT_SETUP = 1,	/* {u32 uid, u32 gid, text URI}: LINK_SELF: it stays who it is */
	/* role → parent */
	LIBVIRT_CONNECTED,	/* events are told from now on, and what there was was told */
	LIBVIRT_DOMAIN,		/* {u8 enum libvirt_what, u8 enum libvirt_why, text UUID} */
	LIBVIRT_ALIVE,		/* every LIBVIRT_ALIVE_MS */
	LIBVIRT_FAILED,		/* {text}: why there is no connection; it ends */
};

enum libvirt_what {
	DOMAIN_RUNS,		/* as it was found, or started, or goes on */
	DOMAIN_PAUSED,
	DOMAIN_REBOOTED,
	DOMAIN_STOPPED,
	DOMAIN_CHANGED,		/* defined, undefined, renamed; a device came or went */
	DOMAIN_WHATS,
};

enum libvirt_why {
	WHY_NONE,
	WHY_BY_SOMEBODY,	/* somebody asked for it */
	WHY_MIGRATED,
	WHY_SAVED,
	WHY_CRASHED,
	WHY_IO_ERROR,
	WHY_WATCHDOG,
	WHY_SLEEP,		/* the guest itself did (ACPI) */
	WHY_FAILED,
	WHY_DEVICE,
	WHY_DEFINED,
	LIBVIRT_WHYS,
};

/* "paused by somebody", "migrated away": words for a person. Never NULL. */
const char *libvirt_words(enum libvirt_what what, enum libvirt_why why);

/* The numbers of libvirt-domain.h, which never change, as ours. -1: nothing to tell of. */
int libvirt_of_event(int event, int detail, enum libvirt_why *why);
int libvirt_of_state(int state, int reason, enum libvirt_why *why);

struct libvirt_setup {
	uint32_t uid, gid;
	const char *uri;	/* inside the message */
};

struct libvirt_domain {
	enum libvirt_what what;
	enum libvirt_why why;
	const char *uuid;	/* inside the message; 36 characters, lower case */
};

#define LIBVIRT_RULES 5

/* Each side's handlers; NULL: it never comes to that side. */
struct libvirt_handlers {
	channel_handler *setup, *connected, *domain, *alive, *failed;
};

void libvirt_rules(const struct libvirt_handlers *handlers,
		   struct channel_rule rules[LIBVIRT_RULES]);

nodiscard int libvirt_send_setup(struct channel *channel, const struct libvirt_setup *setup,
				 struct err *err);
nodiscard int libvirt_send_domain(struct channel *channel, const struct libvirt_domain *domain,
				  struct err *err);

/* Return: 0, -EPROTO (it is no such message). */
nodiscard int libvirt_read_setup(struct message *message, struct libvirt_setup *ret,
				 struct err *err);
nodiscard int libvirt_read_domain(struct message *message, struct libvirt_domain *ret,
				  struct err *err);

#define LIBVIRT_ALIVE_MS  5000
#define LIBVIRT_SILENT_MS 30000u

/* The role, until libvirtd or the parent ends. Return: exit status. */
int libvirt_run(void);

#endif
