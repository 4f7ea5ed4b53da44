// SPDX-License-Identifier: GPL-2.0
/*
 * Change what a CPU enters the kernel with, in places that nothing uses; unloading puts back
 * what was there.
 */
#include <linux/pid.h>
#include <linux/sched.h>
#include <asm/desc.h>
#include <asm/mmu_context.h>
#include <asm/processor.h>

#include "lab.h"

static char *how = "gdt";
module_param(how, charp, 0444);
MODULE_PARM_DESC(how, "gdt (a gate for programs), stack (another interrupt stack), area (the CPU "
		 "entry area's task state elsewhere), vdso (a byte of it), vsyscall and trampoline (likewise), ldt");
static int pid;
module_param(pid, int, 0444);
MODULE_PARM_DESC(pid, "for ldt: of a process that has none, and does not end meanwhile");

static u64 was, *changed;
static struct ldt_struct ldt;
static struct page *page;

static int poke(void *at, u64 value)
{
	int r;

	memcpy(&was, at, sizeof(was));
	r = lab_poke(at, &value, sizeof(value));
	if (!r)
		changed = at;
	return r;
}

/* A call gate of ring 3 to nowhere that would be of use: entry 7 is empty in every kernel. */
static int open_gate(void)
{
	u64 *gdt = (u64 *)per_cpu_ptr(&gdt_page, 0)->gdt;

	return poke(gdt + 7, 0x0000ec0000100000ull);
}

static int move_stack(void)
{
	/* The sixth interrupt stack belongs to no gate. */
	return poke(&per_cpu_ptr(&cpu_tss_rw, 0)->x86_tss.ist[5],
		    (u64)page_address(page) + PAGE_SIZE);
}

/* The last page of CPU 0's task state: nothing but the end of a bitmap that is not in use. */
static int move_area(void)
{
	struct tss_struct *tss;
	struct desc_ptr gdtr;
	unsigned int level;
	unsigned long at;
	pte_t *entry;

	asm volatile("sgdt %0" : "=m" (gdtr));
	/* Behind the descriptors' page: the entry stack, and then the task state. */
	tss = (void *)(gdtr.address + 2 * PAGE_SIZE);
	at = (unsigned long)(tss + 1) - PAGE_SIZE;
	entry = lookup_address(at, &level);
	if (!entry || level != PG_LEVEL_4K)
		return -ENOENT;
	memcpy(page_address(page), (void *)at, PAGE_SIZE);
	return poke(entry, (pte_val(*entry) & ~PTE_PFN_MASK) |
			   ((u64)page_to_pfn(page) << PAGE_SHIFT));
}

/* The first name that there is: kernels call it differently. */
static int change_byte(const char *name, const char *other, bool image, unsigned int offset)
{
	u8 **at = (u8 **)lab_lookup(name);
	u8 *byte;
	u64 value;

	if (!at)
		at = (u8 **)lab_lookup(other);
	if (!at)
		return -ENOENT;
	byte = (image ? *at : (u8 *)at) + offset;
	memcpy(&value, byte, sizeof(value));
	return poke(byte, value ^ 1);
}

/* A process gets local descriptors: one, and that is a gate. */
static int open_local_gate(void)
{
	struct task_struct *task;
	int r = -ESRCH;

	ldt.entries = page_address(page);
	ldt.nr_entries = 1;
	*(u64 *)page_address(page) = 0x0000ec0000100000ull;
	rcu_read_lock();
	task = pid_task(find_vpid(pid), PIDTYPE_PID);
	if (task && task->mm && !task->mm->context.ldt) {
		changed = (u64 *)&task->mm->context.ldt;
		WRITE_ONCE(task->mm->context.ldt, &ldt);
		r = 0;
	}
	rcu_read_unlock();
	return r;
}

static int __init entry_init(void)
{
	int r = lab_init();

	if (r)
		return r;
	page = alloc_page(GFP_KERNEL | __GFP_ZERO);
	if (!page)
		return -ENOMEM;
	if (!strcmp(how, "gdt"))
		r = open_gate();
	else if (!strcmp(how, "stack"))
		r = move_stack();
	else if (!strcmp(how, "area"))
		r = move_area();
	else if (!strcmp(how, "vdso"))
		r = change_byte("vdso_image_64", "vdso64_image", true, 8);
	else if (!strcmp(how, "ldt"))
		r = open_local_gate();
	else if (!strcmp(how, "trampoline"))
		r = change_byte("real_mode_header", "real_mode_header", true, 0x1ff0);
	else if (!strcmp(how, "vsyscall"))
		r = change_byte("__vsyscall_page", "__vsyscall_page", false, 4000);
	else
		r = -EINVAL;
	if (r)
		__free_page(page);
	return r;
}

static void __exit entry_exit(void)
{
	if (lab_poke(changed, &was, sizeof(was)))
		pr_err("entry_point: it stays as it is\n");
	__free_page(page);
}

module_init(entry_init);
module_exit(entry_exit);
MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("hvsm test: what a CPU enters the kernel with");
