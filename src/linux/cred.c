/* SPDX-License-Identifier: Apache-2.0 */
#include "linux/cred.h"

#include <stdlib.h>
#include <string.h>

#include "base/limits.h"
#include "base/vec.h"
#include "linux/peek.h"
#include "linux/task_each.h"

#define PF_EXITING   0x00000004u	/* include/linux/sched.h */
#define PF_DUMPCORE  0x00000200u
#define S_ISUID	     04000u
#define DUMP_MASK    3u			/* MMF_DUMPABLE_MASK */
#define DUMP_OWNER   1u			/* SUID_DUMP_USER, TASK_DUMPABLE_OWNER */
#define SECOND_NS    1000000000ull

struct cred_fields {
	struct field uid, euid, suid, fsuid;
	struct field effective, permitted, inheritable, bounding, ambient;
	struct field user, user_ns, ucounts, groups, user_uid, ucounts_uid, ucounts_ns;
};

static const struct member cred_members[] = {
	MEMBER(struct cred_fields, uid, "cred.uid"),
	MEMBER(struct cred_fields, euid, "cred.euid"),
	MEMBER(struct cred_fields, suid, "cred.suid"),
	MEMBER(struct cred_fields, fsuid, "cred.fsuid"),
	MEMBER(struct cred_fields, effective, "cred.cap_effective"),
	MEMBER(struct cred_fields, permitted, "cred.cap_permitted"),
	MEMBER(struct cred_fields, inheritable, "cred.cap_inheritable"),
	MEMBER(struct cred_fields, bounding, "cred.cap_bset"),
	MEMBER(struct cred_fields, ambient, "cred.cap_ambient"),
	MEMBER(struct cred_fields, user, "cred.user"),
	MEMBER(struct cred_fields, user_ns, "cred.user_ns"),
	MEMBER_OPTIONAL(struct cred_fields, ucounts, "cred.ucounts"),
	MEMBER(struct cred_fields, groups, "cred.group_info"),
	MEMBER(struct cred_fields, user_uid, "user_struct.uid"),
	MEMBER_OPTIONAL(struct cred_fields, ucounts_uid, "ucounts.uid"),
	MEMBER_OPTIONAL(struct cred_fields, ucounts_ns, "ucounts.ns"),
};
LAYOUT(cred_layout, struct cred_fields, cred_members);

static void read_counted(struct peek *peek, const struct cred_fields *f, gva at,
			 struct cred *cred)
{
	gva user = peek_object(peek, at, &f->user), ucounts;

	if (user.v)
		cred->user_uid = peek_u32(peek, user, &f->user_uid);
	else
		peek_failed(peek, fail(peek->first ? NULL : peek->err, -EBADMSG, at, "no user"));
	cred->has_ucounts = f->ucounts.there && f->ucounts_uid.there && f->ucounts_ns.there;
	if (!cred->has_ucounts)
		return;
	ucounts = peek_object(peek, at, &f->ucounts);
	cred->has_ucounts = ucounts.v;
	if (ucounts.v) {
		cred->ucounts_uid = peek_u32(peek, ucounts, &f->ucounts_uid);
		cred->ucounts_ns = peek_object(peek, ucounts, &f->ucounts_ns);
	}
}

int cred_read(const struct kernel *kernel, struct view *view, gva at, struct cred *ret,
	      struct err *err)
{
	struct peek peek = peek_at(view, err);
	struct cred cred = { .at = at };
	const struct cred_fields *f;
	int r;

	r = types_layout(kernel->types, &cred_layout, (const void **)&f, err);
	if (r < 0)
		return r;
	if (!gva_is_kernel(at))
		return fail(err, -EBADMSG, at, "no place for credentials");
	cred.uid = peek_u32(&peek, at, &f->uid);
	cred.euid = peek_u32(&peek, at, &f->euid);
	cred.suid = peek_u32(&peek, at, &f->suid);
	cred.fsuid = peek_u32(&peek, at, &f->fsuid);
	cred.caps.effective = peek_u64(&peek, at, &f->effective);
	cred.caps.permitted = peek_u64(&peek, at, &f->permitted);
	cred.caps.inheritable = peek_u64(&peek, at, &f->inheritable);
	cred.caps.bounding = peek_u64(&peek, at, &f->bounding);
	cred.caps.ambient = peek_u64(&peek, at, &f->ambient);
	cred.user_ns = peek_object(&peek, at, &f->user_ns);
	cred.group_info = peek_object(&peek, at, &f->groups);
	read_counted(&peek, f, at, &cred);
	if (peek.first < 0)
		return wrap(err, peek.first, "credentials");
	*ret = cred;
	return 0;
}

