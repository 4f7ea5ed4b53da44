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
 * A table belongs to one view at one instant: open it, ask, close it, before the view is
 * refreshed.
 */
struct owners;

enum owner_kind {
	OWNER_NONE,		/* no one */
	OWNER_KERNEL,		/* _text.._etext */
	OWNER_KERNEL_INIT,	/* .init.text while it is there: booting only */
	OWNER_MODULE,
	OWNER_MODULE_INIT,	/* its init text, while it is there */
	OWNER_BPF,		/* a BPF program, trampoline or dispatcher */
	OWNER_BPF_PACK,		/* memory that BPF programs are packed into */
	OWNER_FTRACE,		/* a trampoline of an ftrace_ops */
	OWNER_KPROBE,		/* slots of displaced instructions */
	OWNER_REAL_MODE,	/* the trampoline that starts CPUs and wakes from sleep */
	OWNER_HYPERCALL,	/* the page through which Hyper-V is called */
	OWNER_KEXEC,		/* what hands over to a loaded crash kernel */

	/* By what a page holds, not by what the kernel says of it; only from exec_read(). */
	OWNER_THUNKS,		/* nothing but indirect jumps through one register each (ITS) */
	OWNER_UNUSED,		/* nothing but int3: kept for modules or BPF, not in use */
};

/* "kernel", "module", "BPF", … */
const char *owner_kind_name(enum owner_kind kind);

/* What is known of one address. Names are the guest's: escape them at output. */
struct owner {
	enum owner_kind kind;
	gva start;		/* of the range that it owns; 0: no one's */
	uint64_t size_bytes;
	gva object;		/* struct module, bpf_ksym, ftrace_ops, …; 0: none */

	char text[160];		/* "kernel", "module evil", "no one (vmalloc area of x)" */
	char symbol[160];	/* "do_syscall_64+0x10", "f+0x4 [evil]"; else the bare address */
	bool has_symbol;
	uint64_t offset;	/* into that symbol */
	bool is_start;		/* exactly at the start of a function */
};

/**
 * owners_open - collect who owns what
 * Modules that cannot be listed completely do not make it fail: the table then says so at
 * every address that it does not know (see owner_of()).
 *
 * Return: 0, -ENOENT (no _etext), -EBADMSG (… outside of the image), -ELOOP (fuel spent),
 *         -ESRCH, -ENOMEM.
 */
nodiscard int owners_open(const struct kernel *kernel, struct view *view, struct owners **ret,
			  struct err *err);

/* One more user of a table, who closes it as well. @owners is returned. */
struct owners *owners_share(struct owners *owners);

/* The last user frees the table. *@owners becomes NULL. NULL is fine. */
void owners_close(struct owners **owners);

/* The modules, by list, tree and sysfs; and the first error on the way to them, or 0. */
const struct modules *owners_modules(const struct owners *owners);
int owners_modules_error(const struct owners *owners);

/* Is @at in the text of the kernel image? */
bool owners_is_kernel_text(const struct owners *owners, gva at);

/**
 * owner_of - who owns the code at @at
 * Only modules that are in the kernel's list own anything: what a hidden one says of itself
 * is told as "no one (…)".
 *
 * Return: 0, or a negative errno: no owner was found, and one of the places where it might
 *         stand could not be read. @ret is filled in either way, with OWNER_NONE then.
 */
nodiscard int owner_of(struct owners *owners, gva at, struct owner *ret, struct err *err);

/**
 * owner_is_function - does a function of the kernel or of a listed module start at @at?
 * The answer comes from the symbol tables, and costs little where it is yes.
 */
bool owner_is_function(struct owners *owners, gva at);

/**
 * owner_symbol - "tcp4_seq_show", "f+0x4 [evil]", "bpf_prog_123_x", or the bare address
 * @buf: receives the text, cut to @size
 * Return: @buf.
 */
const char *owner_symbol(struct owners *owners, gva at, char *buf, size_t size);

#endif
