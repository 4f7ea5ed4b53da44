/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HVSM_MONITOR_REACTION_KINDS_H
#define HVSM_MONITOR_REACTION_KINDS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "monitor/config.h"

struct qmp;		/* ram/qmp.h */

/*
 * What happens in the process that carries out one reaction: it may block until it is ended
 * from outside, needs to free nothing, and has no descriptor but its standard ones, of which
 * the input is the message.
 */
struct reaction_job {
	const struct config_reaction *reaction;
	pid_t pid;		/* of the guest's QEMU; 0: none */
	uint16_t domain;	/* of Xen; 0: none */
	const char *uuid;	/* NULL: none */
	const char *libvirt;	/* URI */
	bool reached;		/* the guest's monitor: another way would not do better */
	char done[200];		/* what was done, for the audit */
};

/* Does not return where the program could be executed. */
nodiscard int reaction_run(struct reaction_job *job, struct err *err);

nodiscard int reaction_webhook(struct reaction_job *job, struct err *err);

/* Is the library there? */
nodiscard int reaction_webhook_usable(struct err *err);

/**
 * reaction_qmp, reaction_libvirt - what touches a guest
 * Return: 0, or an errno.
 */
nodiscard int reaction_qmp(struct reaction_job *job, struct err *err);
/* As reaction_qmp(), at a monitor that was opened. */
nodiscard int reaction_at_monitor(struct qmp *qmp, struct reaction_job *job, struct err *err);
nodiscard int reaction_libvirt(struct reaction_job *job, struct err *err);
/* Is libvirt's domain of this name, by the files in @directory, that process? 0, or an errno. */
nodiscard int reaction_libvirt_is(const char *directory, const char *name, pid_t pid,
				  struct err *err);
/* A domain of Xen. */
nodiscard int reaction_xen(struct reaction_job *job, struct err *err);

/* How much of what an attempt says is kept: its descriptor takes no more. */
#define REACTION_WORDS_MAX 4096

/**
 * reaction_child - carry out a job in a process of its own
 * @input: descriptor of the message
 * @words: descriptor of a file of REACTION_WORDS_MAX zeros, for what is to be said
 *
 * Ends with status 0 (done), or another.
 */
_Noreturn void reaction_child(struct reaction_job *job, int input, int words);

/**
 * reaction_dump_create - a file for a guest's memory
 * @path: receives where it is until it is complete: "….part"
 *
 * Return: a descriptor, or an errno.
 */
nodiscard int reaction_dump_create(const struct reaction_job *job, char *path, size_t size,
				   struct err *err);

/* @r is 0: give it its name, and say so; else remove it. Return: @r, or an errno of renaming. */
nodiscard int reaction_dump_end(struct reaction_job *job, const char *path, int r,
				struct err *err);

/* What is to become of one <interface>: libvirt's words, with its link down. */
typedef int reaction_update_fn(const char *device, void *ctx, struct err *err);

/**
 * reaction_unlink_each - update all interfaces of a domain, REACTION_NICS_MAX at most
 * @xml: libvirt's of the domain
 * Return: 0, -ENODEV (there is none), -ELOOP (there are more, or one without its end; those before
 *         were updated), -ENOMEM, what @update returned below 0 (which ends it).
 */
nodiscard int reaction_unlink_each(const char *xml, reaction_update_fn *update, void *ctx,
				   struct reaction_job *job, struct err *err);

#endif
