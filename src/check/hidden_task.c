/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/limits.h"
#include "check/check.h"
#include "linux/peek.h"
#include "linux/task.h"
#include "linux/task_exec.h"
#include "linux/task_set.h"

/*
 * Every task that is anywhere must be everywhere. The run queues are what an attacker cannot
 * take a task out of without stopping it; control groups, children, process groups and the PID
 * maps of containers hold the ones that sleep; and so does the stack that each sleeps on.
 */

#define FUEL_MAX	VIEW_FUEL_SWEEP	/* 13,000 tasks take 80,000 pages */
#define PF_EXITING	0x00000004u	/* include/linux/sched.h */
#define TASK_NEW	0x00000800u
#define EXIT_DEAD	0x10u
#define DEAD_RUNTIME_NS	1000000000u	/* what a task that is over may still compute */

struct fact_fields {
	struct field pid, tgid, flags, state, exit_state, comm, leader, signal, number;
	struct field mm, files, fs, proxy, on_rq, runtime, group_runtime, level;
};

static const struct member facts_members[] = {
	MEMBER(struct fact_fields, pid, "task_struct.pid"),
	MEMBER(struct fact_fields, tgid, "task_struct.tgid"),
	MEMBER(struct fact_fields, flags, "task_struct.flags"),
	MEMBER(struct fact_fields, state, "task_struct.__state|task_struct.state"),
	MEMBER(struct fact_fields, exit_state, "task_struct.exit_state"),
	MEMBER(struct fact_fields, comm, "task_struct.comm"),
	MEMBER(struct fact_fields, leader, "task_struct.group_leader"),
	MEMBER(struct fact_fields, signal, "task_struct.signal"),
	MEMBER(struct fact_fields, number, "task_struct.thread_pid"),
	MEMBER(struct fact_fields, mm, "task_struct.mm"),
	MEMBER(struct fact_fields, files, "task_struct.files"),
	MEMBER(struct fact_fields, fs, "task_struct.fs"),
	MEMBER(struct fact_fields, proxy, "task_struct.nsproxy"),
	MEMBER(struct fact_fields, on_rq, "task_struct.on_rq"),
	MEMBER(struct fact_fields, runtime, "task_struct.se.sum_exec_runtime"),
	MEMBER(struct fact_fields, group_runtime, "signal_struct.sum_sched_runtime"),
	MEMBER(struct fact_fields, level, "pid.level"),
};
LAYOUT(facts_layout, struct fact_fields, facts_members);

/* What a task says of itself, as far as it decides where it belongs. */
struct facts {
	int32_t pid;
	char comm[TASK_COMM_BYTES];
	bool leader;		/* of its thread group */
	bool exiting;		/* it has left its control group, or is about to */
	bool unborn;		/* not yet started for the first time */
	bool dead;		/* all that it had is gone; it is about to be switched away from */
	uint64_t late_ns;	/* what it computed after its end */
	uint64_t levels;	/* of PID namespaces in which it has a number, one bit each */
};

struct hunt {
	struct check_run *run;
	const struct kernel *kernel;
	struct view *view;
	const struct fact_fields *f;
	struct task_set set;
	uint32_t whole;		/* the views that were seen to their end, one bit each */
	uint64_t stacks;	/* of known tasks */
};

/* --- the views --- */

struct source {
	int (*add)(struct task_set *set, struct err *err);
	uint32_t views;
	bool optional;		/* there are kernels without it */
};

#define BIT(view) (1u << (view))

static const struct source sources[] = {
	{ tasks_by_queue, BIT(VIEW_QUEUES), false },
	{ tasks_by_list, BIT(VIEW_LIST), false },
	{ tasks_by_number, BIT(VIEW_NUMBERS) | BIT(VIEW_NESTED) | BIT(VIEW_GROUPS), false },
	{ tasks_by_cgroup, BIT(VIEW_CGROUPS), true },
	{ tasks_by_sched_ext, BIT(VIEW_SCHED_EXT), true },
	{ tasks_by_kin, BIT(VIEW_THREADS) | BIT(VIEW_CHILDREN), false },
};

/*
 * Gather all views. One that cannot be seen to its end makes the check inconclusive, and is
 * no witness that a task is missing from it; the others still are.
 */
static int gather(struct hunt *hunt, struct err *err)
{
	for (size_t i = 0; i < ARRAY_SIZE(sources); i++) {
		const struct source *source = &sources[i];
		int r = source->add(&hunt->set, err);

		if (r == -ESRCH || r == -ENOMEM)
			return r;
		if (r >= 0)
			hunt->whole |= source->views;
		else if (r != -ENOENT || !source->optional)
			check_inconclusive(hunt->run, "%s", err->text);
	}
	return 0;
}

/* What the others lead to is known by now: stacks that are left over lead to the rest. */
static int gather_stacks(struct hunt *hunt, struct err *err)
{
	int r = tasks_by_stack(&hunt->set, &hunt->stacks, err);

	if (r == -ESRCH || r == -ENOMEM)
		return r;
	if (r == -ENOENT)
		check_note(hunt->run, "%s", err->text);
	else if (r < 0)
		check_inconclusive(hunt->run, "%s", err->text);
	return 0;
}

