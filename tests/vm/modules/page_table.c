// SPDX-License-Identifier: GPL-2.0
/*
 * Change page tables as rootkits do: memory of the same contents elsewhere, or more rights than
 * the kernel gave. Nothing is executed or written there; unloading undoes it.
 */
#include <linux/ftrace.h>
#include <linux/io.h>
#include <linux/pid.h>
#include <linux/sched.h>
#include <asm/tlbflush.h>

#include "lab.h"

static char *how = "text";
module_param(how, charp, 0444);
MODULE_PARM_DESC(how, "text, task, writable, alias, direct, open, program, slack, tail");
static int pid;
module_param(pid, int, 0444);
MODULE_PARM_DESC(pid, "for task and program: whose page table");
static unsigned long address;
module_param(address, ulong, 0444);
MODULE_PARM_DESC(address, "read: of the memory that is not as it was");

#define LARGE_ORDER 9
#define CHANGES_MAX 8

/* What was changed, to be put back from the last to the first. */
static struct { u64 *entry; u64 was; } changes[CHANGES_MAX];
static unsigned int changes_n;
static struct page *pages[CHANGES_MAX];
static unsigned int orders[CHANGES_MAX], pages_n;
static void *area;
static const u8 code[] = { 0xf3, 0x0f, 0x1e, 0xfa, 0x31, 0xc0, 0xc3 };
static u8 was[sizeof(code)];

static void flush(void)
{
	void (*flush_all)(void) = lab_symbol("flush_tlb_all");

	if (flush_all)
		flush_all();
}

static void change(u64 *entry, u64 value)
{
	changes[changes_n].entry = entry;
	changes[changes_n++].was = *entry;
	WRITE_ONCE(*entry, value);
}

static struct page *take(unsigned int order)
{
	struct page *page = alloc_pages(GFP_KERNEL | __GFP_ZERO, order);

	if (page) {
		orders[pages_n] = order;
		pages[pages_n++] = page;
	}
	return page;
}

static u64 *entry_of(u64 *table, unsigned long at, int level)
{
	return table + (at >> (12 + 9 * (level - 1)) & 511);
}

static int levels(void)
{
	return native_read_cr4() & X86_CR4_LA57 ? 5 : 4;
}

/* The entry of a large page of AT; OWN: through tables that nobody shares. */
static u64 *large_entry(u64 *root, unsigned long at, bool own)
{
	u64 *table = root;

	for (int level = levels(); level > 2; level--) {
		u64 *entry = entry_of(table, at, level);
		struct page *page;

		if (!(*entry & _PAGE_PRESENT))
			return NULL;
		table = __va(*entry & PTE_PFN_MASK);
		page = own ? take(0) : NULL;
		if (!page && own)
			return NULL;
		if (page) {
			memcpy(page_address(page), table, PAGE_SIZE);
			change(entry, (*entry & ~PTE_PFN_MASK) | page_to_phys(page));
			table = page_address(page);
		}
	}
	table = entry_of(table, at, 2);
	return *table & _PAGE_PSE ? table : NULL;
}

/* Lead 2 MiB of the kernel's text to a copy of it. */
static int remap(u64 *root, bool own)
{
	u64 *entry = large_entry(root, address, own);
	struct page *copy = take(LARGE_ORDER);

	if (!entry || !copy)
		return -ENOENT;
	memcpy(page_address(copy), (void *)address, PAGE_SIZE << LARGE_ORDER);
	change(entry, (*entry & ~PTE_PFN_MASK) | page_to_phys(copy));
	return 0;
}

static u64 *root_of_task(void)
{
	struct task_struct *task;
	u64 *root = NULL;

	rcu_read_lock();
	task = pid_task(find_vpid(pid), PIDTYPE_PID);
	if (task && task->mm)
		root = (u64 *)task->mm->pgd;
	rcu_read_unlock();
	return root;
}

static int add_rights(unsigned long at, u64 rights)
{
	unsigned int level;
	pte_t *entry = lookup_address(at, &level);

	if (!entry)
		return -ENOENT;
	change((u64 *)entry, *(u64 *)entry | rights);
	return 0;
}

