/* SPDX-License-Identifier: Apache-2.0 */
#include "monitor/behaviour_task.h"

#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/limits.h"
#include "linux/task_exec.h"
#include "monitor/behaviour_part.h"
#include "report/encode.h"

/* Processes: start, end, program, credentials, namespaces, and those that nobody saw. */

#define PF_FORKNOEXEC 0x00000040u	/* include/linux/sched.h */
#define PF_KTHREAD    0x00200000u

/* Of arguments that many are told, and that much of them. */
#define ARGS_MAX  32u
#define ARGS_BYTES 1024u

struct part_tasks {
	struct seen_tasks was, now;
	uint64_t forks_was, forks_now;
	struct map threads;	/* those that are known, but leaders */
	int64_t unseen;		/* made by the kernel, less those that were seen; < 0: seen early */
};

static void *tasks_open(void)
{
	return calloc(1, sizeof(struct part_tasks));
}

static void tasks_forget(void *ctx)
{
	struct part_tasks *part = ctx;

	seen_tasks_free(&part->was);
	seen_tasks_free(&part->now);
	map_free(&part->threads);
	*part = (struct part_tasks){0};
}

static void tasks_close(void *ctx)
{
	tasks_forget(ctx);
	free(ctx);
}

static size_t tasks_count(const void *ctx)
{
	const struct part_tasks *part = ctx;

	return part->was.v.n;
}

static int tasks_read(void *ctx, const struct glance *glance, struct err *err)
{
	struct part_tasks *part = ctx;

	seen_tasks_free(&part->now);
	part->forks_now = 0;
	return seen_tasks_read(glance->kernel, glance->view, &part->now, &part->forks_now, err);
}

/* --- what is told of a process --- */

static json_t *ns_json(const struct task_ns *ns)
{
	return json_pack("{s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o}",
			 "cgroup", encode_count(ns->cgroup), "ipc", encode_count(ns->ipc),
			 "mnt", encode_count(ns->mnt), "net", encode_count(ns->net),
			 "pid", encode_count(ns->pid), "time", encode_count(ns->time),
			 "user", encode_count(ns->user), "uts", encode_count(ns->uts));
}

static json_t *cred_json(const struct seen_cred *cred)
{
	return json_pack("{s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o}",
			 "uid", encode_count(cred->uid), "euid", encode_count(cred->euid),
			 "suid", encode_count(cred->suid), "fsuid", encode_count(cred->fsuid),
			 "gid", encode_count(cred->gid), "egid", encode_count(cred->egid),
			 "sgid", encode_count(cred->sgid), "fsgid", encode_count(cred->fsgid),
			 "cap_effective", encode_hex(cred->effective),
			 "cap_permitted", encode_hex(cred->permitted),
			 "cap_inheritable", encode_hex(cred->inheritable),
			 "cap_bounding", encode_hex(cred->bounding),
			 "cap_ambient", encode_hex(cred->ambient));
}

static json_t *task_json(const struct seen_task *task)
{
	return json_pack("{s:i, s:i, s:o, s:o, s:b}",
			 "pid", task->pid,
			 "ppid", task->ppid,
			 "comm", encode_text(task->comm),
			 "start_us", encode_count(task->start_ns / 1000),
			 "kernel_thread", (task->flags & PF_KTHREAD) != 0);
}

static json_t *args_json(const struct glance *glance, const struct task *task)
{
	cleanup(freep) struct task_args *args = calloc(1, sizeof(*args));
	json_t *array = json_array();
	size_t bytes, at = 0;

	if (!args || task_args(glance->kernel, glance->view, task, args, NULL) < 0)
		return array;
	bytes = args->bytes < ARGS_BYTES ? args->bytes : ARGS_BYTES;
	args->text[bytes < TASK_ARGS_MAX ? bytes : TASK_ARGS_MAX - 1] = '\0';
	for (size_t n = 0; n < ARGS_MAX && at < bytes; n++) {
		encode_append(&array, encode_text(args->text + at));
		at += strlen(args->text + at) + 1;
	}
	return array;
}

/* Its program, as far as it can be read; and who it is. */
static json_t *program_json(const struct glance *glance, const struct seen_task *seen, bool args)
{
	cleanup(freep) char *path = malloc(PATH_BYTES_MAX);
	json_t *object = task_json(seen);
	struct task task = {0};
	bool there;

	there = path && !(seen->flags & PF_KTHREAD) && !seen->ending &&
		task_read(glance->kernel, glance->view, seen->at, &task, NULL) >= 0 && task.mm.v;
	encode_set(&object, "exe", there && task_exe(glance->kernel, glance->view, &task, path,
						     PATH_BYTES_MAX, NULL) > 0 ?
				   encode_text(path) : json_null());
	if (args)
		encode_set(&object, "args", there ? args_json(glance, &task) : json_array());
	encode_set(&object, "uid", seen->ending ? json_null() : encode_count(seen->cred.uid));
	encode_set(&object, "gid", seen->ending ? json_null() : encode_count(seen->cred.gid));
	return object;
}

