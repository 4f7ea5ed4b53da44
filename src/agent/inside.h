/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HVSM_AGENT_INSIDE_H
#define HVSM_AGENT_INSIDE_H

#include "agent/agent.h"
#include "agent/events.h"
#include "agent/items.h"

/* Files of /proc that are listed in an inside view: modules, and ten kinds of sockets. */
#define INSIDE_FILES 11u

/*
 * Makes the inside view of format.h once a period, out of nothing but what the kernel says at that
 * time, and tells the ring what is new and what is gone.
 *
 * What the kernel gives in several pieces may lose an item between two of them: its place in a
 * list is counted, and one that goes away moves the others up. So what came in pieces, and is not
 * word for word what it was a period ago, is read once more, and both readings count.
 */
struct inside {
	struct agent_anchor *anchor;
	struct events *events;		/* who is told of changes; NULL: nobody */
	struct memory halves[2];	/* of the region, as format.h has them */
	struct items views[2];		/* view s is views[s % 2] */
	int proc;			/* /proc, opened once: nobody can mount over it */
	uint64_t hashes[INSIDE_FILES];	/* of what each file said a period ago */
};

/* The part of the agent (run.c): a first view at once, then one each period. */
nodiscard int inside_start(struct agent *agent, struct err *err);

/**
 * inside_init - where views go, and what they are made of
 * @region: reserved, two of AGENT_INSIDE_MAX
 * @proc:   a directory like /proc, which is the view's from now on
 */
void inside_init(struct inside *inside, struct agent_anchor *anchor, const struct memory *region,
		 int proc, struct events *events);

/* Make a view and publish it. -ENOMEM, -EAGAIN: no memory for its header; the last one stays. */
nodiscard int inside_take(struct inside *inside);

/* What is in @now and not in @before. Not called for what one of them did not list whole. */
typedef void inside_change_fn(const struct agent_item *item, void *ctx);
void inside_changes(const struct items *now, const struct items *before, enum agent_item_kind kind,
		    inside_change_fn *fn, void *ctx);

#endif
