/* SPDX-License-Identifier: Apache-2.0 */
#include "linux/task.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/limits.h"
#include "base/vec.h"
#include "guest/list.h"
#include "linux/clock.h"
#include "linux/peek.h"

#define PF_KTHREAD 0x00200000u	/* include/linux/sched.h */

struct task_fields {
	struct field tasks, thread_node, thread_head, threads;
	struct field pid, tgid, comm, state, exit_state, flags, parent, leader, signal, cred, mm;
	struct field start, pgd;
	struct field uid, euid, suid, fsuid, gid, egid, sgid, fsgid;
	struct field effective, permitted, inheritable, bounding, ambient;
};

static const struct member task_members[] = {
	MEMBER(struct task_fields, tasks, "task_struct.tasks"),
	MEMBER(struct task_fields, thread_node, "task_struct.thread_node"),
	MEMBER(struct task_fields, thread_head, "signal_struct.thread_head"),
	MEMBER(struct task_fields, threads, "signal_struct.nr_threads"),
	MEMBER(struct task_fields, pid, "task_struct.pid"),
	MEMBER(struct task_fields, tgid, "task_struct.tgid"),
	MEMBER(struct task_fields, comm, "task_struct.comm"),
	/* 2f064a59a11f (5.14) */
	MEMBER(struct task_fields, state, "task_struct.__state|task_struct.state"),
	MEMBER(struct task_fields, exit_state, "task_struct.exit_state"),
	MEMBER(struct task_fields, flags, "task_struct.flags"),
	MEMBER(struct task_fields, parent, "task_struct.real_parent"),
	MEMBER(struct task_fields, leader, "task_struct.group_leader"),
	MEMBER(struct task_fields, signal, "task_struct.signal"),
	MEMBER(struct task_fields, cred, "task_struct.real_cred"),
	MEMBER(struct task_fields, mm, "task_struct.mm"),
	/* cf25e24db61c (5.5) */
	MEMBER(struct task_fields, start,
	       "task_struct.start_boottime|task_struct.real_start_time"),
	MEMBER(struct task_fields, pgd, "mm_struct.pgd"),
	MEMBER(struct task_fields, uid, "cred.uid"),
	MEMBER(struct task_fields, euid, "cred.euid"),
	MEMBER(struct task_fields, suid, "cred.suid"),
	MEMBER(struct task_fields, fsuid, "cred.fsuid"),
	MEMBER(struct task_fields, gid, "cred.gid"),
	MEMBER(struct task_fields, egid, "cred.egid"),
	MEMBER(struct task_fields, sgid, "cred.sgid"),
	MEMBER(struct task_fields, fsgid, "cred.fsgid"),
	/* Two words or one number of 64 bits (f122a08b197d, 6.3): the same bytes. */
	MEMBER(struct task_fields, effective, "cred.cap_effective"),
	MEMBER(struct task_fields, permitted, "cred.cap_permitted"),
	MEMBER(struct task_fields, inheritable, "cred.cap_inheritable"),
	MEMBER(struct task_fields, bounding, "cred.cap_bset"),
	MEMBER(struct task_fields, ambient, "cred.cap_ambient"),
};
LAYOUT(task_layout, struct task_fields, task_members);

/*
 * What all tasks of one call share. A clock that cannot be read is no failure: then there is
 * no wall clock time.
 */
struct reader {
	const struct kernel *kernel;
	struct view *view;
	const struct task_fields *f;
	struct clock clock;
	bool has_clock;
	struct tasks *tasks;
};

static int reader_open(const struct kernel *kernel, struct view *view, struct tasks *tasks,
		       struct reader *ret, struct err *err)
{
	int r;

	*ret = (struct reader){ .kernel = kernel, .view = view, .tasks = tasks };
	r = types_layout(kernel->types, &task_layout, (const void **)&ret->f, err);
	if (r < 0)
		return r;
	r = clock_read(kernel, view, &ret->clock, NULL);
	if (r == -ELOOP || r == -ESRCH)
		return err_set(err, r, "the guest's clock");
	ret->has_clock = r >= 0;
	return 0;
}

/*
 * As /proc/PID/status does it (fs/proc/array.c and task_state_index() of
 * include/linux/sched.h): the highest bit of both states that is meant for reports. The bits
 * are those of include/linux/sched.h since 8ef9925b02c2 (4.14).
 */