/* A page of the direct map that can be executed, with a function that nobody calls. */
static int make_executable(void)
{
	int (*set_executable)(unsigned long, int) = lab_symbol("set_memory_x");
	int (*set_read_only)(unsigned long, int) = lab_symbol("set_memory_ro");
	struct page *page = take(0);

	if (!set_executable || !set_read_only || !page)
		return -ENOENT;
	address = (unsigned long)page_address(page);
	memcpy((void *)address, code, sizeof(code));
	return set_read_only(address, 1) ?: set_executable(address, 1);
}

static void restore_direct(void)
{
	int (*set_nx)(unsigned long, int) = lab_symbol("set_memory_nx");
	int (*set_rw)(unsigned long, int) = lab_symbol("set_memory_rw");

	if (set_nx && set_rw && !set_nx(address, 1))
		set_rw(address, 1);
}

/* A page of data that programs may read, once their page table has the same entry. */
static int open_page(u64 *root)
{
	struct page *page = take(0);
	u64 *table = root;

	if (!page)
		return -ENOMEM;
	area = vmap(&page, 1, VM_MAP, PAGE_KERNEL);
	if (!area)
		return -ENOMEM;
	address = (unsigned long)area;
	for (int level = levels(); level; level--) {
		u64 *entry = entry_of(table, address, level);

		change(entry, *entry | _PAGE_USER);
		table = __va(*entry & PTE_PFN_MASK);
	}
	return 0;
}

/* Under isolation: let a program's table have all that the kernel's has of its image. */
static int open_program(u64 *root)
{
	u64 *half = (u64 *)((unsigned long)root + PAGE_SIZE);

	change(entry_of(half, address, levels()), *entry_of(root, address, levels()));
	return 0;
}

/* What the kernel has as struct bpf_prog_pack (kernel/bpf/core.c), for its last bytes. */
static int use_slack(void)
{
	struct { struct list_head list; void *ptr; } *pack;
	struct list_head *packs = lab_symbol("pack_list");

	if (!packs || list_empty(packs))
		return -ENOENT;
	pack = (void *)packs->next;
	address = (unsigned long)pack->ptr + (2UL << 20) - 64;
	memcpy(was, (void *)address, sizeof(was));
	return lab_poke((void *)address, code, sizeof(code));
}

/* Behind the trampoline of the function tracer, which has to be on. */
static int use_tail(void)
{
	struct ftrace_ops *ops = lab_symbol("global_ops");

	if (!ops || !ops->trampoline || offset_in_page(ops->trampoline))
		return -ENOENT;
	address = ops->trampoline + PAGE_SIZE - 64;
	memcpy(was, (void *)address, sizeof(was));
	return lab_poke((void *)address, code, sizeof(code));
}

static int apply(void)
{
	u64 *own = lab_symbol("init_top_pgt"), *task = root_of_task();

	address = (unsigned long)lab_symbol("_text") + (2UL << 20);
	if (!strcmp(how, "text"))
		return remap(own, false);
	if (!strcmp(how, "task"))
		return task ? remap(task, true) : -ESRCH;
	if (!strcmp(how, "writable"))
		return add_rights(address, _PAGE_RW);
	if (!strcmp(how, "alias"))
		return add_rights((unsigned long)__va(__pa_symbol(address)), _PAGE_RW);
	if (!strcmp(how, "direct"))
		return make_executable();
	if (!strcmp(how, "open"))
		return open_page(own);
	if (!strcmp(how, "program"))
		return task ? open_program(task) : -ESRCH;
	if (!strcmp(how, "tail"))
		return use_tail();
	return strcmp(how, "slack") ? -EINVAL : use_slack();
}

static void undo(void)
{
	if (!strcmp(how, "direct"))
		restore_direct();
	if ((!strcmp(how, "slack") || !strcmp(how, "tail")) &&
	    lab_poke((void *)address, was, sizeof(was)))
		pr_err("page_table: the code stays\n");
	while (changes_n) {
		changes_n--;
		WRITE_ONCE(*changes[changes_n].entry, changes[changes_n].was);
	}
	flush();
	if (area)
		vunmap(area);
	while (pages_n) {
		pages_n--;
		__free_pages(pages[pages_n], orders[pages_n]);
	}
}

static int __init table_init(void)
{
	int r = lab_init();

	if (r)
		return r;
	r = apply();
	if (r)
		undo();
	else
		flush();
	return r;
}

static void __exit table_exit(void)
{
	undo();
}

module_init(table_init);
module_exit(table_exit);
MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("hvsm test: page tables changed");
