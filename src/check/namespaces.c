/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>

#include "base/limits.h"
#include "check/check.h"
#include "linux/peek.h"
#include "linux/task_each.h"
#include "linux/task_ns.h"

/*
 * A task's PID namespace is for life, while all its others (nsproxy) can be exchanged: for new
 * ones, or with setns() for any that it gets hold of. One thing holds for all ways: the PID
 * namespace of its future children, which lies with the others, is its own or one within it
 * (kernel/pid_namespace.c: pidns_install()). Who is given the namespaces of another task by a
 * write into memory, such as init's to a container's, breaks that, whatever it had before.
 *
 * A container that shares the host's network or mounts, and a tool that enters them through
 * /proc/1/ns, do not.
 */
struct ns_fields {
	struct field proxy, pid, level, numbers, upid, ns, children, parent, ns_level;
};

static const struct member ns_members[] = {
	MEMBER(struct ns_fields, proxy, "task_struct.nsproxy"),
	MEMBER(struct ns_fields, pid, "task_struct.thread_pid"),
	MEMBER(struct ns_fields, level, "pid.level"),
	MEMBER(struct ns_fields, numbers, "pid.numbers"),
	MEMBER(struct ns_fields, upid, "upid"),
	MEMBER(struct ns_fields, ns, "upid.ns"),
	MEMBER(struct ns_fields, children, "nsproxy.pid_ns_for_children"),
	MEMBER(struct ns_fields, parent, "pid_namespace.parent"),
	MEMBER(struct ns_fields, ns_level, "pid_namespace.level"),
};
LAYOUT(namespaces_layout, struct ns_fields, ns_members);

struct namespaces {
	struct check_run *run;
	const struct kernel *kernel;
	struct view *view;
	const struct ns_fields *f;
	gva initial;		/* init_nsproxy */
	uint64_t tasks;
	uint64_t nested;
};

/* What a task has of the first task's, and its parent has not: "mount, network". */
static void print_entered(const struct namespaces *n, const struct task *task, char *buf,
			  size_t size)
{
	struct task_ns own = {0}, parents = {0}, init = {0};
	struct task by = { .at = task->parent }, first = { .at = n->kernel->boot.first_task };
	size_t len = 0;

	buf[0] = '\0';
	if (!first.at.v || !by.at.v ||
	    task_namespaces(n->kernel, n->view, task, &own, NULL) < 0 ||
	    task_namespaces(n->kernel, n->view, &by, &parents, NULL) < 0 ||
	    task_namespaces(n->kernel, n->view, &first, &init, NULL) < 0)
		return;

	const struct {
		const char *name;
		uint32_t own, parents, init;
	} all[] = {
		{ "mount", own.mnt, parents.mnt, init.mnt },
		{ "network", own.net, parents.net, init.net },
		{ "UTS", own.uts, parents.uts, init.uts },
		{ "IPC", own.ipc, parents.ipc, init.ipc },
		{ "control group", own.cgroup, parents.cgroup, init.cgroup },
		{ "time", own.time, parents.time, init.time },
	};

	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]) && len < size; i++)
		if (all[i].own && all[i].own == all[i].init && all[i].own != all[i].parents)
			len += (size_t)snprintf(buf + len, size - len, "%s%s", len ? ", " : "",
						all[i].name);
}

static void tell(const struct namespaces *n, const struct task *task, gva proxy)
{
	struct finding *finding;
	char text[128], entered[128];

	finding = check_finding(n->run, SEVERITY_HIGH, "task", task->at, "%d", task->pid);
	finding_title(finding, "Task '%s' was given namespaces that it cannot enter", task->comm);
	snprintf(text, sizeof(text), "PID %d, TGID %d, parent %d, '%s', UID %u, EUID %u",
		 task->pid, task->tgid, task->ppid, task->comm, task->uid, task->euid);
	finding_evidence(finding, "task", task->at, NULL, NULL, text);
	finding_evidence(finding, "task_struct.nsproxy", proxy,
			 proxy.v == n->initial.v ? "init_nsproxy" : NULL,
			 "its own PID namespace for its children, or one within it",
			 "one outside of it");
	print_entered(n, task, entered, sizeof(entered));
	if (entered[0])
		finding_evidence(finding, "namespaces of PID 1, which its parent has not",
				 gva_of(0), NULL, "none", entered);
}

/* Is @inner the namespace @outer, of this level, or one within it? */
static bool is_within(struct peek *peek, const struct ns_fields *f, gva inner, gva outer,
		      uint32_t level)
{
	for (unsigned i = 0; i <= PID_LEVELS_MAX && inner.v && inner.v != outer.v; i++) {
		if (peek_u32(peek, inner, &f->ns_level) <= level)
			return false;
		inner = peek_object(peek, inner, &f->parent);
	}
	return inner.v && inner.v == outer.v;
}

static int look_at(const struct task *task, void *ctx, struct err *err)
{
	struct namespaces *n = ctx;
	struct peek peek = peek_at(n->view, err);
	const struct ns_fields *f = n->f;
	gva proxy, pid, active, children;
	uint32_t level;
	bool good;

	n->tasks++;
	proxy = peek_object(&peek, task->at, &f->proxy);
	pid = peek_object(&peek, task->at, &f->pid);
	if (!peek.first && (!proxy.v || !pid.v))
		return 0;	/* it is ending */
	level = peek_u32(&peek, pid, &f->level);
	if (!peek.first && !level)
		return 0;	/* all namespaces are within the first one */
	if (level > PID_LEVELS_MAX)
		return fail(err, -EBADMSG, pid, "PID of %u levels", level);
	n->nested++;
	active = peek_object(&peek,
			     gva_add(field_at(pid, &f->numbers),
				     (uint64_t)level * f->upid.size_bytes), &f->ns);
	children = peek_object(&peek, proxy, &f->children);
	good = is_within(&peek, f, children, active, level);
	if (peek.first < 0)
		return wrap(err, peek.first, "namespaces of PID %d", task->pid);
	if (!good)
		tell(n, task, proxy);
	return 0;
}

static int namespaces_run(struct check_run *run, struct err *err)
{
	struct namespaces n = {
		.run = run, .kernel = check_kernel(run), .view = check_view(run),
	};
	struct partial partial = partial_of(n.view);
	struct tasks tasks = {0};
	int r;

	r = types_layout(n.kernel->types, &namespaces_layout, (const void **)&n.f, err);
	n.initial = symbols_lookup(n.kernel->symbols, "init_nsproxy");
	if (r >= 0)
		r = partial_add(&partial, task_list(n.kernel, n.view, &tasks, err), err);
	if (r >= 0)
		r = task_each_thread(n.kernel, n.view, &tasks, &partial, look_at, &n, err);
	tasks_free(&tasks);
	check_covered(run, "tasks", n.tasks);
	check_covered(run, "tasks in PID namespaces", n.nested);
	return partial_end(&partial, r, err);
}

CHECK(namespaces,
	.id = "namespaces",
	.group = GROUP_PRIVILEGE,
	.title = "A task was given namespaces that it cannot enter",
	.proves = "The PID namespace that each task's children are to be in is its own or one "
		  "within it, as it is for everyone who was not given the namespaces of another.",
	.techniques = TECHNIQUES("T1014", "T1611"),
	.fuel_max = 40000,
	.run = namespaces_run);
