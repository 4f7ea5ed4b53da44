/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HVSM_MONITOR_EVENT_H
#define HVSM_MONITOR_EVENT_H

#include <jansson.h>
#include <stdint.h>

#include "base/err.h"

/* What happened in a guest, as differences between two looks at it tell (hvsm.event/1). */
enum event_kind {
	EVENT_WATCH,		/* from here on: the guest as it was when watching began */
	EVENT_PROCESS_START,
	EVENT_PROCESS_EXIT,
	EVENT_EXEC,
	EVENT_CREDENTIALS,
	EVENT_NAMESPACES,
	EVENT_PROCESSES_MISSED,	/* began and ended between two looks */
	EVENT_MODULE_LOAD,
	EVENT_MODULE_UNLOAD,
	EVENT_LISTEN,
	EVENT_ACCEPT,		/* a connection from outside, to a socket that listens */
	EVENT_CONNECT,
	EVENT_SOCKET_CLOSE,
	EVENT_MOUNT,
	EVENT_UMOUNT,
	EVENT_BPF_LOAD,
	EVENT_BPF_UNLOAD,
	EVENT_LOG,
	EVENT_LOG_MISSED,	/* overwritten before they were read */
	EVENT_REGISTER_WRITE,	/* a vCPU changed what protects its kernel: Xen says so */
	EVENT_REBOOT,
	EVENT_PAUSED,		/* the guest's clock stands still */
	EVENT_RESUMED,
	EVENT_LOOK_INCOMPLETE,	/* a view could not be seen to its end for some looks */
	EVENT_EVENTS_DROPPED,	/* more than one look may tell */
	EVENT_GONE,		/* the guest has ended: nothing follows */
	EVENT_KINDS
};

#define EVENT_BIT(kind) (1u << (kind))
#define EVENTS_ALL	(EVENT_BIT(EVENT_KINDS) - 1)

struct event {
	enum event_kind kind;

	/*
	 * It happened between these, host time (ns since 1970): when the last look began that
	 * did not show it, and when the first one that did had ended.
	 */
	uint64_t after_ns, before_ns;
	json_t *object;		/* what it happened to; guest text in it is escaped already */
};

/* Lets go of what it holds, not of the struct. */
void event_free(struct event *event);

/* "process-start", … */
const char *event_name(enum event_kind kind);

/* Return: 0, -ENOENT. */
nodiscard int event_by_name(const char *name, enum event_kind *ret);

/**
 * event_json - the event as a document
 * @guest: {name, uuid, target, …} of identity_json(); the reference is taken
 * Return: a new reference; NULL: no memory.
 */
json_t *event_json(const struct event *event, json_t *guest);

/**
 * event_text - the event for a person: its object, without kind and time, on one line
 * Return: to be freed by the caller; NULL: no memory.
 */
char *event_text(const struct event *event);

#endif
