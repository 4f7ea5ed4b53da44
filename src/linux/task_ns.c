/* SPDX-License-Identifier: Apache-2.0 */
#include "linux/task_ns.h"

#include <string.h>

#include "base/limits.h"
#include "linux/peek.h"

struct ns_fields {
	struct field proxy, cred, pid;
	struct field uts, ipc, mnt, net, time, cgroup, user;
	struct field uts_inum, ipc_inum, mnt_inum, net_inum, time_inum, cgroup_inum, user_inum;
	struct field level, numbers, upid, nr, ns, pid_inum;
};

static const struct member ns_members[] = {
	MEMBER(struct ns_fields, proxy, "task_struct.nsproxy"),
	MEMBER(struct ns_fields, cred, "task_struct.real_cred"),
	MEMBER(struct ns_fields, pid, "task_struct.thread_pid"),
	MEMBER(struct ns_fields, uts, "nsproxy.uts_ns"),
	MEMBER(struct ns_fields, ipc, "nsproxy.ipc_ns"),
	MEMBER(struct ns_fields, mnt, "nsproxy.mnt_ns"),
	MEMBER(struct ns_fields, net, "nsproxy.net_ns"),
	MEMBER_OPTIONAL(struct ns_fields, time, "nsproxy.time_ns"),
	MEMBER_OPTIONAL(struct ns_fields, cgroup, "nsproxy.cgroup_ns"),
	MEMBER(struct ns_fields, user, "cred.user_ns"),
	MEMBER_OPTIONAL(struct ns_fields, uts_inum, "uts_namespace.ns.inum"),
	MEMBER_OPTIONAL(struct ns_fields, ipc_inum, "ipc_namespace.ns.inum"),
	MEMBER_OPTIONAL(struct ns_fields, mnt_inum, "mnt_namespace.ns.inum"),
	MEMBER_OPTIONAL(struct ns_fields, net_inum, "net.ns.inum"),
	MEMBER_OPTIONAL(struct ns_fields, time_inum, "time_namespace.ns.inum"),
	MEMBER_OPTIONAL(struct ns_fields, cgroup_inum, "cgroup_namespace.ns.inum"),
	MEMBER_OPTIONAL(struct ns_fields, user_inum, "user_namespace.ns.inum"),
	MEMBER(struct ns_fields, level, "pid.level"),
	MEMBER(struct ns_fields, numbers, "pid.numbers"),
	MEMBER(struct ns_fields, upid, "upid"),
	MEMBER(struct ns_fields, nr, "upid.nr"),
	MEMBER(struct ns_fields, ns, "upid.ns"),
	MEMBER(struct ns_fields, pid_inum, "pid_namespace.ns.inum"),
};
LAYOUT(ns_layout, struct ns_fields, ns_members);

/* The inode number of the namespace that a member of @object points to. */
static uint32_t inum(struct peek *peek, gva object, const struct field *pointer,
		     const struct field *number)
{
	gva ns = object.v ? peek_object(peek, object, pointer) : object;

	return ns.v ? peek_u32(peek, ns, number) : 0;
}

/* The innermost of the PID namespaces that the task has a number in. */
static int read_pid_ns(struct peek *peek, const struct ns_fields *f, gva pid,
		       struct task_ns *ns, struct err *err)
{
	gva upid;

	ns->pid_level = peek_u32(peek, pid, &f->level);
	if (ns->pid_level > PID_LEVELS_MAX)
		return fail(err, -EBADMSG, pid, "PID of %u levels", ns->pid_level);
	upid = gva_add(field_at(pid, &f->numbers), (uint64_t)ns->pid_level * f->upid.size_bytes);
	ns->pid_inside = (int32_t)peek_u32(peek, upid, &f->nr);
	ns->pid = inum(peek, upid, &f->ns, &f->pid_inum);
	return 0;
}

int task_namespaces(const struct kernel *kernel, struct view *view, const struct task *task,
		    struct task_ns *ret, struct err *err)
{
	struct peek peek = peek_at(view, err);
	const struct ns_fields *f;
	struct task_ns ns = {0};
	gva proxy, pid;
	int r;

	r = types_layout(kernel->types, &ns_layout, (const void **)&f, err);
	if (r < 0)
		return r;
	proxy = peek_object(&peek, task->at, &f->proxy);
	ns.uts = inum(&peek, proxy, &f->uts, &f->uts_inum);
	ns.ipc = inum(&peek, proxy, &f->ipc, &f->ipc_inum);
	ns.mnt = inum(&peek, proxy, &f->mnt, &f->mnt_inum);
	ns.net = inum(&peek, proxy, &f->net, &f->net_inum);
	ns.time = inum(&peek, proxy, &f->time, &f->time_inum);
	ns.cgroup = inum(&peek, proxy, &f->cgroup, &f->cgroup_inum);
	ns.user = inum(&peek, peek_object(&peek, task->at, &f->cred), &f->user, &f->user_inum);
	pid = peek_object(&peek, task->at, &f->pid);
	if (pid.v) {
		r = read_pid_ns(&peek, f, pid, &ns, err);
		if (r < 0)
			return wrap(err, r, "namespaces of PID %d", task->pid);
	}
	*ret = ns;
	return peek.first < 0 ? wrap(err, peek.first, "namespaces of PID %d", task->pid) : 0;
}