static char state_letter(uint64_t state, uint32_t exit_state)
{
	enum { UNINTERRUPTIBLE = 0x2, NOLOAD = 0x400, IDLE = UNINTERRUPTIBLE | NOLOAD,
	       REPORT = 0x7f, RTLOCK_WAIT = 0x1000, FROZEN = 0x8000 };
	static const char letters[] = "SDTtXZP";
	uint64_t bits = (state | exit_state) & REPORT;

	if ((state & IDLE) == IDLE)
		return 'I';
	if (state & (RTLOCK_WAIT | FROZEN))
		bits = UNINTERRUPTIBLE;
	return bits ? letters[63 - __builtin_clzll(bits)] : 'R';
}

static void read_cred(struct peek *peek, const struct task_fields *f, gva cred,
		      struct task *task)
{
	task->uid = peek_u32(peek, cred, &f->uid);
	task->euid = peek_u32(peek, cred, &f->euid);
	task->suid = peek_u32(peek, cred, &f->suid);
	task->fsuid = peek_u32(peek, cred, &f->fsuid);
	task->gid = peek_u32(peek, cred, &f->gid);
	task->egid = peek_u32(peek, cred, &f->egid);
	task->sgid = peek_u32(peek, cred, &f->sgid);
	task->fsgid = peek_u32(peek, cred, &f->fsgid);
	task->caps.effective = peek_u64(peek, cred, &f->effective);
	task->caps.permitted = peek_u64(peek, cred, &f->permitted);
	task->caps.inheritable = peek_u64(peek, cred, &f->inheritable);
	task->caps.bounding = peek_u64(peek, cred, &f->bounding);
	task->caps.ambient = peek_u64(peek, cred, &f->ambient);
}

/* The page table of a process: the kernel keeps the address of its direct mapping. */
static void read_space(struct peek *peek, const struct reader *reader, struct task *task)
{
	struct mapping to;
	gva pgd;
	int r;

	pgd = peek_object(peek, task->mm, &reader->f->pgd);
	if (!pgd.v)
		return;
	r = view_translate(peek->view, reader->kernel->space, pgd, &to,
			   peek->first ? NULL : peek->err);
	if (r < 0) {
		peek_failed(peek, r);
		return;
	}
	task->space = (struct space){ gpa_of(to.at.v & ~GUEST_PAGE_MASK),
				      reader->kernel->space.levels };
}

static void read_comm(struct peek *peek, const struct task_fields *f, struct task *task)
{
	int r;

	if (peek->r < 0)
		return;
	r = view_read(peek->view, field_at(task->at, &f->comm), task->comm,
		      sizeof(task->comm) - 1, peek->first ? NULL : peek->err);
	if (r < 0)
		peek_failed(peek, r);
	task->comm[sizeof(task->comm) - 1] = '\0';
}

static int read_task(const struct reader *reader, gva at, struct task *ret, struct err *err)
{
	struct peek peek = peek_at(reader->view, err);
	const struct task_fields *f = reader->f;
	struct task task = { .at = at, .live = at };
	gva signal, cred;
	uint64_t pid;
	int r;

	if (!gva_is_kernel(at))
		return fail(err, -EBADMSG, at, "no place for a task");
	r = field_read(reader->view, at, &f->pid, &pid, err);
	if (r < 0)
		return wrap(err, r, "task");
	task.pid = (int32_t)pid;
	task.tgid = (int32_t)peek_u32(&peek, at, &f->tgid);
	read_comm(&peek, f, &task);
	task.flags = peek_u32(&peek, at, &f->flags);
	task.kernel_thread = task.flags & PF_KTHREAD;
	task.exit_state = peek_u32(&peek, at, &f->exit_state);
	task.state = state_letter(peek_u64(&peek, at, &f->state), task.exit_state);
	task.start_ns = peek_u64(&peek, at, &f->start);
	if (reader->has_clock)
		task.started_ns = clock_wall_ns(&reader->clock, task.start_ns);

	task.leader = peek_object(&peek, at, &f->leader);
	task.parent = peek_object(&peek, at, &f->parent);
	if (task.parent.v)
		task.ppid = (int32_t)peek_u32(&peek, task.parent, &f->tgid);
	signal = peek_object(&peek, at, &f->signal);
	if (signal.v)
		task.threads = peek_u32(&peek, signal, &f->threads);
	cred = peek_object(&peek, at, &f->cred);
	if (cred.v)
		read_cred(&peek, f, cred, &task);
	task.mm = peek_object(&peek, at, &f->mm);
	if (task.mm.v)
		read_space(&peek, reader, &task);
	if (peek.r < 0)
		return wrap(err, peek.r, "task");
	task.partial = peek.first < 0;
	*ret = task;
	return 0;
}

