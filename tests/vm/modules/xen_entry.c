// SPDX-License-Identifier: Apache-2.0
/*
 * xen_entry - what a rootkit in a PV guest of Xen does instead of changing LSTAR or the IDT: tell Xen
 * to enter the kernel at its own code, which goes on to the kernel's. how: "syscall", "trap".
 * "root" gives the program of a process memory that its kernel does not know of: in such a guest it
 * runs on a page table of its own.
 */
#include <linux/pid.h>
#include <linux/sched.h>
#include <asm/cpufeature.h>

#include "lab.h"

#define CALL_SET_TRAP_TABLE	0	/* xen/include/public/xen.h */
#define CALL_MMU_UPDATE		1
#define SELF			0x7ff0UL	/* DOMID_SELF */
#define CALL_CALLBACK		30
#define CALLBACK_REGISTER	0	/* xen/include/public/callback.h */
#define CALLBACK_SYSCALL	2
#define VECTOR			17	/* of an exception that nobody raises here */
#define RAISED			4	/* interrupts are off where it is entered */

static char *how = "syscall";
module_param(how, charp, 0444);
MODULE_PARM_DESC(how, "syscall, trap, root");

static int pid;
module_param(pid, int, 0444);
MODULE_PARM_DESC(pid, "whose page table, for root");

unsigned long xen_entry_target;
extern char xen_entry_code[];

asm(".pushsection .text\n"
    ".globl xen_entry_code\n"
    "xen_entry_code:\n"
    "	jmp *xen_entry_target(%rip)\n"
    ".popsection\n");

struct callback {
	u16 type, flags;
	unsigned long address;
};

struct trap {
	u8 vector, flags;
	u16 cs;
	unsigned long address;
};

static long hypercall(long call, unsigned long a, const void *b)
{
	long result = call;

	asm volatile("syscall" : "+a" (result), "+D" (a), "+S" (b) : : "rcx", "r11", "memory");
	return result;
}

static long tell(unsigned long address)
{
	struct callback callback = { .type = CALLBACK_SYSCALL, .address = address };
	struct trap traps[2] = {
		{ .vector = VECTOR, .flags = RAISED, .cs = __KERNEL_CS, .address = address },
	};

	if (!strcmp(how, "trap"))
		return hypercall(CALL_SET_TRAP_TABLE, (unsigned long)traps, NULL);
	return hypercall(CALL_CALLBACK, CALLBACK_REGISTER, &callback);
}

static struct update {
	u64 at, value;
} update;

/* Page tables of such a guest are read-only: Xen changes them, if that leaves them sound. */
static long change(u64 value)
{
	struct update request = { update.at, value };
	register unsigned long domain asm("r10") = SELF;
	unsigned long a = (unsigned long)&request, b = 1, c = 0;
	long result = CALL_MMU_UPDATE;

	asm volatile("syscall" : "+a" (result), "+D" (a), "+S" (b), "+d" (c), "+r" (domain) : :
		     "rcx", "r8", "r9", "r11", "memory");
	return result;
}

/* What the program has at one address it has at another, too. */
static int __init change_root(void)
{
	u64 (*machine_of)(void *at) = lab_symbol("arbitrary_virt_to_machine");
	struct task_struct *task = get_pid_task(find_vpid(pid), PIDTYPE_PID);
	pgd_t *root = task && task->mm ?
		(pgd_t *)page_private(virt_to_page(task->mm->pgd)) : NULL;
	unsigned int from = 0, to = 0;

	if (task)
		put_task_struct(task);
	if (!root || !machine_of)
		return -ESRCH;
	while (from < 255 && !*(u64 *)&root[from])
		from++;
	while (to < 255 && *(u64 *)&root[to])
		to++;
	update.at = machine_of(&root[to]);
	update.value = *(u64 *)&root[from];
	return change(update.value) ? -EIO : 0;
}

static int __init xen_entry_init(void)
{
	int r = lab_init();

	if (r)
		return r;
	/* Elsewhere the instruction is a system call from the kernel: nothing survives that. */
	if (!boot_cpu_has(X86_FEATURE_XENPV))
		return -ENODEV;
	if (!strcmp(how, "root"))
		return change_root();
	xen_entry_target = (unsigned long)lab_symbol(!strcmp(how, "trap") ?
		"xen_asm_exc_alignment_check" : "xen_entry_SYSCALL_64");
	if (!xen_entry_target)
		return -ENOENT;
	return tell((unsigned long)xen_entry_code) ? -EIO : 0;
}

static void __exit xen_entry_exit(void)
{
	if (!strcmp(how, "root"))
		change(0);
	else
		tell(xen_entry_target);
}

module_init(xen_entry_init);
module_exit(xen_entry_exit);
MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("test: has Xen enter a PV kernel elsewhere");
