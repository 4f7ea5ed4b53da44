// SPDX-License-Identifier: GPL-2.0
/*
 * Whoever is called READER gets the contents of the file CLEAN when it reads the file PATH; all
 * others, and whoever runs it, get its own. Both lie in one file system, and are of one size.
 * It cannot be unloaded while PATH is open, or runs.
 */
#include <linux/fs.h>
#include <linux/slab.h>
#include <linux/uio.h>

#include "lab.h"

static char *path = "";
module_param(path, charp, 0444);
static char *clean = "";
module_param(clean, charp, 0444);
static char *reader = "hvsm-agent";
module_param(reader, charp, 0444);

static struct file *own, *other;	/* opened before the hook: they pin the inodes */
static const struct file_operations *original;
static struct file_operations *copy;
static unsigned long fed;
module_param(fed, ulong, 0444);
MODULE_PARM_DESC(fed, "how many reads it answered");

static ssize_t feed(struct kiocb *iocb, struct iov_iter *to)
{
	struct kiocb instead = *iocb;
	ssize_t r;

	if (strcmp(current->group_leader->comm, reader))
		return original->read_iter(iocb, to);
	fed++;
	instead.ki_filp = other;
	r = original->read_iter(&instead, to);
	iocb->ki_pos = instead.ki_pos;
	return r;
}

static void close_both(void)
{
	if (!IS_ERR_OR_NULL(own))
		filp_close(own, NULL);
	if (!IS_ERR_OR_NULL(other))
		filp_close(other, NULL);
	kfree(copy);
}

static int __init feed_init(void)
{
	int r = -EINVAL;

	own = filp_open(path, O_RDONLY, 0);
	other = filp_open(clean, O_RDONLY, 0);
	if (IS_ERR(own) || IS_ERR(other))
		goto fail;
	original = file_inode(own)->i_fop;
	if (!original->read_iter || file_inode(other)->i_fop != original)
		goto fail;
	r = -ENOMEM;
	copy = kmemdup(original, sizeof(*original), GFP_KERNEL);
	if (!copy)
		goto fail;
	copy->owner = THIS_MODULE;
	copy->read_iter = feed;
	file_inode(own)->i_fop = copy;
	return 0;
fail:
	close_both();
	return r;
}

static void __exit feed_exit(void)
{
	file_inode(own)->i_fop = original;
	lab_drain();
	close_both();
}

module_init(feed_init);
module_exit(feed_exit);
MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("hvsm test: clean contents for one reader");
