// SPDX-License-Identifier: GPL-2.0
/*
 * Lead one operation of a file, device or the like into this module, which counts and goes on to
 * the original. WHAT is one of:
 *
 *	proc_root	inode of /proc: a copy of its file_operations with another iterate_shared
 *	root_dir	inode of /: a copy of its inode_operations with another lookup
 *	open_file	a file that PID 1 has open: file_operations with another release
 *	super		file system of /: super_operations with another statfs
 *	kobj		/sys/kernel: kobj_type with another get_ownership
 *	kernfs		/sys/kernel/uevent_seqnum: kernfs_ops with another seq_show
 *	attribute	the same file's attribute: show
 *	cdev		/dev/null's device: file_operations with another open
 *	tty		the first driver of terminals: tty_operations with another write
 *	ldisc		n_tty_ops.receive_buf: what is typed
 *	crypto		update() of the first hash that has one
 *	key		key_type_user.describe
 *	bus, driver	uevent() of platform devices; probe() of their driver serial8250
 *	lsm		the hook "capable"
 *	input, misc, binfmt, proc	one of its own is registered
 *
 * HIDE=1 takes the module off the list of modules; writing 1 to "restore" puts it back.
 */
#include <crypto/internal/hash.h>
#include <linux/binfmts.h>
#include <linux/cdev.h>
#include <linux/fs.h>
#include <linux/input.h>
#include <linux/kernfs.h>
#include <linux/key-type.h>
#include <linux/lsm_hooks.h>
#include <linux/miscdevice.h>
#include <linux/mutex.h>
#include <linux/platform_device.h>
#include <linux/proc_fs.h>
#include <linux/rculist.h>
#include <linux/slab.h>
#include <linux/sysfs.h>
#include <linux/tty_driver.h>
#include <linux/tty_ldisc.h>
#include <linux/version.h>
#include <keys/user-type.h>

#include "lab.h"

static char *what = "";
module_param(what, charp, 0444);
static bool hide;
module_param(hide, bool, 0444);
LAB_STUB();

static struct list_head *modules;
static struct mutex *modules_mutex;
static bool hidden;

/* What was written over, to be put back. */
static void **place;
static void *original;
static void *copy;
static bool in_memory;		/* the copy is to be freed */

static void set_listed(bool yes)
{
	mutex_lock(modules_mutex);
	if (yes && hidden)
		list_add_rcu(&THIS_MODULE->list, modules);
	else if (!yes && !hidden)
		list_del_rcu(&THIS_MODULE->list);
	hidden = !yes;
	mutex_unlock(modules_mutex);
}

static int restore_set(const char *value, const struct kernel_param *param)
{
	bool yes;
	int r = kstrtobool(value, &yes);

	if (!r && yes && modules_mutex)
		set_listed(true);
	return r;
}

static const struct kernel_param_ops restore_ops = { .set = restore_set };
module_param_cb(restore, &restore_ops, NULL, 0200);

static int replace(void *at, void *with)
{
	place = at;
	original = *place;
	return lab_poke(place, &with, sizeof(with));
}

/* A function where it stands. */
static int hook(void *slot)
{
	lab_target = *(unsigned long *)slot;
	return lab_target ? replace(slot, lab_stub) : -ENOENT;
}

/* A table that AT leads to: by a copy in which the function at OFFSET is another. */
static int hook_copy(void *at, size_t size, size_t offset)
{
	copy = kmemdup(*(void **)at, size, GFP_KERNEL);
	if (!copy)
		return -ENOMEM;
	in_memory = true;
	lab_target = *(unsigned long *)(copy + offset);
	if (!lab_target)
		return -ENOENT;
	*(void **)(copy + offset) = lab_stub;
	return replace(at, copy);
}

#define HOOK_COPY(at, type, member) hook_copy((void *)(at), sizeof(type), offsetof(type, member))

