/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HVSM_MONITOR_SANDBOX_H
#define HVSM_MONITOR_SANDBOX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

/*
 * What a process gives up before it reads what an attacker wrote. It keeps the descriptors of
 * its channel, what comes through that, memory of its own, and the clock.
 *
 *   always       seccomp: a list of system calls, each with its reason (sandbox_calls.c); any
 *                other ends the process (SIGSYS), and its starter is told which it was
 *   always       no new privileges, no capability in any set, not dumpable, no other descriptor,
 *                limits of memory, processor time, descriptors, processes, files, core files
 *   where it can own user (it was started by root), Landlock without a single rule, own network
 *                (no device), own mounts (nothing at all): SANDBOX_* says which
 *
 * The two functions are called one after the other, by a program that has one thread.
 */

/* What could be had of what is not everywhere. */
enum {
	SANDBOX_USER	 = 1,	/* it runs as another user than its starter */
	SANDBOX_LANDLOCK = 2,
	SANDBOX_NETWORK	 = 4,
	SANDBOX_MOUNTS	 = 8,
};

struct sandbox_limits {
	uint64_t memory_bytes;	/* of its own: heap, private mappings */
	uint64_t file_bytes;	/* of a memfd that it makes */
	uint32_t fds;		/* descriptors at a time */
	uint32_t cpu_s;		/* processor time; 0: unlimited, its starter looks after that */
};

struct sandbox {
	int channel;		/* the descriptor that stays, besides 0 to 2 */
	uint32_t violation;	/* type of the message that tells of a forbidden system call */
	uint32_t user, group;
	bool drop;		/* become that user */
	unsigned has;		/* SANDBOX_* */
};

/* Standard input and outputs lead to /dev/null (but for errors where sanitizers report). */
nodiscard int sandbox_silence(struct err *err);

/**
 * sandbox_prepare - all that needs the rights, or the files, that will be gone
 * @channel:   socket to the starter
 * @violation: message type (channel.h) of what is said last: {u32 number of the system call}
 *
 * Standard input and outputs lead to /dev/null afterwards: what the process is made to print is
 * not for a terminal. (Errors still do in a build with sanitizers, which report there.)
 *
 * Return: 0, or a negative errno.
 */
nodiscard int sandbox_prepare(struct sandbox *sandbox, int channel, uint32_t violation,
			      struct err *err);

/**
 * sandbox_enter - give up everything, for good
 * Return: 0, and sandbox->has says what more than the least there is; or a negative errno: the
 *         process must end then.
 */
nodiscard int sandbox_enter(struct sandbox *sandbox, const struct sandbox_limits *limits,
			    struct err *err);

/* "openat"; "" where nobody knows. @size > 0. */
void sandbox_call_name(uint32_t number, char *ret, size_t size);

#endif
