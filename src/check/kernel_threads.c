/* SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/map.h"
#include "check/check.h"
#include "linux/owner.h"
#include "linux/peek.h"
#include "linux/task_each.h"

/*
 * A kernel thread is made by kthreadd, never ran a program, and does what a function of the
 * kernel or of a module does (kernel/kthread.c). ps(1) shows no program for one, so a process
 * that is marked as one shows none either; and a thread of a module may call itself what a
 * thread of the kernel is called.
 *
 * By rule no finding: kthreadd itself; helpers that the kernel starts in user space
 * (call_usermodehelper()), which are kernel threads until their program is loaded: children
 * of a worker or of kthreadd without a function, the check is then inconclusive; and threads
 * that use the memory of a process (vhost, io_uring of 5.10: kthread_use_mm()).
 */

#define PF_WQ_WORKER	0x00000020u	/* include/linux/sched.h */
#define PF_FORKNOEXEC	0x00000040u
#define PF_EXITING	0x00000004u

struct fields {
	struct field flags, private, function;
};

static const struct member members[] = {
	MEMBER(struct fields, flags, "task_struct.flags"),
	/* Its own from 5.17 (e32cf5dfbe22); before, one that user threads use otherwise. */
	MEMBER(struct fields, private, "task_struct.worker_private|task_struct.set_child_tid"),
	MEMBER(struct fields, function, "kthread.threadfn"),
};
LAYOUT(layout, struct fields, members);

/* Threads that there are as long as the kernel runs, by name, and what they do. */
static const struct {
	const char *prefix;
	const char *functions[2];
} known[] = {
	{ "kworker/", { "worker_thread", "rescuer_thread" } },
	{ "ksoftirqd/", { "smpboot_thread_fn", NULL } },
	{ "migration/", { "smpboot_thread_fn", NULL } },
	{ "cpuhp/", { "smpboot_thread_fn", NULL } },
	{ "kswapd", { "kswapd", NULL } },
	{ "kcompactd", { "kcompactd", NULL } },
	{ "khugepaged", { "khugepaged", NULL } },
	{ "rcu_preempt", { "rcu_gp_kthread", NULL } },
	{ "rcu_sched", { "rcu_gp_kthread", NULL } },
};

struct scan {
	struct check_run *run;
	const struct kernel *kernel;
	struct view *view;
	const struct fields *f;
	struct owners *owners;
	gva kthreadd;
	struct map privates;	/* struct kthread → the PID that has it */
	uint64_t threads;
};

static struct finding *report(const struct scan *scan, const struct task *task,
			      const char *title)
{
	struct finding *finding;
	char text[128];

	finding = check_finding(scan->run, SEVERITY_HIGH, "task", task->at, "%d", task->pid);
	finding_title(finding, "%s", title);
	snprintf(text, sizeof(text), "PID %d, TGID %d, parent %d, '%s', flags %#x", task->pid,
		 task->tgid, task->ppid, task->comm, task->flags);
	finding_evidence(finding, "task_struct", task->at, NULL, NULL, text);
	return finding;
}

static void tell_function(const struct scan *scan, struct finding *finding, gva function,
			  const char *expected)
{
	struct owner owner;

	if (owner_of(scan->owners, function, &owner, NULL) < 0)
		snprintf(owner.text, sizeof(owner.text), "not known");
	finding_owner(finding, "%s", owner.text);
	finding_evidence(finding, "function of the thread", function, owner.symbol, expected,
			 owner.text);
}

/* Does the function belong to the name? A kernel that lacks the function has no such name. */
static bool is_named_right(const struct scan *scan, const struct task *task, gva function,
			   const char **expected)
{
	for (size_t i = 0; i < ARRAY_SIZE(known); i++) {
		bool any = false;

		if (strncmp(task->comm, known[i].prefix, strlen(known[i].prefix)))
			continue;
		for (size_t j = 0; j < ARRAY_SIZE(known[i].functions); j++) {
			const char *name = known[i].functions[j];
			gva at = name ? symbols_lookup(scan->kernel->symbols, name) : gva_of(0);

			if (at.v && at.v == function.v)
				return true;
			any |= at.v != 0;
		}
		*expected = known[i].functions[0];
		return !any;
	}
	return true;
}

static void judge_function(struct scan *scan, const struct task *task, gva function)
{
	const char *expected = NULL;
	struct finding *finding;

	if (!owner_is_function(scan->owners, function)) {
		finding = report(scan, task, "Kernel thread that runs code of no one");
		tell_function(scan, finding, function,
			      "a function of the kernel or of a listed module");
	} else if (!is_named_right(scan, task, function, &expected)) {
		finding = report(scan, task, "Kernel thread under the name of another");
		tell_function(scan, finding, function, expected);
	}
}