static void tell_covered(const struct hunt *hunt)
{
	static const char *const what[TASK_VIEWS] = {
		[VIEW_LIST] = "processes in the task list",
		[VIEW_THREADS] = "threads in their groups",
		[VIEW_CHILDREN] = "children of tasks",
		[VIEW_NUMBERS] = "tasks in the PID map",
		[VIEW_NESTED] = "tasks in PID maps of containers",
		[VIEW_GROUPS] = "processes in groups and sessions",
		[VIEW_CGROUPS] = "tasks in control groups",
		[VIEW_SCHED_EXT] = "tasks in the sched_ext list",
		[VIEW_QUEUES] = "tasks on run queues",
		[VIEW_STACKS] = "tasks by their stacks alone",
	};

	check_covered(hunt->run, "tasks", hunt->set.n);
	for (unsigned view = 0; view < TASK_VIEWS; view++)
		check_covered(hunt->run, what[view], task_set_count(&hunt->set, view));
	check_covered(hunt->run, "kernel stacks", hunt->stacks);
}

/* --- where a task belongs --- */

/*
 * A task that names another as its leader is no leader, if that one shares its group: then it
 * must be among the other's threads. Otherwise it is taken for a leader itself.
 */
static bool is_leader(struct peek *peek, const struct fact_fields *f, gva at)
{
	gva leader = peek_object(peek, at, &f->leader);
	gva signal = peek_object(peek, at, &f->signal);

	if (!leader.v || leader.v == at.v)
		return true;
	return peek_object(peek, leader, &f->signal).v != signal.v;
}

/*
 * Dead: reaped, and without all that a task needs to do anything for a user. What is left is
 * to switch away from it. Its group keeps what it had computed when it was reaped
 * (kernel/exit.c: __exit_signal()).
 */
static void read_end(struct peek *peek, const struct fact_fields *f, gva at, struct facts *facts)
{
	gva signal = peek_object(peek, at, &f->signal);
	uint64_t runtime = peek_u64(peek, at, &f->runtime), before = 0;

	facts->dead = facts->exiting && peek_u32(peek, at, &f->exit_state) & EXIT_DEAD &&
		      !peek_ptr(peek, at, &f->mm).v && !peek_ptr(peek, at, &f->files).v &&
		      !peek_ptr(peek, at, &f->fs).v && !peek_ptr(peek, at, &f->proxy).v;
	if (signal.v)
		before = peek_u64(peek, signal, &f->group_runtime);
	facts->late_ns = runtime > before ? runtime - before : 0;
}

static int read_facts(struct hunt *hunt, const struct task_seen *seen, struct facts *facts,
		      struct err *err)
{
	struct peek peek = peek_at(hunt->view, err);
	const struct fact_fields *f = hunt->f;
	gva at = seen->at, number;
	uint32_t level = 0;
	int r;

	*facts = (struct facts){ .pid = (int32_t)peek_u32(&peek, at, &f->pid) };
	facts->exiting = peek_u32(&peek, at, &f->flags) & PF_EXITING;
	facts->leader = is_leader(&peek, f, at);
	facts->unborn = peek_u64(&peek, at, &f->state) & TASK_NEW &&
			!peek_u64(&peek, at, &f->on_rq) && !(seen->views & BIT(VIEW_QUEUES));
	read_end(&peek, f, at, facts);
	number = peek_object(&peek, at, &f->number);
	if (number.v)
		level = peek_u32(&peek, number, &f->level);
	if (level > PID_LEVELS_MAX)
		level = PID_LEVELS_MAX;
	facts->levels = (2ull << level) - 1;
	r = view_read(hunt->view, field_at(at, &f->comm), facts->comm, sizeof(facts->comm) - 1,
		      err);
	if (peek.first < 0)
		return wrap(err, peek.first, "task");
	return r;
}

/* The views that a task is missing from, one bit each. */
static uint32_t missing_views(const struct hunt *hunt, const struct task_seen *seen,
			      const struct facts *facts)
{
	uint32_t belongs = BIT(VIEW_NUMBERS) | BIT(VIEW_THREADS);
	uint32_t missing;

	if (facts->leader)
		belongs |= BIT(VIEW_LIST) | BIT(VIEW_CHILDREN);
	if (!facts->exiting)
		belongs |= BIT(VIEW_CGROUPS) | BIT(VIEW_SCHED_EXT);
	missing = belongs & ~seen->views;
	if ((seen->levels | 1) != (facts->levels | 1))
		missing |= BIT(VIEW_NESTED);
	return missing & hunt->whole;
}

/* --- what is reported --- */

/* "task list, PID map" */
static void print_views(uint32_t views, char *buf, size_t size)
{
	size_t len = 0;

	buf[0] = '\0';
	for (unsigned view = 0; view < TASK_VIEWS; view++)
		if (views & BIT(view) && len < size)
			len += (size_t)snprintf(buf + len, size - len, "%s%s", len ? ", " : "",
						task_view_name(view));
}

