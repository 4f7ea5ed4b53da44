/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HVSM_MONITOR_BEHAVIOUR_TASK_H
#define HVSM_MONITOR_BEHAVIOUR_TASK_H

#include "base/map.h"
#include "base/vec.h"
#include "linux/task.h"
#include "linux/task_ns.h"

/*
 * Processes, read with the few members that tell what they did: some 1 µs each. A process is
 * the same where PID and start are.
 */

/* What of its credentials others see (real_cred); numbers only, so that memcmp() compares. */
struct seen_cred {
	uint32_t uid, euid, suid, fsuid, gid, egid, sgid, fsgid;
	uint64_t effective, permitted, inheritable, bounding, ambient;
};

struct seen_task {
	gva at;
	uint64_t start_ns;	/* since boot */
	uint64_t execs;		/* counts up: programs executed by it and by who it comes from */
	gva cred_at, proxy_at;	/* struct cred, struct nsproxy */
	int32_t pid, ppid;
	uint32_t flags;		/* PF_* */
	char comm[TASK_COMM_BYTES];
	bool ended;		/* all of its threads; it waits for its parent to take note */
	bool held;		/* its new program waits for the next look */
	bool ending;		/* exit(2) has begun: its members go one by one */
	uint32_t exit_code;	/* as wait(2) has it, where @ended */
	struct seen_cred cred;
	uint64_t proxies[8];	/* what @proxy_at holds, and the user namespace: addresses */
	struct task_ns ns;	/* filled in when it is seen first, and when @proxies changed */
};

struct seen_tasks {
	VEC(struct seen_task) v;
	struct map by_pid;	/* place in @v, + 1 */
};

void seen_tasks_free(struct seen_tasks *tasks);

/**
 * seen_tasks_read - every process, the leaders in init_task.tasks
 * @forks: the kernel's count of tasks that it has made, from before the walk
 *
 * What has no name space or credentials any more is ending. Without @ns.
 *
 * Return: as task_list(); what was found until then is there.
 */
nodiscard int seen_tasks_read(const struct kernel *kernel, struct view *view,
			      struct seen_tasks *ret, uint64_t *forks, struct err *err);

/* The process with this PID, NULL: none. */
struct seen_task *seen_tasks_find(const struct seen_tasks *tasks, int32_t pid);

/* Add one that is not there yet. Return: 0, -ENOMEM. */
nodiscard int seen_tasks_add(struct seen_tasks *tasks, const struct seen_task *task);

/**
 * seen_task_again - read one process anew
 * Return: 0, -ESTALE (there is another one, or none), or an error of the read.
 */
nodiscard int seen_task_again(const struct kernel *kernel, struct view *view,
			      const struct seen_task *task, struct seen_task *ret,
			      struct err *err);

/**
 * seen_threads_count - how many threads were not there before
 * @known: keys of those that were; is replaced by those that are there now
 * Of processes with one thread there is none to look for.
 *
 * Return: 0, or as task_threads(), and @known is as it was.
 */
nodiscard int seen_threads_count(const struct kernel *kernel, struct view *view,
				 const struct seen_tasks *tasks, struct map *known,
				 uint64_t *ret, struct err *err);

#endif
