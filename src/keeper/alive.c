/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>

#include "keeper/look.h"
#include "linux/peek.h"
#include "linux/task_each.h"

/*
 * Does the agent run, and on its own? A process is stopped by a signal or a tracer (state), or
 * frozen by its control group: v1 by PF_FROZEN or, from 6.1 (f5d39b020809), TASK_FROZEN, v2 by
 * a trap in its signal handling. The bits of v1 mean nothing else of a user's process in any
 * kernel.
 */

#define PF_FROZEN	  0x00010000u	/* include/linux/sched.h, up to 6.0 */
#define TASK_FROZEN	  0x00008000u	/* … from 6.1 on */
#define JOBCTL_STOP	  (1ull << 17)	/* include/linux/sched/jobctl.h */
#define JOBCTL_FREEZE	  (1ull << 23)

struct alive_fields {
	struct field ptrace, state, flags, jobctl, frozen;
};

static const struct member alive_members[] = {
	MEMBER(struct alive_fields, ptrace, "task_struct.ptrace"),
	MEMBER(struct alive_fields, state, "task_struct.__state|task_struct.state"),
	MEMBER(struct alive_fields, flags, "task_struct.flags"),
	MEMBER(struct alive_fields, jobctl, "task_struct.jobctl"),
	MEMBER_OPTIONAL(struct alive_fields, frozen, "task_struct.frozen"),
};
LAYOUT(alive_layout, struct alive_fields, alive_members);

struct alive {
	struct look *look;
	const struct alive_fields *f;
};

static void tell(struct alive *alive, const struct task *task, enum keeper_topic topic,
		 const char *object, const char *title, const char *found)
{
	char what[32];
	const struct told told = {
		.topic = topic, .weight = KEEPER_HIGH, .at = task->at,
		.object = object, .title = title, .what = what,
		.expected = "it runs, or waits for work",
	};

	snprintf(what, sizeof(what), "thread %d", task->pid);
	look_tell(alive->look, &told, "%s", found);
}

static int look_at(const struct task *task, void *ctx, struct err *err)
{
	struct alive *alive = ctx;
	const struct alive_fields *f = alive->f;
	struct peek peek = peek_at(alive->look->view, err);
	uint64_t ptrace = peek_u64(&peek, task->at, &f->ptrace);
	uint32_t state = peek_u32(&peek, task->at, &f->state);
	uint32_t flags = peek_u32(&peek, task->at, &f->flags);
	uint64_t jobctl = peek_u64(&peek, task->at, &f->jobctl);
	uint64_t frozen = peek_u64(&peek, task->at, &f->frozen);

	if (peek.first < 0)
		return peek.first;
	if (task->exit_state) {
		if (task->pid == task->tgid)
			tell(alive, task, KEEPER_ALIVE, "main thread",
			     "Agent's main thread has ended", "it has ended, and others run on");
		return 0;
	}
	if (ptrace)
		tell(alive, task, KEEPER_CODE, "tracer", "Agent is traced",
		     "another process traces it, and can write into its memory");
	/* Who is stopped counts as frozen to its control group as well (do_signal_stop()). */
	if (!(jobctl & JOBCTL_FREEZE) && !ptrace &&
	    (task->state == 'T' || task->state == 't' || jobctl & JOBCTL_STOP))
		tell(alive, task, KEEPER_ALIVE, "stopped", "Agent is stopped",
		     "it was stopped by a signal");
	else if (frozen || jobctl & JOBCTL_FREEZE || state & TASK_FROZEN || flags & PF_FROZEN)
		tell(alive, task, KEEPER_ALIVE, "frozen", "Agent is frozen",
		     "its control group is frozen");
	return 0;
}

int prove_alive(struct look *look, const struct claim *claim, struct err *err)
{
	struct tasks one = { .v = (struct task *)&claim->task, .n = 1 };
	struct partial partial = partial_of(look->view);
	struct alive alive = { .look = look };
	int r;

	r = types_layout(look->kernel->types, &alive_layout, (const void **)&alive.f, err);
	if (r >= 0)
		r = task_each_thread(look->kernel, look->view, &one, &partial, look_at, &alive,
				     err);
	if (r >= 0 && partial.code)
		r = look_partial(look, KEEPER_ALIVE, partial.code, &partial.err);
	return r;
}
