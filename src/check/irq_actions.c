/* SPDX-License-Identifier: Apache-2.0 */
#include "check/hooked.h"

static int irq_actions_run(struct check_run *run, struct err *err)
{
	static const struct hook_source *const sources[] = { &hooks_irq, NULL };

	return hooked_run(run, sources, "interrupts, handlers and domains", NULL, err);
}

CHECK(irq_actions,
	.id = "irq-actions",
	.group = GROUP_POINTERS,
	.title = "An interrupt leads to foreign code",
	.proves = "Each handler of each interrupt and of NMIs, and each operation of the "
		  "interrupts' chips and domains, is a function of the kernel or of a listed "
		  "module.",
	.techniques = TECHNIQUES("T1014"),
	.fuel_max = 20000,
	.run = irq_actions_run);
