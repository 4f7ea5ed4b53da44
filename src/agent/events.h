/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HVSM_AGENT_EVENTS_H
#define HVSM_AGENT_EVENTS_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/uio.h>

#include "agent/agent.h"
#include "agent/format.h"
#include "agent/memory.h"

/* Which record has the file that a process runs? UINT64_MAX: none, or the process is gone. */
typedef uint64_t events_record_fn(uint32_t pid, void *ctx);

/*
 * The ring of format.h, and what the kernel's process connector puts into it: exec and exit, as
 * they happen. Threads, forks and everything else that it tells are left in the kernel by a socket
 * filter, so a program that forks ten thousand times a second costs us nothing.
 */
struct events {
	struct agent_anchor *anchor;
	struct memory *ring;
	int fd;				/* of the connector; -1: the kernel has none */
	uint64_t lost;

	/* In a storm of them: not each event wakes us, but a clock does (see events.c). */
	struct loop *loop;
	int clock;
	bool paced;
	unsigned wakes;			/* this period, by the connector or by the clock */
	events_record_fn *record;	/* NULL: nobody knows */
	void *record_ctx;
};

struct event {
	uint32_t type;		/* enum agent_event_type */
	uint32_t pid;
	uint64_t value;
	uint64_t time_ns;	/* 0: now */
	const char *text;	/* NULL: none */
	size_t text_bytes;	/* what is over 32 is cut off */
};

/* The part of the agent (run.c): takes the ring's memory, and asks the kernel for events. */
nodiscard int events_start(struct agent *agent, struct err *err);

/* The agent's; it is not usable before events_start(). */
struct events *events_of(struct agent *agent);

/**
 * events_init - a ring that is empty
 * @ring: reserved, AGENT_EVENTS of struct agent_event; all of its memory is taken now, so that no
 *        event is ever lost for lack of it
 */
nodiscard int events_init(struct events *events, struct agent_anchor *anchor, struct memory *ring,
			  struct err *err);

/* Write the next event; the one that is AGENT_EVENTS older goes. */
void events_put(struct events *events, const struct event *event);

/* Do exec and exit come from the kernel? Else who looks at /proc once a period tells of them. */
bool events_has_kernel(const struct events *events);

#define EVENTS_BATCH 64u

/*
 * At most EVENTS_BATCH datagrams of the connector, in their order: nothing but whole and known
 * events get into the ring. Whose process has ended by a later one of them has no record: there is
 * nothing to be seen of it any more.
 */
void events_messages(struct events *events, const struct iovec *messages, size_t n);

#endif