/*
 * The kernel counts a new program before it gives it its arguments: such a one is told by the
 * next look. One that has none is not waited for again.
 */
static bool unfinished(const struct glance *glance, const struct seen_task *seen)
{
	cleanup(freep) struct task_args *args = calloc(1, sizeof(*args));
	struct task task;
	int r;

	if (!args || task_read(glance->kernel, glance->view, seen->at, &task, NULL) < 0)
		return false;
	r = task_args(glance->kernel, glance->view, &task, args, NULL);
	return r == -EBADMSG || (r >= 0 && !args->bytes && !args->absent_bytes);
}

static void tell_exec(const struct glance *glance, const struct seen_task *task)
{
	if (glance_wants(glance, EVENT_EXEC))
		glance_tell(glance, EVENT_EXEC, program_json(glance, task, true));
}

static void tell_start(const struct glance *glance, struct seen_task *task)
{
	json_t *object;

	if (glance_wants(glance, EVENT_PROCESS_START)) {
		object = program_json(glance, task, false);
		encode_set(&object, "cap_effective", task->ending ? json_null() :
						     encode_hex(task->cred.effective));
		encode_set(&object, "namespaces", task->ending ? json_null() : ns_json(&task->ns));
		glance_tell(glance, EVENT_PROCESS_START, object);
	}
	/* It became another program before anybody looked. */
	if (task->flags & (PF_FORKNOEXEC | PF_KTHREAD) || task->ending)
		return;
	task->held = !glance->first && unfinished(glance, task);
	if (task->held)
		task->execs--;
	else
		tell_exec(glance, task);
}

/* @task: as it was seen last; its exit code counts where it @ended. */
static void tell_exit(const struct glance *glance, const struct seen_task *task)
{
	uint32_t signal = task->exit_code & 0x7f;
	bool known = task->ended;
	json_t *object;

	if (!glance_wants(glance, EVENT_PROCESS_EXIT))
		return;
	object = task_json(task);
	encode_set(&object, "status", known && !signal ?
				      encode_count(task->exit_code >> 8 & 0xff) : json_null());
	encode_set(&object, "signal", known && signal ? encode_count(signal) : json_null());
	glance_tell(glance, EVENT_PROCESS_EXIT, object);
}

static void tell_change(const struct glance *glance, enum event_kind kind,
			const struct seen_task *task, bool exec, json_t *before, json_t *after)
{
	json_t *object = task_json(task);

	encode_set(&object, "exec", json_boolean(exec));
	encode_set(&object, "before", before);
	encode_set(&object, "after", after);
	glance_tell(glance, kind, object);
}

/* --- what differs --- */

/* Only to be asked for where @proxies say that there is something new. */
static int read_ns(const struct glance *glance, struct seen_task *task, struct err *err)
{
	struct task of = { .at = task->at, .pid = task->pid };

	return task_namespaces(glance->kernel, glance->view, &of, &task->ns, err);
}

/*
 * Credentials and proxies are counted objects: between the look at the pointer and at what it
 * leads to, the memory may have become somebody else's. What is to be told is read twice.
 */
static bool settled(const struct glance *glance, struct seen_task *task)
{
	struct seen_task again;

	view_refresh(glance->view);
	if (seen_task_again(glance->kernel, glance->view, task, &again, NULL) < 0 || again.ending)
		return false;
	return !memcmp(&again.cred, &task->cred, sizeof(again.cred)) &&
	       !memcmp(again.proxies, task->proxies, sizeof(again.proxies)) &&
	       again.execs == task->execs && read_ns(glance, task, NULL) >= 0;
}

/* As if it had not been looked at: the next look tells. */
static void keep_rights(const struct seen_task *was, struct seen_task *task)
{
	task->cred = was->cred;
	task->ns = was->ns;
	memcpy(task->proxies, was->proxies, sizeof(task->proxies));
}

static void compare_rights(const struct glance *glance, const struct seen_task *was,
			   struct seen_task *task, bool exec)
{
	bool cred = memcmp(&was->cred, &task->cred, sizeof(was->cred)) != 0;
	bool proxies = memcmp(was->proxies, task->proxies, sizeof(was->proxies)) != 0;
	struct seen_task old = *was;

