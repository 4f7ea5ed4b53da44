/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HVSM_LINUX_CPU_H
#define HVSM_LINUX_CPU_H

#include <stdbool.h>
#include <stdint.h>

#include "guest/view.h"
#include "linux/kernel.h"

/*
 * What the kernel takes its CPUs to be able to do: boot_cpu_data.x86_capability. A feature
 * that was turned off at boot ("nosmep") is not among them. The numbers are those of
 * arch/x86/include/asm/cpufeatures.h; these have not changed since 4.15.
 */
enum cpu_feature {
	CPU_NX		= 1 * 32 + 20,
	CPU_PTI		= 7 * 32 + 11,	/* page-table isolation is in use */
	CPU_SMEP	= 9 * 32 + 7,
	CPU_SMAP	= 9 * 32 + 20,
	CPU_FRED	= 12 * 32 + 17,	/* events do not go through the IDT (6.9) */
	CPU_UMIP	= 16 * 32 + 2,
};

#define CPU_FEATURE_WORDS 24u

struct cpu_features {
	uint32_t word[CPU_FEATURE_WORDS];	/* those beyond the kernel's own are 0 */
};

/* 0, -ENOENT (a symbol or type that is needed), or an error as view_read(). */
nodiscard int cpu_features_read(const struct kernel *kernel, struct view *view,
				struct cpu_features *ret, struct err *err);

static inline bool cpu_has(const struct cpu_features *features, enum cpu_feature feature)
{
	return features->word[feature / 32] >> feature % 32 & 1;
}

/**
 * cpu_user_space - what a processor translates with while a process's own code runs
 * @space:    the process's, as its mm_struct has it (task.space)
 * @isolated: CPU_PTI
 *
 * With page-table isolation each process has a second table, in the page behind the kernel's
 * (arch/x86/mm/pti.c). The kernel's has the same pages of the process, but none is executable.
 */
static inline struct space cpu_user_space(struct space space, bool isolated)
{
	if (isolated && space.root.v)
		space.root = gpa_add(space.root, GUEST_PAGE_SIZE);
	return space;
}

#endif