static int hook_inode(const char *path, int (*how)(struct inode *inode))
{
	struct file *file = filp_open(path, O_RDONLY, 0);
	int r;

	if (IS_ERR(file))
		return PTR_ERR(file);
	r = how(file_inode(file));
	filp_close(file, NULL);
	return r;
}

static int iterate(struct inode *inode)
{
	return HOOK_COPY(&inode->i_fop, struct file_operations, iterate_shared);
}

static int lookup(struct inode *inode)
{
	return HOOK_COPY(&inode->i_op, struct inode_operations, lookup);
}

static int super(struct inode *inode)
{
	return HOOK_COPY(&inode->i_sb->s_op, struct super_operations, statfs);
}

static int cdev(struct inode *inode)
{
	return HOOK_COPY(&inode->i_cdev->ops, struct file_operations, open);
}

static int open_file(void)
{
	struct file *(*get)(struct task_struct *, unsigned int) = lab_symbol("fget_task");
	struct task_struct *task = pid_task(find_vpid(1), PIDTYPE_PID);
	int r = -ENOENT;

	for (unsigned int fd = 0; get && task && fd < 16; fd++) {
		struct file *file = get(task, fd);

		if (!file)
			continue;
		if (file->f_op->llseek) {
			r = HOOK_COPY(&file->f_op, struct file_operations, llseek);
			fput(file);
			break;
		}
		fput(file);
	}
	return r;
}

static int uevent_file(bool attribute)
{
	struct kernfs_node *node = kernfs_find_and_get(kernel_kobj->sd, "uevent_seqnum");
	struct kobj_attribute *attr;
	int r;

	if (!node)
		return -ENOENT;
	attr = container_of((struct attribute *)node->priv, struct kobj_attribute, attr);
	r = attribute ? hook(&attr->show) : HOOK_COPY(&node->attr.ops, struct kernfs_ops, seq_show);
	kernfs_put(node);
	return r;
}

static int tty(void)
{
	struct list_head *drivers = lab_symbol("tty_drivers");

	if (!drivers)
		return -ENOENT;
	return HOOK_COPY(&list_first_entry(drivers, struct tty_driver, tty_drivers)->ops,
			 struct tty_operations, write);
}

static int ldisc(void)
{
	struct tty_ldisc_ops *ops = lab_symbol("n_tty_ops");

	return ops ? hook(&ops->receive_buf) : -ENOENT;
}

static int crypto(void)
{
	struct list_head *head = lab_symbol("crypto_alg_list");
	void *type = lab_symbol("crypto_shash_type");
	struct crypto_alg *alg;

	if (!head || !type)
		return -ENOENT;
	list_for_each_entry(alg, head, cra_list) {
		struct shash_alg *hash = container_of(alg, struct shash_alg, base);

		if (alg->cra_type == type && hash->update)
			return hook(&hash->update);
	}
	return -ENOENT;
}

static int driver(void)
{
	struct device_driver *found = driver_find("serial8250", &platform_bus_type);

	return found ? hook(&to_platform_driver(found)->probe) : -ENOENT;
}

/* --- what may ask to be called --- */

static int __maybe_unused nothing(void)
{
	return 0;
}

#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 12, 0)
static struct security_hook_list lsm_hook;

static int lsm(void)
{
	struct security_hook_heads *heads = lab_symbol("security_hook_heads");
	struct hlist_node *first, *own = &lsm_hook.list;

	if (!heads)
		return -ENOENT;
	lsm_hook.hook.capable = (void *)nothing;
	first = heads->capable.first;
	own->next = first;
	own->pprev = &heads->capable.first;
	if (first && lab_poke(&first->pprev, &(void *){ &own->next }, sizeof(void *)))
		return -EIO;
	return replace(&heads->capable.first, own);
}

static void lsm_undo(void)
{
	if (lsm_hook.list.next)
		lab_poke(&lsm_hook.list.next->pprev, &lsm_hook.list.pprev, sizeof(void *));
}
#else
static int lsm(void)
{
	struct lsm_static_calls_table *table = lab_symbol("static_calls_table");

	return table && table->capable[0].hl ? hook(&table->capable[0].hl->hook) : -ENOENT;
}

