/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HVSM_KEEPER_FOLLOW_H
#define HVSM_KEEPER_FOLLOW_H

#include "keeper/inside.h"
#include "keeper/look.h"
#include "keeper/measured.h"

/* What was read of an agent's memory so far: kept over looks, read on from there. */
struct follow {
	struct log_mark mark;		/* how far the log was read */
	uint64_t reached_ns;		/* when its newest record was written */
	uint64_t started_ns;		/* as its first record says, once that was read */
	struct agent_ended ancestors[AGENT_ANCESTORS_MAX];	/* whom it says that it follows */
	uint32_t ancestors_n;
	bool measures;			/* it says more than that: no other ancestor comes */

	/* How far an earlier keeper had read it: this log must go through that point. */
	struct log_mark before;		/* offset 0: none did */
	bool joined;			/* it does */
};

/**
 * follow_anchor - copy an agent's anchor
 * @ret: what it says, checked to be possible; its regions lie in the process's half
 *
 * Return: 0; 1: it cannot be one, which was told as a problem of KEEPER_LOG; -EFAULT: not there;
 *         or what must end the look.
 */
nodiscard int follow_anchor(struct look *look, const struct claim *claim,
			    struct agent_anchor *ret, struct err *err);

/**
 * follow_log - read what the log has grown by
 * @measured: receives what it says of files
 *
 * Tells problems of KEEPER_LOG: a chain that is broken, a log that is shorter than it was, or
 * that is another one. While the agent writes, its length and its head may be of two instants:
 * that is unseen, and another look will do.
 *
 * Return: 0, or what must end the look.
 */
nodiscard int follow_log(struct look *look, const struct claim *claim,
			 const struct agent_anchor *anchor, struct follow *follow,
			 struct measured *measured, struct err *err);

/**
 * follow_inside - copy the newest inside view, unless @inside is it already
 * @inside: replaced where there is a newer one
 *
 * Tells problems of KEEPER_VIEW. Return: 0, or what must end the look.
 */
nodiscard int follow_inside(struct look *look, const struct claim *claim,
			    const struct agent_anchor *anchor, struct inside *inside,
			    struct err *err);

#endif
