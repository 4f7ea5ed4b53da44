/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HVSM_MONITOR_SESSION_H
#define HVSM_MONITOR_SESSION_H

#include <jansson.h>
#include <stdbool.h>

#include "linux/kernel.h"
#include "monitor/broker.h"
#include "monitor/channel.h"
#include "monitor/pages.h"
#include "monitor/sealed.h"
#include "monitor/spawn.h"
#include "ram/ram.h"
#include "report/identity.h"
#include "report/verdict.h"

/*
 * The starter's side of one scanner: the process, what it is given, and what it says, which is
 * judged here: after this, sizes, numbers and texts are what they have to be, though nobody
 * knows whether they are true.
 *
 *	session_start(); session_open();	… news: NEWS_READY
 *	session_grant(); session_sweep();	… news: NEWS_REPORT
 *	session_sweep();			… and so on
 *	session_end();
 *
 * Or session_start(), session_prepare(), … NEWS_PREPARED, session_end().
 *
 * session_next() takes one message; a loop over many sessions polls session->channel.fd.
 */

enum session_state {
	SESSION_NEW,		/* it was started */
	SESSION_OPENING,
	SESSION_IDLE,
	SESSION_SWEEPING,
	SESSION_LOOKING,
	SESSION_PREPARING,
};

enum session_news {
	NEWS_NONE,		/* a question, which was answered */
	NEWS_READY,		/* session->kernel */
	NEWS_REPORT,		/* session->report */
	NEWS_EVENTS,		/* session->events */
	NEWS_PREPARED,		/* session->profile */
	NEWS_SAID,		/* session->said: a remark for a person */
	NEWS_FAILED,		/* session->failed: the last OPEN or SWEEP did not work out */
};

/* What a scanner found out; the session's, until the next one. */
struct session_report {
	enum verdict verdict;
	bool steady;		/* the guest was up, and the same, from start to end */
	bool outside;		/* it has memory, it seems, that its layout does not have … */
	bool in_room;		/* … and where some may be plugged in */
	int fd;			/* session->unread: the report as it came; -1: taken */
	json_t *json;		/* if that was asked for … */
	struct sealed text;	/* … or else this: lines that are safe to print */
};

struct session {
	struct spawned process;
	struct channel channel;
	struct broker broker;	/* the caller's to fill */
	struct pages pages;	/* of a guest that is served */
	struct identity identity; /* its texts are the caller's */
	enum session_state state;
	uint32_t flags;		/* SWEEP_* of the last sweep */
	bool unread;		/* reports are for somebody else to read: only report.fd is set */

	enum session_news news;	/* of the last session_next() */
	unsigned confined;	/* SANDBOX_*: what its sandbox could have */
	struct kernel kernel;	/* as it says: release, build_id, text and boot only */
	char *kernel_json;	/* one object */
	struct session_report report;
	int profile;		/* a file, not read; -1: none, or taken */
	int events;		/* lines of hvsm.event/1, not judged; -1: none, or taken */
	uint32_t changed;	/* SENTINEL_BIT() of regions, by the same look */
	struct err failed;
	char said[512];
	uint32_t remarks;	/* SAID, since it was told something */
	int64_t forbidden;	/* number of the system call that ended it; -1: none */
};

#define SESSION_NONE ((struct session){ .process = SPAWNED_NONE, .channel = CHANNEL_NONE, \
					.report.fd = -1, .profile = -1, .events = -1, \
				.forbidden = -1 })

/**
 * session_start - start a scanner: this program again
 * It has no guest yet, and whoever started it may be gone in the meantime: then it ends.
 * Return: 0, or a negative errno.
 */
nodiscard int session_start(struct session *session, struct err *err);

/**
 * session_open - hand a guest over
 * @ram: only needed during the call; if ram_is_served(), until session_end()
 * Return: 0, or as handover_of() and channel_send().
 */
nodiscard int session_open(struct session *session, struct ram *ram,
			   const struct identity *identity, struct err *err);

/* Hand over what is in session->broker, once, before the first sweep. */
nodiscard int session_grant(struct session *session, struct err *err);

/**
 * session_sweep - have it look
 * @flags: SWEEP_* of protocol.h
 * @ids:   @n ids of checks; 0: all
 * @cpus:  registers of @cpus_n vCPUs, if they were asked for
 */
nodiscard int session_sweep(struct session *session, uint32_t flags, const char *const *ids,
			    size_t n, const struct registers *cpus, size_t cpus_n,
			    struct err *err);

/**
 * session_look - ask what has happened since the last look
 * @events:   look for events
 * @watch_us: for as long its sentinel may look for what has changed
 */
nodiscard int session_look(struct session *session, bool events, uint32_t watch_us,
			   struct err *err);

/**
 * session_prepare - have a shipped kernel's symbols and types unpacked, for all its scanners
 * For a process that is given no guest. It takes some 0.1 s.
 * @vmlinux: a sealed memfd; a kernel that QEMU booted is a tenant's file
 */
nodiscard int session_prepare(struct session *session, int vmlinux, struct err *err);

/**
 * session_next - the next thing that it says; questions are answered at once
 * Return: 0 and session->news; -ETIMEDOUT; -EPIPE (it has ended, and the text says why);
 *         -EPROTO (it said what it may not say: session_end() is all that is left).
 */
nodiscard int session_next(struct session *session, int timeout_ms, struct err *err);

/* Until there is news of this kind, or it failed, or ended: as session_next(). */
nodiscard int session_wait(struct session *session, enum session_news news,
			   void (*said)(const char *text), struct err *err);

/* Ends the process, if it has not, and frees all. Of SESSION_NONE: nothing. */
void session_end(struct session *session);

#endif
