/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HVSM_LINUX_KPROBE_H
#define HVSM_LINUX_KPROBE_H

#include <stdbool.h>

#include "base/vec.h"
#include "linux/kernel.h"

/* Where the kernel itself put breakpoints (kernel/kprobes.c, kprobe_table). */
#define KPROBE_JUMP_BYTES 5u

struct kprobe {
	gva at;			/* its struct kprobe */
	gva address;		/* of the instruction that is probed */
	bool optimized;		/* a jump into a slot, instead of a breakpoint */

	/*
	 * What stood there, as the kernel kept it: the first byte, and where it is optimised
	 * the others that the jump took.
	 */
	uint8_t original[KPROBE_JUMP_BYTES];
};

struct kprobes {
	VEC(struct kprobe) list;	/* by address */
};

/**
 * kprobes_read - every kprobe that is registered
 * @ret: on the caller's stack, zeroed; give it to kprobes_free() whatever came back
 *
 * Return: 0, or an error as hlist_walk(), with what was seen until then. A kernel without
 *         kprobes has none.
 */
nodiscard int kprobes_read(const struct kernel *kernel, struct view *view, struct kprobes *ret,
			   struct err *err);

void kprobes_free(struct kprobes *kprobes);

/* The kprobe at @address, or NULL. */
const struct kprobe *kprobes_find(const struct kprobes *kprobes, gva address);

#endif
