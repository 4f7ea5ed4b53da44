// SPDX-License-Identifier: GPL-2.0
/*
 * Mark the process PID as a kernel thread, by which it has no program and no arguments for whoever
 * looks into /proc. It must sleep meanwhile; unloading takes the mark away.
 */
#include <linux/pid.h>
#include <linux/sched.h>
#include <linux/sched/task.h>

#include "lab.h"

static int pid;
module_param(pid, int, 0444);
MODULE_PARM_DESC(pid, "the process, by its number in the first PID namespace");

static struct task_struct *task;

static int __init disguise_task_init(void)
{
	task = get_pid_task(find_vpid(pid), PIDTYPE_PID);
	if (!task)
		return -ESRCH;
	task->flags |= PF_KTHREAD;
	return 0;
}

static void __exit disguise_task_exit(void)
{
	task->flags &= ~PF_KTHREAD;
	put_task_struct(task);
}

module_init(disguise_task_init);
module_exit(disguise_task_exit);
MODULE_LICENSE("GPL");
