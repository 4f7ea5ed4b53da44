/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/limits.h"
#include "guest/list.h"
#include "linux/peek.h"
#include "monitor/behaviour_task.h"

#define PF_EXITING 0x00000004u	/* include/linux/sched.h */
#define PF_KTHREAD 0x00200000u

struct task_fields {
	struct field tasks, pid, tgid, comm, exit_state, exit_code, flags, parent, signal, cred;
	struct field execs, start, proxy, threads, thread_head, thread_node;
	struct field uid, euid, suid, fsuid, gid, egid, sgid, fsgid;
	struct field effective, permitted, inheritable, bounding, ambient, user_ns;
	struct field uts, ipc, mnt, net, time, cgroup;
};

#define M(name, what)	    MEMBER(struct task_fields, name, what)
#define M_MAYBE(name, what) MEMBER_OPTIONAL(struct task_fields, name, what)

static const struct member task_members[] = {
	M(tasks, "task_struct.tasks"),
	M(pid, "task_struct.pid"),
	M(tgid, "task_struct.tgid"),
	M(comm, "task_struct.comm"),
	M(exit_state, "task_struct.exit_state"),
	M(exit_code, "task_struct.exit_code"),
	M(flags, "task_struct.flags"),
	M(parent, "task_struct.real_parent"),
	M(signal, "task_struct.signal"),
	M(cred, "task_struct.real_cred"),
	M(execs, "task_struct.self_exec_id"),
	/* cf25e24db61c (5.5) */
	M(start, "task_struct.start_boottime|task_struct.real_start_time"),
	M(proxy, "task_struct.nsproxy"),
	M(threads, "signal_struct.nr_threads"),
	M(thread_head, "signal_struct.thread_head"),
	M(thread_node, "task_struct.thread_node"),
	M(uid, "cred.uid"),
	M(euid, "cred.euid"),
	M(suid, "cred.suid"),
	M(fsuid, "cred.fsuid"),
	M(gid, "cred.gid"),
	M(egid, "cred.egid"),
	M(sgid, "cred.sgid"),
	M(fsgid, "cred.fsgid"),
	M(effective, "cred.cap_effective"),
	M(permitted, "cred.cap_permitted"),
	M(inheritable, "cred.cap_inheritable"),
	M(bounding, "cred.cap_bset"),
	M(ambient, "cred.cap_ambient"),
	M(user_ns, "cred.user_ns"),
	M(uts, "nsproxy.uts_ns"),
	M(ipc, "nsproxy.ipc_ns"),
	M(mnt, "nsproxy.mnt_ns"),
	M(net, "nsproxy.net_ns"),
	M_MAYBE(time, "nsproxy.time_ns"),
	M_MAYBE(cgroup, "nsproxy.cgroup_ns"),
};
LAYOUT(task_layout, struct task_fields, task_members);

struct reader {
	const struct kernel *kernel;
	struct view *view;
	const struct task_fields *f;
	struct seen_tasks *tasks;
};

void seen_tasks_free(struct seen_tasks *tasks)
{
	vec_free(&tasks->v);
	map_free(&tasks->by_pid);
	*tasks = (struct seen_tasks){0};
}

struct seen_task *seen_tasks_find(const struct seen_tasks *tasks, int32_t pid)
{
	uint32_t place;

	if (pid <= 0 || !map_get(&tasks->by_pid, (uint64_t)pid, &place))
		return NULL;
	return &tasks->v.v[place - 1];
}

int seen_tasks_add(struct seen_tasks *tasks, const struct seen_task *task)
{
	struct seen_task *slot;
	int r;

	/* A PID that stands twice is a forgery: the first counts. */
	if (task->pid <= 0 || seen_tasks_find(tasks, task->pid))
		return 0;
	slot = vec_add(&tasks->v);
	if (!slot)
		return -ENOMEM;
	*slot = *task;
	r = map_put(&tasks->by_pid, (uint64_t)task->pid, (uint32_t)tasks->v.n);
	return r < 0 ? r : 0;
}