/* --- who holds them --- */

struct holder_fields {
	struct field real, subjective, self_exec, parent_exec, signal, subreaper, pid, level;
	struct field numbers, upid, nr, mm_flags, exec_state, dumpable;
};

static const struct member holder_members[] = {
	MEMBER(struct holder_fields, real, "task_struct.real_cred"),
	MEMBER(struct holder_fields, subjective, "task_struct.cred"),
	MEMBER(struct holder_fields, self_exec, "task_struct.self_exec_id"),
	MEMBER(struct holder_fields, parent_exec, "task_struct.parent_exec_id"),
	MEMBER(struct holder_fields, signal, "task_struct.signal"),
	MEMBER(struct holder_fields, subreaper, "signal_struct.is_child_subreaper"),
	MEMBER(struct holder_fields, pid, "task_struct.thread_pid"),
	MEMBER(struct holder_fields, level, "pid.level"),
	MEMBER(struct holder_fields, numbers, "pid.numbers"),
	MEMBER(struct holder_fields, upid, "upid"),
	MEMBER(struct holder_fields, nr, "upid.nr"),
	/* Of the memory, until a struct of its own took its place (7.2). */
	MEMBER_OPTIONAL(struct holder_fields, mm_flags,
			"mm_struct.flags.__mm_flags|mm_struct.flags"),
	MEMBER_OPTIONAL(struct holder_fields, exec_state, "task_struct.exec_state"),
	MEMBER_OPTIONAL(struct holder_fields, dumpable, "task_exec_state.dumpable"),
};
LAYOUT(holder_layout, struct holder_fields, holder_members);

struct gathering {
	struct view *view;
	const struct holder_fields *f;
	struct holders *holders;
	gva suid_dumpable;
	bool telling;		/* what is not dumpable tells something */
};

static void read_dumpable(struct peek *peek, const struct gathering *gathering, gva task,
			  struct holder *holder)
{
	const struct holder_fields *f = gathering->f;
	uint8_t flags = 0;
	gva state;

	if (!gathering->telling || !holder->mm.v)
		return;
	if (f->exec_state.there && f->dumpable.there) {
		state = peek_object(peek, task, &f->exec_state);
		holder->dumpable = state.v && peek_u32(peek, state, &f->dumpable) == DUMP_OWNER;
	} else if (f->mm_flags.there) {
		int r = view_u8(peek->view, field_at(holder->mm, &f->mm_flags), &flags, NULL);

		if (r < 0)
			peek_failed(peek, r);
		holder->dumpable = (flags & DUMP_MASK) == DUMP_OWNER;
	}
}

/* Threads that outlive their parent go to a subreaper, or to PID 1 of their namespace. */
static bool read_adopts(struct peek *peek, const struct holder_fields *f, gva task)
{
	gva signal = peek_object(peek, task, &f->signal), pid, upid;
	uint32_t level;

	if (signal.v && peek_u32(peek, signal, &f->subreaper))
		return true;
	pid = peek_object(peek, task, &f->pid);
	if (!pid.v)
		return true;
	level = peek_u32(peek, pid, &f->level);
	if (level > PID_LEVELS_MAX)
		return true;
	upid = gva_add(field_at(pid, &f->numbers), (uint64_t)level * f->upid.size_bytes);
	return peek_u32(peek, upid, &f->nr) == 1;
}

static int add_holder(const struct task *task, void *ctx, struct err *err)
{
	struct gathering *gathering = ctx;
	struct peek peek = peek_at(gathering->view, err);
	const struct holder_fields *f = gathering->f;
	struct holders *holders = gathering->holders;
	struct holder *holder;

	if (map_put(&holders->index, task->at.v, (uint32_t)holders->n) < 0)
		return -ENOMEM;
	holder = vec_add(holders);
	if (!holder)
		return -ENOMEM;
	*holder = (struct holder){
		.at = task->at, .leader = task->leader, .parent = task->parent,
		.pid = task->pid, .tgid = task->tgid, .kernel_thread = task->kernel_thread,
		.ending = task->flags & (PF_EXITING | PF_DUMPCORE) || task->exit_state,
		.state = task->state, .start_ns = task->start_ns,
		.started_ns = task->started_ns, .mm = task->mm,
	};
	memcpy(holder->comm, task->comm, sizeof(holder->comm));
	holder->real = peek_object(&peek, task->at, &f->real);
	holder->subjective = peek_object(&peek, task->at, &f->subjective);
	holder->self_exec = peek_u64(&peek, task->at, &f->self_exec);
	holder->parent_exec = peek_u64(&peek, task->at, &f->parent_exec);
	holder->adopts = read_adopts(&peek, f, task->at);
	read_dumpable(&peek, gathering, task->at, holder);
	return peek.first < 0 ? wrap(err, peek.first, "PID %d", task->pid) : 0;
}

