/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HVSM_MONITOR_REACTION_H
#define HVSM_MONITOR_REACTION_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>

#include "monitor/config.h"
#include "monitor/policy.h"

/*
 * Carries out what the policy decided. Each attempt is a process of its own, forked from the
 * caller, with none of its descriptors: so it blocks nobody, and ends when its time is over.
 * Nothing is done that was not audited before.
 *
 * The caller has one thread, polls reactor_fd(), and reaps no children that it does not know.
 */
struct reactor;

enum audit_outcome {
	AUDIT_STARTED,		/* it is being carried out; another outcome follows */
	AUDIT_DONE,
	AUDIT_FAILED,
	AUDIT_TIMED_OUT,
	AUDIT_RATE_LIMITED,	/* told once, until one is carried out again */
	AUDIT_OBSERVED,		/* would have been carried out in enforce mode */
	AUDIT_BUSY,		/* REACTIONS_AT_ONCE_MAX are under way */
};

/* "started", "done", "failed", "timed-out", "rate-limited", "observed", "busy". */
const char *audit_outcome_name(enum audit_outcome outcome);

/* Was it not done, though it was to be? Then policy_undone(). */
bool audit_is_undone(enum audit_outcome outcome);

struct audit {
	uint64_t time_ns;	/* since 1970 */
	uint64_t duration_ns;	/* of the attempt; 0: none was made, or it begins */
	const char *guest;	/* reaction_guest.key */
	const char *reaction;	/* its name */
	enum reaction_kind kind;
	const char *finding;	/* its id; "": the verdict */
	enum audit_outcome outcome;
	const char *text;	/* why it failed, what was done; "" */
	const char *message;	/* reaction_message(); NULL: not in what follows AUDIT_STARTED */
};

/* It must not call the reactor. */
typedef void audit_fn(const struct audit *audit, void *ctx);

/* As its host knows it: fleet.h. */
struct reaction_guest {
	const char *key;	/* what rates count for */
	pid_t pid;		/* of its QEMU; 0: none */
	uint16_t domain;	/* of Xen; 0: none */
	const char *uuid;	/* NULL: it has none */
};

/**
 * reactor_create - nothing under way
 * @audit:   is told of each attempt, and of what was not attempted
 * @libvirt: URI of the libvirt that is asked where a guest has no monitor that is free; NULL:
 *           qemu:///system
 */
nodiscard int reactor_create(audit_fn *audit, void *ctx, const char *libvirt,
			     struct reactor **ret, struct err *err);

/* Another libvirt from now on. Return: 0, -ENOMEM (it is as it was). */
nodiscard int reactor_libvirt(struct reactor *reactor, const char *uri);

/* Ends what is under way, which is audited as failed. */
void reactor_free(struct reactor **reactor);

/* Readable when reactor_dispatch() has something to do. */
int reactor_fd(const struct reactor *reactor);

/* Reaps what has ended, ends what takes too long; never blocks. */
void reactor_dispatch(struct reactor *reactor);

/* How many attempts are under way. */
size_t reactor_running(const struct reactor *reactor);

/**
 * reactor_submit - carry out a reaction
 * @mode:    of the guest: MODE_OBSERVE lets nothing pass but REACTION_LOG
 * @message: one line of JSON: reaction_message(); copied
 *
 * Returns at once. What @reaction and @guest point to is not needed afterwards.
 *
 * Return: what was audited last: STARTED, or the end of it.
 */
enum audit_outcome reactor_submit(struct reactor *reactor, const struct config_reaction *reaction,
				  const struct reaction_guest *guest, enum config_mode mode,
				  const char *finding, const char *message);

/**
 * reaction_message - what is told of a decision: hvsm.reaction/1
 * @report: with the finding, after policy_apply()
 *
 * {schema, time, reaction, kind, mode, guest{…}, kernel{…}, verdict, finding{…}|null}
 *
 * Return: one line; free(). NULL: no memory.
 */
char *reaction_message(const struct policy_decision *decision, const json_t *report,
		       enum config_mode mode, enum verdict verdict);

/**
 * reaction_usable - is there what a reaction needs?
 * The program, the directory, the token's file, or the library.
 *
 * Return: 0, or an errno with @err in words.
 */
nodiscard int reaction_usable(const struct config_reaction *reaction, struct err *err);

/**
 * config_check_print - for hvsmd --check-config: what is wrong with a file, and what is set
 * Return: 0; or as config_load(), or reaction_usable() of the first reaction that is not usable.
 */
nodiscard int config_check_print(const char *path, FILE *to, struct err *err);

/*
 * A token bucket in one number (GCRA): when the bucket will be full again. It holds
 * @per_hour, and gets as many an hour.
 */
bool rate_take(uint64_t *full_ns, uint32_t per_hour, uint64_t now_ns);

#endif
