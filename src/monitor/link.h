/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HVSM_MONITOR_LINK_H
#define HVSM_MONITOR_LINK_H

#include "monitor/channel.h"

/*
 * What the parent and control say to each other. The parent knows processes and states, and
 * hands on unread what scanners say; control reads that, and tells what follows from it.
 */
enum link_type {
	/* parent → control */
	LINK_SETUP = 1,	/* struct link_setup; the socket that listens for the command line */
	LINK_GUEST,	/* struct link_guest: a guest that is new, or of which something is */
	LINK_GONE,	/* {u64 guest} */
	LINK_REPORT,	/* {u64 guest, u8 verdict}; hvsm.report/1 in a sealed memfd: LINK_TAKEN */
	LINK_EVENTS,	/* {u64 guest}; hvsm.event/1, one per line, in a sealed memfd */
	LINK_INCIDENT,	/* {u64 guest or 0, text}: something that a person should know */
	LINK_QUIT,	/* end, after what came before has been done */
	/* control → parent */
	LINK_READY,	/* the ledger is open, the socket is served */
	LINK_TAKEN,	/* {u64 guest, u8 stored, u32 n, n × {u32 check, u64 duration_ns}} */
	LINK_PAUSED,	/* {u64 guest, u8 paused}: its clock stands still, so its events say */
	LINK_SCAN,	/* {u64 guest; 0: all}: everything now, as root asks */
};

/* Each side's handlers in one table; NULL: it never comes to that side. */
struct link_handlers {
	channel_handler *setup, *guest, *gone, *report, *events, *incident, *quit;
	channel_handler *ready, *taken, *paused, *scan;
};

#define LINK_RULES 11

/* The rules of both sides, with the handlers of one. */
void link_rules(const struct link_handlers *handlers, struct channel_rule rules[LINK_RULES]);

/* A report at most, as the parent takes it from a scanner; and the events of one look. */
#define LINK_REPORT_MAX (32u << 20)
#define LINK_EVENTS_MAX (8u << 20)

#define LINK_SELF UINT32_MAX

struct link_setup {
	uint32_t uid, gid;	/* that control is to become; LINK_SELF: it stays who it is */
	const char *ledger;	/* directory */
	uint64_t started_ns;	/* of the daemon, CLOCK_REALTIME */
	uint32_t host_us_per_s;	/* CPU time for all guests */
	uint32_t retention_days, retention_mib;	/* 0: for ever, any */
};

enum guest_state {
	GUEST_STARTING,		/* its scanner comes up, or its kernel does */
	GUEST_WATCHED,
	GUEST_PAUSED,
	GUEST_UNWATCHED,	/* @reason says why */
	GUEST_STATES,
};

/* "starting", "watched", "paused", "unwatched". */
const char *guest_state_name(enum guest_state state);

/* Strings are the caller's, or inside the message: NULL where there is nothing to say. */
struct link_guest {
	uint64_t number;
	enum guest_state state;
	const char *key, *name, *uuid, *target, *hypervisor, *reason;
	uint64_t share_ppm;	/* of one CPU, lately */
	uint64_t stretch_ppm;	/* periods as configured are 1,000,000 */
	uint64_t cpu_ns;	/* of its scanners, in all */
	uint64_t memory_bytes;	/* of its scanner, beyond what it shares */
	uint32_t restarts;	/* of its scanner */
};

nodiscard int link_send_setup(struct channel *channel, const struct link_setup *setup, int socket,
			      struct err *err);
nodiscard int link_send_guest(struct channel *channel, const struct link_guest *guest,
			      struct err *err);

/* What a message says; strings are inside it. Return: 0, -EPROTO (it is no such message). */
nodiscard int link_read_setup(struct message *message, struct link_setup *ret, struct err *err);
nodiscard int link_read_guest(struct message *message, struct link_guest *ret, struct err *err);

/* {u64} and maybe a descriptor; @type is one of those above. */
nodiscard int link_send_number(struct channel *channel, enum link_type type, uint64_t number,
			       const int *fd, struct err *err);

nodiscard int link_send_report(struct channel *channel, uint64_t guest, uint8_t verdict, int fd,
			       struct err *err);

nodiscard int link_send_incident(struct channel *channel, uint64_t number, const char *text,
				 struct err *err);

/* How long a side waits that the other reads: it is taken for dead after. */
#define LINK_WAIT_MS 5000

#endif