static void lsm_undo(void)
{
}
#endif

static void input_event_seen(struct input_handle *handle, unsigned int type, unsigned int code,
			     int value)
{
}

static const struct input_device_id no_ids[] = { { } };
static struct input_handler input_own = {
	.name = "lab-input", .event = input_event_seen, .id_table = no_ids,
};

static int own_open(struct inode *inode, struct file *file)
{
	return 0;
}

static const struct file_operations misc_ops = { .owner = THIS_MODULE, .open = own_open };
static struct miscdevice misc_own = {
	.minor = MISC_DYNAMIC_MINOR, .name = "lab-misc", .fops = &misc_ops,
};

static int own_load(struct linux_binprm *bprm)
{
	return -ENOEXEC;
}

static struct linux_binfmt binfmt_own = { .module = THIS_MODULE, .load_binary = own_load };

static const struct proc_ops proc_ops_own = { .proc_open = own_open };
static struct proc_dir_entry *proc_own;

static int start(void)
{
	if (!strcmp(what, "proc_root"))
		return hook_inode("/proc", iterate);
	if (!strcmp(what, "root_dir"))
		return hook_inode("/", lookup);
	if (!strcmp(what, "super"))
		return hook_inode("/", super);
	if (!strcmp(what, "cdev"))
		return hook_inode("/dev/null", cdev);
	if (!strcmp(what, "open_file"))
		return open_file();
	if (!strcmp(what, "kobj"))
		return HOOK_COPY(&kernel_kobj->ktype, struct kobj_type, release);
	if (!strcmp(what, "kernfs") || !strcmp(what, "attribute"))
		return uevent_file(what[0] == 'a');
	if (!strcmp(what, "tty"))
		return tty();
	if (!strcmp(what, "ldisc"))
		return ldisc();
	if (!strcmp(what, "crypto"))
		return crypto();
	if (!strcmp(what, "key"))
		return hook(&key_type_user.describe);
	if (!strcmp(what, "bus"))
		return hook((void *)&platform_bus_type.uevent);
	if (!strcmp(what, "driver"))
		return driver();
	if (!strcmp(what, "lsm"))
		return lsm();
	if (!strcmp(what, "input"))
		return input_register_handler(&input_own);
	if (!strcmp(what, "misc"))
		return misc_register(&misc_own);
	if (!strcmp(what, "binfmt")) {
		__register_binfmt(&binfmt_own, 0);
		return 0;
	}
	if (!strcmp(what, "proc")) {
		proc_own = proc_create("lab-proc", 0444, NULL, &proc_ops_own);
		return proc_own ? 0 : -ENOMEM;
	}
	return -EINVAL;
}

static int __init hook_init(void)
{
	int r = lab_init();

	if (r)
		return r;
	modules = lab_symbol("modules");
	modules_mutex = lab_symbol("module_mutex");
	if (!modules || !modules_mutex)
		return -ENOENT;
	r = start();
	if (r) {
		if (in_memory)
			kfree(copy);
		return r;
	}
	if (hide)
		set_listed(false);
	return 0;
}

static void __exit hook_exit(void)
{
	if (place && lab_poke(place, &original, sizeof(original)))
		pr_err("hook_file: what was hooked stays so\n");
	if (!strcmp(what, "lsm"))
		lsm_undo();
	else if (!strcmp(what, "input"))
		input_unregister_handler(&input_own);
	else if (!strcmp(what, "misc"))
		misc_deregister(&misc_own);
	else if (!strcmp(what, "binfmt"))
		unregister_binfmt(&binfmt_own);
	else if (!strcmp(what, "proc"))
		proc_remove(proc_own);
	lab_drain();
	if (in_memory)
		kfree(copy);
}

module_init(hook_init);
module_exit(hook_exit);
MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("hvsm test: operations of files, devices and the like replaced");
