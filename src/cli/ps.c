/* SPDX-License-Identifier: Apache-2.0 */

/* hvsm ps - the processes of a guest. */

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/cleanup.h"
#include "cli/listing.h"
#include "cli/output.h"
#include "cli/pids.h"
#include "cli/process.h"
#include "cli/table.h"
#include "cli/tree.h"
#include "report/encode.h"
#include "report/human.h"
#include "report/text.h"

/* A tree deeper than this is no longer drawn deeper: a guest chooses who forks whom. */
#define DEPTH_MAX 16

#define LONG_INDENT 15

/**
 * order - the processes as they are to be printed: as a tree, or flat
 * @ret: receives an array of places, to be freed
 * Return: 0, -ENOMEM.
 */
static int order(const struct processes *processes, bool flat, struct tree_place **ret)
{
	const struct tasks *tasks = &processes->tasks;
	cleanup(freep) struct tree_place *places = calloc(tasks->n + 1, sizeof(*places));
	cleanup(freep) size_t *parents = calloc(tasks->n + 1, sizeof(*parents));
	cleanup(pids_free) struct pids pids = {0};

	if (!places || !parents || pids_init(tasks, &pids, NULL) < 0)
		return -ENOMEM;
	for (size_t i = 0; i < pids.n; i++) {
		parents[i] = TREE_ROOT;
		if (!flat)
			parents[i] = pids_find(&pids, tasks->v[pids.v[i].task].ppid);
	}
	if (tree_order(parents, pids.n, places) < 0)
		return -ENOMEM;
	for (size_t i = 0; i < pids.n; i++)
		places[i].node = pids.v[places[i].node].task;
	*ret = take_ptr(&places);
	return 0;
}

_Static_assert(PIDS_NONE == TREE_ROOT, "a process without a parent is a root");

/* The time of today's processes, the day of older ones. */
static const char *start_text(const struct task *task, char *buf, size_t size)
{
	time_t started = (time_t)(task->started_ns / 1000000000), now = time(NULL);
	bool recent = now >= started && now - started < 24 * 60 * 60;
	struct tm tm;

	if (!task->started_ns || !localtime_r(&started, &tm) ||
	    !strftime(buf, size, recent ? "%T" : "%F", &tm))
		snprintf(buf, size, "-");
	return buf;
}

static void add_row(struct table *table, const struct process *process, size_t depth)
{
	const struct task *task = process->task;
	cleanup(freep) char *command = process_command(process);
	char start[HUMAN_MAX], note[PROCESS_NOTE_MAX];

	table_text(table, "%" PRId32, task->tgid);
	table_text(table, "%" PRId32, task->ppid);
	table_text(table, "%" PRIu32, task->uid);
	table_text(table, "%" PRIu32, task->euid);
	table_text(table, "%c", task->state);
	table_text(table, "%" PRIu32, task->threads);
	table_text(table, "%s", start_text(task, start, sizeof(start)));
	table_text(table, "%*s%s", 2 * (int)(depth < DEPTH_MAX ? depth : DEPTH_MAX), "",
		   task->comm);
	process_note(process, note, sizeof(note));
	/* What is missing first: the end of the line is what does not fit. */
	table_text(table, "%s%s%s", note, *note && command && *command ? " " : "",
		   task->kernel_thread ? "[kernel thread]" : command ? command : "");
}

static int print_table(const struct processes *processes, const struct tree_place *places,
		       struct err *err)
{
	static const struct column columns[] = {
		{ "PID", true }, { "PPID", true }, { "UID", true }, { "EUID", true },
		{ "STATE", false }, { "THREADS", true }, { "START", true }, { "COMM", false },
		{ "ARGS", false },
	};
	cleanup(table_free) struct table table = table_of(columns, ARRAY_SIZE(columns));

	for (size_t i = 0; i < processes->tasks.n; i++)
		add_row(&table, &processes->v[places[i].node], places[i].depth);
	return table_print(&table, output_columns(), stdout, err);
}

#define PUT(label, ...) text_labelled(stdout, 2, LONG_INDENT, label, __VA_ARGS__)

