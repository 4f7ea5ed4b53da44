/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>

#include "base/limits.h"
#include "check/process.h"
#include "linux/peek.h"
#include "linux/task_each.h"
#include "linux/task_exec.h"
#include "linux/vma.h"

/*
 * ps(1) shows kernel threads in brackets; so do programs that write such a name over their
 * arguments, or set it (prctl(2), PR_SET_NAME), to be overlooked. The other way round, a
 * process that is marked as a kernel thread is taken for one by whatever looks at it.
 */

#define FUEL_MAX	(VIEW_FUEL_SWEEP / 4)
#define PF_EXITING	0x00000004u	/* include/linux/sched.h */
#define KTHREADD	2

/*
 * Names that only the kernel gives, and those that begin so. What users' programs are called
 * as well ("watchdogd", "nfsd", "lockd") is left out.
 */
static const char *const kernel_names[] = {
	"kworker*", "kthreadd*", "ksoftirqd*", "migration/*", "cpuhp/*", "idle_inject/*", "irq/*",
	"rcu_gp", "rcu_par_gp", "rcu_sched", "rcu_preempt", "rcu_bh", "rcu_tasks_*", "rcuc/*",
	"rcuog/*", "rcuop/*", "rcuos/*", "rcub/*", "kswapd*", "kcompactd*", "khugepaged", "ksmd",
	"kdevtmpfs*", "kauditd", "khungtaskd", "oom_reaper", "kblockd", "kintegrityd", "kthrotld",
	"kstrp", "jbd2/*", "ext4-rsv-conver*", "xfsaild/*", "btrfs-transacti*", "scsi_eh_*",
	"scsi_tmf_*", "mm_percpu_wq", "inet_frag_wq", "slub_flushwq", "pool_workqueue_*",
	"kmpath_rdacd", "acpi_thermal_pm", "zswap-shrink", "charger_manager", "edac-poller",
	"devfreq_wq", "tpm_dev_wq", "ata_sff", "vfio-irqfd-clea*", NULL
};

struct disguise_fields {
	struct field parent, flags;
};

static const struct member disguise_members[] = {
	MEMBER(struct disguise_fields, parent, "task_struct.real_parent"),
	MEMBER(struct disguise_fields, flags, "task_struct.flags"),
};
LAYOUT(disguise_layout, struct disguise_fields, disguise_members);

struct disguise_counts {
	uint64_t users, threads, absent;
};

static void report(struct process_walk *walk, const struct task *task, const char *what,
		   const char *title, const char *where, const char *found)
{
	struct finding *finding = process_finding(walk, SEVERITY_HIGH, task, what);

	finding_title(finding, "%s", title);
	finding_evidence(finding, where, task->at, NULL, NULL, found);
}

/* A user's process. "[kworker/0:1]" as its first argument, or kworker/0:1 as its name? */
static int judge_user(struct process_walk *walk, const struct task *task,
		      struct disguise_counts *counts, struct err *err)
{
	static const char title[] = "Process looks like a kernel thread";
	char name[TASK_ARGS_MAX];
	struct vma_space space;
	struct task_args args;
	size_t len;
	int r;

	r = vma_space(walk->kernel, walk->view, task->mm, &space, err);
	/* 0: a program is being started; its name and arguments are not in place yet. */
	if (r < 0 || !space.code_start)
		return r;
	counts->users++;
	if (name_matches(task->comm, kernel_names)) {
		report(walk, task, "kernel name", title, "name (comm)", task->comm);
		return 0;
	}
	r = task_args(walk->kernel, walk->view, task, &args, err);
	if (r < 0)
		return r == -ENOENT ? 0 : r;
	if (!args.bytes && args.absent_bytes)
		counts->absent++;
	len = strnlen(args.text, args.bytes);
	if (len < 3 || len >= sizeof(name) || args.text[0] != '[' || args.text[len - 1] != ']')
		return 0;
	memcpy(name, args.text + 1, len - 2);
	name[len - 2] = '\0';
	if (name_matches(name, kernel_names)) {
		memcpy(name, args.text, len);
		name[len] = '\0';
		report(walk, task, "kernel name", title, "first argument", name);
	}
	return 0;
}

/* Some kernel threads work in the memory of a process (kthread_use_mm()); none has its own. */
static bool is_borrowed(const struct process_walk *walk, const struct task *task)
{
	for (size_t i = 0; i < walk->tasks.n; i++)
		if (walk->tasks.v[i].mm.v == task->mm.v && !walk->tasks.v[i].kernel_thread)
			return true;
	return false;
}

/*
 * A kernel thread. kthreadd makes them all, but for itself, init before it runs its program, and
 * helpers that are to become programs (kernel/umh.c).
 */
static int judge_thread(struct process_walk *walk, const struct task *task,
			struct disguise_counts *counts, struct err *err)
{
	const struct disguise_fields *f;
	const struct task *parent;
	char text[64];
	gva at;
	int r;

	counts->threads++;
	if (task->mm.v && !is_borrowed(walk, task))
		report(walk, task, "kernel mark", "Process is marked as a kernel thread",
		       "user memory", "of its own");
	if (task->pid <= KTHREADD || task->ppid == KTHREADD)
		return 0;
	r = types_layout(walk->kernel->types, &disguise_layout, (const void **)&f, err);
	if (r >= 0)
		r = field_ptr(walk->view, task->at, &f->parent, &at, err);
	if (r < 0)
		return r;
	parent = process_at(walk, at);
	if (!parent || parent->kernel_thread)
		return 0;
	snprintf(text, sizeof(text), "PID %d '%s'", parent->pid, parent->comm);
	report(walk, task, "kernel mark", "Kernel thread is the child of a process", "parent",
	       text);
	return 0;
}

static int visit_process(struct process_walk *walk, const struct task *task, void *ctx,
			 struct err *err)
{
	struct disguise_counts *counts = ctx;

	bool ends = task->flags & PF_EXITING || task->exit_state;
	int r;

	if (task->kernel_thread)
		return ends ? 0 : judge_thread(walk, task, counts, err);
	if (!task->mm.v)
		return 0;
	/* The leader's name stays that of the process, also when only others run on. */
	r = ends ? task_is_ending(walk->kernel, walk->view, task, err) : 0;
	if (r)
		return r < 0 ? r : 0;
	return judge_user(walk, task, counts, err);
}

static int process_disguise_run(struct check_run *run, struct err *err)
{
	struct disguise_counts counts = { 0 };
	int r = process_each(run, visit_process, &counts, err);

	check_covered(run, "processes", counts.users);
	check_covered(run, "kernel threads", counts.threads);
	if (counts.absent)
		check_note(run, "arguments of %llu processes are not in memory",
			   (unsigned long long)counts.absent);
	return r;
}

CHECK(process_disguise,
	.id = "process-disguise",
	.group = GROUP_PROCESSES,
	.title = "Process looks like a kernel thread, or is marked as one",
	.proves = "No user's process has a name or a first argument by which ps shows it as a "
		  "kernel thread; no kernel thread has user memory of its own or is the child of "
		  "a process.",
	.techniques = TECHNIQUES("T1036.009", "T1036.004", "T1564"),
	.fuel_max = FUEL_MAX,
	.run = process_disguise_run);
