/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/process.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/limits.h"
#include "report/encode.h"

#define ARG_COST_BYTES 64u

/* Not there is an answer (kernel threads have no program); what failed otherwise is a gap. */
static char *answer(struct process *process, int r, const char *text)
{
	char *copy;

	if (r < 0) {
		process->partial |= r != -ENOENT;
		return NULL;
	}
	copy = strdup(text);
	process->partial |= !copy;
	return copy;
}

static void read_exe(const struct attached *guest, struct process *process)
{
	char path[PATH_BYTES_MAX];
	int r = task_exe(guest->kernel, guest->view, process->task, path, sizeof(path), NULL);

	process->exe = answer(process, r, path);
}

static void read_args(const struct attached *guest, struct process *process)
{
	struct task_args args;
	int r = task_args(guest->kernel, guest->view, process->task, &args, NULL);

	if (r < 0) {
		process->partial |= r != -ENOENT;
		return;
	}
	process->args_cut = args.cut || args.absent_bytes;
	process->args_absent_bytes = args.absent_bytes;
	if (!args.bytes)
		return;
	process->args = malloc(args.bytes + 1);
	if (!process->args) {
		process->partial = true;
		return;
	}
	memcpy(process->args, args.text, args.bytes);
	process->args[args.bytes] = '\0';	/* the last one may lack its own */
	process->args_bytes = args.bytes;
}

static void read_cgroup(const struct attached *guest, struct process *process)
{
	char path[PATH_BYTES_MAX];
	int r = task_cgroup(guest->kernel, guest->view, process->task, path, sizeof(path), NULL);

	process->cgroup = answer(process, r, path);
	if (process->cgroup)
		process->contained = container_of_cgroup(path, &process->container);
}

/* What the texts of a process take of ours: in JSON each argument is an object of its own. */
static size_t text_bytes(const struct process *process)
{
	size_t bytes = process->args_bytes;

	for (size_t i = 0; i < process->args_bytes; i++)
		bytes += process->args[i] ? 0 : ARG_COST_BYTES;
	return bytes + (process->exe ? strlen(process->exe) : 0) +
	       (process->cgroup ? strlen(process->cgroup) : 0);
}

static void read_texts(const struct attached *guest, struct process *process)
{
	read_exe(guest, process);
	read_args(guest, process);
	read_cgroup(guest, process);
	process->partial |= task_namespaces(guest->kernel, guest->view, process->task,
					    &process->ns, NULL) < 0;
}

static bool any_partial(const struct processes *processes)
{
	for (size_t i = 0; i < processes->tasks.n; i++)
		if (processes->v[i].partial)
			return true;
	return false;
}

int processes_read(const struct attached *guest, struct processes *ret, struct err *err)
{
	int r = task_list(guest->kernel, guest->view, &ret->tasks, err);
	size_t bytes = 0;

	ret->v = calloc(ret->tasks.n ? ret->tasks.n : 1, sizeof(*ret->v));
	if (!ret->v) {
		tasks_free(&ret->tasks);
		return err_set(err, -ENOMEM, "no memory for the processes");
	}
	for (size_t i = 0; i < ret->tasks.n; i++) {
		struct process *process = &ret->v[i];

		process->task = &ret->tasks.v[i];
		process->partial = process->task->partial;
		if (bytes <= PROCESS_TEXT_MAX)
			read_texts(guest, process);
		else
			process->partial = true;
		bytes += text_bytes(process);
	}
	/* Where it ended in the last read of all it was enough: none is partial for it. */
	if (r >= 0 && !view_fuel(guest->view) && any_partial(ret))
		return err_set(err, -ELOOP, "the fuel was spent before all processes were read");
	if (r >= 0 && bytes > PROCESS_TEXT_MAX)
		return err_set(err, -ELOOP, "over %u MiB of programs and arguments",
			       PROCESS_TEXT_MAX >> 20);
	return r;
}

void processes_free(struct processes *processes)
{
	for (size_t i = 0; i < processes->tasks.n; i++) {
		free(processes->v[i].exe);
		free(processes->v[i].args);
		free(processes->v[i].cgroup);
	}
	free(processes->v);
	processes->v = NULL;
	tasks_free(&processes->tasks);
}

/* Calls for each argument; its text and what comes behind it are inside args. */
#define for_each_argument(arg, process)                                        \
	for (const char *arg = (process)->args;                                \
	     arg && arg < (process)->args + (process)->args_bytes;             \
	     arg += strlen(arg) + 1)

