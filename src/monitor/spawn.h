/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HVSM_MONITOR_SPAWN_H
#define HVSM_MONITOR_SPAWN_H

#include <sys/types.h>

#include "base/err.h"

/*
 * A process of the monitor is this very program, executed anew for a role: it has nothing of
 * its starter's memory, one descriptor besides the standard ones, and ends with its starter.
 */

/* The hidden argument that names the role: "--role=scanner". */
#define SPAWN_ROLE "--role="

struct spawned {
	pid_t pid;
	int pidfd;	/* readable when it has ended; wait for it with spawn_wait() */
};

#define SPAWNED_NONE ((struct spawned){ .pid = -1, .pidfd = -1 })

/**
 * spawn_role - start a process
 * @role:    what it is told behind SPAWN_ROLE
 * @subject: what it is about, for `ps`; not secret, and not read; NULL: nothing
 * @channel: the other end of its channel, which it finds at CHANNEL_FD; stays the caller's
 *
 * Return: 0, or a negative errno. Where the program could not be executed the process ends with
 *         status 127.
 */
nodiscard int spawn_role(const char *role, const char *subject, int channel, struct spawned *ret,
			 struct err *err);

/* The role that this process was started for; NULL: none, it is a person's. */
const char *spawn_role_of(int argc, char **argv);

/**
 * spawn_wait - reap it
 * @block: wait until it has ended
 * @text:  receives how it ended: "exit status 1", "killed by SIGSYS"; at least 64 bytes
 *
 * Return: 1 (it has ended; *@process is SPAWNED_NONE now), 0 (it runs).
 */
int spawn_wait(struct spawned *process, int block, char *text, size_t size);

/* Wait until it has ended. Return: its exit status; -1: it did not exit, and @text says why. */
int spawn_status(struct spawned *process, char *text, size_t size);

/* SIGKILL, and reap it. SPAWNED_NONE is fine. */
void spawn_kill(struct spawned *process);

#endif
