/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>

#include "base/cleanup.h"
#include "base/limits.h"
#include "base/vec.h"
#include "guest/paging.h"
#include "linux/peek.h"
#include "linux/task_set.h"
#include "linux/vmap.h"

/*
 * Whoever takes a sleeping task out of every list leaves its stack behind, because the task
 * could not go on without it: an area of the kernel's virtual memory, of a size that all
 * stacks share (kernel/fork.c, alloc_thread_stack_node()). A stack without a task is one that is
 * kept for the next thread or waits to be freed, and leads to nobody: the memory of the task
 * that had it, if it is still there, does not name the stack any more (release_task_stack()).
 *
 * A new stack is zeroed, and a thread that never ran has nothing on it that leads to its task.
 */

#define STACK_BYTES_MAX	(64u << 10)	/* 16 KiB, 32 with KASAN */
#define TASK_ALIGN	64u		/* of task_struct: L1_CACHE_BYTES (fork_init()) */
#define LEADS_MAX	512u		/* pointers on one stack that may be to its task */
#define PIECE_WORDS	(GUEST_PAGE_SIZE / sizeof(uint64_t))

struct stack_fields {
	struct field stack, sp, state, exit_state, signal, sighand, cred;
};

static const struct member stack_members[] = {
	MEMBER(struct stack_fields, stack, "task_struct.stack"),
	MEMBER(struct stack_fields, sp, "task_struct.thread.sp"),
	MEMBER(struct stack_fields, state, "task_struct.__state|task_struct.state"),
	MEMBER(struct stack_fields, exit_state, "task_struct.exit_state"),
	MEMBER(struct stack_fields, signal, "task_struct.signal"),
	MEMBER(struct stack_fields, sighand, "task_struct.sighand"),
	MEMBER(struct stack_fields, cred, "task_struct.cred"),
};
LAYOUT(stack_layout, struct stack_fields, stack_members);

#define TASK_DEAD	0x80u	/* include/linux/sched.h */

struct area {
	gva start;
	uint64_t size_bytes;
};

struct stacks {
	struct task_set *set;
	const struct stack_fields *f;
	struct map known;	/* stacks of the tasks that are in the set */
	VEC(struct area) areas;
	uint64_t size_bytes;	/* of a stack's area; 0: not known yet */
};

static int add_known(struct stacks *stacks, gva task)
{
	uint64_t stack;
	int r;

	/* A task whose memory cannot be read is told by those who look at it. */
	if (field_read(stacks->set->view, task, &stacks->f->stack, &stack, NULL) < 0 || !stack)
		return 0;
	r = map_put(&stacks->known, stack, 0);
	return r < 0 ? r : 0;
}

static int learn_stacks(struct stacks *stacks)
{
	const struct task_set *set = stacks->set;
	int r = 0;

	for (size_t i = 0; r >= 0 && i < set->n; i++)
		r = add_known(stacks, set->v[i].at);
	for (uint32_t i = 0; r >= 0 && i < set->idle.room; i++)
		if (set->idle.keys[i])
			r = add_known(stacks, gva_of(set->idle.keys[i]));
	return r;
}

static int add_area(const struct vmap_area *found, void *ctx, struct err *err)
{
	struct stacks *stacks = ctx;
	struct area *area;

	(void)err;
	if (map_get(&stacks->known, found->start.v, NULL)) {
		stacks->size_bytes = found->size_bytes;
		return 0;
	}
	if (found->size_bytes > STACK_BYTES_MAX)
		return 0;
	area = vec_add(&stacks->areas);
	if (!area)
		return -ENOMEM;
	*area = (struct area){ found->start, found->size_bytes };
	return 0;
}

/* Does it have what no task goes on without? One that was released has lost the first. */
static bool is_alive(const struct stacks *stacks, struct peek *peek, gva at)
{
	const struct stack_fields *f = stacks->f;

	return gva_is_kernel(peek_ptr(peek, at, &f->sighand)) &&
	       gva_is_kernel(peek_ptr(peek, at, &f->signal)) &&
	       gva_is_kernel(peek_ptr(peek, at, &f->cred)) &&
	       !peek_u32(peek, at, &f->exit_state) &&
	       !(peek_u64(peek, at, &f->state) & TASK_DEAD);
}

