/* SPDX-License-Identifier: Apache-2.0 */
#include "ram/judged.h"

#include <stdlib.h>

void judged_free(struct judged *judged)
{
	vec_free(&judged->before);
	vec_free(&judged->now);
	*judged = (struct judged){ 0 };
}

void judged_begin(struct judged *judged)
{
	struct judged_one *v = judged->before.v;
	size_t room = judged->before.room;

	judged->before.v = judged->now.v;
	judged->before.n = judged->now.n;
	judged->before.room = judged->now.room;
	judged->now.v = v;
	judged->now.n = 0;
	judged->now.room = room;
	judged->at = 0;
	judged->round++;
}

static uint32_t times_before(struct judged *judged, pid_t pid)
{
	while (judged->at < judged->before.n && judged->before.v[judged->at].pid < pid)
		judged->at++;
	return judged->at < judged->before.n && judged->before.v[judged->at].pid == pid ?
		       judged->before.v[judged->at].times : 0;
}

static void add(struct judged *judged, pid_t pid, uint32_t times)
{
	struct judged_one *one = vec_add(&judged->now);

	if (one)
		*one = (struct judged_one){ pid, times };
}

bool judged_skip(struct judged *judged, pid_t pid)
{
	uint32_t times = times_before(judged, pid);

	if (times < JUDGED_TIMES || ((uint32_t)pid + judged->round) % JUDGED_EVERY == 0)
		return false;
	add(judged, pid, times);
	return true;
}

void judged_other(struct judged *judged, pid_t pid)
{
	uint32_t times = times_before(judged, pid);

	add(judged, pid, times < JUDGED_TIMES ? times + 1 : times);
}