int task_read(const struct kernel *kernel, struct view *view, gva at, struct task *ret,
	      struct err *err)
{
	struct reader reader;
	int r;

	r = reader_open(kernel, view, NULL, &reader, err);
	if (r < 0)
		return r;
	return read_task(&reader, at, ret, err);
}

static int add_task(const struct reader *reader, gva at, struct err *err)
{
	struct task *task = vec_add(reader->tasks);
	int r;

	if (!task)
		return -ENOMEM;
	r = read_task(reader, at, task, err);
	if (r < 0)
		reader->tasks->n--;
	return r;
}

static int add_leader(gva link, void *ctx, struct err *err)
{
	const struct reader *reader = ctx;

	return add_task(reader, field_object(link, &reader->f->tasks), err);
}

static int add_thread(gva link, void *ctx, struct err *err)
{
	const struct reader *reader = ctx;

	return add_task(reader, field_object(link, &reader->f->thread_node), err);
}

/* The list as it was read, for all who ask for it at this instant. */
struct listed {
	const struct kernel *kernel;
	size_t n;
	struct task v[];
};

/* Those of @tasks from @first on. Without memory they are read again. */
static void keep_list(const struct kernel *kernel, struct view *view, const struct tasks *tasks,
		      size_t first)
{
	size_t n = tasks->n - first;
	struct listed *listed = n ? malloc(sizeof(*listed) + n * sizeof(*listed->v)) : NULL;

	if (!listed)
		return;
	*listed = (struct listed){ .kernel = kernel, .n = n };
	memcpy(listed->v, tasks->v + first, n * sizeof(*listed->v));
	view_keep(view, &task_layout, listed, free);
}

static int add_listed(const struct listed *listed, struct tasks *ret)
{
	for (size_t i = 0; i < listed->n; i++) {
		struct task *task = vec_add(ret);

		if (!task)
			return -ENOMEM;
		*task = listed->v[i];
	}
	return 0;
}

int task_list(const struct kernel *kernel, struct view *view, struct tasks *ret, struct err *err)
{
	const struct listed *listed = view_kept(view, &task_layout);
	struct reader reader;
	size_t first = ret->n;
	gva init;
	int r;

	if (listed && listed->kernel == kernel)
		return add_listed(listed, ret);
	r = reader_open(kernel, view, ret, &reader, err);
	if (r >= 0)
		r = kernel_symbol(kernel, "init_task", &init, err);
	if (r >= 0)
		r = list_walk(view, field_at(init, &reader.f->tasks), TASKS_MAX, add_leader,
			      &reader, err);
	if (r < 0)
		return wrap(err, r, "task list");
	keep_list(kernel, view, ret, first);
	return 0;
}

int task_threads(const struct kernel *kernel, struct view *view, const struct task *task,
		 struct tasks *ret, struct err *err)
{
	struct reader reader;
	gva signal;
	int r;

	r = reader_open(kernel, view, ret, &reader, err);
	if (r >= 0)
		r = field_ptr(view, task->at, &reader.f->signal, &signal, err);
	if (r >= 0 && !gva_is_kernel(signal))
		r = fail(err, -EBADMSG, task->at, "task without signals");
	if (r >= 0)
		r = list_walk(view, field_at(signal, &reader.f->thread_head), TASKS_MAX,
			      add_thread, &reader, err);
	return r < 0 ? wrap(err, r, "threads of PID %d", task->tgid) : 0;
}

void tasks_free(struct tasks *tasks)
{
	vec_free(tasks);
}

const char *task_name(const struct task *task, char *buf, size_t size)
{
	snprintf(buf, size, "%d %s", task->pid, task->comm);
	return buf;
}