/* Marked as a kernel thread, and made as none. */
static void judge_origin(struct scan *scan, const struct task *task, bool helper)
{
	struct finding *finding;

	if (!(task->flags & PF_FORKNOEXEC)) {
		finding = report(scan, task, "Process that is marked as a kernel thread");
		finding_evidence(finding, "task_struct.flags", task->at, NULL, "PF_FORKNOEXEC",
				 "it ran a program");
	}
	if (task->parent.v != scan->kthreadd.v && !helper) {
		char text[48];

		finding = report(scan, task, "Process that is marked as a kernel thread");
		snprintf(text, sizeof(text), "PID %d", task->ppid);
		finding_evidence(finding, "parent", task->parent, NULL, "kthreadd", text);
	}
}

static int judge(struct scan *scan, const struct task *task, struct err *err)
{
	struct peek peek = peek_at(scan->view, err);
	gva private = peek_ptr(&peek, task->at, &scan->f->private), function = { 0 };
	uint32_t above = peek_u32(&peek, task->parent, &scan->f->flags), other = 0;
	bool is_struct = private.v && gva_is_kernel(private);
	bool helper;
	int r;

	if (is_struct)
		function = peek_ptr(&peek, private, &scan->f->function);
	if (peek.first < 0)
		return wrap(err, peek.first, "kernel thread %d", task->pid);
	/* Of a worker: on its way to a program in user space. */
	helper = !function.v && task->flags & PF_FORKNOEXEC && above & PF_WQ_WORKER;
	judge_origin(scan, task, helper);
	if (function.v) {
		judge_function(scan, task, function);
	} else if (private.v && !is_struct) {
		struct finding *finding;

		finding = report(scan, task, "Process that is marked as a kernel thread");
		finding_evidence(finding, "struct kthread", private, NULL, "one", "none");
	} else if (!(task->flags & PF_EXITING)) {
		check_inconclusive(scan->run, "kernel thread %d '%s' has no function yet",
				   task->pid, task->comm);
	}
	r = is_struct ? map_put(&scan->privates, private.v, (uint32_t)task->pid) : 0;
	if (r > 0 && map_get(&scan->privates, private.v, &other)) {
		struct finding *finding;
		char text[48];

		finding = report(scan, task, "Process that is marked as a kernel thread");
		snprintf(text, sizeof(text), "that of PID %u", other);
		finding_evidence(finding, "struct kthread", private, NULL, "its own", text);
	}
	return r < 0 ? r : 0;
}

static int visit(const struct task *task, void *ctx, struct err *err)
{
	struct scan *scan = ctx;

	if (!task->kernel_thread || task->at.v == scan->kthreadd.v || task->exit_state)
		return 0;
	scan->threads++;
	return judge(scan, task, err);
}

static int scan_all(struct scan *scan, struct tasks *tasks, struct err *err)
{
	struct partial partial = partial_of(scan->view);
	gva at;
	int r;

	r = types_layout(scan->kernel->types, &layout, (const void **)&scan->f, err);
	if (r >= 0)
		r = kernel_symbol(scan->kernel, "kthreadd_task", &at, err);
	if (r >= 0)
		r = view_ptr(scan->view, at, &scan->kthreadd, err);
	if (r >= 0)
		r = check_owners(scan->run, &scan->owners, err);
	if (r >= 0)
		r = partial_add(&partial, task_list(scan->kernel, scan->view, tasks, err), err);
	if (r >= 0)
		r = task_each_thread(scan->kernel, scan->view, tasks, &partial, visit, scan, err);
	check_covered(scan->run, "kernel threads", scan->threads);
	return partial_end(&partial, r, err);
}

static int kernel_threads_run(struct check_run *run, struct err *err)
{
	struct scan scan = { .run = run, .kernel = check_kernel(run), .view = check_view(run) };
	struct tasks tasks = { 0 };
	int r;

	r = scan_all(&scan, &tasks, err);
	tasks_free(&tasks);
	owners_close(&scan.owners);
	map_free(&scan.privates);
	return r;
}

CHECK(kernel_threads,
	.id = "kernel-threads",
	.group = GROUP_HIDDEN,
	.title = "Kernel thread that is none of the kernel's",
	.proves = "Every task that is marked as a kernel thread was made by kthreadd, ran no "
		  "program, and runs a function of the kernel or of a listed module, the one that "
		  "its name stands for.",
	.techniques = TECHNIQUES("T1014", "T1036.004", "T1564"),
	.fuel_max = 60000,
	.run = kernel_threads_run);
