/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HVSM_CLI_PROCESS_H
#define HVSM_CLI_PROCESS_H

#include <jansson.h>

#include "cli/attach.h"
#include "linux/task.h"
#include "linux/task_cgroup.h"
#include "linux/task_exec.h"
#include "linux/task_ns.h"

/* A process with all that `hvsm ps` says of it. Text is the guest's: escape it at output. */
struct process {
	const struct task *task;
	char *exe;		/* NULL: it has no program, or it could not be read */
	char *args;		/* each argument with its terminator; NULL: none are resident */
	size_t args_bytes;
	bool args_cut;		/* not all of them are in @args: too many, or … */
	size_t args_absent_bytes;	/* … not in memory: swapped out, or never read in */
	char *cgroup;		/* NULL: not known */
	bool contained;		/* @container is one */
	struct container container;
	struct task_ns ns;
	bool partial;		/* some part of it could not be read */
};

struct processes {
	struct tasks tasks;
	struct process *v;	/* one per task, in the order of the task list */
};

/**
 * processes_read - the processes of a guest
 * @ret: zeroed; give it to processes_free() whatever came back
 *
 * Return: 0 (the task list was seen to its end, and each process looked at), or as task_list();
 *         -ELOOP also: the fuel, or the room for texts, was spent before all were.
 */
nodiscard int processes_read(const struct attached *guest, struct processes *ret,
			     struct err *err);

void processes_free(struct processes *processes);

/* One item of hvsm.ps/1; a new reference, NULL: no memory. */
json_t *process_json(const struct process *process);

#define PROCESS_NOTE_MAX 96u

/* What is not there of the arguments and the rest: "[4096 bytes not in memory]"; "": nothing. */
const char *process_note(const struct process *process, char *buf, size_t size);

/* The arguments in one line, separated by blanks; to be freed. NULL: no memory. */
char *process_command(const struct process *process);

#endif
