/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HVSM_RAM_JUDGED_H
#define HVSM_RAM_JUDGED_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/vec.h"

/*
 * Which processes are no guests, so that who looks at all of them twice a second need not ask
 * each one again. A young process may become one by exec(), so it is asked JUDGED_TIMES times
 * in a row; after that, and where another one has its number by now, each JUDGED_EVERY rounds.
 */
#define JUDGED_TIMES 20u
#define JUDGED_EVERY 8u

struct judged_one {
	pid_t pid;
	uint32_t times;		/* that it was found to be another, JUDGED_TIMES at most */
};

/* Start with {0}. */
struct judged {
	VEC(struct judged_one) before, now;	/* ascending, as /proc is */
	size_t at;				/* in before */
	uint32_t round;
};

void judged_free(struct judged *judged);

/* Another look at all processes, in ascending order. */
void judged_begin(struct judged *judged);

/* Is it known to be another, and need not be asked now? */
bool judged_skip(struct judged *judged, pid_t pid);

/* It was asked, after judged_skip(), and is another. Without memory it is asked again. */
void judged_other(struct judged *judged, pid_t pid);

#endif
