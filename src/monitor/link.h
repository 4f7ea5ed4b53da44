/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HVSM_MONITOR_LINK_H
#define HVSM_MONITOR_LINK_H

#include "base/limits.h"
#include "monitor/channel.h"
#include "monitor/reaction.h"
#include "monitor/steady.h"

/*
 * What the parent and control say to each other. The parent knows processes and states, and
 * hands on unread what scanners say; control reads that, and tells what follows from it.
 */
enum link_type {
	/* parent → control */
	LINK_SETUP = 1,	/* struct link_setup; the socket that listens for the command line */
	LINK_CONFIG,	/* {text path}; the configuration file's text in a sealed memfd; before
			   the first guest, and when it was read again */
	LINK_GUEST,	/* struct link_guest: a guest that is new, or of which something is */
	LINK_GONE,	/* {u64 guest} */
	LINK_REPORT,	/* {u64 guest, u8 verdict}; hvsm.report/1 in a sealed memfd: LINK_TAKEN */
	LINK_EVENTS,	/* {u64 guest}; hvsm.event/1, one per line, in a sealed memfd */
	LINK_INCIDENT,	/* {u64 guest or 0, text}: something that a person should know */
	LINK_AUDIT,	/* struct link_audit: what became of LINK_REACT */
	LINK_HTTP,	/* struct link_http; a socket that listens, and certificate and key in a
			   sealed memfd, or neither: LINK_SERVING */
	LINK_QUIT,	/* end, after what came before has been done */
	/* control → parent */
	LINK_READY,	/* the ledger is open, the socket is served */
	LINK_TAKEN,	/* {u64 guest, u8 LINK_…, u32 n, n × {u32 check, u64 duration_ns}} */
	LINK_PAUSED,	/* {u64 guest, u8 paused}: its clock stands still, so its events say */
	LINK_ALARM,	/* {u64 guest}: its events say that code was put into its kernel */
	LINK_SCAN,	/* {u64 guest; 0: all}: everything now, as root asks */
	LINK_REACT,	/* struct link_react; hvsm.reaction/1 in a sealed memfd: carry it out, if
			   the configuration has it for this guest */
	LINK_SERVING,	/* {u32 serial, text}: as LINK_HTTP has it from now on; or the text says
			   why not, and all is as it was */
};

/* What became of a report. */
enum link_taken {
	LINK_HEARD,	/* there was no need to store it, or no way to */
	LINK_STORED,
	LINK_REFUSED,	/* it is none: who said that is not our scanner any more */
};

/* Each side's handlers in one table; NULL: it never comes to that side. */
struct link_handlers {
	channel_handler *setup, *config, *guest, *gone, *report, *events, *incident, *audit;
	channel_handler *http, *quit;
	channel_handler *ready, *taken, *paused, *alarm, *scan, *react, *serving;
};

#define LINK_RULES 17

/* The rules of both sides, with the handlers of one. */
void link_rules(const struct link_handlers *handlers, struct channel_rule rules[LINK_RULES]);

/* A report at most, as the parent takes it from a scanner; and the events of one look. */
#define LINK_REPORT_MAX REPORT_BYTES_MAX
#define LINK_EVENTS_MAX (8u << 20)

/* Certificates and the key of HTTP, and what is told of a token: http_token_digest(). */
#define LINK_TLS_MAX	   (128u << 10)
#define LINK_TOKEN_BYTES   32u

#define LINK_SELF UINT32_MAX

struct link_setup {
	uint32_t uid, gid;	/* that control is to become; LINK_SELF: it stays who it is */
	const char *ledger;	/* directory */
	uint64_t started_ns;	/* of the daemon, CLOCK_REALTIME */
	uint32_t host_us_per_s;	/* CPU time for all guests */
	struct steady clock;	/* what the parent, which outlives control, knows of it */
};

/* Strings are the caller's, or inside the message, and never NULL. */
struct link_react {
	uint64_t guest;
	const char *reaction;	/* its name */
	const char *finding;	/* its id; "": the verdict */
	const char *about;	/* for the journal: why */
};

struct link_audit {
	uint64_t time_ns, duration_ns;	/* as struct audit has them */
	bool told;		/* to be recorded; else it is but one more that is undone */
	enum audit_outcome outcome;
	const char *guest;	/* its key, as struct link_guest has it */
	const char *reaction, *kind, *finding, *text;
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
	uint32_t reboots;	/* that were seen */
	uint64_t alarms;	/* of its sentinel (sentinel.h) */
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

nodiscard int link_send_config(struct channel *channel, const char *path, const char *text,
			       size_t n, struct err *err);

/* -ELOOP: @message has over REACTION_MESSAGE_MAX bytes. */
nodiscard int link_send_react(struct channel *channel, const struct link_react *react,
			      const char *message, struct err *err);
nodiscard int link_send_audit(struct channel *channel, const struct link_audit *audit,
			      struct err *err);

/* As link_read_guest(). */
nodiscard int link_read_react(struct message *message, struct link_react *ret, struct err *err);
nodiscard int link_read_audit(struct message *message, struct link_audit *ret, struct err *err);

/* Where HTTP is served from now on, and to whom. */
struct link_http {
	uint32_t serial;	/* for the answer */
	int socket;		/* the message's, or the caller's; -1: nowhere */
	const uint8_t *token;	/* LINK_TOKEN_BYTES; NULL: whoever can connect may ask */
	const char *cert, *key;	/* to be sent: PEM; NULL: no TLS */
	int tls;		/* that came: a sealed memfd with both, each terminated;
				   -1: no TLS */
};

nodiscard int link_send_http(struct channel *channel, const struct link_http *http,
			     struct err *err);

/* @why: NULL: it is served. */
nodiscard int link_send_serving(struct channel *channel, uint32_t serial, const char *why,
				struct err *err);

/* As link_read_guest(); descriptors stay the message's. */
nodiscard int link_read_http(struct message *message, struct link_http *ret, struct err *err);

nodiscard int link_send_incident(struct channel *channel, uint64_t number, const char *text,
				 struct err *err);

/* How long a side waits that the other reads: it is taken for dead after. */
#define LINK_WAIT_MS 5000

#endif
