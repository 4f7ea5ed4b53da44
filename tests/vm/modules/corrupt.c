// SPDX-License-Identifier: GPL-2.0
/*
 * Make lists as a hostile guest would, for readers outside. WHAT is one of
 *
 *	task_cycle	the list of tasks leads into a cycle that misses its head
 *	task_wild	a link of it leads to the address TO
 *	long_list	COUNT nodes in it, all links right, 16 bytes each
 *	module_cycle	as above, for the list of modules
 *	module_wild
 *
 * The change lies behind kthreadd, which lives as long as the kernel: so forks and exits, which
 * touch their own neighbours and the tail, neither repair it nor trip over it. Nobody in an idle guest
 * follows the whole list of tasks (/proc uses the PID map). Of the modules, the first link
 * is changed, which is this module's own: do not read /proc/modules or load another meanwhile.
 * Unloading puts everything back.
 */
#include <linux/pid.h>
#include <linux/sched/signal.h>
#include <linux/sched/task.h>

#include "lab.h"

static char *what = "task_cycle";
module_param(what, charp, 0444);
MODULE_PARM_DESC(what, "task_cycle, task_wild, long_list, module_cycle or module_wild");
static unsigned long to = 0xffffc0dec0dec0d8;
module_param(to, ulong, 0444);
MODULE_PARM_DESC(to, "where the wild link leads (default: an address that nothing maps)");
static unsigned int count = 1000000;
module_param(count, uint, 0444);
MODULE_PARM_DESC(count, "nodes of the long list");

static struct list_head *at;		/* whose next is changed */
static struct list_head *behind;	/* what it was */
static void *fakes;

/* Two empty objects of SIZE whose links, at OFFSET, make a cycle of their own behind AT. */
static struct list_head *make_cycle(size_t size, size_t offset)
{
	struct list_head *one, *two;

	fakes = vzalloc(2 * size);
	if (!fakes)
		return NULL;
	one = fakes + offset;
	two = fakes + size + offset;
	one->next = two;
	one->prev = at;
	two->next = one;
	two->prev = one;
	return one;
}

/* The nodes lie closer than tasks could, so that ten million of them fit a small guest. */
static struct list_head *make_long_list(void)
{
	struct list_head *nodes = vmalloc(array_size(count, sizeof(*nodes)));

	if (!nodes || !count)
		return NULL;
	for (unsigned int i = 0; i < count; i++) {
		nodes[i].prev = i ? &nodes[i - 1] : at;
		nodes[i].next = i + 1 < count ? &nodes[i + 1] : behind;
	}
	fakes = nodes;
	return nodes;
}

/* What a reader meets that gives up: the head again, a cycle, a wild link, or too many nodes. */
static int walk_get(char *buffer, const struct kernel_param *param)
{
	struct list_head *node = at;
	unsigned int n = 0;

	while (n++ < 100000) {
		struct list_head *next = node->next;

		if ((unsigned long)next == to)
			return sprintf(buffer, "wild\n");
		if (fakes && next == node->prev && node != at && n > 1)
			return sprintf(buffer, "cycle\n");
		if (next == at)
			return sprintf(buffer, "head\n");
		node = next;
	}
	return sprintf(buffer, "long\n");
}

static const struct kernel_param_ops walk_ops = { .get = walk_get };
module_param_cb(walk, &walk_ops, NULL, 0444);
MODULE_PARM_DESC(walk, "read: what a bounded walk meets");

static bool is(const char *name)
{
	return !strcmp(what, name);
}

static int __init corrupt_init(void)
{
	struct list_head *first;
	rwlock_t *lock;
	int r = lab_init();

	if (r)
		return r;
	lock = lab_symbol("tasklist_lock");
	if (!lock)
		return -ENOENT;
	if (is("module_cycle") || is("module_wild")) {
		at = &THIS_MODULE->list;
	} else {
		rcu_read_lock();
		at = &pid_task(find_pid_ns(2, &init_pid_ns), PIDTYPE_PID)->tasks;
		rcu_read_unlock();
	}
	behind = at->next;

	if (is("task_cycle"))
		first = make_cycle(sizeof(struct task_struct), offsetof(struct task_struct, tasks));
	else if (is("module_cycle"))
		first = make_cycle(sizeof(struct module), offsetof(struct module, list));
	else if (is("long_list"))
		first = make_long_list();
	else if (is("task_wild") || is("module_wild"))
		first = (struct list_head *)to;
	else
		return -EINVAL;
	if (!first)
		return -ENOMEM;

	write_lock_irq(lock);
	if (is("long_list"))
		behind->prev = &first[count - 1];
	WRITE_ONCE(at->next, first);
	write_unlock_irq(lock);
	return 0;
}

static void __exit corrupt_exit(void)
{
	WRITE_ONCE(at->next, behind);
	WRITE_ONCE(behind->prev, at);
	synchronize_rcu();
	vfree(fakes);
}

module_init(corrupt_init);
module_exit(corrupt_exit);
MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("hvsm test: hostile lists");