static void tell_task(const struct hunt *hunt, struct finding *finding, gva at)
{
	char exe[PATH_BYTES_MAX], text[PATH_BYTES_MAX + 256];
	struct task task;

	if (task_read(hunt->kernel, hunt->view, at, &task, NULL) < 0)
		return;
	if (task_exe(hunt->kernel, hunt->view, &task, exe, sizeof(exe), NULL) < 0)
		snprintf(exe, sizeof(exe), "%s",
			 task.kernel_thread ? "kernel thread" : "no program");
	snprintf(text, sizeof(text), "PID %d, TGID %d, parent %d, '%s', state %c, UID %u, "
		 "EUID %u, %s", task.pid, task.tgid, task.ppid, task.comm, task.state, task.uid,
		 task.euid, exe);
	finding_evidence(finding, "task_struct", at, NULL, NULL, text);
}

static struct finding *report(const struct hunt *hunt, const struct task_seen *seen,
			      const struct facts *facts)
{
	struct finding *finding;

	/* Its name (comm) is no part of the identity: a program changes it as it likes. */
	finding = check_finding(hunt->run, SEVERITY_HIGH, "task", seen->at, "%d",
				seen->number ? seen->number : facts->pid);
	tell_task(hunt, finding, seen->at);
	return finding;
}

static void report_missing(const struct hunt *hunt, const struct task_seen *seen,
			   const struct facts *facts, uint32_t missing)
{
	struct finding *finding = report(hunt, seen, facts);
	char views[256];

	print_views(missing, views, sizeof(views));
	finding_title(finding, "Task '%s' is hidden: missing from %s", facts->comm, views);
	for (unsigned view = 0; view < TASK_VIEWS; view++) {
		if (missing & BIT(view))
			finding_evidence(finding, task_view_name(view), gva_of(0), NULL, "there",
					 "missing");
		else if (seen->views & BIT(view))
			finding_evidence(finding, task_view_name(view), gva_of(0), NULL, NULL,
					 "there");
	}
}

static void report_number(const struct hunt *hunt, const struct task_seen *seen,
			  const struct facts *facts)
{
	struct finding *finding = report(hunt, seen, facts);
	char expected[16], found[16];

	snprintf(expected, sizeof(expected), "%d", seen->number);
	snprintf(found, sizeof(found), "%d", facts->pid);
	finding_title(finding, "Task '%s' gives a wrong PID", facts->comm);
	finding_evidence(finding, "task_struct.pid", seen->at, NULL, expected, found);
}

/*
 * A task that is being made or taken apart is in some places and not in others, for
 * microseconds. That is no finding; but what claims to be in that state for good is not clean
 * either. A task that is over has nothing more to compute: one that does is alive.
 */
static void judge(struct hunt *hunt, const struct task_seen *seen, const struct facts *facts)
{
	uint32_t missing = missing_views(hunt, seen, facts);

	if (!missing && (!seen->number || seen->number == facts->pid))
		return;
	if (facts->unborn)
		check_inconclusive(hunt->run, "task %d '%s' is being made", facts->pid,
				   facts->comm);
	else if (facts->dead && facts->late_ns <= DEAD_RUNTIME_NS)
		check_inconclusive(hunt->run, "task %d '%s' is ending", facts->pid,
				   facts->comm);
	else if (missing)
		report_missing(hunt, seen, facts, missing);
	else
		report_number(hunt, seen, facts);
}

static int judge_all(struct hunt *hunt, struct err *err)
{
	for (size_t i = 0; i < hunt->set.n; i++) {
		struct facts facts;
		int r = read_facts(hunt, &hunt->set.v[i], &facts, err);

		if (r == -ESRCH || r == -ELOOP)
			return r;
		if (r < 0)
			check_inconclusive(hunt->run, "%s", err->text);
		else
			judge(hunt, &hunt->set.v[i], &facts);
	}
	return 0;
}

static int hidden_task_run(struct check_run *run, struct err *err)
{
	struct hunt hunt = { .run = run, .kernel = check_kernel(run), .view = check_view(run) };
	int r;

	r = types_layout(hunt.kernel->types, &facts_layout, (const void **)&hunt.f, err);
	if (r < 0)
		return r;
	r = task_set_open(hunt.kernel, hunt.view, &hunt.set, err);
	if (r >= 0)
		r = gather(&hunt, err);
	if (r >= 0)
		r = gather_stacks(&hunt, err);
	if (r >= 0) {
		tell_covered(&hunt);
		r = judge_all(&hunt, err);
	}
	task_set_close(&hunt.set);
	return r;
}

CHECK(hidden_task,
	.id = "hidden-task",
	.group = GROUP_HIDDEN,
	.title = "Task that is hidden from the task list or the PID map",
	.proves = "Every task that a run queue, a control group, a parent, a process group, a "
		  "thread group, a PID map, the task list or a kernel stack leads to is in all the "
		  "others that it belongs in, under its own number.",
	.techniques = TECHNIQUES("T1014", "T1564.001"),
	.fuel_max = FUEL_MAX,
	.run = hidden_task_run);