/* fs.suid_dumpable of 1: what changes its rights stays dumpable, and that tells nothing. */
static int read_telling(const struct kernel *kernel, struct gathering *gathering,
			struct err *err)
{
	gva at = symbols_lookup(kernel->symbols, "suid_dumpable");
	uint32_t value = 0;
	int r;

	if (!at.v)
		return 0;
	r = view_u32(gathering->view, at, &value, err);
	gathering->telling = r >= 0 && value != DUMP_OWNER;
	return r;
}

int holders_list(const struct kernel *kernel, struct view *view, struct holders *ret,
		 struct err *err)
{
	struct gathering gathering = { .view = view, .holders = ret };
	struct partial partial = partial_of(view);
	struct tasks tasks = {0};
	int r;

	r = types_layout(kernel->types, &holder_layout, (const void **)&gathering.f, err);
	if (r >= 0)
		r = read_telling(kernel, &gathering, err);
	if (r >= 0)
		r = task_list(kernel, view, &tasks, err);
	/* A list that is broken at some place still has those before it. */
	r = partial_add(&partial, r, err);
	if (r >= 0)
		r = task_each_thread(kernel, view, &tasks, &partial, add_holder, &gathering, err);
	tasks_free(&tasks);
	return partial_end(&partial, r, err);
}

void holders_free(struct holders *holders)
{
	vec_free(holders);
	map_free(&holders->index);
}

const struct holder *holders_find(const struct holders *holders, gva task)
{
	uint32_t i;

	return map_get(&holders->index, task.v, &i) && i < holders->n ? &holders->v[i] : NULL;
}

bool holders_forked(const struct holder *parent, const struct holder *child)
{
	return !parent->adopts && parent->at.v == child->parent.v &&
	       parent->self_exec == child->parent_exec &&
	       child->self_exec >= child->parent_exec;
}

/* --- what raises --- */

struct raise_fields {
	struct field exe, inode, mode, uid, links, changed;
};

static const struct member raise_members[] = {
	MEMBER(struct raise_fields, exe, "mm_struct.exe_file"),
	MEMBER(struct raise_fields, inode, "file.f_inode"),
	MEMBER(struct raise_fields, mode, "inode.i_mode"),
	MEMBER(struct raise_fields, uid, "inode.i_uid"),
	MEMBER(struct raise_fields, links, "inode.i_nlink"),
	MEMBER(struct raise_fields, changed,
	       "inode.i_ctime_sec|inode.__i_ctime.tv_sec|inode.i_ctime.tv_sec"),
};
LAYOUT(raise_layout, struct raise_fields, raise_members);

/*
 * A package manager takes the setuid bit from a file before it removes it, and an administrator
 * may do so at any time: then the file has changed after the process began.
 */
int cred_raiser(const struct kernel *kernel, struct view *view, const struct holder *holder,
		struct raiser *ret, struct err *err)
{
	struct peek peek = peek_at(view, err);
	const struct raise_fields *f;
	uint64_t changed;
	gva file, inode;
	uint32_t mode, uid;
	int r;

	r = types_layout(kernel->types, &raise_layout, (const void **)&f, err);
	if (r < 0)
		return r;
	if (!holder->mm.v)
		return err_set(err, -ENOENT, "PID %d has no program", holder->pid);
	file = peek_object(&peek, holder->mm, &f->exe);
	inode = file.v ? peek_object(&peek, file, &f->inode) : file;
	if (!inode.v && !peek.first)
		return err_set(err, -ENOENT, "PID %d has no program", holder->pid);
	mode = peek_u32(&peek, inode, &f->mode);
	uid = peek_u32(&peek, inode, &f->uid);
	changed = peek_u64(&peek, inode, &f->changed);
	*ret = (struct raiser){
		.setuid_root = mode & S_ISUID && !uid,
		.unclear = !holder->started_ns || !peek_u32(&peek, inode, &f->links) ||
			   (!uid && changed > holder->started_ns / SECOND_NS),
	};
	return peek.first < 0 ? wrap(err, peek.first, "program of PID %d", holder->pid) : 0;
}
