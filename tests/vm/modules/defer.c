// SPDX-License-Identifier: GPL-2.0
/*
 * Let the kernel call this module by itself, in each of the ways that there are, from a module
 * that is off the list of modules. Writing 1 to the parameter "restore" puts it back, so that it
 * can be unloaded; unloading takes back what was registered.
 */
#include <linux/cpuhotplug.h>
#include <linux/hrtimer.h>
#include <linux/interrupt.h>
#include <linux/kdebug.h>
#include <linux/keyboard.h>
#include <linux/kmsg_dump.h>
#include <linux/mutex.h>
#include <linux/netdevice.h>
#include <linux/notifier.h>
#include <linux/pid.h>
#include <linux/rculist.h>
#include <linux/reboot.h>
#include <linux/sched.h>
#include <linux/shrinker.h>
#include <linux/sysrq.h>
#include <linux/task_work.h>
#include <linux/timer.h>
#include <linux/version.h>
#include <linux/workqueue.h>
#include <asm/nmi.h>

#include "lab.h"

static char *mode = "";
module_param(mode, charp, 0444);
MODULE_PARM_DESC(mode, "who is to call: see modes[]");

static bool hidden = true;
module_param(hidden, bool, 0444);
MODULE_PARM_DESC(hidden, "off the list of modules");

LAB_STUB();

#define LATER (3600 * HZ)

static struct mutex *mutex;
static struct list_head *head;
static bool off_list;

/* --- notifiers --- */

static int told(struct notifier_block *block, unsigned long event, void *data)
{
	return NOTIFY_DONE;
}

static struct notifier_block block = { .notifier_call = told };

static int keyboard_on(void) { return register_keyboard_notifier(&block); }
static void keyboard_off(void) { unregister_keyboard_notifier(&block); }
static int module_on(void) { return register_module_notifier(&block); }
static void module_off(void) { unregister_module_notifier(&block); }
static int die_on(void) { return register_die_notifier(&block); }
static void die_off(void) { unregister_die_notifier(&block); }
static int reboot_on(void) { return register_reboot_notifier(&block); }
static void reboot_off(void) { unregister_reboot_notifier(&block); }
static int netdev_on(void) { return register_netdevice_notifier(&block); }
static void netdev_off(void) { unregister_netdevice_notifier(&block); }

/* --- timers --- */

static void timer_function(struct timer_list *timer) { }

static struct timer_list timer;

static int timer_on(void)
{
	timer_setup(&timer, timer_function, 0);
	mod_timer(&timer, jiffies + LATER);
	return 0;
}

static void timer_off(void)
{
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 2, 0)
	timer_delete_sync(&timer);
#else
	del_timer_sync(&timer);
#endif
}

static enum hrtimer_restart hrtimer_fn(struct hrtimer *which) { return HRTIMER_NORESTART; }

static struct hrtimer hrtimer;

static int hrtimer_on(void)
{
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 13, 0)
	hrtimer_setup(&hrtimer, hrtimer_fn, CLOCK_MONOTONIC, HRTIMER_MODE_REL);
#else
	hrtimer_init(&hrtimer, CLOCK_MONOTONIC, HRTIMER_MODE_REL);
	hrtimer.function = hrtimer_fn;
#endif
	hrtimer_start(&hrtimer, ktime_set(3600, 0), HRTIMER_MODE_REL);
	return 0;
}

static void hrtimer_off(void) { hrtimer_cancel(&hrtimer); }

/* --- work --- */

static void work_function(struct work_struct *work) { }

static DECLARE_DELAYED_WORK(delayed, work_function);

static int delayed_on(void) { return schedule_delayed_work(&delayed, LATER) ? 0 : -EBUSY; }
static void delayed_off(void) { cancel_delayed_work_sync(&delayed); }

static DECLARE_COMPLETION(done);

static void sleeper(struct work_struct *work) { wait_for_completion(&done); }

static DECLARE_WORK(sleeping, sleeper);

static int work_on(void) { return schedule_work(&sleeping) ? 0 : -EBUSY; }

static void work_off(void)
{
	complete_all(&done);
	flush_work(&sleeping);
}

/* --- what runs behind interrupts --- */

static void tasklet_function(struct tasklet_struct *which) { }

