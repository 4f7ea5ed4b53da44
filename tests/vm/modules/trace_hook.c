// SPDX-License-Identifier: GPL-2.0
/*
 * Let one of the kernel's tracers call a function of this module, and take the module off the
 * list of modules. Writing 1 to its parameter "restore" puts it back there, so that it can be
 * unloaded, which undoes the rest.
 */
#include <linux/ftrace.h>
#include <linux/mutex.h>
#include <linux/namei.h>
#include <linux/rculist.h>
#include <linux/slab.h>
#include <linux/tracepoint.h>
#include <linux/uprobes.h>
#include <linux/version.h>
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 12, 0)
#include <linux/fprobe.h>
#endif

#include "lab.h"

static char *mode = "kprobe";
module_param(mode, charp, 0444);
MODULE_PARM_DESC(mode, "kprobe, kretprobe, uprobe, ftrace, fprobe, tracepoint");

static char *symbol = "kernel_restart";
module_param(symbol, charp, 0444);
MODULE_PARM_DESC(symbol, "which function is traced; which tracepoint");

static bool hide = true;
module_param(hide, bool, 0444);
MODULE_PARM_DESC(hide, "take the module off the list");

static unsigned long hits;
module_param(hits, ulong, 0444);
MODULE_PARM_DESC(hits, "read: how often it was called");

static struct mutex *mutex;
static struct list_head *head;
static bool off_list;
static int done = -1;

/* --- kprobes: in memory of their own, as nothing points from there to the module --- */

static struct kretprobe *probe;

static int pre_handler(struct kprobe *kp, struct pt_regs *regs)
{
	hits++;
	return 0;
}

static int ret_handler(struct kretprobe_instance *instance, struct pt_regs *regs)
{
	hits++;
	return 0;
}

static int kprobe_start(void)
{
	probe = kzalloc(sizeof(*probe), GFP_KERNEL);
	if (!probe)
		return -ENOMEM;
	probe->kp.symbol_name = symbol;
	probe->kp.pre_handler = pre_handler;
	return register_kprobe(&probe->kp);
}

static void kprobe_stop(void)
{
	unregister_kprobe(&probe->kp);
	kfree(probe);
}

static int kretprobe_start(void)
{
	probe = kzalloc(sizeof(*probe), GFP_KERNEL);
	if (!probe)
		return -ENOMEM;
	probe->kp.symbol_name = symbol;
	probe->handler = ret_handler;
	return register_kretprobe(probe);
}

static void kretprobe_stop(void)
{
	unregister_kretprobe(probe);
	kfree(probe);
}

/* --- uprobes: a byte of the guest's first program that nobody runs --- */

#define UPROBE_PATH   "/bin/busybox"
#define UPROBE_OFFSET 0x2000

static struct path uprobe_path;

#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 12, 0)
static struct uprobe *uprobe;

static int uprobe_handler(struct uprobe_consumer *consumer, struct pt_regs *regs, __u64 *data)
#else
static int uprobe_handler(struct uprobe_consumer *consumer, struct pt_regs *regs)
#endif
{
	hits++;
	return 0;
}

static struct uprobe_consumer consumer = { .handler = (void *)uprobe_handler };

static int uprobe_start(void)
{
	int r = kern_path(UPROBE_PATH, LOOKUP_FOLLOW, &uprobe_path);

	if (r)
		return r;
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 12, 0)
	uprobe = uprobe_register(d_inode(uprobe_path.dentry), UPROBE_OFFSET, 0, &consumer);
	return PTR_ERR_OR_ZERO(uprobe);
#else
	return uprobe_register(d_inode(uprobe_path.dentry), UPROBE_OFFSET, &consumer);
#endif
}

static void uprobe_stop(void)
{
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 12, 0)
	uprobe_unregister_nosync(uprobe, &consumer);
	uprobe_unregister_sync();
#else
	uprobe_unregister(d_inode(uprobe_path.dentry), UPROBE_OFFSET, &consumer);
#endif
	path_put(&uprobe_path);
}

/* --- ftrace --- */

#if LINUX_VERSION_CODE >= KERNEL_VERSION(5, 11, 0)
static void notrace traced(unsigned long ip, unsigned long parent, struct ftrace_ops *user,
			   struct ftrace_regs *regs)
#else
static void notrace traced(unsigned long ip, unsigned long parent, struct ftrace_ops *user,
			   struct pt_regs *regs)
