/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HVSM_MONITOR_APART_H
#define HVSM_MONITOR_APART_H

#include <stdbool.h>
#include <stdint.h>

#include "monitor/session.h"

/*
 * A program that opened a guest goes on without rights: it forks; the child gives up everything
 * but the guest's memory, to read from, and two pipes to print to (sandbox.h), and runs the rest
 * of the command. The starter keeps the rights. It has nothing to do but to copy out memory that
 * cannot be handed over, and to hand on what is printed, once it has looked at it: whoever takes
 * over the child with what a guest wrote can print lies, and steer no terminal.
 */

#define APART_BYTES_MAX 65536u

/* What comes out of one pipe; the rest of a character may be still to come. */
struct apart_stream {
	int from;	/* -1: it has ended */
	size_t n;
	char held[APART_BYTES_MAX];
};

struct apart {
	struct session session;		/* the child, as a scanner that is only opened */
	struct apart_stream out, said;	/* its standard output, and that for errors */
	bool colour;			/* may there be colours in @out? */
	volatile const int *stop;	/* not 0: the child shall end; NULL: nobody says so */
};

#define APART_NONE ((struct apart){ .session = SESSION_NONE, .out.from = -1, .said.from = -1 })

/**
 * apart_begin - two processes from here on
 * @apart: APART_NONE
 * @ram:   that the starter opened; there it must outlive @apart
 * @cpu_s: processor time of the child at most; 0: no limit
 * @ret:   in the child: the guest's memory, its own
 *
 * The caller has one thread. Handlers of signals that the child needs are set before: it cannot
 * any more. The child ends by _exit(): libraries' own handlers need what it has given up.
 *
 * Return: 1: this is the starter; 0: this is the child, in the sandbox; or a negative errno: in
 *         the starter there is no child then, and the child has to end.
 */
nodiscard int apart_begin(struct apart *apart, struct ram *ram, const struct identity *identity,
			  uint32_t cpu_s, struct ram **ret, struct err *err);

/**
 * apart_wait - until the child prints something, or has ended
 * Return: 0, -EPROTO (it broke a rule).
 */
nodiscard int apart_wait(struct apart *apart, struct err *err);

/**
 * apart_relay - hand on what it prints, to the end
 * @status: receives the child's exit status
 *
 * Where nobody reads standard output any more, the child is told so in the same way.
 *
 * Return: 0, -EPIPE (it died, and the text says how), -EPROTO (it broke a rule, or printed what
 *         is no text), or what writing failed with.
 */
nodiscard int apart_relay(struct apart *apart, int *status, struct err *err);

/* Is this the child, or what became of it where it failed? */
bool apart_is_inside(void);

/* Ends the child, if it has not. Of APART_NONE: nothing. */
void apart_end(struct apart *apart);

#endif
