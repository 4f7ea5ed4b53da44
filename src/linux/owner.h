/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HVSM_LINUX_OWNER_H
#define HVSM_LINUX_OWNER_H

#include "linux/kernel.h"
#include "linux/module.h"

/*
 * Who owns code. Every check that finds a pointer into code asks here: is it known code, is
 * it the start of a function, whose is it. The kernel and its modules are collected when the
 * table is opened; the rest (BPF, ftrace, kprobes, …) when the first address is asked for
 * that neither of them owns. So the table is cheap for a check whose pointers all lead home.
 *
 * A table belongs to one view at one instant: open it, ask, close it, within one check.
 */
struct owners;

enum owner_kind {
	OWNER_NONE,		/* no one */
	OWNER_KERNEL,		/* _stext.._etext */
	OWNER_KERNEL_INIT,	/* .init.text while it is there: booting only */
	OWNER_MODULE,
	OWNER_MODULE_INIT,	/* its init text, while it is there */
	OWNER_BPF,		/* a BPF program */
	OWNER_BPF_IMAGE,	/* a BPF trampoline, dispatcher or struct_ops stub */
	OWNER_BPF_PACK,		/* memory kept for BPF, not (yet) in use */
	OWNER_FTRACE,		/* a trampoline of an ftrace_ops */
	OWNER_KPROBE,		/* a slot of displaced instructions, or of an optimised kprobe */
	OWNER_EXECMEM,		/* memory kept for modules, not (yet) in use */
	OWNER_REAL_MODE,	/* the trampoline that starts CPUs and wakes from sleep */
	OWNER_VSYSCALL,
};

/* "kernel", "module", "BPF program", … */
const char *owner_kind_name(enum owner_kind kind);

/* What is known of one address. Names are the guest's: escape them at output. */
struct owner {
	enum owner_kind kind;
	gva start;		/* of the range that it owns; 0: no one's */
	uint64_t size_bytes;
	gva object;		/* struct module, bpf_ksym, ftrace_ops, …; 0: none */

	char text[128];		/* "kernel", "module evil", "no one (vmalloc area of x)" */
	char symbol[160];	/* "do_syscall_64+0x10", "f+0x4 [evil]"; "" where unknown */
	uint64_t offset;	/* into that symbol */
	bool is_start;		/* exactly at the start of a function */
};

/**
 * owners_open - collect who owns what
 * Where part of it cannot be read the table says so at every address that this part might
 * have owned (see owner_of()).
 *
 * Return: 0, -ESRCH, -ENOMEM, -ENOENT (not even _stext).
 */
nodiscard int owners_open(const struct kernel *kernel, struct view *view, struct owners **ret,
			  struct err *err);

/* *@owners becomes NULL. NULL is fine. */
void owners_close(struct owners **owners);

/* The modules that were found on the way, by list, tree and sysfs. */
const struct modules *owners_modules(const struct owners *owners);

/* Is @at in the text of the kernel? Costs nothing. */
bool owners_is_kernel_text(const struct owners *owners, gva at);

/**
 * owner_of - who owns the code at @at
 *
 * Return: 0, or a negative errno: no owner was found, and one of the places where it might
 *         stand could not be read. @ret is filled in either way, with OWNER_NONE then.
 */
nodiscard int owner_of(struct owners *owners, gva at, struct owner *ret, struct err *err);

/**
 * owner_is_function - does a function that is known by name start at @at?
 * In the kernel or a module; ENDBR and ftrace's pad belong to the function. Cheaper than
 * owner_of() where the answer is yes.
 */
bool owner_is_function(struct owners *owners, gva at);

/* "tcp4_seq_show", "f+0x4 [evil]", or the bare address. @buf is returned. */
const char *owner_symbol(struct owners *owners, gva at, char *buf, size_t size);

#endif
