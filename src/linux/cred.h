/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HVSM_LINUX_CRED_H
#define HVSM_LINUX_CRED_H

#include "base/map.h"
#include "linux/task.h"

/* What tasks may do: struct cred (include/linux/cred.h), and how each task came by its own. */

struct cred {
	gva at;
	uint32_t uid, euid, suid, fsuid;
	struct task_caps caps;

	gva user_ns;
	gva group_info;

	/* What the kernel counts its processes and objects under: of its UID, always. */
	uint32_t user_uid;		/* user_struct.uid */
	bool has_ucounts;		/* since d64696905554 (5.14) */
	uint32_t ucounts_uid;
	gva ucounts_ns;
};

/* Is any of the four user IDs root's? */
static inline bool cred_is_root(const struct cred *cred)
{
	return !cred->uid || !cred->euid || !cred->suid || !cred->fsuid;
}

/* May it do anything that not everybody may? */
static inline bool cred_is_privileged(const struct cred *cred)
{
	return cred_is_root(cred) || cred->caps.permitted || cred->caps.effective;
}

/**
 * cred_read - copy a struct cred
 * Return: 0, -EBADMSG (a pointer in it leads to no object), -ENOENT (types), or an error as
 *         view_read().
 */
nodiscard int cred_read(const struct kernel *kernel, struct view *view, gva at,
			struct cred *ret, struct err *err);

/* A task, and where its credentials come from. */
struct holder {
	gva at, leader, parent;	/* task_struct; of the thread that forked it, or adopted it */
	int32_t pid, tgid;
	char comm[TASK_COMM_BYTES];
	bool kernel_thread;	/* PF_KTHREAD */
	bool ending;		/* PF_EXITING, or it dumps core */
	char state;		/* as in struct task */
	uint64_t start_ns;
	uint64_t started_ns;
	gva mm;

	gva real;		/* real_cred: what others see, and it goes back to */
	gva subjective;		/* cred: what it acts with; another one within a system call */

	/*
	 * Programs that were executed, and of that how many by the parent when it forked this
	 * task: both are inherited and only count up, so the difference is how many came since.
	 */
	uint64_t self_exec, parent_exec;
	bool adopts;		/* orphans become its children: PID 1 of a namespace, subreaper */

	/*
	 * Its program was executed by and has run as one and the same user: what gains or
	 * drops rights is not dumpable any more (commit_creds(), begin_new_exec()).
	 */
	bool dumpable;
};

/* Start with {0}; give the memory back with holders_free(). */
struct holders {
	struct holder *v;	/* each leader before its other threads */
	size_t n;
	size_t room;
	struct map index;	/* task_struct → place in @v */
};

void holders_free(struct holders *holders);

/**
 * holders_list - every thread of every process
 * @ret: on failure it holds those that were seen
 *
 * Return: 0 (all were seen), or as task_list().
 */
nodiscard int holders_list(const struct kernel *kernel, struct view *view, struct holders *ret,
			   struct err *err);

/* The one with this task_struct; NULL: not among them. */
const struct holder *holders_find(const struct holders *holders, gva task);

/**
 * holders_forked - is the task's parent the one that forked it, in the program that it still runs?
 * Then what the parent cannot lose or gain within one program, it had at that time.
 */
bool holders_forked(const struct holder *parent, const struct holder *child);

/* How a program's file raises who executes it. */
struct raiser {
	bool setuid_root;
	bool unclear;		/* gone, or changed since: it may have been so */
};

/**
 * cred_raiser - what the file says that the task runs
 * Return: 0, -ENOENT (no file, or types), or an error as view_read().
 */
nodiscard int cred_raiser(const struct kernel *kernel, struct view *view,
			  const struct holder *holder, struct raiser *ret, struct err *err);

#endif
