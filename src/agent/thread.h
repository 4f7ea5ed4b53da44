/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HVSM_AGENT_THREAD_H
#define HVSM_AGENT_THREAD_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

/*
 * A post: something that one thread after another does, for ever. What it reads may stand still
 * (a dead file server, a process that serves its own memory): then another thread takes the post,
 * and the one that hangs ends when it comes back.
 */
#define POST_HANGS_NS	10000000000ull
#define POST_HANGS_MAX	16	/* threads that may hang at a time, each with its stack */

struct post {
	void (*fn)(struct post *post, uint32_t turn, void *ctx);
	void *ctx;
	uint32_t turn;		/* of who has the post */
	uint32_t hanging;	/* threads that lost it and did not end yet */
	uint64_t busy_ns;	/* since when the thread shows no progress; 0: it waits for work */
	bool stuck;		/* it hangs, and there was no other thread for it */
};

/**
 * post_start - start the first thread
 * @fn: returns when post_mine() says false; what it holds it gives back itself
 *
 * A thread's stack is small, for it is locked in memory: two or three paths.
 */
nodiscard int post_start(struct post *post, void (*fn)(struct post *, uint32_t, void *),
			 void *ctx, struct err *err);

/* Work begins, or goes on. False: the post is another's now, return. */
bool post_busy(struct post *post, uint32_t turn);

/* Nothing to do, for however long. False: as above. */
bool post_waits(struct post *post, uint32_t turn);

/*
 * From the loop: hand the post over if its thread hangs. True: it did, and what it had is lost; or
 * it would have, but too many hang, or there is no memory for another: once, until one can.
 */
bool post_watch(struct post *post);

#endif
