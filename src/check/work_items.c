/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "check/hooked.h"

/*
 * Soft interrupts are the kernel's own ten: no module can open one (open_softirq() is not
 * exported), so that the start of a function of a listed module is wrong there as well.
 */
static const char *doubt(struct hooked *hooked, const struct hook *hook)
{
	struct owner owner;

	if (strcmp(hook->type, "softirq_action") != 0 ||
	    owners_is_kernel_text(hooked->owners, hook->target) ||
	    owner_of(hooked->owners, hook->target, &owner, NULL) < 0 ||
	    owner.kind == OWNER_KERNEL)
		return NULL;
	return "a function of the kernel";
}

static int work_items_run(struct check_run *run, struct err *err)
{
	static const struct hook_source *const sources[] = {
		&hooks_work, &hooks_softirq, NULL,
	};

	return hooked_run(run, sources, "pools, vectors and lists", doubt, err);
}

CHECK(work_items,
	.id = "work-items",
	.group = GROUP_POINTERS,
	.title = "Deferred work leads to foreign code",
	.proves = "Each work item that waits or that a worker is at, each tasklet, irq_work and "
		  "RCU callback that waits on any CPU calls a function of the kernel or of a "
		  "listed module; soft interrupts call the kernel's own.",
	.techniques = TECHNIQUES("T1014"),
	.fuel_max = 100000,
	.run = work_items_run);