static void read_cred(struct peek *peek, const struct task_fields *f, gva at,
		      struct seen_cred *cred)
{
	cred->uid = peek_u32(peek, at, &f->uid);
	cred->euid = peek_u32(peek, at, &f->euid);
	cred->suid = peek_u32(peek, at, &f->suid);
	cred->fsuid = peek_u32(peek, at, &f->fsuid);
	cred->gid = peek_u32(peek, at, &f->gid);
	cred->egid = peek_u32(peek, at, &f->egid);
	cred->sgid = peek_u32(peek, at, &f->sgid);
	cred->fsgid = peek_u32(peek, at, &f->fsgid);
	cred->effective = peek_u64(peek, at, &f->effective);
	cred->permitted = peek_u64(peek, at, &f->permitted);
	cred->inheritable = peek_u64(peek, at, &f->inheritable);
	cred->bounding = peek_u64(peek, at, &f->bounding);
	cred->ambient = peek_u64(peek, at, &f->ambient);
}

/* pid_ns_for_children is left out: the task itself stays where it is. */
static void read_proxies(struct peek *peek, const struct task_fields *f, struct seen_task *task)
{
	const struct field *fields[] = { &f->uts, &f->ipc, &f->mnt, &f->net, &f->time, &f->cgroup };

	for (size_t i = 0; i < ARRAY_SIZE(fields); i++)
		task->proxies[i] = peek_u64(peek, task->proxy_at, fields[i]);
	task->proxies[ARRAY_SIZE(fields)] = peek_u64(peek, task->cred_at, &f->user_ns);
}

/* A leader may end before its other threads: the process goes on then. */
static void read_end(struct peek *peek, const struct task_fields *f, struct seen_task *task)
{
	gva signal;

	if (!peek_u32(peek, task->at, &f->exit_state))
		return;
	signal = peek_object(peek, task->at, &f->signal);
	task->ended = !signal.v || peek_u32(peek, signal, &f->threads) <= 1;
	task->exit_code = peek_u32(peek, task->at, &f->exit_code);
}

static int read_task(const struct reader *reader, gva at, struct seen_task *ret, struct err *err)
{
	struct peek peek = peek_at(reader->view, err);
	const struct task_fields *f = reader->f;
	struct seen_task task = { .at = at };
	gva parent;
	int r;

	r = view_read(reader->view, field_at(at, &f->comm), task.comm, sizeof(task.comm) - 1, err);
	if (r < 0)
		return r;
	task.pid = (int32_t)peek_u32(&peek, at, &f->pid);
	task.flags = peek_u32(&peek, at, &f->flags);
	task.start_ns = peek_u64(&peek, at, &f->start);
	task.execs = peek_u64(&peek, at, &f->execs);
	parent = peek_object(&peek, at, &f->parent);
	if (parent.v)
		task.ppid = (int32_t)peek_u32(&peek, parent, &f->tgid);
	read_end(&peek, f, &task);
	task.cred_at = peek_object(&peek, at, &f->cred);
	task.proxy_at = peek_object(&peek, at, &f->proxy);
	task.ending = task.ended || task.flags & PF_EXITING || !task.cred_at.v || !task.proxy_at.v;
	if (!task.ending) {
		read_cred(&peek, f, task.cred_at, &task.cred);
		read_proxies(&peek, f, &task);
	}
	if (peek.first < 0)
		return wrap(err, peek.first, "task");
	*ret = task;
	return 0;
}

static int visit_task(gva link, void *ctx, struct err *err)
{
	const struct reader *reader = ctx;
	struct seen_task task;
	int r = read_task(reader, field_object(link, &reader->f->tasks), &task, err);

	return r < 0 ? r : seen_tasks_add(reader->tasks, &task);
}

static int open_reader(const struct kernel *kernel, struct view *view, struct seen_tasks *tasks,
		       struct reader *ret, struct err *err)
{
	*ret = (struct reader){ kernel, view, NULL, tasks };
	return types_layout(kernel->types, &task_layout, (const void **)&ret->f, err);
}