static json_t *args_json(const struct process *process)
{
	json_t *args = process->args ? json_array() : json_null();

	for_each_argument(arg, process)
		encode_append(&args, encode_text(arg));
	return args;
}

static json_t *caps_json(const struct task_caps *caps)
{
	return json_pack("{s:o, s:o, s:o, s:o, s:o}",
			 "effective", encode_hex(caps->effective),
			 "permitted", encode_hex(caps->permitted),
			 "inheritable", encode_hex(caps->inheritable),
			 "bounding", encode_hex(caps->bounding),
			 "ambient", encode_hex(caps->ambient));
}

static json_t *container_json(const struct process *process)
{
	if (!process->contained)
		return json_null();
	return json_pack("{s:o, s:o}",
			 "runtime", encode_text(process->container.runtime),
			 "id", encode_text(process->container.id));
}

static json_t *namespaces_json(const struct task_ns *ns)
{
	return json_pack("{s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:i}",
			 "cgroup", encode_count(ns->cgroup),
			 "ipc", encode_count(ns->ipc),
			 "mnt", encode_count(ns->mnt),
			 "net", encode_count(ns->net),
			 "pid", encode_count(ns->pid),
			 "time", encode_count(ns->time),
			 "user", encode_count(ns->user),
			 "uts", encode_count(ns->uts),
			 "pid_level", encode_count(ns->pid_level),
			 "pid_inside", (int)ns->pid_inside);
}

/* The numbers of a process: who it is, and as whom it runs. */
static json_t *identity_part(const struct task *task)
{
	const char state[] = { task->state, '\0' };

	return json_pack("{s:i, s:i, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o}",
			 "pid", (int)task->tgid,
			 "ppid", (int)task->ppid,
			 "threads", encode_count(task->threads),
			 "comm", encode_text(task->comm),
			 "state", encode_text(state),
			 "uid", encode_count(task->uid),
			 "euid", encode_count(task->euid),
			 "suid", encode_count(task->suid),
			 "fsuid", encode_count(task->fsuid),
			 "gid", encode_count(task->gid),
			 "egid", encode_count(task->egid),
			 "sgid", encode_count(task->sgid),
			 "fsgid", encode_count(task->fsgid));
}

static json_t *rest_part(const struct process *process)
{
	const struct task *task = process->task;

	return json_pack("{s:o, s:o, s:o, s:o, s:b, s:o, s:o, s:o, s:o, s:o, s:b, s:b, s:o}",
			 "start", task->started_ns ? encode_time(task->started_ns) : json_null(),
			 "start_us", encode_count(task->start_ns / 1000),
			 "exe", encode_text(process->exe),
			 "args", args_json(process),
			 "args_cut", process->args_cut,
			 "args_absent_bytes", encode_count(process->args_absent_bytes),
			 "capabilities", caps_json(&task->caps),
			 "cgroup", encode_text(process->cgroup),
			 "container", container_json(process),
			 "namespaces", namespaces_json(&process->ns),
			 "kernel_thread", task->kernel_thread,
			 "partial", process->partial,
			 "address", encode_address(task->at));
}

json_t *process_json(const struct process *process)
{
	json_t *item = identity_part(process->task), *rest = rest_part(process);

	if (!rest || json_object_update(item, rest) < 0) {
		json_decref(item);
		item = NULL;
	}
	json_decref(rest);
	return item;
}

const char *process_note(const struct process *process, char *buf, size_t size)
{
	size_t absent = process->args_absent_bytes;

	buf[0] = '\0';
	if (absent)
		snprintf(buf, size, "[%zu byte%s not in memory]", absent, absent == 1 ? "" : "s");
	else if (process->args_cut)
		snprintf(buf, size, "[cut]");
	if (process->partial)
		snprintf(buf + strlen(buf), size - strlen(buf), "%s[partly unreadable]",
			 *buf ? " " : "");
	return buf;
}

char *process_command(const struct process *process)
{
	char *line;

	if (!process->args)
		return strdup("");
	line = malloc(process->args_bytes + 1);
	if (!line)
		return NULL;
	memcpy(line, process->args, process->args_bytes + 1);
	for (size_t i = 0; i < process->args_bytes; i++)
		if (!line[i])
			line[i] = ' ';
	for (size_t n = process->args_bytes; n && line[n - 1] == ' '; n--)
		line[n - 1] = '\0';
	return line;
}