static struct tasklet_struct tasklet;

/* kernel/softirq.c */
struct tasklet_head {
	struct tasklet_struct *head, **tail;
};

static struct tasklet_head *tasklets(void)
{
	void *vector = lab_symbol("tasklet_hi_vec");

	return vector ? vector + per_cpu_offset(0) : NULL;
}

/* As tasklet_hi_schedule() does it, but that the softirq is not raised: so it stays there. */
static int tasklet_on(void)
{
	struct tasklet_head *vector = tasklets();

	if (!vector)
		return -ENOENT;
	tasklet_setup(&tasklet, tasklet_function);
	local_irq_disable();
	set_bit(TASKLET_STATE_SCHED, &tasklet.state);
	*vector->tail = &tasklet;
	vector->tail = &tasklet.next;
	local_irq_enable();
	return 0;
}

static void tasklet_off(void)
{
	struct tasklet_head *vector = tasklets();

	local_irq_disable();
	if (vector && vector->head == &tasklet && !tasklet.next) {
		vector->head = NULL;
		vector->tail = &vector->head;
		clear_bit(TASKLET_STATE_SCHED, &tasklet.state);
	}
	local_irq_enable();
	tasklet_kill(&tasklet);
}

static int set_softirq(unsigned long to)
{
	struct softirq_action *vector = lab_symbol("softirq_vec");

	if (!vector)
		return -ENOENT;
	if (!lab_target)
		lab_target = (unsigned long)vector[BLOCK_SOFTIRQ].action;
	return lab_poke(&vector[BLOCK_SOFTIRQ].action, &to, sizeof(to));
}

static int softirq_on(void) { return set_softirq((unsigned long)lab_stub); }

static void softirq_off(void)
{
	if (set_softirq(lab_target))
		pr_err("defer: the softirq stays changed\n");
}

static bool rearm = true;
static struct rcu_head callback_head;

static void callback(struct rcu_head *which)
{
	if (READ_ONCE(rearm))
		call_rcu(which, callback);
}

static int rcu_on(void)
{
	call_rcu(&callback_head, callback);
	return 0;
}

static void rcu_off(void)
{
	WRITE_ONCE(rearm, false);
	rcu_barrier();
	rcu_barrier();
}

/* --- interrupts --- */

static int irq;

static irqreturn_t irq_function(int which, void *data) { return IRQ_NONE; }

/* One of the old interrupts that nobody uses. */
static int irq_on(void)
{
	for (irq = 15; irq > 2; irq--)
		if (!request_irq(irq, irq_function, 0, "hvsm-test", &irq))
			return 0;
	return -EBUSY;
}

static void irq_off(void) { free_irq(irq, &irq); }

static int nmi_function(unsigned int type, struct pt_regs *regs) { return NMI_DONE; }

static int nmi_on(void)
{
	return register_nmi_handler(NMI_UNKNOWN, nmi_function, 0, "hvsm-test");
}

static void nmi_off(void) { unregister_nmi_handler(NMI_UNKNOWN, "hvsm-test"); }

/* --- the rest --- */

static int state;

static int cpu_function(unsigned int cpu) { return 0; }

static int cpu_on(void)
{
	state = cpuhp_setup_state_nocalls(CPUHP_AP_ONLINE_DYN, "hvsm:test", cpu_function, NULL);
	return state < 0 ? state : 0;
}

static void cpu_off(void) { cpuhp_remove_state_nocalls(state); }

static unsigned long count(struct shrinker *which, struct shrink_control *control) { return 0; }

#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 7, 0)
static struct shrinker *shrinker;

static int shrinker_on(void)
{
	shrinker = shrinker_alloc(0, "hvsm-test");
	if (!shrinker)
		return -ENOMEM;
	shrinker->count_objects = count;
	shrinker_register(shrinker);
	return 0;
}

static void shrinker_off(void) { shrinker_free(shrinker); }
#else
static struct shrinker shrinker = { .count_objects = count, .seeks = DEFAULT_SEEKS };

static int shrinker_on(void)
{
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 0, 0)
	return register_shrinker(&shrinker, "hvsm-test");
#else
	return register_shrinker(&shrinker);
#endif
}

static void shrinker_off(void) { unregister_shrinker(&shrinker); }
#endif

