/* SPDX-License-Identifier: Apache-2.0 */
#include "check/process.h"

#include <stdio.h>

#include "base/limits.h"
#include "linux/task_each.h"
#include "guest/paging.h"
#include "linux/task_exec.h"
#include "linux/vma.h"

struct visit {
	struct process_walk *walk;
	process_fn *visit;
	void *ctx;
	bool threads;
};

/* A leader that has ended leaves its memory to the other threads, which run on in it. */
static int visit_leader(const struct task *leader, struct visit *visit, struct err *err)
{
	struct process_walk *walk = visit->walk;
	struct task task = *leader;
	int r = task_adopt_memory(walk->kernel, walk->view, &task, err);

	return r < 0 ? r : visit->visit(walk, &task, visit->ctx, err);
}

/* Take note of what could not be read of one process; what ends all is returned. */
static int visit_one(const struct task *task, void *ctx, struct err *err)
{
	struct visit *visit = ctx;
	struct process_walk *walk = visit->walk;
	int r = visit->threads ? visit->visit(walk, task, visit->ctx, err) :
				 visit_leader(task, visit, err);

	if (r != -EFAULT && r != -EBADMSG && r != -ESTALE)
		return r;
	check_inconclusive(walk->run, "PID %d: %s", task->pid, err->text);
	return view_burn(walk->view, 1, err);
}

static int walk_all(struct check_run *run, process_fn *fn, bool threads, void *ctx,
		    struct err *err)
{
	struct process_walk walk = { .run = run, .kernel = check_kernel(run),
				     .view = check_view(run) };
	struct visit visit = { &walk, fn, ctx, threads };
	struct partial partial = partial_of(walk.view);
	int r;

	walk.programs.kernel = walk.kernel;
	walk.programs.view = walk.view;
	r = task_list(walk.kernel, walk.view, &walk.tasks, err);
	if (r == -EFAULT || r == -EBADMSG) {
		check_inconclusive(run, "%s", err->text);
		r = 0;
	}
	if (threads && r >= 0)
		r = task_each_thread(walk.kernel, walk.view, &walk.tasks, &partial, visit_one,
				     &visit, err);
	for (size_t i = 0; !threads && r >= 0 && i < walk.tasks.n; i++)
		r = visit_one(&walk.tasks.v[i], &visit, err);
	if (partial.code)
		check_inconclusive(run, "%s", partial.err.text);
	tasks_free(&walk.tasks);
	programs_free(&walk.programs);
	return r;
}

int process_each(struct check_run *run, process_fn *visit, void *ctx, struct err *err)
{
	return walk_all(run, visit, false, ctx, err);
}

int process_each_thread(struct check_run *run, process_fn *visit, void *ctx, struct err *err)
{
	return walk_all(run, visit, true, ctx, err);
}

struct finding *process_finding(struct process_walk *walk, enum severity severity,
				const struct task *task, const char *what)
{
	char exe[PATH_BYTES_MAX], text[PATH_BYTES_MAX + 256];
	struct finding *finding;

	finding = check_finding(walk->run, severity, "process", task->at, "%d %s", task->pid,
				what);
	if (task_exe(walk->kernel, walk->view, task, exe, sizeof(exe), NULL) < 0)
		snprintf(exe, sizeof(exe), "%s",
			 task->kernel_thread ? "kernel thread" : "no program");
	snprintf(text, sizeof(text), "PID %d, TGID %d, parent %d, '%s', UID %u, EUID %u, %s",
		 task->pid, task->tgid, task->ppid, task->comm, task->uid, task->euid, exe);
	finding_evidence(finding, "process", task->at, NULL, NULL, text);
	return finding;
}

struct runtimes {
	struct process_walk *walk;
	unsigned found;
};

static int visit_vma(const struct vma *vma, void *ctx, struct err *err)
{
	struct runtimes *runtimes = ctx;
	const struct program *program;
	int r;

	if (!(vma->flags & VMA_EXEC) || !vma->file.v)
		return 0;
	r = programs_get(&runtimes->walk->programs, vma->file, &program, err);
	if (r >= 0)
		runtimes->found |= program->runtime;
	return r;
}

int process_runtime(struct process_walk *walk, const struct task *task, unsigned *ret,
		    struct err *err)
{
	struct runtimes runtimes = { walk, 0 };
	int r = vma_walk(walk->kernel, walk->view, task->mm, visit_vma, &runtimes, err);

	if (r >= 0)
		*ret = runtimes.found;
	return r;
}

const struct task *process_at(const struct process_walk *walk, gva at)
{
	for (size_t i = 0; i < walk->tasks.n; i++)
		if (walk->tasks.v[i].at.v == at.v)
			return &walk->tasks.v[i];
	return NULL;
}
