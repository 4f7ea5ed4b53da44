/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HVSM_AGENT_PROC_TEXT_H
#define HVSM_AGENT_PROC_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "agent/format.h"
#include "base/err.h"

/*
 * What the kernel says in /proc, read without trust: names in it are others' choice. A line is
 * given without its newline, and has no NUL at its end.
 */

/* The number of a directory of /proc that is a process, 0: it is none. */
uint32_t proc_pid(const char *name);

/* A line of /proc/modules. @name points into it. -EBADMSG: it is none. */
nodiscard int proc_module(const char *line, size_t len, const char **name, size_t *name_bytes,
			  uint64_t *size_bytes);

/**
 * proc_socket - a line of /proc/net/{tcp,udp,udplite,raw,icmp}{,6}
 * @family: AF_INET or AF_INET6, whichever the file is of
 *
 * Fills all but family and protocol. Return: 0; -EBADMSG (it is none: a heading, say).
 */
nodiscard int proc_socket(const char *line, size_t len, uint16_t family,
			  struct agent_socket *socket, uint64_t *inode);

/*
 * A mount, out of /proc/PID/mountinfo. Its fields before the point have no bound (a directory may
 * lie deeper than any path is long), so the text is fed in pieces and never kept.
 */
struct proc_mount {
	uint64_t id;
	uint64_t device;		/* the kernel's number: major << 20 | minor */
	char point[AGENT_PATH_MAX];	/* octal escapes undone; what is longer is cut off */
	size_t point_bytes;
};

typedef void proc_mount_fn(const struct proc_mount *mount, void *ctx);

struct proc_mounts {
	proc_mount_fn *fn;
	void *ctx;
	bool damaged;		/* a line was no mount, or the text ended within one */

	/* Where in a line we are. */
	unsigned field, digits;
	uint64_t number, major;
	int escape;		/* octal digits that are still to come */
	unsigned char byte;
	struct proc_mount mount;
};

void proc_mounts_begin(struct proc_mounts *mounts, proc_mount_fn *fn, void *ctx);
void proc_mounts_feed(struct proc_mounts *mounts, const char *text, size_t len);
void proc_mounts_end(struct proc_mounts *mounts);

/**
 * proc_value - the value of a line "NAME=value" of a small text (a state file of systemd's)
 * @value: receives at most @room bytes, no NUL
 *
 * Return: how many; 0 where there is none.
 */
size_t proc_value(const char *text, size_t len, const char *name, char *value, size_t room);

#endif
