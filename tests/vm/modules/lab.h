/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the test modules share: symbols that modules may not have, and writing to memory that
 * is mapped read-only. Both are done the way rootkits do them.
 */
#ifndef LAB_H
#define LAB_H

#include <linux/kallsyms.h>
#include <linux/kprobes.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/moduleparam.h>
#include <linux/stop_machine.h>
#include <linux/string.h>
#include <linux/vmalloc.h>
#include <asm/nospec-branch.h>
#include <asm/pgtable.h>

static unsigned long (*lab_lookup)(const char *name);

/*
 * lab_init - find kallsyms_lookup_name, which no module may link to since 5.7
 *
 * A kprobe knows the address of whatever it probes. It steps over the endbr64 of kernels
 * that are built for indirect branch tracking; functions begin at multiples of 16.
 */
static int __maybe_unused lab_init(void)
{
	struct kprobe probe = { .symbol_name = "kallsyms_lookup_name" };
	int r = register_kprobe(&probe);

	if (r)
		return r;
	lab_lookup = (void *)((unsigned long)probe.addr & ~15UL);
	unregister_kprobe(&probe);
	return 0;
}

/* The address of NAME, or NULL and a line in the log. */
static void *__maybe_unused lab_symbol(const char *name)
{
	unsigned long at = lab_lookup(name);

	if (!at)
		pr_err("%s: no symbol '%s' in this kernel\n", THIS_MODULE->name, name);
	return (void *)at;
}

struct lab_write {
	void *to;
	const void *from;
	size_t len;
};

static int __maybe_unused lab_write_stopped(void *arg)
{
	struct lab_write *write = arg;

	memcpy(write->to, write->from, write->len);
	return 0;
}

/*
 * lab_poke - write to kernel memory whatever its mapping allows
 *
 * The page gets a second, writable mapping, so neither the kernel's own tables nor CR0 change.
 * All CPUs are stopped meanwhile, since what is written may be code that they run.
 */
static int __maybe_unused lab_poke(void *at, const void *from, size_t len)
{
	unsigned long first = (unsigned long)at & PAGE_MASK;
	unsigned int count = (offset_in_page(at) + len + PAGE_SIZE - 1) >> PAGE_SHIFT;
	struct lab_write write = { .from = from, .len = len };
	struct page *pages[2];
	void *alias;
	int r;

	if (count > ARRAY_SIZE(pages))
		return -EINVAL;
	for (unsigned int i = 0; i < count; i++)
		pages[i] = pfn_to_page(slow_virt_to_phys((void *)(first + i * PAGE_SIZE)) >> PAGE_SHIFT);
	alias = vmap(pages, count, VM_MAP, PAGE_KERNEL);
	if (!alias)
		return -ENOMEM;
	write.to = alias + offset_in_page(at);
	r = stop_machine(lab_write_stopped, &write, NULL);
	vunmap(alias);
	return r;
}

/*
 * LAB_STUB - code in this module that counts in lab_hits and goes on to *lab_target
 *
 * It leaves every register as it was, so it can stand before a system call, before an
 * interrupt's entry, and before a thunk that jumps to a register. The endbr64 lets it be reached where
 * indirect branch tracking is on, and the int3 is what objtool wants behind such a jump.
 */
#define LAB_STUB()						\
	static unsigned long lab_target __used;			\
	static unsigned long lab_hits __used;			\
	extern char lab_stub[];					\
	asm(".pushsection .text\n"				\
	    ".balign 16\n"					\
	    ".type lab_stub, @function\n"			\
	    "lab_stub:\n"					\
	    ".byte 0xf3, 0x0f, 0x1e, 0xfa\n"			\
	    "lock incq lab_hits(%rip)\n"			\
	    ANNOTATE_RETPOLINE_SAFE "\n"			\
	    "jmp *lab_target(%rip)\n"				\
	    "int3\n"						\
	    ".size lab_stub, . - lab_stub\n"			\
	    ".popsection\n");					\
	module_param_named(hits, lab_hits, ulong, 0444);	\
	MODULE_PARM_DESC(hits, "how often the hook was reached")

/* A direct branch and where its 32-bit displacement lies. */
struct lab_branch {
	u8 *disp;
	unsigned long target;
};

static unsigned long __maybe_unused lab_branch_target(const u8 *disp)
{
	s32 rel;

	memcpy(&rel, disp, sizeof(rel));
	return (unsigned long)disp + 4 + rel;
}

/*
 * lab_find_branch - the first direct branch in the function CODE to any of TARGETS
 *
 * A call (e8), a tail call (e9), or a conditional one (0f 8x). That the four bytes lead to exactly
 * one of TARGETS rules out a match in the middle of another instruction.
 */
static int __maybe_unused lab_find_branch(u8 *code, const unsigned long *targets, int count,
					  struct lab_branch *found)
{
	int (*size_of)(unsigned long, unsigned long *, unsigned long *);
	unsigned long size, offset;

	size_of = lab_symbol("kallsyms_lookup_size_offset");
	if (!size_of || !size_of((unsigned long)code, &size, &offset))
		return -ENOENT;
	for (u8 *at = code; at + 6 <= code + size; at++) {
		u8 *disp = at[0] == 0xe8 || at[0] == 0xe9 ? at + 1 :
			   at[0] == 0x0f && (at[1] & 0xf0) == 0x80 ? at + 2 : NULL;

		for (int i = 0; disp && i < count; i++) {
			if (!targets[i] || lab_branch_target(disp) != targets[i])
				continue;
			found->disp = disp;
			found->target = targets[i];
			return 0;
		}
	}
	return -ENOENT;
}

/* Make the branch lead to TO: the instruction keeps its opcode and its length. */
static int __maybe_unused lab_set_branch(const struct lab_branch *branch, unsigned long to)
{
	s32 rel = (s32)(to - ((unsigned long)branch->disp + 4));

	if ((unsigned long)branch->disp + 4 + rel != to)
		return -ERANGE;
	return lab_poke(branch->disp, &rel, sizeof(rel));
}

/* Let whoever is just passing through a stub leave it before its page goes. */
static void __maybe_unused lab_drain(void)
{
	synchronize_rcu();
}

#endif
