/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HVSM_MONITOR_FINDER_H
#define HVSM_MONITOR_FINDER_H

#include "monitor/channel.h"
#include "monitor/spawn.h"
#include "reference/reference.h"

/*
 * Who finds the reference of one kernel: a process of its own, which answers once and ends.
 *
 * Why a process: packages are unpacked, which takes seconds, a file that is named may be on a disk
 * that hangs, and the kernel that QEMU booted is a tenant's file. In the parent each guest that
 * comes would hold up the watch over all others, and a mistake in reading would be one with all
 * rights. A guest says itself which build it runs, so it can have this done as often as it boots:
 * then it waits, and nobody else. The process reads any file, as root can, makes and writes none
 * but those of the store and nameless ones (Landlock, where the host has it), and has no network
 * and no capability that this does not need.
 */
#define FINDER_ROLE "reference"

enum finder_message {
	/* parent → role */
	FINDER_FIND = 1,	/* [request (finder_request()), the kernel file if there is one] */
	/* role → parent */
	FINDER_FOUND,		/* {text, text}: remarks for a person, or none; [parcel, vmlinux,
				   its modules if they lie in a file]; nothing: no reference */
};

#define FINDER_RULES 2

/* Remarks: on what the configuration names, and on what else there is. */
#define FINDER_REMARKS	    2
#define FINDER_REMARK_BYTES 320

/* What is looked for; also what two guests must have in common to share what is found. */
struct finder_wanted {
	char build_id[41], release[65];	/* of the guest's kernel, as it says */
	const char *const *paths;	/* that the configuration names, the guest's own first */
	size_t paths_n;
	const char *store;
	const char *kernel_name;	/* of the file that QEMU booted, in its words; NULL: none */
	uint64_t stamp;			/* another number where a file is another one by now */
};

/**
 * finder_request - in bytes
 * Return: 0, -ENOMEM.
 */
nodiscard int finder_request(const struct finder_wanted *wanted, struct blob *ret);

/* What was found. */
struct finder_found {
	struct reference *reference;	/* without its kernel; NULL: there is none */
	int vmlinux;			/* the kernel, sealed; -1 */
	char remarks[FINDER_REMARKS][FINDER_REMARK_BYTES];	/* "": none */
};

#define FINDER_FOUND_NONE ((struct finder_found){ .vmlinux = -1 })

void finder_found_free(struct finder_found *found);

/* The parent's side. */
struct finder {
	struct spawned process;
	struct channel channel;
	struct channel_rule rules[FINDER_RULES];
};

#define FINDER_NONE ((struct finder){ .process = SPAWNED_NONE, .channel = CHANNEL_NONE })

/**
 * finder_start - have it looked for
 * @finder:  must stay where it is; for finder_end(), also after a failure
 * @kernel:  the file that QEMU booted, which stays the caller's; -1: none
 * Return: 0, or a negative errno.
 */
nodiscard int finder_start(struct finder *finder, const struct blob *request, int kernel,
			   struct err *err);

/**
 * finder_take - what it says, when its channel is readable
 * @wanted: what it was asked for
 * @ret:    for finder_found_free() on success
 * Return: 0, -ETIMEDOUT (nothing yet), -EPIPE (it has ended, and the text says how), -EPROTO (it
 *         said what cannot be), or another errno.
 */
nodiscard int finder_take(struct finder *finder, const struct finder_wanted *wanted,
			  struct finder_found *ret, struct err *err);

/* Ends the process, if it has not. Of FINDER_NONE, and again: nothing. */
void finder_end(struct finder *finder);

/* The role. Return: exit status. */
int finder_run(void);

/* For both sides. */
void finder_rules(struct channel_rule rules[FINDER_RULES]);

/*
 * The request again; texts are inside of @data, @paths is the caller's, for free(). 0, -EPROTO,
 * -ENOMEM.
 */
nodiscard int finder_read_request(const void *data, size_t size, struct finder_wanted *ret,
				  const char ***paths, struct err *err);

#endif
