// SPDX-License-Identifier: GPL-2.0
/*
 * Hide sockets of the process PID, by the numbers of their files: each is unlinked from the
 * table that /proc/net shows (TCP, UDP, raw, UNIX, packet). What else leads to it stays, so it
 * works on as far as the kernel finds it otherwise. Unloading puts them back.
 */
#include <linux/fdtable.h>
#include <linux/net.h>
#include <linux/pid.h>
#include <linux/rculist_nulls.h>
#include <linux/sched/task.h>
#include <net/sock.h>

#include "lab.h"

#define SOCKETS_MAX 16

static int pid;
module_param(pid, int, 0444);
MODULE_PARM_DESC(pid, "whose, by its number in the first PID namespace");
static int fds[SOCKETS_MAX];
static int fds_n;
module_param_array_named(fd, fds, int, &fds_n, 0444);
MODULE_PARM_DESC(fd, "their file numbers");

/* The links of plain and of "nulls" chains lie alike; an odd value ends the latter. */
static struct hidden {
	struct hlist_node *node;
	struct hlist_node *next;
	struct hlist_node **pprev;
} hidden[SOCKETS_MAX];

static bool is_end(const struct hlist_node *node)
{
	return !node || (unsigned long)node & 1;
}

static struct sock *sock_of(struct files_struct *files, unsigned int fd)
{
	struct fdtable *fdt = rcu_dereference_raw(files->fdt);
	struct file *file = fd < fdt->max_fds ? rcu_dereference_raw(fdt->fd[fd]) : NULL;
	struct socket *socket;

	if (!file || !S_ISSOCK(file_inode(file)->i_mode))
		return NULL;
	socket = file->private_data;
	return socket ? socket->sk : NULL;
}

/* Nobody may stand on a chain meanwhile: all CPUs are stopped. */
static int unlink_all(void *unused)
{
	for (int i = 0; i < fds_n; i++) {
		struct hidden *each = &hidden[i];

		each->next = each->node->next;
		each->pprev = each->node->pprev;
		*each->pprev = each->next;
		if (!is_end(each->next))
			each->next->pprev = each->pprev;
	}
	return 0;
}

/* In reverse, so that each finds its neighbours as they were. */
static int link_all(void *unused)
{
	for (int i = fds_n - 1; i >= 0; i--) {
		struct hidden *each = &hidden[i];

		if (*each->pprev != each->next)
			continue;	/* its neighbours went meanwhile */
		*each->pprev = each->node;
		if (!is_end(each->next))
			each->next->pprev = &each->node->next;
	}
	return 0;
}

static int __init hide_init(void)
{
	struct task_struct *task;
	int r = 0;

	rcu_read_lock();
	task = pid_task(find_vpid(pid), PIDTYPE_TGID);
	for (int i = 0; i < fds_n; i++) {
		struct sock *sk = task && task->files ? sock_of(task->files, fds[i]) : NULL;

		if (!sk || sk_unhashed(sk))
			r = -ENOENT;
		else
			hidden[i].node = &sk->sk_node;
	}
	rcu_read_unlock();
	return r ? r : stop_machine(unlink_all, NULL, NULL);
}

static void __exit hide_exit(void)
{
	stop_machine(link_all, NULL, NULL);
}

module_init(hide_init);
module_exit(hide_exit);
MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("hvsm test: sockets hidden");