#endif
{
	hits++;
}

static struct ftrace_ops *ops;
static void (*free_filter)(struct ftrace_ops *user);

static int ftrace_start(void)
{
	int r;

	ops = kzalloc(sizeof(*ops), GFP_KERNEL);
	if (!ops)
		return -ENOMEM;
	free_filter = lab_symbol("ftrace_free_filter");
	if (!free_filter)
		return -ENOENT;
	ops->func = traced;
	r = ftrace_set_filter(ops, symbol, strlen(symbol), 1);
	return r ? r : register_ftrace_function(ops);
}

static void ftrace_stop(void)
{
	unregister_ftrace_function(ops);
	free_filter(ops);
	kfree(ops);
}

#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 12, 0)
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 14, 0)
static int entered(struct fprobe *fp, unsigned long ip, unsigned long to, struct ftrace_regs *regs,
		   void *data)
#else
static int entered(struct fprobe *fp, unsigned long ip, unsigned long to, struct pt_regs *regs,
		   void *data)
#endif
{
	hits++;
	return 0;
}

static struct fprobe *fprobe;

static int fprobe_start(void)
{
	const char *symbols[] = { symbol };

	fprobe = kzalloc(sizeof(*fprobe), GFP_KERNEL);
	if (!fprobe)
		return -ENOMEM;
	fprobe->entry_handler = entered;
	return register_fprobe_syms(fprobe, symbols, 1);
}

static void fprobe_stop(void)
{
	unregister_fprobe(fprobe);
	synchronize_rcu();
	kfree(fprobe);
}
#endif

/* --- tracepoints: sys_enter has these arguments, and others are not asked for --- */

static struct tracepoint *tracepoint;

static void entered_syscall(void *data, struct pt_regs *regs, long nr)
{
	hits++;
}

static void find_tracepoint(struct tracepoint *at, void *data)
{
	if (!strcmp(at->name, symbol))
		tracepoint = at;
}

static int tracepoint_start(void)
{
	for_each_kernel_tracepoint(find_tracepoint, NULL);
	return tracepoint ? tracepoint_probe_register(tracepoint, entered_syscall, NULL) : -ENOENT;
}

static void tracepoint_stop(void)
{
	tracepoint_probe_unregister(tracepoint, entered_syscall, NULL);
	tracepoint_synchronize_unregister();
}

static const struct {
	const char *name;
	int (*start)(void);
	void (*stop)(void);
} modes[] = {
	{ "kprobe", kprobe_start, kprobe_stop },
	{ "kretprobe", kretprobe_start, kretprobe_stop },
	{ "uprobe", uprobe_start, uprobe_stop },
	{ "ftrace", ftrace_start, ftrace_stop },
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 12, 0)
	{ "fprobe", fprobe_start, fprobe_stop },
#endif
	{ "tracepoint", tracepoint_start, tracepoint_stop },
};

static int restore_set(const char *value, const struct kernel_param *param)
{
	bool yes;
	int r = kstrtobool(value, &yes);

	if (!r && yes && off_list) {
		mutex_lock(mutex);
		list_add_rcu(&THIS_MODULE->list, head);
		off_list = false;
		mutex_unlock(mutex);
	}
	return r;
}

static const struct kernel_param_ops restore_ops = { .set = restore_set };
module_param_cb(restore, &restore_ops, NULL, 0200);

static int __init hook_init(void)
{
	int r = lab_init();

	if (r)
		return r;
	mutex = lab_symbol("module_mutex");
	head = lab_symbol("modules");
	if (!mutex || !head)
		return -ENOENT;
	r = -EINVAL;
	for (int i = 0; i < ARRAY_SIZE(modes) && done < 0; i++) {
		if (strcmp(modes[i].name, mode))
			continue;
		r = modes[i].start();
		if (r)
			break;
		done = i;
	}
	if (r) {
		pr_err("trace_hook: mode '%s' cannot be done here: %d\n", mode, r);
		return r;
	}
	if (hide) {
		mutex_lock(mutex);
		list_del_rcu(&THIS_MODULE->list);
		off_list = true;
		mutex_unlock(mutex);
	}
	return 0;
}

static void __exit hook_exit(void)
{
	modes[done].stop();
	lab_drain();
}

module_init(hook_init);
module_exit(hook_exit);
MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("hvsm test: a tracer calls a hidden module");
