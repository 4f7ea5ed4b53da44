// SPDX-License-Identifier: GPL-2.0
/*
 * Give process PID a page that it may execute and that none of its memory areas has. HOW: "map", one
 * of its own, in a hole before its program; "rights", that of its stack. Unloading undoes it, as
 * long as the process is there.
 */
#include <linux/io.h>
#include <linux/pid.h>
#include <linux/sched.h>
#include <linux/sched/mm.h>
#include <asm/tlbflush.h>

#include "lab.h"

static int pid;
module_param(pid, int, 0444);
MODULE_PARM_DESC(pid, "whose page table");
static char *how = "map";
module_param(how, charp, 0444);
MODULE_PARM_DESC(how, "map, rights");

static struct mm_struct *mm;
static struct page *page;
static u64 *entry, was;

/* The entry of AT in its last table; NULL: there is no such table. */
static u64 *entry_of(unsigned long at)
{
	u64 *table = (u64 *)mm->pgd;
	int level = native_read_cr4() & X86_CR4_LA57 ? 5 : 4;

	for (; level > 1; level--) {
		u64 above = table[at >> (12 + 9 * (level - 1)) & 511];

		if (!(above & _PAGE_PRESENT) || above & _PAGE_PSE)
			return NULL;
		table = __va(above & PTE_PFN_MASK);
	}
	return table + (at >> 12 & 511);
}

static void change(u64 *at, u64 value)
{
	void (*flush_all)(void) = lab_symbol("flush_tlb_all");

	entry = at;
	was = *at;
	WRITE_ONCE(*at, value);
	if (flush_all)
		flush_all();
}

static int map_page(void)
{
	unsigned long from = mm->start_code & PMD_MASK;

	page = alloc_page(GFP_KERNEL | __GFP_ZERO);
	if (!page)
		return -ENOMEM;
	for (unsigned long at = from; at < from + PMD_SIZE; at += PAGE_SIZE) {
		struct vm_area_struct *area = find_vma(mm, at);
		u64 *free = entry_of(at);

		if (!free || *free || (area && area->vm_start <= at))
			continue;
		change(free, page_to_phys(page) | _PAGE_PRESENT | _PAGE_USER | _PAGE_ACCESSED);
		return 0;
	}
	return -ENOSPC;
}

static int open_stack(void)
{
	u64 *stack = entry_of(mm->start_stack & PAGE_MASK);

	if (!stack || !(*stack & _PAGE_PRESENT))
		return -ENOENT;
	change(stack, *stack & ~_PAGE_NX);
	return 0;
}

static void user_page_exit(void)
{
	if (entry) {
		mmap_write_lock(mm);
		change(entry, was);
		mmap_write_unlock(mm);
	}
	if (page)
		__free_page(page);
	mmput(mm);
}

static int user_page_init(void)
{
	struct task_struct *task;
	int r = lab_init();

	if (r)
		return r;
	rcu_read_lock();
	task = pid_task(find_vpid(pid), PIDTYPE_PID);
	mm = task ? get_task_mm(task) : NULL;
	rcu_read_unlock();
	if (!mm)
		return -ESRCH;
	mmap_write_lock(mm);
	r = strcmp(how, "rights") ? map_page() : open_stack();
	mmap_write_unlock(mm);
	if (r)
		user_page_exit();
	return r;
}

module_init(user_page_init);
module_exit(user_page_exit);
MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("hvsm test: executable memory of a process that none of its areas has");