static void print_credentials(const struct task *task)
{
	PUT("users", "real %" PRIu32 ", effective %" PRIu32 ", saved %" PRIu32
	    ", file system %" PRIu32, task->uid, task->euid, task->suid, task->fsuid);
	PUT("groups", "real %" PRIu32 ", effective %" PRIu32 ", saved %" PRIu32
	    ", file system %" PRIu32, task->gid, task->egid, task->sgid, task->fsgid);
	PUT("capabilities", "effective %#" PRIx64 ", permitted %#" PRIx64
	    ", inheritable %#" PRIx64 ", bounding %#" PRIx64 ", ambient %#" PRIx64,
	    task->caps.effective, task->caps.permitted, task->caps.inheritable,
	    task->caps.bounding, task->caps.ambient);
}

static void print_namespaces(const struct task_ns *ns)
{
	PUT("namespaces", "cgroup %" PRIu32 ", ipc %" PRIu32 ", mnt %" PRIu32 ", net %" PRIu32
	    ", pid %" PRIu32 ", time %" PRIu32 ", user %" PRIu32 ", uts %" PRIu32, ns->cgroup,
	    ns->ipc, ns->mnt, ns->net, ns->pid, ns->time, ns->user, ns->uts);
	if (ns->pid_level)
		PUT("PID inside", "%" PRId32 ", %" PRIu32 " namespaces deep", ns->pid_inside,
		    ns->pid_level);
}

static void print_long(const struct process *process)
{
	const struct task *task = process->task;
	cleanup(freep) char *command = process_command(process);
	char start[HUMAN_MAX] = "";

	if (task->started_ns)
		human_time(task->started_ns, start, sizeof(start));
	text_wrap(stdout, 0, 2, "%" PRId32 " %s", task->tgid, task->comm);
	if (task->kernel_thread)
		PUT("kind", "kernel thread");
	if (process->exe)
		PUT("program", "%s", process->exe);
	if (process->args)
		PUT("arguments", "%s", command ? command : "");
	if (process->args_absent_bytes)
		PUT("not in memory", "%zu bytes of its arguments", process->args_absent_bytes);
	else if (process->args_cut)
		PUT("cut", "there are more arguments");
	PUT("parent", "%" PRId32, task->ppid);
	PUT("state", "%c, %" PRIu32 " thread%s%s%s", task->state, task->threads,
	    task->threads == 1 ? "" : "s", *start ? ", since " : "", start);
	print_credentials(task);
	if (process->cgroup)
		PUT("cgroup", "%s", process->cgroup);
	if (process->contained)
		PUT("container", "%s %s", process->container.runtime, process->container.id);
	print_namespaces(&process->ns);
	if (process->partial)
		PUT("gaps", "some of this process could not be read");
	PUT("task_struct", "%#" PRIx64, task->at.v);
}

static int ps_read(const struct attached *guest, const struct arguments *args, void *data,
		   struct err *err)
{
	(void)args;
	return processes_read(guest, data, err);
}

static void ps_free(void *data)
{
	processes_free(data);
}

static json_t *ps_json(const void *data)
{
	const struct processes *processes = data;
	json_t *items = json_array();

	for (size_t i = 0; i < processes->tasks.n; i++)
		encode_append(&items, process_json(&processes->v[i]));
	return items;
}

static int ps_text(const struct arguments *args, const void *data, struct err *err)
{
	cleanup(freep) struct tree_place *places = NULL;
	const struct processes *processes = data;
	int r = order(processes, args->flat, &places);

	if (r < 0)
		return err_set(err, r, "no memory to sort the processes");
	if (!args->wide)
		return print_table(processes, places, err);
	for (size_t i = 0; i < processes->tasks.n; i++)
		print_long(&processes->v[places[i].node]);
	return 0;
}

static const struct listing listing = {
	.schema = "hvsm.ps/1",
	.bytes = sizeof(struct processes),
	.read = ps_read,
	.free = ps_free,
	.json = ps_json,
	.text = ps_text,
};

const struct command ps_command = {
	.name = "ps",
	.operands = "TARGET",
	.operands_min = 1,
	.operands_max = 1,
	.options = OPTION_FLAT | OPTION_LONG | OPTION_JSON,
	.summary = "the processes of a guest, as a tree",
	.about =
		"List the processes of a guest as its task list has them. PIDs are those of the\n"
		"initial PID namespace; EUID is the user whose rights a process has; STATE is the\n"
		"letter of ps(1). Arguments lie in the process's own memory, which it can write:\n"
		"believe COMM and ARGS no more than you believe the process. What of it is not in\n"
		"memory, or could not be read, is named in brackets before ARGS.",
	.example = "  hvsm ps web1\n  hvsm ps web1 --json | jq -r '.items[].comm'",
	.listing = &listing,
};
