/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HVSM_LINUX_CPU_ENTRY_H
#define HVSM_LINUX_CPU_ENTRY_H

#include "linux/kernel.h"

/*
 * The CPU entry area: what a CPU needs when it enters the kernel, mapped at addresses that are
 * the same in every page table (arch/x86/mm/cpu_entry_area.c).
 */
#define CPU_ENTRY_IDT	0xfffffe0000000000ull	/* CPU_ENTRY_AREA_RO_IDT */

struct cpu_entry_fields {
	struct field area, gdt, entry_stack, tss, stacks;
};

/* Where the parts lie within the area of one CPU; owned by the kernel's types. */
nodiscard int cpu_entry_fields(const struct kernel *kernel, const struct cpu_entry_fields **ret,
			       struct err *err);

/**
 * cpu_entry_area - the address of one CPU's area
 * From 6.2 on each lies at a place of its own choice (97e3d26b5e5f).
 *
 * Return: 0, -ENOENT (types), -EBADMSG (a place beyond all), or an error as view_read().
 */
nodiscard int cpu_entry_area(const struct kernel *kernel, struct view *view, uint32_t cpu,
			     gva *ret, struct err *err);

#endif
