/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HVSM_AGENT_WATCH_H
#define HVSM_AGENT_WATCH_H

#include <stdbool.h>
#include <stdint.h>

#include "agent/agent.h"
#include "base/err.h"

/*
 * What is executed: a fanotify group of class NOTIF (it is told, nobody waits for it) with a mark
 * on every file system of every mount namespace. File systems that may stand still (see
 * mounts.h) have a group and a thread of their own, as already to be told of a file there opens
 * it.
 */

/* A part of the agent. */
nodiscard int watch_start(struct agent *agent, struct err *err);

/* Mark what is mounted by now, in all namespaces that are known; from one thread. */
void watch_rescan(void);

/* Has a mount come or gone in the initial namespace since this was asked last? */
bool watch_changed(void);

/* This process was seen: what is mounted in its namespace is marked, where that is a new one. */
void watch_namespace(uint32_t pid);

/*
 * Look at the namespaces but the initial one, at some of them each time: whether they are still
 * there, and have the same mounts. True: watch_rescan() would help.
 */
bool watch_look(void);

enum watch_device {
	DEVICE_UNKNOWN,		/* of no file system that was seen mounted */
	DEVICE_LOCAL,
	DEVICE_SLOW,
};

/* What is known of the file system on a device (major << 20 | minor). */
enum watch_device watch_device(uint64_t device);

/* Are we told of what is executed there? Not of files without a name, memfd_create(2). */
bool watch_is_marked(uint64_t device);

#endif
