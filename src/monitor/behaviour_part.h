/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HVSM_MONITOR_BEHAVIOUR_PART_H
#define HVSM_MONITOR_BEHAVIOUR_PART_H

#include "base/vec.h"
#include "monitor/behaviour.h"

/*
 * What the parts of behaviour.h share. A part is one kind of view, in a file of its own: it
 * remembers what it saw and tells what differs.
 */

/* What was found, and waits to be told. */
struct waiting {
	unsigned kinds;		/* EVENT_BIT() of those that are wanted */
	VEC(struct event) v;
	uint64_t dropped;	/* more than there may be, or no memory */
};

/* One look, as a part sees it. */
struct glance {
	const struct kernel *kernel;
	struct view *view;
	struct waiting *waiting;
	bool first;		/* nothing was known before: nothing is to be told */
	uint64_t after_ns;	/* when the part's last complete look began, CLOCK_BOOTTIME */
	uint64_t began_ns;	/* when this one began, as well */
	uint64_t mono_ns;	/* CLOCK_MONOTONIC then */
};

/**
 * glance_wants - is an event of this kind to be told?
 * To be asked before each. Not on the first look; where there are too many already, it counts
 * as dropped.
 */
bool glance_wants(const struct glance *glance, enum event_kind kind);

/**
 * glance_tell - an event of this look that is wanted
 * @object: the reference is taken; NULL: memory ran out while it was made, so it is dropped
 */
void glance_tell(const struct glance *glance, enum event_kind kind, json_t *object);

/* How a read went. */
enum {
	READ_ALL,
	READ_SAME,		/* nothing has changed: not to be compared */
	READ_NOTHING,		/* it is not time yet */
};

struct part {
	const char *name;	/* of the view, for EVENT_LOOK_INCOMPLETE */
	unsigned kinds;		/* EVENT_BIT() of what it tells */

	void *(*open)(void);	/* NULL: no memory */
	void (*close)(void *part);

	/*
	 * Read the guest, and keep aside what was read: it may be called again on fresh memory.
	 * Return: READ_ALL, READ_SAME, READ_NOTHING, or a negative errno: not all was seen.
	 */
	int (*read)(void *part, const struct glance *glance, struct err *err);

	/*
	 * Tell what differs from before. Where the read was not @complete, what is missing in
	 * it stays known. Return: 0, -ENOMEM, or as read(): what was seen cannot be told yet.
	 */
	int (*compare)(void *part, const struct glance *glance, bool complete, struct err *err);

	/* Another kernel runs now: as after open(). */
	void (*forget)(void *part);

	/* For EVENT_WATCH: how many there are, under this name; NULL: does not count. */
	const char *count_name;
	size_t (*count)(const void *part);
};

extern const struct part behaviour_tasks;
extern const struct part behaviour_modules;
extern const struct part behaviour_sockets;
extern const struct part behaviour_mounts;
extern const struct part behaviour_bpf;
extern const struct part behaviour_log;

#endif
