// SPDX-License-Identifier: GPL-2.0
/*
 * Give the task PID what it may not have, as rootkits do: WHAT says how. All is undone at exit, so that the task
 * ends as it began.
 */
#include <linux/cred.h>
#include <linux/nsproxy.h>
#include <linux/pid.h>
#include <linux/sched/task.h>
#include <linux/seccomp.h>
#include "lab.h"

static int pid;
module_param(pid, int, 0444);
static char *what;
module_param(what, charp, 0444);
MODULE_PARM_DESC(what, "init-cred, subjective, copied, fresh, uids, euid, caps, permitted, user-ns, "
		 "seccomp-mode, seccomp-flag, seccomp-all, nsproxy");

static struct task_struct *task;
static const struct cred *old_real, *old_subjective;
static struct cred saved;		/* what was changed in place */
static struct cred *changed;
static struct cred *fresh;
static struct seccomp old_seccomp;
static bool seccomp_changed;
static struct nsproxy *old_proxy;

static void set_pointers(const struct cred *real, const struct cred *subjective)
{
	old_real = task->real_cred;
	old_subjective = task->cred;
	rcu_assign_pointer(task->real_cred, real);
	rcu_assign_pointer(task->cred, subjective);
}

static int take_cred(void)
{
	struct cred *init_cred = lab_symbol("init_cred");
	struct cred *(*prepare)(struct task_struct *) = lab_symbol("prepare_kernel_cred");

	if (!init_cred || !prepare)
		return -ENOENT;
	if (!strcmp(what, "init-cred")) {
		set_pointers(init_cred, init_cred);
	} else if (!strcmp(what, "subjective")) {
		set_pointers(task->real_cred, init_cred);
	} else if (!strcmp(what, "copied")) {
		set_pointers(task->parent->real_cred, task->parent->real_cred);
	} else {
		fresh = prepare(&init_task);
		if (!fresh)
			return -ENOMEM;
		set_pointers(fresh, fresh);
	}
	return 0;
}

static void change_cred(void)
{
	changed = (struct cred *)task->real_cred;
	saved = *changed;
	if (!strcmp(what, "uids"))
		changed->uid = changed->euid = changed->suid = changed->fsuid = GLOBAL_ROOT_UID;
	else if (!strcmp(what, "euid"))
		changed->euid = changed->fsuid = GLOBAL_ROOT_UID;
	else if (!strcmp(what, "user-ns"))
		changed->user_ns = lab_symbol("init_user_ns");
	else
		memset(&changed->cap_effective, 0xff, 5);
	if (!strcmp(what, "permitted"))
		memset(&changed->cap_permitted, 0xff, 5);
}

static void undo_cred(void)
{
	changed->uid = saved.uid;
	changed->euid = saved.euid;
	changed->suid = saved.suid;
	changed->fsuid = saved.fsuid;
	changed->user_ns = saved.user_ns;
	changed->cap_effective = saved.cap_effective;
	changed->cap_permitted = saved.cap_permitted;
}

static void seccomp_flag(bool on)
{
#ifdef SYSCALL_WORK_SECCOMP
	if (on)
		set_task_syscall_work(task, SECCOMP);
	else
		clear_task_syscall_work(task, SECCOMP);
#else
	if (on)
		set_tsk_thread_flag(task, TIF_SECCOMP);
	else
		clear_tsk_thread_flag(task, TIF_SECCOMP);
#endif
}

static void drop_seccomp(void)
{
	old_seccomp = task->seccomp;
	seccomp_changed = true;
	seccomp_flag(false);
	if (!strcmp(what, "seccomp-flag"))
		return;
	task->seccomp.mode = 0;
	if (strcmp(what, "seccomp-all"))
		return;
	task->seccomp.filter = NULL;
	atomic_set(&task->seccomp.filter_count, 0);
}

static int __init privilege_init(void)
{
	int r = lab_init();

	if (r)
		return r;
	rcu_read_lock();
	task = pid_task(find_pid_ns(pid, &init_pid_ns), PIDTYPE_PID);
	if (task)
		get_task_struct(task);
	rcu_read_unlock();
	if (!task)
		return -ESRCH;
	if (!strcmp(what, "nsproxy")) {
		old_proxy = task->nsproxy;
		task->nsproxy = init_task.nsproxy;
	} else if (!strncmp(what, "seccomp", 7)) {
		drop_seccomp();
	} else if (!strcmp(what, "uids") || !strcmp(what, "euid") || !strcmp(what, "caps") ||
		   !strcmp(what, "permitted") || !strcmp(what, "user-ns")) {
		change_cred();
	} else {
		r = take_cred();
	}
	if (r)
		put_task_struct(task);
	return r;
}

static void __exit privilege_exit(void)
{
	if (old_proxy)
		task->nsproxy = old_proxy;
	if (seccomp_changed) {
		task->seccomp = old_seccomp;
		seccomp_flag(true);
	}
	if (changed)
		undo_cred();
	if (old_real) {
		rcu_assign_pointer(task->real_cred, old_real);
		rcu_assign_pointer(task->cred, old_subjective);
		synchronize_rcu();
	}
	if (fresh)
		abort_creds(fresh);
	put_task_struct(task);
}

module_init(privilege_init);
module_exit(privilege_exit);
MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("hvsm test: privileges given to a task");