int seen_tasks_read(const struct kernel *kernel, struct view *view, struct seen_tasks *ret,
		    uint64_t *forks, struct err *err)
{
	gva init, counter = symbols_lookup(kernel->symbols, "total_forks");
	struct reader reader;
	int r;

	r = open_reader(kernel, view, ret, &reader, err);
	if (r >= 0)
		r = kernel_symbol(kernel, "init_task", &init, err);
	if (r >= 0 && counter.v)
		r = view_u64(view, counter, forks, err);
	if (r >= 0)
		r = list_walk(view, field_at(init, &reader.f->tasks), BEHAVIOUR_TASKS_MAX,
			      visit_task, &reader, err);
	return r < 0 ? wrap(err, r, "task list") : 0;
}

int seen_task_again(const struct kernel *kernel, struct view *view,
		    const struct seen_task *task, struct seen_task *ret, struct err *err)
{
	struct reader reader;
	int r;

	r = open_reader(kernel, view, NULL, &reader, err);
	if (r >= 0)
		r = read_task(&reader, task->at, ret, err);
	if (r >= 0 && (ret->pid != task->pid || ret->start_ns != task->start_ns))
		return err_set(err, -ESTALE, "PID %d is another process now", task->pid);
	return r;
}

/* The threads of one process, but its leader. */
struct threads {
	const struct reader *reader;
	gva leader;
	const struct map *known;
	struct map now;
	uint64_t unknown;
};

/* Enough to tell two threads of one boot apart: their number and their start. */
static uint64_t thread_key(int32_t pid, uint64_t start_ns)
{
	uint64_t key = start_ns * 0x9e3779b97f4a7c15ull ^ (uint32_t)pid;

	return key ? key : 1;
}

static int visit_thread(gva link, void *ctx, struct err *err)
{
	struct threads *threads = ctx;
	const struct task_fields *f = threads->reader->f;
	struct peek peek = peek_at(threads->reader->view, err);
	gva at = field_object(link, &f->thread_node);
	uint64_t key;
	int r;

	if (at.v == threads->leader.v)
		return 0;
	key = thread_key((int32_t)peek_u32(&peek, at, &f->pid), peek_u64(&peek, at, &f->start));
	if (peek.first < 0)
		return peek.first;
	if (threads->now.n >= BEHAVIOUR_TASKS_MAX)
		return err_set(err, -ELOOP, "over %u threads", BEHAVIOUR_TASKS_MAX);
	r = map_put(&threads->now, key, 1);
	if (r == 0 && !map_get(threads->known, key, NULL))
		threads->unknown++;
	return r < 0 ? r : 0;
}

static int walk_threads(struct threads *threads, const struct seen_task *task, struct err *err)
{
	const struct task_fields *f = threads->reader->f;
	struct view *view = threads->reader->view;
	uint64_t n;
	gva signal;
	int r;

	if (task->flags & PF_KTHREAD || task->ended)
		return 0;
	r = field_ptr(view, task->at, &f->signal, &signal, err);
	if (r < 0 || !gva_is_kernel(signal))
		return r < 0 ? r : fail(err, -EBADMSG, task->at, "task without signals");
	r = field_read(view, signal, &f->threads, &n, err);
	if (r < 0 || n <= 1)
		return r;
	threads->leader = task->at;
	return list_walk(view, field_at(signal, &f->thread_head), BEHAVIOUR_TASKS_MAX,
			 visit_thread, threads, err);
}

int seen_threads_count(const struct kernel *kernel, struct view *view,
		       const struct seen_tasks *tasks, struct map *known, uint64_t *ret,
		       struct err *err)
{
	struct threads threads = { .known = known };
	struct reader reader;
	int r;

	threads.reader = &reader;
	r = open_reader(kernel, view, NULL, &reader, err);
	for (size_t i = 0; i < tasks->v.n && r >= 0; i++)
		r = walk_threads(&threads, &tasks->v.v[i], err);
	if (r < 0) {
		map_free(&threads.now);
		return wrap(err, r, "threads");
	}
	map_free(known);
	*known = threads.now;
	*ret = threads.unknown;
	return 0;
}