	task->ns = old.ns;
	if (!cred && !proxies)
		return;
	if (!settled(glance, task)) {
		keep_rights(&old, task);
		return;
	}
	if (cred && glance_wants(glance, EVENT_CREDENTIALS))
		tell_change(glance, EVENT_CREDENTIALS, task, exec, cred_json(&old.cred),
			    cred_json(&task->cred));
	if (memcmp(&old.ns, &task->ns, sizeof(old.ns)) && glance_wants(glance, EVENT_NAMESPACES))
		tell_change(glance, EVENT_NAMESPACES, task, exec, ns_json(&old.ns),
			    ns_json(&task->ns));
}

/* The same process, then and now. */
static void compare_task(const struct glance *glance, const struct seen_task *was,
			 struct seen_task *task)
{
	bool exec = was->execs != task->execs;

	if (task->ended && !was->ended)
		tell_exit(glance, task);
	if (task->ending || was->ending) {
		keep_rights(was, task);
		return;
	}
	if (exec && !was->held && unfinished(glance, task)) {
		keep_rights(was, task);
		task->execs = was->execs;
		task->held = true;
		return;
	}
	if (exec)
		tell_exec(glance, task);
	compare_rights(glance, was, task, exec);
}

/* A process that nobody saw before; @other had its PID, and has ended. */
static void compare_new(const struct glance *glance, const struct seen_task *other,
			struct seen_task *task)
{
	if (other && !other->ended)
		tell_exit(glance, other);
	if (!task->ending && read_ns(glance, task, NULL) < 0)
		task->ns = (struct task_ns){0};
	tell_start(glance, task);
	if (task->ended)
		tell_exit(glance, task);
}

static int compare_gone(const struct glance *glance, struct part_tasks *part, bool complete)
{
	int r = 0;

	for (size_t i = 0; i < part->was.v.n && r >= 0; i++) {
		const struct seen_task *was = &part->was.v.v[i];

		if (seen_tasks_find(&part->now, was->pid))
			continue;
		if (!complete)
			r = seen_tasks_add(&part->now, was);
		else if (!was->ended)
			tell_exit(glance, was);
	}
	return r;
}

/*
 * The kernel counts each task that it makes. Those that were not seen began and ended since
 * the last look; threads count as well. The count is older than the list: who was seen before
 * being counted is made up for by the next look.
 */
static void count_unseen(const struct glance *glance, struct part_tasks *part, uint64_t seen)
{
	uint64_t threads = 0;

	if (glance->first) {
		if (seen_threads_count(glance->kernel, glance->view, &part->now, &part->threads,
				       &threads, NULL) < 0)
			map_free(&part->threads);
		part->unseen = 0;
		return;
	}
	part->unseen += (int64_t)(part->forks_now - part->forks_was) - (int64_t)seen;
	if (part->unseen <= 0 ||
	    seen_threads_count(glance->kernel, glance->view, &part->now, &part->threads, &threads,
			       NULL) < 0)
		return;
	part->unseen -= (int64_t)threads;
	if (part->unseen <= 0)
		return;
	if (glance_wants(glance, EVENT_PROCESSES_MISSED))
		glance_tell(glance, EVENT_PROCESSES_MISSED,
			  json_pack("{s:o}", "count", encode_count((uint64_t)part->unseen)));
	part->unseen = 0;
}

static int tasks_compare(void *ctx, const struct glance *glance, bool complete, struct err *err)
{
	struct part_tasks *part = ctx;
	struct seen_tasks was;
	uint64_t seen = 0;
	int r;

	(void)err;
	for (size_t i = 0; i < part->now.v.n; i++) {
		struct seen_task *task = &part->now.v.v[i];
		const struct seen_task *old = seen_tasks_find(&part->was, task->pid);

		if (old && old->start_ns == task->start_ns) {
			compare_task(glance, old, task);
		} else {
			compare_new(glance, old, task);
			seen++;
		}
	}
	r = compare_gone(glance, part, complete);
	if (r < 0)
		return r;
	if (complete)
		count_unseen(glance, part, seen);
	else
		part->unseen -= (int64_t)seen;
	if (complete)
		part->forks_was = part->forks_now;
	was = part->was;
	part->was = part->now;
	part->now = was;
	seen_tasks_free(&part->now);
	return 0;
}

const struct part behaviour_tasks = {
	.name = "processes",
	.kinds = EVENT_BIT(EVENT_PROCESS_START) | EVENT_BIT(EVENT_PROCESS_EXIT) |
		 EVENT_BIT(EVENT_EXEC) | EVENT_BIT(EVENT_CREDENTIALS) |
		 EVENT_BIT(EVENT_NAMESPACES) | EVENT_BIT(EVENT_PROCESSES_MISSED),
	.open = tasks_open,
	.close = tasks_close,
	.read = tasks_read,
	.compare = tasks_compare,
	.forget = tasks_forget,
	.count_name = "processes",
	.count = tasks_count,
};