/*
 * Is @at the task of this stack? It says so, or it would go on there: it is not over, and
 * where it was switched away from lies in the stack. (What was a task, and is something else
 * by now, may still have that one member.)
 */
static bool is_owner(const struct stacks *stacks, const struct area *area, gva at)
{
	const struct stack_fields *f = stacks->f;
	struct peek peek = peek_at(stacks->set->view, NULL);
	gva stack = peek_ptr(&peek, at, &f->stack);

	if (peek.first < 0)
		return false;
	if (stack.v == area->start.v)
		return true;
	return peek_u64(&peek, at, &f->sp) - area->start.v < area->size_bytes &&
	       is_alive(stacks, &peek, at) && peek.first >= 0;
}

/* Could the word be a pointer to a task_struct? Those lie in the direct map. */
static bool is_lead(const struct stacks *stacks, uint64_t word)
{
	const struct kernel *kernel = stacks->set->kernel;

	return word >= kernel->page_offset.v && word < kernel->text.v && word % TASK_ALIGN == 0;
}

/* From the top down: what was there first is what waits longest. */
static int look_at_page(struct stacks *stacks, const struct area *area, gva page, struct map *seen,
			struct err *err)
{
	uint64_t words[PIECE_WORDS];
	struct task_seen *task;
	int r;

	r = view_burn(stacks->set->view, 1, err);
	if (r < 0)
		return r;
	/* A guard page, or a stack that was freed just now. */
	if (view_read(stacks->set->view, page, words, sizeof(words), NULL) < 0)
		return 0;
	for (size_t i = PIECE_WORDS; i-- > 0;) {
		if (!is_lead(stacks, words[i]) || words[i] - area->start.v < area->size_bytes)
			continue;
		if (seen->n == LEADS_MAX)
			return 1;
		r = map_put(seen, words[i], 0);
		if (r < 0)
			return r;
		if (r > 0)
			continue;
		/* Forged areas may share their pages: they cost fuel all the same. */
		r = view_burn(stacks->set->view, 1, err);
		if (r < 0)
			return r;
		if (!is_owner(stacks, area, gva_of(words[i])))
			continue;
		r = task_set_add(stacks->set, gva_of(words[i]), VIEW_STACKS, &task, err);
		return r < 0 ? r : 1;
	}
	return 0;
}

static int look_at(struct stacks *stacks, const struct area *area, struct err *err)
{
	struct map seen = { 0 };
	int r = 0;

	for (uint64_t left = area->size_bytes; left >= GUEST_PAGE_SIZE && !r;
	     left -= GUEST_PAGE_SIZE)
		r = look_at_page(stacks, area, gva_add(area->start, left - GUEST_PAGE_SIZE), &seen,
				 err);
	map_free(&seen);
	return r < 0 ? r : 0;
}

int tasks_by_stack(struct task_set *set, uint64_t *n, struct err *err)
{
	struct stacks stacks = { .set = set };
	struct task_failures failures = { 0 };
	int r;

	*n = 0;
	r = types_layout(set->kernel->types, &stack_layout, (const void **)&stacks.f, err);
	if (r >= 0)
		r = learn_stacks(&stacks);
	if (r >= 0)
		r = vmap_walk(set->kernel, set->view, add_area, &stacks, err);
	if (r == -ENOTSUP || (r >= 0 && !stacks.size_bytes))
		r = err_set(err, -ENOENT, "kernel stacks are no areas of their own");
	else
		r = task_failures_add(&failures, r, err);
	for (size_t i = 0; r >= 0 && stacks.size_bytes && i < stacks.areas.n; i++)
		if (stacks.areas.v[i].size_bytes == stacks.size_bytes)
			r = look_at(&stacks, &stacks.areas.v[i], err);
	*n = stacks.known.n;
	map_free(&stacks.known);
	vec_free(&stacks.areas);
	return r < 0 ? r : task_failures_end(&failures, VIEW_STACKS, err);
}
