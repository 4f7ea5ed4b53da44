// SPDX-License-Identifier: GPL-2.0
/*
 * Hide the process PID, which runs on. HOW is one of
 *
 *	list	unlinked from the list of tasks
 *	pid	its number leaves the PID map, and its struct pid no longer leads to the thread: not in /proc
 *	both
 *	every	off every list there is: thread group, children, process groups, control group,
 *		sched_ext; it must be asleep, and sleep on
 *
 * Only the process's first thread is touched. Unloading puts it back.
 */
#include <linux/cgroup-defs.h>
#include <linux/idr.h>
#include <linux/pid.h>
#include <linux/pid_namespace.h>
#include <linux/rculist.h>
#include <linux/sched/signal.h>
#include <linux/sched/task.h>

#include "lab.h"

static int pid;
module_param(pid, int, 0444);
MODULE_PARM_DESC(pid, "the process, by its number in the first PID namespace");
static char *how = "both";
module_param(how, charp, 0444);
MODULE_PARM_DESC(how, "list, pid, both or every");

static struct task_struct *task;
static struct pid *number;
static rwlock_t *list_lock;
static spinlock_t *map_lock;
static spinlock_t *group_lock, *ext_lock;
static bool off_list, off_map, off_every;

/*
 * The link stays on some list, because the task's exit takes it off one. Its link as the leader
 * of its thread group must stay where it is: the exit frees the number when the last of its lists
 * becomes empty, and would free it twice if two were so before.
 */
static struct hlist_head elsewhere, other[PIDTYPE_MAX];

static bool on_list(void)
{
	struct task_struct *each;
	bool found = false;

	rcu_read_lock();
	for_each_process(each)
		found |= each == task;
	rcu_read_unlock();
	return found;
}

static bool in_map(void)
{
	bool found;

	rcu_read_lock();
	found = pid_task(find_pid_ns(pid, &init_pid_ns), PIDTYPE_PID) != NULL;
	rcu_read_unlock();
	return found;
}

static int seen_get(char *buffer, const struct kernel_param *param)
{
	return sprintf(buffer, "list=%d pid=%d\n", task && on_list(), task && in_map());
}

static const struct kernel_param_ops seen_ops = { .get = seen_get };
module_param_cb(seen, &seen_ops, NULL, 0444);
MODULE_PARM_DESC(seen, "read: where the kernel itself finds the process now");

static void hide_from_list(void)
{
	write_lock_irq(list_lock);
	list_del_rcu(&task->tasks);
	write_unlock_irq(list_lock);
	/* Who stands on the task must be able to go on; afterwards its exit may unlink it again. */
	synchronize_rcu();
	write_lock_irq(list_lock);
	if (pid_alive(task))
		INIT_LIST_HEAD(&task->tasks);
	write_unlock_irq(list_lock);
	off_list = true;
}

static void hide_from_map(void)
{
	write_lock_irq(list_lock);
	spin_lock(map_lock);
	for (int i = 0; i <= number->level; i++)
		idr_remove(&number->numbers[i].ns->idr, number->numbers[i].nr);
	spin_unlock(map_lock);
	hlist_del_init_rcu(&task->pid_links[PIDTYPE_PID]);
	hlist_add_head_rcu(&task->pid_links[PIDTYPE_PID], &elsewhere);
	write_unlock_irq(list_lock);
	off_map = true;
}

static void show_in_map(void)
{
	for (int i = 0; i <= number->level; i++) {
		int nr = number->numbers[i].nr;

		if (idr_alloc(&number->numbers[i].ns->idr, number, nr, nr + 1, GFP_ATOMIC) != nr)
			pr_err("hide_task: number %d is taken meanwhile\n", nr);
	}
	hlist_del_init_rcu(&task->pid_links[PIDTYPE_PID]);
	hlist_add_head_rcu(&task->pid_links[PIDTYPE_PID], &number->tasks[PIDTYPE_PID]);
}

/* Under which number it stands in a list of its kind. */
static struct pid *number_of(enum pid_type type)
{
	return type == PIDTYPE_PID ? number : task->signal->pids[type];
}

static void change_ext(bool in)
{
#ifdef CONFIG_SCHED_CLASS_EXT
	unsigned long flags;
	struct list_head *tasks = lab_symbol("scx_tasks");

	if (!tasks || !ext_lock)
		return;
	spin_lock_irqsave(ext_lock, flags);
	if (in)
		list_add_tail(&task->scx.tasks_node, tasks);
	else
		list_del_init(&task->scx.tasks_node);
	spin_unlock_irqrestore(ext_lock, flags);
#endif
}

static void hide_from_kin(void)
{
	write_lock_irq(list_lock);
	list_del_init(&task->sibling);
	list_del_init(&task->thread_node);
	for (enum pid_type type = PIDTYPE_TGID; type < PIDTYPE_MAX; type++) {
		hlist_del_init_rcu(&task->pid_links[type]);
		hlist_add_head_rcu(&task->pid_links[type], &other[type]);
	}
	write_unlock_irq(list_lock);
	spin_lock_irq(group_lock);
	list_del_init(&task->cg_list);
	spin_unlock_irq(group_lock);
	change_ext(false);
	off_every = true;
}

static void show_to_kin(void)
{
	list_add_tail(&task->sibling, &task->real_parent->children);
	list_add_tail_rcu(&task->thread_node, &task->signal->thread_head);
	for (enum pid_type type = PIDTYPE_TGID; type < PIDTYPE_MAX; type++) {
		hlist_del_init_rcu(&task->pid_links[type]);
		hlist_add_head_rcu(&task->pid_links[type], &number_of(type)->tasks[type]);
	}
	spin_lock(group_lock);
	list_add_tail(&task->cg_list, &task->cgroups->tasks);
	spin_unlock(group_lock);
}

static int __init hide_init(void)
{
	bool every = !strcmp(how, "every");
	bool both = every || !strcmp(how, "both");
	int r = lab_init();

	if (r)
		return r;
	list_lock = lab_symbol("tasklist_lock");
	map_lock = lab_symbol("pidmap_lock");
	group_lock = lab_symbol("css_set_lock");
	ext_lock = IS_ENABLED(CONFIG_SCHED_CLASS_EXT) ? lab_symbol("scx_tasks_lock") : NULL;
	if (!list_lock || !map_lock || !group_lock)
		return -ENOENT;
	if (!both && strcmp(how, "list") && strcmp(how, "pid"))
		return -EINVAL;
	number = find_get_pid(pid);
	task = get_pid_task(number, PIDTYPE_TGID);
	if (!task) {
		put_pid(number);
		return -ESRCH;
	}
	if (both || !strcmp(how, "list"))
		hide_from_list();
	if (both || !strcmp(how, "pid"))
		hide_from_map();
	if (every)
		hide_from_kin();
	return 0;
}

static void __exit hide_exit(void)
{
	if (off_every)
		change_ext(true);
	write_lock_irq(list_lock);
	if (off_every)
		show_to_kin();
	if (pid_alive(task)) {
		spin_lock(map_lock);
		if (off_map)
			show_in_map();
		spin_unlock(map_lock);
		if (off_list)
			list_add_tail_rcu(&task->tasks, &init_task.tasks);
	}
	write_unlock_irq(list_lock);
	synchronize_rcu();
	put_task_struct(task);
	put_pid(number);
}

module_init(hide_init);
module_exit(hide_exit);
MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("hvsm test: task hidden");
