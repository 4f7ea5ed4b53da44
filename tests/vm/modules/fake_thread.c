// SPDX-License-Identifier: GPL-2.0
/*
 * A kernel thread that is none of the kernel's. HOW is one of
 *
 *	name	a thread of this module calls itself a kworker
 *	code	what a thread is to run is recorded as memory that nobody owns
 *	flag	the process PID is marked as a kernel thread, and so shows no program
 *
 * Unloading ends it, or makes the process what it was.
 */
#include <linux/err.h>
#include <linux/kthread.h>
#include <linux/pid.h>
#include <linux/sched/task.h>
#include <linux/version.h>

#include "lab_types.h"

static char *how = "name";
module_param(how, charp, 0444);
MODULE_PARM_DESC(how, "name, code or flag");
static int pid;
module_param(pid, int, 0444);
MODULE_PARM_DESC(pid, "for flag: the process, by its number in the first PID namespace");

static struct task_struct *thread, *process;
static void *memory;

static int rest(void *unused)
{
	while (!kthread_should_stop())
		schedule_timeout_interruptible(HZ);
	return 0;
}

/* 5.17 gave it a member of its own (e32cf5dfbe22). */
static void *kthread_of(struct task_struct *task)
{
#if LINUX_VERSION_CODE >= KERNEL_VERSION(5, 17, 0)
	return task->worker_private;
#else
	return (__force void *)task->set_child_tid;
#endif
}

static int forge_code(void)
{
	int at = lab_member("kthread", "threadfn");

	if (at < 0)
		return at;
	memory = vmalloc(PAGE_SIZE);
	if (!memory)
		return -ENOMEM;
	*(void **)((char *)kthread_of(thread) + at) = memory;
	return 0;
}

static int mark(void)
{
	process = get_pid_task(find_vpid(pid), PIDTYPE_TGID);
	if (!process)
		return -ESRCH;
	process->flags |= PF_KTHREAD;
	return 0;
}

static int __init fake_init(void)
{
	bool name = !strcmp(how, "name");
	int r = lab_init();

	if (r)
		return r;
	if (!strcmp(how, "flag"))
		return mark();
	if (!name && strcmp(how, "code"))
		return -EINVAL;
	thread = kthread_run(rest, NULL, name ? "kworker/0:1H" : "hvsm-lab");
	if (IS_ERR(thread))
		return PTR_ERR(thread);
	/* It has told by now what it runs: kthread_run() waits for that. */
	r = name ? 0 : forge_code();
	if (r)
		kthread_stop(thread);
	return r;
}

static void __exit fake_exit(void)
{
	if (thread)
		kthread_stop(thread);
	if (process) {
		process->flags &= ~PF_KTHREAD;
		put_task_struct(process);
	}
	vfree(memory);
}

module_init(fake_init);
module_exit(fake_exit);
MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("hvsm test: kernel thread that is none");
