/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HVSM_CLI_PIDS_H
#define HVSM_CLI_PIDS_H

#include "linux/task.h"

/* The processes of a task list by PID. A list that a guest forged may have one twice. */
struct pid_entry {
	int32_t pid;
	size_t task;	/* index in the task list */
};

struct pids {
	struct pid_entry *v;	/* ascending */
	size_t n;
};

/* Returned by pids_find() where no process has that PID. */
#define PIDS_NONE ((size_t)-1)

/**
 * pids_init - sort
 * @ret: to be given to pids_free(), also on failure
 * Return: 0, -ENOMEM.
 */
nodiscard int pids_init(const struct tasks *tasks, struct pids *ret, struct err *err);

void pids_free(struct pids *pids);

/* The place in pids.v of the process with this PID. */
size_t pids_find(const struct pids *pids, int64_t pid);

/* Its name; NULL: no process of the list has this PID. */
const char *pids_comm(const struct pids *pids, const struct tasks *tasks, int64_t pid);

#endif
