/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HVSM_LINUX_UPROBE_H
#define HVSM_LINUX_UPROBE_H

#include "base/vec.h"
#include "linux/kernel.h"

/*
 * Where the kernel puts breakpoints into programs: for each process that maps the file it makes a
 * copy of the page, with int3 in place of the instruction (kernel/events/uprobes.c). From 6.18 on
 * a nop of five bytes becomes a call into a page of the kernel's.
 */
#define UPROBE_INSN_BYTES 16u	/* MAX_UINSN_BYTES */

struct uprobe {
	gva inode;
	uint64_t offset;		/* in the file */
	uint8_t insn[UPROBE_INSN_BYTES];	/* what stood there, and behind it */
	uint8_t insn_bytes;		/* 0: not known, nobody has mapped it yet */
};

struct uprobes {
	VEC(struct uprobe) all;
};

/**
 * uprobes_read - all that are registered
 * @ret: {0} before; to be freed with uprobes_free(). On failure it holds what was found.
 *
 * Return: 0 (a kernel without them has none), -EBADMSG, -EFAULT (some were left out; it may be an
 *         update in flight), -ELOOP (limits), -ENOENT (types), -ESRCH, -ENOMEM.
 */
nodiscard int uprobes_read(const struct kernel *kernel, struct view *view, struct uprobes *ret,
			   struct err *err);

void uprobes_free(struct uprobes *uprobes);

#endif