static void key(int which) { }

/* The key's type changed in 6.6 (bcb48185eddf). */
static const struct sysrq_key_op key_op = {
	.handler = (void *)key,
	.help_msg = "hvsm-test(x)",
	.action_msg = "hvsm test",
};

static int sysrq_on(void) { return register_sysrq_key('x', &key_op); }
static void sysrq_off(void) { unregister_sysrq_key('x', &key_op); }

static void dump(struct kmsg_dumper *which, enum kmsg_dump_reason reason) { }

static struct kmsg_dumper dumper = { .dump = (void *)dump };

static int dumper_on(void) { return kmsg_dump_register(&dumper); }
static void dumper_off(void) { kmsg_dump_unregister(&dumper); }

static void task_function(struct callback_head *which) { }

static struct callback_head task_callback = { .func = task_function };

/* kthreadd never returns to user mode, which is when task work is done. */
static int task_on(void)
{
	int (*add)(struct task_struct *, struct callback_head *, int) = lab_symbol("task_work_add");
	struct task_struct *task = pid_task(find_vpid(2), PIDTYPE_PID);

	return add && task ? add(task, &task_callback, 0) : -ENOENT;
}

/* Taking it out by its function has another name since 6.11 (68cbd415dd4b). */
static void task_off(void)
{
	void *(*cancel)(struct task_struct *, void *) = (void *)lab_lookup("task_work_cancel_func");
	struct task_struct *task = pid_task(find_vpid(2), PIDTYPE_PID);

	if (!cancel)
		cancel = lab_symbol("task_work_cancel");
	if (!cancel || !task || !cancel(task, task_function))
		pr_err("defer: the task's work stays\n");
}

static const struct way {
	const char *name;
	int (*on)(void);
	void (*off)(void);
} modes[] = {
	{ "keyboard", keyboard_on, keyboard_off },
	{ "module", module_on, module_off },
	{ "die", die_on, die_off },
	{ "reboot", reboot_on, reboot_off },
	{ "netdev", netdev_on, netdev_off },
	{ "timer", timer_on, timer_off },
	{ "hrtimer", hrtimer_on, hrtimer_off },
	{ "delayed", delayed_on, delayed_off },		/* work that a timer will queue */
	{ "work", work_on, work_off },			/* a worker sleeps in it */
	{ "tasklet", tasklet_on, tasklet_off },
	{ "softirq", softirq_on, softirq_off },		/* the kernel's own, replaced */
	{ "rcu", rcu_on, rcu_off },
	{ "irq", irq_on, irq_off },
	{ "nmi", nmi_on, nmi_off },
	{ "cpu", cpu_on, cpu_off },
	{ "shrinker", shrinker_on, shrinker_off },
	{ "sysrq", sysrq_on, sysrq_off },
	{ "dumper", dumper_on, dumper_off },
	{ "task_work", task_on, task_off },
};

static const struct way *way;

static void set_hidden(bool off)
{
	mutex_lock(mutex);
	if (off && !off_list)
		list_del_rcu(&THIS_MODULE->list);
	else if (!off && off_list)
		list_add_rcu(&THIS_MODULE->list, head);
	off_list = off;
	mutex_unlock(mutex);
}

static int restore_set(const char *value, const struct kernel_param *param)
{
	if (mutex)
		set_hidden(false);
	return 0;
}

static const struct kernel_param_ops restore_ops = { .set = restore_set };
module_param_cb(restore, &restore_ops, NULL, 0200);

static int __init defer_init(void)
{
	int r = lab_init();

	if (r)
		return r;
	mutex = lab_symbol("module_mutex");
	head = lab_symbol("modules");
	if (!mutex || !head)
		return -ENOENT;
	for (int i = 0; i < ARRAY_SIZE(modes); i++)
		if (!strcmp(modes[i].name, mode))
			way = &modes[i];
	r = way ? way->on() : -EINVAL;
	if (r) {
		pr_err("defer: mode '%s' cannot be done here: %d\n", mode, r);
		return r;
	}
	if (hidden)
		set_hidden(true);
	return 0;
}

static void __exit defer_exit(void)
{
	way->off();
	lab_drain();
}

module_init(defer_init);
module_exit(defer_exit);
MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("hvsm test: called by the kernel itself");
